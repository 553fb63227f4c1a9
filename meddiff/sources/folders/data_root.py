"""The folders of a data set, as a user names them with ``--data-root``."""

from __future__ import annotations

from pathlib import Path

from meddiff.errors import InputError
from meddiff.files.walk import Folder, folders_below


def list_folders(root: Path) -> list[Folder]:
    """List every folder below ``root``, the root first, sorted (see `meddiff.files.walk`).

    Raises:
        InputError: there is no such folder, it is a file, or a part of it may not be read.
    """
    if not root.exists():
        raise InputError(f"{root}: there is no such folder. Name the folder that holds the images with --data-root.")
    if not root.is_dir():
        unpack = " Unpack it first and name the folder." if root.suffix.lower() in (".zip", ".rar", ".gz") else ""
        raise InputError(f"{root} is a file; --data-root takes the folder that holds the images.{unpack}")
    return folders_below(root)
