"""Cases: one image each, as the network takes it, with the way back to the grid that it came from.

A picture (or one slice of a volume) goes to a square and back, a volume to its working grid and back. What segments,
measures and writes masks sees no difference between them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from meddiff.data.batch import to_model_range
from meddiff.data.image_io import load_mask, read_picture
from meddiff.data.manifest import ManifestRow
from meddiff.data.prepare import Transform, of_picture
from meddiff.data.resize import place, unplace
from meddiff.data.sequences import load_sequences
from meddiff.data.volume_preparation import VolumeTransform, class_indices, prepare_volume
from meddiff.data.volumes import load_volume
from meddiff.errors import InputError


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
    """Of the image's own grid along its axes; None where nobody knows it."""
    affine: np.ndarray | None = None
    """4 x 4, index on the image's own grid -> RAS millimeters; None for pictures."""


def picture_case(row: ManifestRow, transform: Transform) -> Case:
    """A picture, or one slice of a volume.

    Raises:
        InputError: the file cannot be read.
    """
    picture = read_picture(row.image_file, axis=row.slice_axis, index=row.slice_index, size_hint=transform.image_size)
    placement = place(*picture.size, transform.image_size, fit=transform.fit)
    pixels = of_picture(picture, placement, row, transform)
    return Case(
        name=row.row_id,
        image=to_model_range(pixels).numpy(),
        size=picture.size,
        restore=lambda values: unplace(values, placement, picture.size),
        spacing_mm=_plane_spacing(row),
    )


def volume_case(row: ManifestRow, transform: VolumeTransform) -> Case:
    """A whole volume.

    Raises:
        InputError: it cannot be read or prepared.
    """
    volume = load_sequences(row.image_files)
    prepared = prepare_volume(volume, transform, name=row.image_file)
    spacing = volume.spacing_mm if all(volume.spacing_mm) else None
    return Case(row.row_id, prepared.image, volume.shape, prepared.restore, spacing, volume.affine)  # type: ignore[arg-type]


def truth_of(row: ManifestRow, case: Case) -> np.ndarray:
    """The row's mask on the image's own grid: class indices int64 [*size].

    Raises:
        InputError: there is no mask, it cannot be read, or it has another size than its image.
    """
    if row.mask_file is None:
        raise InputError(f"row {row.row_id!r} has no mask. Fill in its mask_path, or take the row out.")
    if len(case.size) == 3:
        mask = class_indices(load_volume(row.mask_file).array, row.mask_file)
    else:
        mask = load_mask(row.mask_file, axis=row.slice_axis, index=row.slice_index)
    if mask.shape != tuple(case.size):
        raise InputError(
            f"mask {row.mask_file} has the size {mask.shape}, its image {row.image_file} {case.size}. "
            "Give the mask that was drawn on this image, in its full size."
        )
    return mask.astype(np.int64)


def _plane_spacing(row: ManifestRow) -> tuple[float, ...] | None:
    """Of a picture's rows and columns; of a slice, those of the volume's other axes."""
    spacing = [row.spacing_mm_0, row.spacing_mm_1, row.spacing_mm_2]
    known = [value for axis, value in enumerate(spacing) if axis != row.slice_axis]
    if row.slice_axis is None:
        known = spacing[:2]
    return tuple(known) if all(known) else None  # type: ignore[arg-type]
