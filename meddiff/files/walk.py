"""One walk of a folder: sorted, hidden files and rubbish left out, symbolic links followed, each folder once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from meddiff.errors import InputError

RUBBISH = ("__MACOSX", ".DS_Store", "Thumbs.db")
"""What systems put beside every real file, into folders and archives."""


@dataclass(frozen=True)
class Folder:
    """One folder and the names of its files."""

    path: str
    """Relative to the root, with / between folders; "" is the root itself."""
    names: tuple[str, ...]
    """Of its files, sorted; hidden ones are left out."""

    def join(self, name: str) -> str:
        """Return the path of one of its files, relative to the root."""
        return f"{self.path}/{name}" if self.path else name


def folders_below(root: Path) -> list[Folder]:
    """List the folder and every one below it, sorted, the root first.

    Raises:
        InputError: a part of it may not be read.
    """
    return sorted(_walk(root), key=lambda folder: folder.path)


def files_below(root: Path) -> list[Path]:
    """List all files below a folder, sorted.

    Raises:
        InputError: a part of it may not be read.
    """
    files = [root / folder.join(name) for folder in _walk(root) for name in folder.names]
    return sorted(file for file in files if file.is_file())  # no pipe, no device, no link to nowhere


def _walk(root: Path) -> Iterator[Folder]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}. Name a folder that you may read.")

    seen: set[str] = set()
    for folder, children, names in os.walk(root, followlinks=True, onerror=refuse):
        children[:] = _shown(children)
        real = os.path.realpath(folder)
        if real in seen:  # a link back to where we came from
            children.clear()
            continue
        seen.add(real)
        path = Path(folder).relative_to(root).as_posix()
        yield Folder("" if path == "." else path, tuple(_shown(names)))


def _shown(names: list[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith(".") and name not in RUBBISH)
