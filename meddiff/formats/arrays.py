"""Files to arrays and back: pictures and slices of volumes.

What a number means. 8-bit pictures have a range of their own: 0 is -1 and 255 is 1 for the model. Anything deeper
has not: a 16-bit MRI slice may end at 1200 of 65535, in units that differ from scanner to scanner. There -1 and 1
are the 0.1 and 99.9 percentiles of the picture (of the whole volume, for a slice of one), so that a single hot pixel
does not darken all others; what lies beyond is cut off. The cut is made when the cache is built, never here.
"""

import gzip
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image, PngImagePlugin

from meddiff.errors import InputError
from meddiff.files.bad import bad_file
from meddiff.files.writing import write_atomically
from meddiff.formats.dicom.series import is_dicom
from meddiff.formats.open import load_volume, reader_of
from meddiff.formats.pictures import is_deep_picture, is_picture, read_pixels
from meddiff.formats.volume import Volume
from meddiff.manifest.row import SERIES, on_disk

PERCENTILES = (0.1, 99.9)
_NIFTI = (".nii", ".nii.gz")
_volume_lock = Lock()


@dataclass(frozen=True)
class Picture:
    """Decoded pixels and what they mean."""

    pixels: np.ndarray
    """uint8, uint16 or float32 [H, W] or [H, W, 3]."""
    size: tuple[int, int]
    """Height and width of the file's picture, which a JPEG's pixels may have been shrunk from."""
    low: float
    """The value that is -1 for the model."""
    high: float
    """The value that is 1 for the model."""


def load_image(path: str | Path, *, size_hint: int | None = None) -> np.ndarray:
    """Read a picture as an array, upright by its EXIF orientation.

    Args:
        path: JPEG, PNG, TIFF, BMP or any other that Pillow reads, or a volume of one slice.
        size_hint: a JPEG may be decoded smaller as long as neither side falls below this many pixels.

    Returns:
        [H, W] for gray and [H, W, 3] for color: uint8, uint16 (16-bit gray files) or float32. 1-bit becomes 0 and 255,
        palettes and CMYK become RGB, transparent parts black. Pillow reads 16-bit color files with 8 bits.

    Raises:
        InputError: the file is missing, empty, cut off, damaged, no picture, or holds several.
    """
    return read_picture(path, size_hint=size_hint).pixels


def load_slice(path: str | Path, axis: int, index: int) -> np.ndarray:
    """Read one slice of a volume, in the order of the array's other axes, or one page of a TIFF (axis 0).

    Raises:
        InputError: as load_image, and an axis or index that is not there.
    """
    return read_picture(path, axis=axis, index=index).pixels


def read_picture(
    path: str | Path, *, axis: int | None = None, index: int | None = None, size_hint: int | None = None
) -> Picture:
    """Read what load_image and load_slice read, with its full size and value range.

    Raises:
        InputError: as load_image and load_slice.
    """
    path = Path(path)
    if is_of_volume(path):
        volume = open_volume(path)
        pixels = plane_of(volume, path, axis, index)
        pixels = pixels if pixels.dtype in (np.uint8, np.uint16) else pixels.astype(np.float32)
        return Picture(pixels, (pixels.shape[0], pixels.shape[1]), *_range_of_volume(path, changed(path)))
    if axis not in (None, 0):
        raise bad_file(path, f"a picture has no slice axis {axis}, pages of a TIFF lie along axis 0")
    pixels, size = read_pixels(path, frame=index, size_hint=size_hint)
    return Picture(pixels, size, *((0.0, 255.0) if pixels.dtype == np.uint8 else value_range_of(pixels, path)))


def is_of_volume(path: Path) -> bool:
    """Tell whether a path names a volume (NIfTI, NRRD, MetaImage, DICOM), and no picture."""
    if is_picture(path):
        return False
    return reader_of(path) is not None or path.name.endswith(SERIES) or path.is_dir() or is_dicom(path)


def open_volume(path: Path) -> Volume:
    """Read a volume; threads and slices that want the same one share it.

    Raises:
        InputError: as `formats.open.load_volume`.
    """
    with _volume_lock:
        return _volume(path, changed(path))


def plane_of(volume: Volume, path: Path, axis: int | None, index: int | None) -> np.ndarray:
    """Cut one slice of a volume, [H, W] or [H, W, 3], in the order of the array's other axes; all of a single slice.

    Raises:
        InputError: several volumes on one grid, an axis or index that is not there, a volume of which none is named.
    """
    array, shape = volume.array, volume.shape
    if volume.count > 1:
        raise bad_file(path, f"a volume of 2 or 3 axes of numbers is needed, this is {array.dtype} {array.shape}")
    if axis is None or index is None:
        if shape[2] != 1:
            raise bad_file(path, f"this is a volume {shape}: say which slice with slice_axis and slice_index")
        axis, index = 2, 0
    if axis > 2 or index >= shape[axis]:
        raise bad_file(path, f"there is no slice {index} along axis {axis} of a volume {shape}")
    return np.ascontiguousarray(
        np.take(array.reshape(*shape, 3) if volume.color else array.reshape(shape), index, axis)
    )


def is_deep(path: str | Path) -> bool:
    """Tell whether a file has more than 8 bits per value, by its header; False where that is damaged."""
    return True if is_of_volume(Path(path)) else is_deep_picture(Path(path))


def save_image(
    array: np.ndarray,
    path: str | Path,
    *,
    spacing_mm: Sequence[float] | None = None,
    about: Mapping[str, str] | None = None,
) -> None:
    """Write an array under a temporary name, then rename.

    Args:
        array: PNG: uint8 [H, W] or [H, W, 3], or uint16 [H, W]. NIfTI: any number type, 2 or 3 axes.
        path: the suffix says what is written: .png, .nii or .nii.gz.
        spacing_mm: NIfTI only, in the order of the array axes; None marks the geometry as unknown.
        about: PNG only, texts that are stored in the file, for example {"source": "phantom"}.

    Raises:
        InputError: another suffix, a disk that is full or may not be written to.
        ValueError: an array that the file cannot hold.
    """
    path = Path(path)
    if path.name.lower().endswith(_NIFTI):
        content = _nifti_bytes(array, spacing_mm)
        data = gzip.compress(content, mtime=0) if path.name.endswith(".gz") else content
        write_atomically(path, lambda file: file.write(data), durable=False)
    elif path.suffix.lower() == ".png":
        if (array.dtype, array.ndim) not in (("uint8", 2), ("uint8", 3), ("uint16", 2)):
            raise ValueError(f"PNG holds uint8 [H, W] or [H, W, 3] or uint16 [H, W], not {array.dtype} {array.shape}")
        notes = PngImagePlugin.PngInfo()
        for name, text in (about or {}).items():
            notes.add_text(name, text)
        picture = Image.fromarray(array)
        write_atomically(path, lambda file: picture.save(file, "PNG", pnginfo=notes), durable=False)
    else:
        raise InputError(f"{path}: images are written as .png, .nii or .nii.gz. Choose one of these names.")


@lru_cache(maxsize=2)  # rows come volume by volume: two are enough, and memory stays bounded
def _volume(path: Path, _changed: object) -> Volume:
    return load_volume(path)


@lru_cache(maxsize=64)
def _range_of_volume(path: Path, _changed: object) -> tuple[float, float]:
    """Find the values of a whole volume that are -1 and 1 for the model, for every slice of it."""
    volume = open_volume(path)
    array = volume.array
    if volume.color:
        return 0.0, 255.0
    return value_range_of(array if array.dtype in (np.uint8, np.uint16) else array.astype(np.float32), path)


def changed(path: Path) -> int | None:
    """Return the time at which a file was written last, so that it is read anew after that."""
    try:
        return on_disk(path).stat().st_mtime_ns
    except OSError:
        return None


def value_range_of(values: np.ndarray, path: object) -> tuple[float, float]:
    """Find the values that are -1 and 1 for the model, of deep pixels.

    Raises:
        InputError: values that are not finite.
    """
    low, high = (float(value) for value in np.percentile(values, PERCENTILES))
    if not (math.isfinite(low) and math.isfinite(high)) or not np.isfinite(values).all():
        raise bad_file(Path(str(path)), "some values are not finite numbers (NaN or infinity)")
    return low, high


def _nifti_bytes(array: np.ndarray, spacing_mm: Sequence[float] | None) -> bytes:
    import nibabel

    scales = [*(spacing_mm or ()), 1.0, 1.0, 1.0][:3]
    affine = None if spacing_mm is None else np.diag([*scales, 1.0])
    image = nibabel.Nifti1Image(array, affine)  # type: ignore[attr-defined]
    code = 0 if spacing_mm is None else 1  # 0: unknown, 1: scanner
    image.set_sform(affine, code=code)
    image.set_qform(affine, code=code)
    return image.to_bytes()
