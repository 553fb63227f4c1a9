"""Pixels of a DICOM file through pydicom and its plug-ins, whatever they are compressed with."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from meddiff.data.image_io.guard import damage_told
from meddiff.data.pictures import bad_file

# A blank picture shrinks by a lot, but a small file that unfolds beyond this is an attack or damage.
_HARMLESS_BYTES = 1 << 28
_LARGEST_RATIO = 1000


def read_stored(path: Path) -> np.ndarray:
    """Stored values [frames, rows, columns], or colors [frames, rows, columns, 3] in RGB, not yet rescaled.

    Raises:
        InputError: cut off or damaged pixels, a transfer syntax without a decoder, sizes that the file cannot hold.
    """
    import pydicom
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

    with damage_told(path, "the picture"):
        dataset = pydicom.dcmread(path, force=True)
        if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
            raise bad_file(path, "the file has no pixels")
        frames, samples = int(dataset.get("NumberOfFrames") or 1), int(dataset.get("SamplesPerPixel") or 1)
        size = int(dataset.Rows) * int(dataset.Columns) * frames * samples * ((int(dataset.BitsAllocated) + 7) // 8)
        _check_size(path, size)
        syntax = dataset.file_meta.get("TransferSyntaxUID")
        if syntax is None:
            implicit, little = dataset.original_encoding
            plain = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else plain
        elif syntax.is_compressed and "PixelData" in dataset and _is_bare(dataset, size):
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian  # the header lies, its length gives it away
        _check_decoder(path, dataset)
        if dataset.file_meta.TransferSyntaxUID == RLELossless:  # pylibjpeg-rle ends the program on damaged files
            dataset.pixel_array_options(decoding_plugin="pydicom")
        pixels = dataset.pixel_array
        if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
            pixels = apply_color_lut(pixels, dataset)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return pixels if frames > 1 else pixels[None]


def _check_decoder(path: Path, dataset) -> None:
    from pydicom.uid import JPEGExtended12Bit

    twelve = dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit and int(dataset.get("BitsStored") or 8) > 8
    if twelve and find_spec("libjpeg") is None:
        reason = "its pixels are lossy 12-bit JPEG (JPEG Extended); of the decoders only pylibjpeg-libjpeg reads that"
        raise bad_file(path, f"{reason}, which is not installed here because its license is GPL-3.0: pip install it")


def _is_bare(dataset, size: int) -> bool:
    """Whether pixels that are said to be compressed are not: compressed ones come in pieces of an unknown total."""
    element = dataset["PixelData"]
    return not element.is_undefined_length and len(element.value) == size + size % 2


def _check_size(path: Path, size: int) -> None:
    if size <= 0:
        raise bad_file(path, "the header says that the picture has no pixels")
    if size > max(_HARMLESS_BYTES, _LARGEST_RATIO * path.stat().st_size):
        raise bad_file(path, f"the header promises {size} bytes of pixels, far more than the file can hold")
