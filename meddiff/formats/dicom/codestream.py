"""What the compressed pictures of a DICOM file say of themselves, compared with its header before a decoder is asked.

gdcm ends the program with a segmentation fault on a JPEG frame of 33 bits, and others take the memory of the size that
the codestream states, whatever the header of the file says. JPEG and JPEG-LS: frame header after ISO 10918-1, B.2.2;
JPEG 2000: SIZ marker after ISO 15444-1, A.5.1.
"""

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from meddiff.formats.pictures import bad_file

if TYPE_CHECKING:
    from pydicom import Dataset

_FRAME_MARKERS = (0xC0, 0xC1, 0xC2, 0xC3, 0xF7)
_SCAN = 0xDA
_ALONE = (0x01, *range(0xD0, 0xD9))  # markers without a length behind them
LARGEST_DEPTH = 16
_J2K_START = b"\xff\x4f\xff\x51"
_MOST_TILES = 1 << 12


def check_codestreams(path: Path, dataset: "Dataset", frames: int) -> None:
    """Refuse compressed pictures whose size, depth or number of channels is another than the header's.

    Raises:
        InputError: the first picture that differs, or that has no frame header.
    """
    from pydicom.encaps import generate_frames

    expected = (int(dataset.Rows), int(dataset.Columns), int(dataset.get("SamplesPerPixel") or 1))
    for number, stream in enumerate(generate_frames(dataset.PixelData, number_of_frames=frames)):
        found = _jpeg_2000(stream) if _J2K_START in stream[:4096] else _jpeg(stream)
        if found is None:
            raise bad_file(
                path, f"its compressed picture {number} has no frame header or no scan: it is cut off or damaged"
            )
        *size, depth = found
        if tuple(size) != expected or not 1 <= depth <= LARGEST_DEPTH:
            told = "{} rows, {} columns, {} channels"
            raise bad_file(path, f"its compressed picture {number} has {told.format(*size)} of {depth} bits, "
                                 f"its header says {told.format(*expected)}")  # fmt: skip


def _jpeg(stream: bytes) -> tuple[int, int, int, int] | None:
    """Rows, columns, channels, bits; None where one marker does not follow another up to the scan: gdcm ends there."""
    frame = None
    place = 2 if stream.startswith(b"\xff\xd8") else len(stream)
    while place + 10 <= len(stream) and stream[place] == 0xFF:
        marker = stream[place + 1]
        if marker == 0xFF or marker in _ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAME_MARKERS:
            bits, rows, columns, channels = struct.unpack_from(">BHHB", stream, place + 4)
            frame = rows, columns, channels, bits
        if marker == _SCAN:
            return frame
        place += 2 + struct.unpack_from(">H", stream, place + 2)[0]
    return None


def _jpeg_2000(stream: bytes) -> tuple[int, int, int, int] | None:
    place = stream.index(_J2K_START) + 8
    if len(stream) < place + 35:
        return None
    right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, channels = struct.unpack_from(
        ">8IH", stream, place
    )
    columns, rows = right - left, bottom - top
    if not tile_width or not tile_height or not columns > 0 < rows:
        return None
    tiles = -(-(right - tile_left) // tile_width) * -(-(bottom - tile_top) // tile_height)
    if not 0 < tiles <= _MOST_TILES:
        return None
    return rows, columns, channels, (stream[place + 34] & 0x7F) + 1
