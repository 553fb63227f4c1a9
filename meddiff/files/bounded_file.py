"""A file that is never asked for more than it has.

Python takes the memory that ``read(size)`` names before it looks how much there is, and libraries name what a header
says: four bytes of a small file would cost four gigabytes.
"""

import io
import os
from pathlib import Path

_SMALL_BYTES = 1 << 16


class BoundedFile(io.BufferedReader):
    """An open file whose ``read`` stops asking at its end."""

    def __init__(self, path: Path):
        super().__init__(io.FileIO(path))
        self._size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to ``size`` bytes; all that are left where it is None or negative."""
        if size is not None and size > _SMALL_BYTES:
            size = min(size, max(0, self._size - self.tell()))
        return super().read(size)
