"""pydicom's reading, with two traps for memory shut.

pydicom reads as many bytes as an element says it has, and unpacks whole what is deflated, whatever it swells to. That,
and nothing else, it reads with a ``read()`` to the end.
"""

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from meddiff.files.bad import bad_file
from meddiff.files.bounds import BoundedFile, check_memory

if TYPE_CHECKING:
    from pydicom import Dataset

HARMLESS_BYTES = 1 << 28  # of pixels
LARGEST_DEFLATE_RATIO = 100
_HARMLESS_DEFLATED_BYTES = 1 << 23  # that many zeros are a million elements


def read_dataset(path: Path, *, pixels: bool = True) -> "Dataset":
    """Read all elements of a DICOM file, or all before its pixels; elements are decoded when they are asked for.

    Raises:
        InputError: deflated elements that swell beyond what is harmless.
        Exception: whatever pydicom raises for damaged files; see `meddiff.formats.damage`.
    """
    import pydicom

    with _DicomFile(path) as file:
        return pydicom.dcmread(file, stop_before_pixels=not pixels, force=True)


class _DicomFile(BoundedFile):
    def __init__(self, path: Path):
        super().__init__(path)
        self._path = path

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        return self._deflated(content) if size is None or size < 0 else content

    def _deflated(self, packed: bytes) -> bytes:
        """Return the bytes as they are, once it is known what they unpack to."""
        unpacker, rest, total = zlib.decompressobj(-zlib.MAX_WBITS), packed, 0
        largest = max(_HARMLESS_DEFLATED_BYTES, LARGEST_DEFLATE_RATIO * len(packed))
        while rest and not unpacker.eof:
            total += len(unpacker.decompress(rest, 1 << 20))
            rest = unpacker.unconsumed_tail
            if total > largest:
                raise bad_file(self._path, f"its {len(packed)} deflated bytes unpack to more than {largest}")
        check_memory(self._path, total)
        return packed
