"""The extensions between a NIfTI header and its voxels, walked before nibabel reads them: it believes their lengths."""

import math
import struct
from pathlib import Path

from meddiff.formats.pictures import bad_file

LARGEST_BYTES = 1 << 26
"""Of header and extensions; they hold histories and tables, tens of megabytes at most."""
_LAYOUTS = {348: (108, "f"), 540: (168, "q")}
"""Length of the header -> where it says at which byte the voxels begin, NIfTI-1 and NIfTI-2."""


def check_extensions(path: Path) -> None:
    """Refuse extensions that reach beyond their place (nibabel takes the memory that their lengths name).

    Raises:
        InputError: an extension that is longer than what lies between the header and the voxels.
    """
    start = _start_of(path, 544)
    size, order = next(
        ((size, order) for order in "<>" for size in _LAYOUTS if start[:4] == struct.pack(f"{order}i", size)), (0, "")
    )
    if not size or len(start) < size + 4 or not start[size]:
        return  # no NIfTI, or nothing follows the header
    offset, kind = _LAYOUTS[size]
    voxels = struct.unpack_from(f"{order}{kind}", start, offset)[0]
    pair = ".nii" not in path.name.lower()  # whose voxels lie in another file: extensions go on to the end
    content = _start_of(path, LARGEST_BYTES if pair or not 0 <= voxels <= LARGEST_BYTES else int(voxels))
    end = voxels if not pair and math.isfinite(voxels) else len(content)
    place = size + 4
    while place + 16 <= end:
        length = struct.unpack_from(f"{order}i", content, place)[0] if place + 4 <= len(content) else 0
        if length < 8 or place + length > len(content):
            raise bad_file(path, f"an extension of its header claims {length} bytes, {len(content) - place} are there")
        place += length


def _start_of(path: Path, size: int) -> bytes:
    """The first bytes of a header, unpacked."""
    path = path.with_name(path.name.replace(".img", ".hdr"))
    if path.suffix.lower() != ".gz":
        with path.open("rb") as file:
            return file.read(size)
    from isal import igzip

    with igzip.IGzipFile(str(path), "rb") as file:
        return file.read(size)
