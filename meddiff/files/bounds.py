"""Whether an array fits into memory, asked before it is taken: a small file may honestly unpack to a thousand times."""

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
