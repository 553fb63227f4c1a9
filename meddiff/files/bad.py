"""A file that cannot be used, and why."""

from pathlib import Path

from meddiff.errors import InputError


class BadFile(InputError):  # noqa: N818
    """A file that cannot be used."""

    def __init__(self, path: Path, reason: str) -> None:
        self.reason = f"{path}: {reason}"
        """What is wrong, without the cure: a list of many files states that once."""
        super().__init__(f"{self.reason}. Give a good copy of the file, or leave it out (of a manifest: its row).")


def reason_of(error: InputError) -> str:
    """Say what is wrong, without the cure where the error tells them apart."""
    return error.reason if isinstance(error, BadFile) else str(error)


def bad_file(path: Path, reason: str) -> BadFile:
    """Return the one sentence for a file that cannot be used."""
    return BadFile(path, reason)


def exists(path: Path) -> bool:
    """Say whether there is something; not under a name that no disk takes, nor in a folder that may not be entered."""
    try:
        return path.exists()
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Say whether there is a file; never under a name that no disk takes."""
    return exists(path) and path.is_file()


def check_file(path: Path) -> None:
    """Refuse what no decoder needs to see: a missing file, a folder, an empty file."""
    if not exists(path):
        raise bad_file(path, "there is no such file")
    if path.is_dir():
        raise bad_file(path, "this is a folder, not an image")
    if path.stat().st_size == 0:
        raise bad_file(path, "the file is empty (0 bytes)")
