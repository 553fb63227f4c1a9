"""Nothing is ever half written: a file or folder gets a temporary name beside its own, is filled, then takes its name.

A full disk, a read-only folder or a missing permission becomes one sentence that a user can act on.
"""

import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from meddiff.errors import InputError

_CURES = {
    errno.ENOSPC: "the disk is full. Free some space or name a folder on another disk",
    errno.EDQUOT: "your quota on this disk is used up. Free some space or name a folder on another disk",
    errno.EFBIG: "the file is larger than this disk or your limits allow. Name a folder on another disk",
    errno.EROFS: "the disk is read-only. Name a folder that can be written to",
    errno.EACCES: "permission is denied. Name a folder that you may write to",
    errno.EPERM: "permission is denied. Name a folder that you may write to",
    errno.ENOTDIR: "a part of this path is a file, not a folder. Name another folder",
    errno.EEXIST: "a file of this name is in the way. Name another folder",
    errno.EISDIR: "a folder of this name is in the way. Remove it or name another file",
}

_LIMITS = {
    errno.EMFILE: "this process may not open more files. Raise the limit (ulimit -n 1024)",
    errno.ENFILE: "this machine has no more open files to give. Close other programs",
    errno.EIO: "the disk has an error. Look at its health, and name a folder on another one",
    errno.ESTALE: "the network disk was lost. Mount it again",
}
"""What may happen at any file, and not only where one is written."""


def missing_folders(path: Path) -> list[Path]:
    """Return the folder and those above it that do not exist, the deepest first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def output_folder(named: str, inputs: Sequence[str | Path], *, option: str = "--out") -> Path:
    """Return the folder that results go to, which can be made and is not made before there are any.

    Args:
        named: as the user named it.
        inputs: folders that are read; other texts among them do not matter.
        option: the setting that names the folder, for messages.

    Raises:
        InputError: it is one of the inputs, which stay as they are; it cannot be made.
    """
    out = Path(named).expanduser()
    if any(Path(one).expanduser().resolve() == out.resolve() for one in inputs if str(one)):
        raise InputError(f"{option} {named} is a folder that is read: results would mix with data. Name another one.")
    missing = missing_folders(out)
    with in_plain_words(out, option=option):
        out.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            folder.rmdir()
    return out


def in_words(error: Exception) -> str | None:
    """Say what is full, forbidden or used up, and what to do; None for an error that no user can cure."""
    if isinstance(error, MemoryError):
        return (
            "there is not enough memory. Work on smaller images, patches or batches, or close other programs; the same "
            "command goes on from here"
        )
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return "there is no home folder: set HOME, and write paths without ~"
    cures = _CURES | _LIMITS
    if not isinstance(error, OSError) or error.errno not in cures:
        return None
    return f"{error.filename or 'a file'}: {cures[error.errno]}; the same command goes on from here"


@contextmanager
def in_plain_words(path: Path, *, option: str = "") -> Iterator[None]:
    """Turn the OSErrors of writing ``path`` that a user can cure into InputErrors; others pass as they are.

    option: the setting that names the folder, for the message.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _CURES:
            raise
        how = f" with {option}" if option else ""
        raise InputError(f"{path} cannot be written: {_CURES[error.errno]}{how}. Nothing was lost.") from error


def write_atomically(path: Path, write: Callable[[BinaryIO], object], *, durable: bool = True) -> None:
    """Create or replace ``path`` (and its folder) with what ``write`` puts into the file it is handed.

    A reader sees the old file or the new one, never a half; two writers do not disturb each other. ``durable`` waits
    until the bytes are on the disk, so that not even a power cut takes them; thousands of small files do without.

    Raises:
        InputError: full disk, read-only folder, no permission.
    """
    with in_plain_words(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _part_of(path)
        try:
            with part.open("xb") as file:
                write(file)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def write_folder(path: Path, write: Callable[[Path], object], *, option: str = "", durable: bool = True) -> None:
    """Create or replace a folder with the files that ``write`` puts into the empty one it is handed.

    Args:
        path: the folder; nobody writes it meanwhile.
        write: fills the folder of a temporary name.
        option: the setting that names the folder, for messages.
        durable: as in `write_atomically`.

    Raises:
        InputError: as `write_atomically`.
    """
    with in_plain_words(path, option=option):
        part = _part_of(path)
        try:
            part.mkdir(parents=True)
            write(part)
            for file in part.iterdir() if durable else ():
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())
            shutil.rmtree(path, ignore_errors=True)
            part.replace(path)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _part_of(path: Path) -> Path:
    """Name what becomes ``path`` when it is whole; `RunFolder.opened` removes those that killed processes left."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")


def write_text(path: Path, text: str) -> None:
    """Create or replace a UTF-8 text file, as `write_atomically` does."""
    write_atomically(path, lambda file: file.write(text.encode()))
