"""Probabilities as nnU-Net stores them beside a mask: CASE.npz, one array [K, *S].

The axes S are those of a volume reversed, and of a picture a lone slice, rows and columns. The CASE.pkl that lies there
too is a pickle, and is never read.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from meddiff.files.bad import bad_file
from meddiff.files.bounds import check_memory

_ARRAYS = ("probabilities", "softmax")
"""Names of the array, as version 2 and version 1 call it."""


def holds_softmax(path: Path) -> bool:
    """Tell whether a file is one of nnU-Net's; False where it is damaged."""
    return path.suffix == ".npz" and zipfile.is_zipfile(path) and _member(path) is not None


def read_softmax(path: Path) -> np.ndarray:
    """Read the probabilities [K, *S] of a case as they are stored.

    Raises:
        InputError: it is damaged, or holds no numbers of so many axes.
    """
    with zipfile.ZipFile(path) as archive:
        name = _member(path) or ""
        try:
            with archive.open(name) as file:
                version = npy.read_magic(file)
                read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                shape, _, dtype = read_header(file)
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
            raise bad_file(path, f"its {name} is damaged ({error})") from error
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if dtype.kind != "f" or len(shape) not in (3, 4) or size > archive.getinfo(name).file_size:
            raise bad_file(path, f"its {name} is {dtype} {list(shape)}, and probabilities are floats [K, *S]")
    check_memory(path, size)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays[name.removesuffix(".npy")]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise bad_file(path, f"its {name} is damaged ({error})") from error


def _member(path: Path) -> str | None:
    with zipfile.ZipFile(path) as archive:
        return next((name for one in _ARRAYS if (name := f"{one}.npy") in archive.namelist()), None)
