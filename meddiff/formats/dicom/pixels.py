"""Pixels of a DICOM file through pydicom and its plug-ins, whatever they are compressed with.

What the compressed pictures of a DICOM file say of themselves, compared with its header before a decoder is asked.

gdcm ends the program with a segmentation fault on a JPEG frame of 33 bits, and others take the memory of the size that
the codestream states, whatever the header of the file says. JPEG and JPEG-LS: frame header after ISO 10918-1, B.2.2;
JPEG 2000: SIZ marker after ISO 15444-1, A.5.1.
"""

import struct
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from meddiff.files.bad import bad_file
from meddiff.files.bounds import check_memory
from meddiff.formats.damage import damage_named
from meddiff.formats.dicom.dataset import HARMLESS_BYTES, read_dataset

if TYPE_CHECKING:
    from pydicom import Dataset


_LARGEST_RATIO = 1000  # a blank picture shrinks by a lot, but a small file that unfolds beyond is an attack or damage
_CHANNELS = {"MONOCHROME1": 1, "MONOCHROME2": 1, "PALETTE COLOR": 1}
_COLORS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def read_stored(path: Path) -> np.ndarray:
    """Read stored values [frames, rows, columns], or colors [frames, rows, columns, 3] in RGB, not yet rescaled.

    Raises:
        InputError: cut off or damaged pixels, a transfer syntax without a decoder, sizes that the file cannot hold.
    """
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    with damage_named(path, "the picture"):
        dataset = read_dataset(path)
        if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
            raise bad_file(path, "the file has no pixels")
        frames, samples = int(dataset.get("NumberOfFrames") or 1), int(dataset.get("SamplesPerPixel") or 1)
        size = int(dataset.Rows) * int(dataset.Columns) * frames * samples * ((int(dataset.BitsAllocated) + 7) // 8)
        _check_size(path, size)
        _check_colors(path, dataset, samples)
        syntax = dataset.file_meta.get("TransferSyntaxUID")
        if syntax is None:
            implicit, little = dataset.original_encoding
            plain = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else plain
        elif syntax.is_compressed and "PixelData" in dataset and _is_bare(dataset, size):
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian  # the header lies, its length gives it away
        pixels = _cells(path, dataset, _decoded(path, dataset, frames))
        if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
            pixels = apply_color_lut(pixels, dataset)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return pixels if frames > 1 else pixels[None]


def _check_colors(path: Path, dataset: "Dataset", samples: int) -> None:
    colors = str(dataset.get("PhotometricInterpretation") or "MONOCHROME2")
    if samples not in (1, 3) or colors not in (*_CHANNELS, *_COLORS):
        known = ", ".join((*_CHANNELS, *_COLORS))
        raise bad_file(path, f"pixels of {samples} channels in {colors} are not read; these are: {known}")


def _cells(path: Path, dataset: "Dataset", pixels: np.ndarray) -> np.ndarray:
    """Keep the picture's bits of each value, without what else lies in its cell (an overlay, a scanner's own marks).

    HighBit is the place of the uppermost of BitsStored bits (PS3.5 8.1.1). Decoders of compressed pictures shift them
    down to the lowest place.
    """
    if pixels.dtype.kind not in "iu" or int(dataset.get("SamplesPerPixel") or 1) != 1:
        return pixels
    allocated = int(dataset.BitsAllocated)
    stored = int(dataset.get("BitsStored") or allocated)
    high = dataset.get("HighBit")
    high = stored - 1 if high is None else int(high)
    if not 1 <= stored <= high + 1 <= allocated:
        raise bad_file(path, f"{stored} bits up to bit {high} do not fit into {allocated} (BitsStored, HighBit)")
    if stored == pixels.dtype.itemsize * 8 or allocated != pixels.dtype.itemsize * 8:
        return pixels
    if high != stored - 1 and _is_shifted(dataset):
        high = stored - 1
    return (pixels << (allocated - 1 - high)) >> (allocated - stored)


def _is_shifted(dataset: "Dataset") -> bool:
    """Tell whether a codestream holds the picture's bits alone; a native picture and run lengths hold whole cells."""
    from pydicom.encaps import generate_frames
    from pydicom.uid import RLELossless

    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated or syntax == RLELossless:
        return False
    stream = next(generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1)))
    picture = _jpeg_2000(stream) if _J2K_START in stream[:4096] else _jpeg(stream)
    return picture is not None and picture[3] < int(dataset.BitsAllocated)


def _decoded(path: Path, dataset: "Dataset", frames: int) -> np.ndarray:
    """Decode the pixels by the first decoder that reads them, of those that do not end the program on a damaged file.

    pylibjpeg-rle does on any fault. gdcm does on a header that contradicts itself, so that is refused before, and it
    is asked only for lossless JPEG, which nothing else reads, and for JPEG-LS that CharLS does not understand.
    """
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSTransferSyntaxes, RLELossless

    syntax = dataset.file_meta.TransferSyntaxUID
    dataset.pixel_array_options(correct_unused_bits=False)  # `_cells` does, and knows HighBit
    if not syntax.is_encapsulated:
        return dataset.pixel_array
    if syntax == JPEGExtended12Bit and int(dataset.get("BitsStored") or 8) > 8 and find_spec("libjpeg") is None:
        reason = "its pixels are lossy 12-bit JPEG (JPEG Extended); of the decoders only pylibjpeg-libjpeg reads that"
        raise bad_file(path, f"{reason}, which is not installed here because its license is GPL-3.0: pip install it")
    plugins = ["pydicom"]
    if syntax != RLELossless:
        check_codestreams(path, dataset, frames)
        others = set(get_decoder(syntax).available_plugins) - {"gdcm"}
        plugins = sorted(others, reverse=True)  # pillow last: it reads 8 bits
        if syntax in (JPEGLossless, JPEGLosslessSV1, *JPEGLSTransferSyntaxes):
            plugins.append("gdcm")
    for plugin in plugins[:-1]:
        with suppress(RuntimeError):  # of all that a decoder of pydicom raises
            return _decoded_by(plugin, path, dataset)
    return _decoded_by(plugins[-1], path, dataset)


def _decoded_by(plugin: str, path: Path, dataset: "Dataset") -> np.ndarray:
    if plugin == "gdcm":
        _check_for_gdcm(path, dataset)
    dataset.pixel_array_options(decoding_plugin=plugin, correct_unused_bits=False)
    return dataset.pixel_array


def _check_for_gdcm(path: Path, dataset: "Dataset") -> None:
    allocated, stored = int(dataset.BitsAllocated), int(dataset.get("BitsStored") or 0)
    samples, colors = int(dataset.get("SamplesPerPixel") or 1), str(dataset.get("PhotometricInterpretation"))
    if allocated not in (8, 16) or not 2 <= stored <= allocated:
        raise bad_file(path, f"compressed pixels with {stored} of {allocated} bits are not read")
    if samples != _CHANNELS.get(colors, 3):
        raise bad_file(path, f"its header says {colors} and {samples} channels, which contradicts itself")


def _is_bare(dataset: "Dataset", size: int) -> bool:
    """Tell whether pixels that are called compressed are not: compressed ones come in pieces of an unknown total."""
    element = dataset["PixelData"]
    return not element.is_undefined_length and len(element.value) == size + size % 2


def _check_size(path: Path, size: int) -> None:
    if size <= 0:
        raise bad_file(path, "the header says that the picture has no pixels")
    if size > max(HARMLESS_BYTES, _LARGEST_RATIO * path.stat().st_size):
        raise bad_file(path, f"the header promises {size} bytes of pixels, far more than the file can hold")
    check_memory(path, size)


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
        picture = _jpeg_2000(stream) if _J2K_START in stream[:4096] else _jpeg(stream)
        if picture is None:
            raise bad_file(
                path, f"its compressed picture {number} has no frame header or no scan: it is cut off or damaged"
            )
        *size, depth = picture
        if tuple(size) != expected or not 1 <= depth <= LARGEST_DEPTH:
            size_words = "{} rows, {} columns, {} channels"
            raise bad_file(path, f"its compressed picture {number} has {size_words.format(*size)} of {depth} bits, "
                                 f"its header says {size_words.format(*expected)}")  # fmt: skip


def _jpeg(stream: bytes) -> tuple[int, int, int, int] | None:
    """Read rows, columns, channels, bits; None where the row of markers breaks before the scan: gdcm ends there."""
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
