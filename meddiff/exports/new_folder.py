"""The folder that an export makes: a new one, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from meddiff.errors import InputError
from meddiff.files.writing import write_folder


def write_new(out: str, write: Callable[[Path], object]) -> Path:
    """Make the folder of a setting --out with the files that ``write`` puts into the empty one it is handed.

    Raises:
        InputError: it is there already; a full disk; and what comes from inside.
    """
    folder = Path(out).expanduser()
    if folder.exists():
        raise InputError(f"--out {out} is there already: name a new folder, so that nothing is mixed with what is old")
    write_folder(folder, write, option="--out", durable=False)
    return folder
