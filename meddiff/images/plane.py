"""A slice of a volume as a picture: turned as radiologists look at it, scaled as the whole volume would be.

So a slice that a manifest names and the same slice of a volume that is cut (``data.slice_axis``) are one picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meddiff.formats import Picture
from meddiff.images.views import lying, upright
from meddiff.images.working_grid import WorkingGrid


@dataclass(frozen=True)
class Turn:
    """The way of a slice from the order of its array to how it is looked at, and back."""

    axis: int
    """Axis of the array that the slice lies across."""
    grid: WorkingGrid
    """Grid of the volume, on its own voxels; says how its axes are turned."""

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of a slice in the order of the array."""
        rows, columns = (side for axis, side in enumerate(self.grid.native_shape) if axis != self.axis)
        return rows, columns

    def upright(self, planes: np.ndarray) -> np.ndarray:
        """Turn planes [N, H, W] of the array upright, as they are looked at."""
        spread = np.expand_dims(planes, 1 + self.axis).transpose(0, *(1 + native for native in self.grid.order))
        return upright(np.flip(spread, self._flipped).squeeze(1 + self._working_axis))

    def back(self, planes: np.ndarray) -> np.ndarray:
        """Turn planes [N, H, W], as they are looked at, back into the order of the array."""
        spread = np.flip(np.expand_dims(lying(planes), 1 + self._working_axis), self._flipped)
        own = spread.transpose(0, *(1 + np.argsort(self.grid.order)))
        return np.ascontiguousarray(own.squeeze(1 + self.axis))

    @property
    def _working_axis(self) -> int:
        return self.grid.order.index(self.axis)

    @property
    def _flipped(self) -> tuple[int, ...]:
        return tuple(1 + axis for axis in range(3) if self.grid.flipped[axis])


@dataclass(frozen=True)
class SlicedVolume:
    """A prepared volume that is cut into pictures."""

    stored: np.ndarray
    """[C, I, J, K] uint16 on the working grid, one channel or three colors."""
    grid: WorkingGrid

    def turn(self, axis: int) -> Turn:
        """Return the turn of its slices along an axis of the array."""
        return Turn(axis, self.grid)

    def picture(self, axis: int, index: int) -> Picture:
        """Cut slice ``index`` along an axis of the array, upright."""
        working = self.grid.order.index(axis)
        number = self.grid.shape[working] - 1 - index if self.grid.flipped[working] else index
        planes = upright(np.take(self.stored, number, axis=1 + working))
        pixels = np.ascontiguousarray(planes[0] if len(planes) == 1 else np.moveaxis(planes, 0, -1))
        return Picture(pixels, (pixels.shape[0], pixels.shape[1]), 0.0, float(np.iinfo(np.uint16).max))
