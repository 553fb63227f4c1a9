"""pydicom's reading, behind a file that is never asked for more than it has.

Two traps for memory. Python takes what ``read(size)`` names before it looks how much there is, and pydicom names what
an element says of its length: four bytes of a small file would cost four gigabytes. And what is deflated is unpacked
whole, whatever it swells to; pydicom reads it, and nothing else, with a ``read()`` to the end.
"""

import io
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from meddiff.data.free_memory import check_memory
from meddiff.data.pictures import bad_file

if TYPE_CHECKING:
    from pydicom import Dataset

HARMLESS_BYTES = 1 << 28  # of pixels
LARGEST_DEFLATE_RATIO = 100
_HARMLESS_DEFLATED_BYTES = 1 << 23  # that many zeros are a million elements
_SMALL_BYTES = 1 << 16


def read_dataset(path: Path, *, pixels: bool = True) -> "Dataset":
    """All elements of a DICOM file, or all before its pixels; elements are decoded when they are asked for.

    Raises:
        InputError: deflated elements that swell beyond what is harmless.
        Exception: whatever pydicom raises for damaged files; see `guard.damage_told`.
    """
    import pydicom

    with _BoundedFile(path) as file:
        return pydicom.dcmread(file, stop_before_pixels=not pixels, force=True)


class _BoundedFile(io.BufferedReader):
    def __init__(self, path: Path):
        super().__init__(io.FileIO(path))
        self._path = path
        self._size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return self._deflated(super().read())
        return super().read(size if size < _SMALL_BYTES else min(size, max(0, self._size - self.tell())))

    def _deflated(self, packed: bytes) -> bytes:
        """The bytes as they are, once it is known what they unpack to."""
        unpacker, rest, total = zlib.decompressobj(-zlib.MAX_WBITS), packed, 0
        largest = max(_HARMLESS_DEFLATED_BYTES, LARGEST_DEFLATE_RATIO * len(packed))
        while rest and not unpacker.eof:
            total += len(unpacker.decompress(rest, 1 << 20))
            rest = unpacker.unconsumed_tail
            if total > largest:
                raise bad_file(self._path, f"its {len(packed)} deflated bytes unpack to more than {largest}")
        check_memory(self._path, total)
        return packed
