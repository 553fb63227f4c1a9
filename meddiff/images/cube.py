"""Volumes of any size as cubes of one size, so that sets of them can be compared.

Axes lead to the patient's right, front and head; values are set by percentiles of the body; what becomes coarser is
blurred first (`meddiff.images.working_grid`). ``fit`` says how an oblong volume becomes a cube, in millimeters: pad
keeps all of it, with background around; crop keeps the cube in its middle; stretch takes it apart along each axis
alone, and is the only one that needs no voxel size.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from meddiff.errors import InputError
from meddiff.formats.volume import Volume
from meddiff.images.intensity import check_finite, to_unit_range, value_range
from meddiff.images.working_grid import WorkingGrid, working_grid

PERCENTILES = (0.5, 99.5)
FILTER = "linear, after a Gaussian of the wider voxel"


def cube_of(volume: Volume, side: int, *, fit: str = "pad", name: object = "the volume") -> np.ndarray:
    """Turn a volume into [side, side, side] float32 in [-1, 1]; -1 is background.

    Raises:
        InputError: several sequences, colors, values that are not finite, or an unknown voxel size.
    """
    if volume.array.ndim != 3:
        raise InputError(f"{name} holds {volume.array.shape[3]} volumes or colors: give one gray sequence per file")
    check_finite(volume.array, name)
    low, high = value_range(volume.array, "percentile", clip_std=0.0, percentiles=PERCENTILES)
    grid = _fitted(volume, side, fit, name)
    image = grid.image_to_working(to_unit_range(volume.array, low, high))
    cut = tuple(slice(max(0, length - side) // 2, max(0, length - side) // 2 + side) for length in image.shape)
    image = image[cut]  # a volume that needs no other spacing comes as it was
    before = [(side - length) // 2 for length in image.shape]
    around = [(some, side - length - some) for some, length in zip(before, image.shape, strict=True)]
    return np.pad(image, around, constant_values=-1.0)


def middle_planes(cube: np.ndarray) -> np.ndarray:
    """Cut the axial, coronal and sagittal plane through the middle of [S, S, S], upright as radiologists see them."""
    middle = len(cube) // 2
    return np.stack([np.take(cube, middle, axis)[::-1, ::-1].T for axis in (2, 1, 0)])


def _fitted(volume: Volume, side: int, fit: str, name: object) -> WorkingGrid:
    """Make the grid of a volume on which it fills the cube, or fits into it."""
    grid = working_grid(volume, None, name=name)
    shape = np.array(grid.shape)
    if fit == "stretch":
        scale = shape / side
    else:
        known = [mm for mm in grid.spacing_mm if mm is not None]
        if len(known) < 3:
            raise InputError(f"{name} does not tell its voxel size, so its shape is unknown: give --fit stretch")
        extent = shape * np.array(known)
        scale = {"pad": extent.max(), "crop": extent.min()}[fit] / side / np.array(known)
    i, j, k = (max(1, min(side, round(size))) for size in shape / scale)
    return replace(grid, scale=tuple(scale.tolist()), shape=(i, j, k))
