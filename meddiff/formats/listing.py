"""The files below a folder, read once, in an order that does not depend on the machine."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from meddiff.errors import InputError

# what macOS puts into archives beside every real file
_RUBBISH = ("__MACOSX",)


@dataclass(frozen=True)
class Folder:
    """One folder and the names of its files, hidden ones left out."""

    path: str  # relative to the root, with / between folders; "" is the root itself
    names: tuple[str, ...]

    def join(self, name: str) -> str:
        """The path of one of its files, relative to the root."""
        return f"{self.path}/{name}" if self.path else name


def list_folders(root: Path) -> list[Folder]:
    """Every folder below ``root``, the root first, sorted. Symbolic links are followed, each folder once.

    Raises:
        InputError: there is no such folder, it is a file, or a part of it may not be read.
    """
    if not root.exists():
        raise InputError(f"{root}: there is no such folder. Name the folder that holds the images with --data-root.")
    if not root.is_dir():
        unpack = " Unpack it first and name the folder." if root.suffix.lower() in (".zip", ".rar", ".gz") else ""
        raise InputError(f"{root} is a file; --data-root takes the folder that holds the images.{unpack}")
    return sorted(_walk(root), key=lambda folder: folder.path)


def _walk(root: Path) -> Iterator[Folder]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}. Name a folder that you may read.")

    seen: set[str] = set()
    for folder, children, names in os.walk(root, followlinks=True, onerror=refuse):
        children[:] = sorted(name for name in children if not name.startswith(".") and name not in _RUBBISH)
        real = os.path.realpath(folder)
        if real in seen:  # a link back to where we came from
            children.clear()
            continue
        seen.add(real)
        path = Path(folder).relative_to(root).as_posix()
        yield Folder("" if path == "." else path, tuple(sorted(name for name in names if not name.startswith("."))))
