"""Memory for an array, asked for before it is taken: a small file may honestly unpack to a thousand times.

A file that is never asked for more than it has.

Python takes the memory that ``read(size)`` names before it looks how much there is, and libraries name what a header
says: four bytes of a small file would cost four gigabytes.
"""

import io
import os
from pathlib import Path

import psutil

from meddiff.errors import InputError

COPIES = 3
"""Packed or stored values, the array, and one more on the way to it."""
_SMALL_BYTES = 1 << 25  # fits everywhere, and is not worth a question


def check_memory(path: Path, array_bytes: int) -> None:
    """Refuse a file whose array would not fit into memory.

    Raises:
        InputError: three times ``array_bytes`` are more than is free, or than this process may have.
    """
    if array_bytes <= _SMALL_BYTES:
        return
    free, needed = _free_bytes(), COPIES * array_bytes
    if needed > free:
        raise InputError(
            f"{path}: it unpacks to {array_bytes / 1e9:.2f} GB, which takes about {needed / 1e9:.2f} GB of memory to "
            f"read; {free / 1e9:.2f} GB are free. End other programs, or cut it into smaller files."
        )


def _free_bytes() -> int:
    free = psutil.virtual_memory().available
    if not psutil.LINUX:
        return free
    process = psutil.Process()
    limit, _ = process.rlimit(psutil.RLIMIT_AS)  # of this process, where somebody has set one (ulimit -v)
    return free if limit < 0 else min(free, max(0, limit - process.memory_info().vms))


_SMALL_READ_BYTES = 1 << 16


class BoundedFile(io.BufferedReader):
    """An open file whose ``read`` stops asking at its end."""

    def __init__(self, path: Path):
        super().__init__(io.FileIO(path))
        self._size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to ``size`` bytes; all that are left where it is None or negative."""
        if size is not None and size > _SMALL_READ_BYTES:
            size = min(size, max(0, self._size - self.tell()))
        return super().read(size)
