"""Cases: one image each, as the network takes it, with the way back to the grid that it came from.

A picture (or one slice of a volume) goes to a square and back, a volume to its working grid and back. What segments,
measures and writes masks sees no difference between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from meddiff.errors import InputError
from meddiff.formats import Picture, read_picture, value_range_of
from meddiff.formats.forms import Forms
from meddiff.formats.masks import MaskMeaning
from meddiff.formats.volume import Place, Volume
from meddiff.images.intensity import to_model_range
from meddiff.images.prepare import (
    Opened,
    Transform,
    VolumeTransform,
    classes_on,
    load_sequences,
    of_picture,
    open_picture,
    picture_classes,
    prepare_volume,
    sliced,
)
from meddiff.images.square import place, unplace
from meddiff.manifest.row import ManifestRow


@dataclass(frozen=True)
class Case:
    """One image."""

    name: str
    image: np.ndarray
    """[C, *S] float32 in [-1, 1], as the network takes it."""
    size: tuple[int, ...]
    """*S of the image's own grid, where masks are measured and written."""
    restore: Callable[[np.ndarray], np.ndarray]
    """Values [N, *S] of the network's grid to [N, *size] of the image's own, linear between pixels."""
    spacing_mm: tuple[float, ...] | None
    """Spacing of the image's own grid along its axes; None where nobody knows it."""
    affine: np.ndarray | None = None
    """4 x 4, index on the image's own grid -> RAS millimeters; None for pictures."""
    forms: Forms | None = None
    """Both affines of a NIfTI header, for masks to be written with."""
    modality: str | None = None
    """The name that its file gives: MR, CT ...; None where it gives none."""

    @property
    def place(self) -> Place:
        """The place of the pixels of the image's own grid."""
        return Place(self.size, self.affine, self.spacing_mm or (None,) * len(self.size))


def picture_case(row: ManifestRow, transform: Transform) -> Case:
    """Make a case of a picture, or of one slice of a volume.

    Raises:
        InputError: the file cannot be read.
    """
    opened = open_picture(row, transform)
    return _case_of_picture(row.row_id, opened, transform, _plane_spacing(row), drawn=row.source == "synthetic")


def volume_case(row: ManifestRow, transform: VolumeTransform) -> Case:
    """Make a case of a whole volume.

    Raises:
        InputError: it cannot be read or prepared.
    """
    return case_of_volume(row.row_id, load_sequences(row.image_files), transform)


def case_of_volume(name: str, volume: Volume, transform: VolumeTransform) -> Case:
    """Make a case of a whole volume that was read before.

    Raises:
        InputError: it cannot be prepared.
    """
    prepared = prepare_volume(volume, transform, name=name)
    place = known_spacing(volume), volume.affine, volume.forms, volume.modality
    return Case(name, prepared.image, volume.shape, prepared.restore, *place)


def slice_cases(name: str, volume: Volume, axis: int, transform: Transform) -> Iterator[Case]:
    """Yield each slice of a volume along an array axis as a case, as a network of pictures takes it.

    Raises:
        InputError: several volumes on one grid, an axis that is not there, or values that are not finite.
    """
    if volume.count > 1 or not 0 <= axis <= 2:
        raise InputError(
            f"{name}: slices are cut from one volume along axis 0, 1 or 2; this holds {volume.count} volumes, the axis "
            f"asked for is {axis}. Give one of its volumes in a file of its own."
        )
    spacing = known_spacing(volume)
    plane = None if spacing is None else tuple(mm for number, mm in enumerate(spacing) if number != axis)
    for index, opened in enumerate(_slices(name, volume, axis, transform)):
        yield replace(_case_of_picture(f"{name} {index}", opened, transform, plane), modality=volume.modality)


def _slices(name: str, volume: Volume, axis: int, transform: Transform) -> Iterator[Opened]:
    count = volume.shape[axis]
    if transform.slices is not None:
        whole = sliced(volume, transform.slices, name=name)
        turn = whole.turn(axis)
        yield from (Opened(whole.picture(axis, index), turn.size, turn) for index in range(count))
        return
    low, high = value_range_of(volume.array, name)
    for index in range(count):
        pixels = np.take(volume.array, index, axis=axis)
        pixels = pixels if pixels.dtype in (np.uint8, np.uint16) else pixels.astype(np.float32)
        picture = Picture(np.ascontiguousarray(pixels), (pixels.shape[0], pixels.shape[1]), low, high)
        yield Opened(picture, picture.size)


def picture_file_case(path: Path, transform: Transform) -> Case:
    """Make a case of a picture that no manifest names.

    Raises:
        InputError: the file cannot be read.
    """
    return case_of_picture(path.stem, read_picture(path, size_hint=transform.image_size), transform)


def case_of_picture(name: str, picture: Picture, transform: Transform) -> Case:
    """Make a case of a picture that was read before."""
    return _case_of_picture(name, Opened(picture, picture.size), transform, None)


def pixels_case(pixels: np.ndarray, transform: Transform) -> Case:
    """Make a case of pixels in memory.

    Args:
        pixels: [H, W] or [H, W, 3]. uint8 and uint16 are what a file of them holds. Of other numbers those that all
            lie in [0, 1] are shares of white, unless they are integers, those in [0, 255] gray values of 8 bits; what
            goes beyond is scaled by its own range, as a file of more bits is.
        transform: way to the square that the network sees.

    Raises:
        InputError: another shape, no pixel, or values that are not finite numbers.
    """
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3) or not pixels.size:
        raise InputError(f"a picture is an array [H, W] or [H, W, 3], this has the shape {list(pixels.shape)}")
    if pixels.dtype.kind not in "buif":
        raise InputError(f"a picture is an array of numbers, this is one of {pixels.dtype}")
    if pixels.dtype.kind == "b":
        pixels = pixels.astype(np.uint8) * 255
    if pixels.dtype not in (np.uint8, np.uint16):
        pixels = _as_a_file_has_them(pixels)
    span = (0.0, 255.0) if pixels.dtype == np.uint8 else value_range_of(pixels, "the array")
    return case_of_picture("array", Picture(pixels, (pixels.shape[0], pixels.shape[1]), *span), transform)


def _as_a_file_has_them(values: np.ndarray) -> np.ndarray:
    """Turn shares of white and gray values of 8 bits into uint8, as a file would hold them, others into float32."""
    low, high = float(values.min()), float(values.max())  # NaN lies in no range
    if not 0 <= low <= high <= 255:
        return values.astype(np.float32)
    return np.rint(values * 255 if values.dtype.kind == "f" and high <= 1 else values).astype(np.uint8)


def _case_of_picture(
    name: str, opened: Opened, transform: Transform, spacing_mm: tuple[float, ...] | None, *, drawn: bool = False
) -> Case:
    shown_size, turn = opened.picture.size, opened.turn  # the pixels are not held, for cases wait for each other
    placement = place(*shown_size, transform.image_size, fit=transform.fit)
    image = to_model_range(of_picture(opened.picture, placement, transform, drawn=drawn)).numpy()

    def restore(values: np.ndarray) -> np.ndarray:
        shown = unplace(values, placement, shown_size)
        return shown if turn is None else turn.back(shown)

    return Case(name, image, opened.size, restore, spacing_mm)


def known_spacing(volume: Volume) -> tuple[float, float, float] | None:
    """Return the distance of neighbors along the array axes in mm; None where one of them is unknown."""
    i, j, k = volume.spacing_mm
    return (i, j, k) if i and j and k else None


def truth_of(row: ManifestRow, case: Case, meaning: MaskMeaning | None = None) -> np.ndarray:
    """Read the row's mask on the image's own grid: class indices int64 [*size], IGNORED is not judged.

    ``meaning`` is that of all masks of the data set; without it this one is a data set of its own.

    Raises:
        InputError: there is no mask, it cannot be read, or it has another size or lies elsewhere than its image.
    """
    if len(case.size) == 3:
        return classes_on(row, case.place, meaning).astype(np.int64)
    return picture_classes(row, (case.size[0], case.size[1]), meaning).astype(np.int64)


def _plane_spacing(row: ManifestRow) -> tuple[float, ...] | None:
    """Return the spacing of a picture's rows and columns; of a slice, that of the volume's other axes."""
    spacing = [row.spacing_mm_0, row.spacing_mm_1, row.spacing_mm_2]
    known = [value for axis, value in enumerate(spacing) if axis != row.slice_axis]
    if row.slice_axis is None:
        known = spacing[:2]
    return tuple(known) if all(known) else None  # type: ignore[arg-type]
