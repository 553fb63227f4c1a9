"""Pictures as Pillow reads them (JPEG, PNG, TIFF, BMP ...) in every color mode, and what masks need of them.

Three traps. A JPEG is best shrunk by its own decoder (``draft``: whole powers of two inside the inverse cosine
transform), which costs a fraction of decoding it whole and 51 dB against it. A camera may store a picture lying on
its side and say so in EXIF alone. Transparent pixels hold any color, so they are made black.
"""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from PIL import Image, ImageOps

from meddiff.errors import InputError
from meddiff.files.bad import bad_file, check_file
from meddiff.files.bounds import BoundedFile, check_memory

# What Pillow's decoders raise for damaged files, seen by cutting and flipping bytes of each format.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that are read, whatever a file is called. Pillow knows 40 more; PostScript it hands to another program."""
_HARMLESS_BYTES = 1 << 28  # a blank page of that size is a small file, and still no attack
_LARGEST_RATIO = 1000
_COD = b"\xff\x52\x00\x0c"
"""Marker and length of how a JPEG 2000 is coded, with one precinct size for all levels."""
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I", "F")


def is_picture(name: str | Path) -> bool:
    """Tell whether a file's name ends like a picture's, in whatever case."""
    return PurePath(name).suffix.lower() in PICTURE_SUFFIXES


@contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """Open a picture and read its header; it is closed at the end.

    Raises:
        InputError: the header promises more than the file can hold (even the size of a PNG is not known without its
            pixels: Pillow looks for EXIF behind them).
        Exception: one of DAMAGE where it is none of FORMATS.
    """
    with BoundedFile(path) as file, Image.open(file, formats=FORMATS) as picture:
        _check_size(picture, path)
        yield picture


def is_deep_picture(path: Path) -> bool:
    """Tell whether a picture has more than 8 bits per channel, by its header alone; False where it is damaged."""
    try:
        with open_picture(path) as picture:
            return picture.mode in DEEP_MODES
    except DAMAGE:
        return False


def header(path: Path) -> tuple[tuple[int, int], str]:
    """Read (height, width) of an upright picture and Pillow's name of its color mode; nothing is decoded.

    Raises:
        Exception: one of DAMAGE where there is no header that can be read.
    """
    with open_picture(path) as picture:
        width, height = picture.size[::-1] if _lies_sideways(picture) else picture.size
        return (height, width), picture.mode


def header_size(path: Path) -> tuple[int, int] | None:
    """Read height and width of an upright picture from its header; None where it has none that can be read."""
    try:
        return header(path)[0]
    except DAMAGE:
        return None


def read_pixels(
    path: Path, *, frame: int | None = None, size_hint: int | None = None
) -> tuple[np.ndarray, tuple[int, int]]:
    """Read the pixels of a picture and its full height and width.

    Args:
        path: the file.
        frame: which page of a file that holds several; None where it holds one.
        size_hint: a JPEG may be decoded smaller as long as neither side falls below this many pixels.

    Returns:
        uint8, uint16 or float32 [H, W] or [H, W, 3], upright, and (height, width) of the undiminished picture.

    Raises:
        InputError: the file is missing, empty, cut off, damaged, or no picture.
    """
    picture, size = _read(path, frame, size_hint)
    return _to_array(picture), size


@dataclass(frozen=True)
class Layers:
    """Pixels of a picture beside what lies behind them in its file."""

    pixels: np.ndarray
    """Pixels as `read_pixels` gives them."""
    bare: np.ndarray
    """uint8 [H, W, 3]: colors whatever their transparency; the pixels themselves where nothing is transparent."""
    alpha: np.ndarray | None
    """uint8 [H, W], 255 is opaque; None for a file without transparency."""
    index: np.ndarray | None
    """uint8 [H, W], entries of the palette; None for a file without one."""
    lossy: bool
    """True for a JPEG, and for a WebP and a JPEG 2000 that were compressed with loss."""


def read_layers(path: Path, *, frame: int | None = None) -> Layers:
    """Read pixels, transparency and palette entries of a picture, for masks that are pictures.

    Raises:
        InputError: as `read_pixels`.
    """
    picture, _ = _read(path, frame, None)
    pixels = bare = _to_array(picture)
    alpha = None
    if picture.has_transparency_data:
        whole = np.asarray(picture.convert("RGBA"))
        bare, alpha = whole[..., :3], whole[..., 3]
    index = np.asarray(picture, dtype=np.uint8) if picture.mode == "P" else None
    return Layers(pixels, bare, alpha, index, _is_lossy(path, picture.format))


def _is_lossy(path: Path, kind: str | None) -> bool:
    """Tell whether the pixels of a file are near to what was stored and never just that.

    A WebP says so in the name of its first chunk, a JPEG 2000 by the wavelets of its COD marker (0 are the 9-7 ones).
    """
    if kind not in ("WEBP", "JPEG2000"):
        return kind in ("JPEG", "MPO")
    content = path.read_bytes()
    if kind == "WEBP":
        return b"VP8 " in content[:64] or (b"VP8X" in content[:64] and b"VP8L" not in content)
    place = content.find(_COD)
    return place >= 0 and content[place + 13 : place + 14] == b"\0"


def _read(path: Path, frame: int | None, size_hint: int | None) -> tuple[Image.Image, tuple[int, int]]:
    """Decode a picture, upright, and return it and the height and width it had before it was shrunk."""
    check_file(path)
    try:
        with open_picture(path) as picture:
            _choose_frame(picture, path, frame)
            width, height = picture.size[::-1] if _lies_sideways(picture) else picture.size
            if size_hint is not None:
                picture.draft(None, (size_hint, size_hint))  # None keeps the color mode
            _check_size(picture, path)  # pages differ
            check_memory(path, 4 * picture.width * picture.height)
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
            return picture, (height, width)
    except InputError:
        raise
    except DAMAGE as error:
        raise bad_file(path, _reason(path, error)) from error


def _check_size(picture: Image.Image, path: Path) -> None:
    """Refuse, before memory is taken, a header that promises more than the file can hold."""
    size = 4 * picture.width * picture.height
    if size > max(_HARMLESS_BYTES, _LARGEST_RATIO * path.stat().st_size):
        raise bad_file(path, f"the header promises {picture.width} x {picture.height} pixels, far more than the "
                             "file can hold")  # fmt: skip


def _lies_sideways(picture: Image.Image) -> bool:
    return picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)


def _choose_frame(picture: Image.Image, path: Path, frame: int | None) -> None:
    # MPO is a JPEG with a second picture (a preview, another eye) behind the one that is meant
    frames = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
    if frame is None and frames > 1:
        raise bad_file(path, f"the file holds {frames} pictures: say which with slice_axis 0 and slice_index")
    if frame is not None and frame >= frames:
        raise bad_file(path, f"there is no picture {frame}, the file holds {frames} (the first is 0)")
    if frame:
        picture.seek(frame)


def _to_array(picture: Image.Image) -> np.ndarray:
    if picture.mode in DEEP_MODES:
        values = np.asarray(picture)
        if picture.mode == "F" or values.min() < 0 or values.max() > 65535:
            return values.astype(np.float32)
        return values.astype(np.uint16)
    gray = picture.mode in ("1", "L", "LA", "La")
    if picture.has_transparency_data:
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(black, picture.convert("RGBA"))
    return np.asarray(picture.convert("L" if gray else "RGB"))


def _reason(path: Path, error: BaseException) -> str:
    if isinstance(error, PermissionError):
        return "you may not read this file"
    if isinstance(error, Image.UnidentifiedImageError):
        with path.open("rb") as file:
            return f"not an image of a known kind (it begins with {file.read(24)!r})"
    if isinstance(error, Image.DecompressionBombError):
        return f"too large to be decoded safely ({error})"
    return f"the image is cut off or damaged ({error})"
