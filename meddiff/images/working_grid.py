"""The grid that a network works on, and the way there and back: axes turned to RAS, then another spacing.

Both steps know their inverse. Turning is a permutation and flips, exact and taken from the letters of the
orientation, so that an oblique volume is turned to the nearest order of axes and never interpolated onto straight
ones. For another spacing both grids share their center, and the working grid covers all that the volume's own voxels
cover: mirroring a volume mirrors what comes out, and a volume keeps its size in millimeters. The index along an axis
is scale * working index + offset, in voxels.

An image that becomes coarser is first blurred with the Gaussian that turns a voxel's width into the wider one's
(Cardoso et al. 2015, "Scale factor point spread function matching: beyond aliasing in image resampling", section 2:
variances of point spread functions add up), so that nothing falls between the samples.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, log, sqrt
from typing import Any

import numpy as np

from meddiff.errors import InputError
from meddiff.formats.volume import Place, Volume

SAME_SPACING = 1e-3  # relative: a spacing of 0.9996 mm is the 1 mm that was asked for, and nothing is interpolated
ROUNDING = 0.01  # voxels by which the working grid may fall short of the volume's edge
TIE_BREAK = 1e-4  # voxels
_WIDTH = 1 / (2 * sqrt(2 * log(2)))  # standard deviation of a Gaussian whose full width at half maximum is 1
_TURNS = (("L", "R"), ("P", "A"), ("I", "S"))


@dataclass(frozen=True)
class WorkingGrid:
    """The place of working voxels on a volume's own grid. Make it with `working_grid`."""

    native_shape: tuple[int, int, int]
    order: tuple[int, int, int]
    """The volume's axis that becomes working axis 0, 1, 2."""
    flipped: tuple[bool, bool, bool]
    """True where the working axis runs against the volume's."""
    shape: tuple[int, int, int]
    """Working voxels along each axis."""
    scale: tuple[float, float, float]
    """Width of a working voxel in the volume's own, along the working axes; 1 where nothing is resampled."""
    native_affine: tuple[tuple[float, ...], ...] | None
    """4 x 4, of the volume; None is unknown."""
    native_spacing_mm: tuple[float | None, float | None, float | None]

    @property
    def native_place(self) -> Place:
        """The place of the volume's own voxels."""
        affine = None if self.native_affine is None else np.asarray(self.native_affine)
        return Place(self.native_shape, affine, self.native_spacing_mm)

    @property
    def offset(self) -> tuple[float, float, float]:
        """Index on the turned volume of the first working voxel."""
        i, j, k = ((self._turned_shape[a] - 1 - self.scale[a] * (self.shape[a] - 1)) / 2 for a in range(3))
        return i, j, k

    @property
    def affine(self) -> np.ndarray | None:
        """4 x 4, working index -> RAS millimeters, voxel centers; None where the volume's is unknown."""
        return None if self.native_affine is None else np.asarray(self.native_affine) @ self.to_native_index

    @property
    def to_native_index(self) -> np.ndarray:
        """4 x 4, working index -> index on the volume's own grid."""
        matrix = np.zeros((4, 4))
        matrix[3, 3] = 1
        for axis, native in enumerate(self.order):
            sign = -1 if self.flipped[axis] else 1
            matrix[native, axis] = sign * self.scale[axis]
            last = self.native_shape[native] - 1 if self.flipped[axis] else 0
            matrix[native, 3] = last + sign * self.offset[axis]
        return matrix

    @property
    def spacing_mm(self) -> tuple[float | None, float | None, float | None]:
        """Distance of neighbors along the working axes; None is unknown."""
        known = [self.native_spacing_mm[native] for native in self.order]
        i, j, k = (None if mm is None else mm * scale for mm, scale in zip(known, self.scale, strict=True))
        return i, j, k

    @property
    def resampled(self) -> bool:
        """True where any axis gets another spacing."""
        return self.scale != (1.0, 1.0, 1.0)

    @property
    def _turned_shape(self) -> tuple[int, int, int]:
        i, j, k = (self.native_shape[native] for native in self.order)
        return i, j, k

    def image_to_working(self, array: np.ndarray) -> np.ndarray:
        """Bring the volume's values [I, J, K] to the working grid as float32: blurred if need be, then linear."""
        from scipy.ndimage import gaussian_filter

        turned = np.ascontiguousarray(self._turn(array), dtype=np.float32)  # files have the other order of memory
        sigma = [_WIDTH * sqrt(max(scale**2 - 1, 0.0)) for scale in self.scale]
        if any(sigma):
            turned = gaussian_filter(turned, sigma, mode="nearest")
        return self._sampled(turned, (True, True, True), order=1) if self.resampled else turned

    def labels_to_working(self, labels: np.ndarray) -> np.ndarray:
        """Resample class indices [I, J, K] to the working grid.

        Along axes that become finer those of the nearest voxel, so that they come back as they were. Along axes that
        become coarser each class is interpolated linearly and the largest share wins. There samples are moved by a
        ten-thousandth of a voxel, so that shares of exactly one half (every second sample at half the resolution)
        fall to an object on one side and from it on the other, and do not shrink it on both.
        """
        turned = np.ascontiguousarray(self._turn(labels))
        if not self.resampled:
            return turned
        coarser = [scale > 1 for scale in self.scale]
        if not all(coarser):
            turned = self._sampled(turned, [not is_coarser for is_coarser in coarser], order=0)
        if not any(coarser):
            return turned
        classes = np.unique(turned)
        shares = (self._sampled((turned == one).astype(np.float32), coarser, order=1, shift=TIE_BREAK)
                  for one in classes)  # fmt: skip
        return _of_largest_share(classes, shares, self.shape)

    def restore(self, values: np.ndarray) -> np.ndarray:
        """Resample values [N, I, J, K] of the working grid to float32 [N, *shape of the volume], linearly."""
        return np.stack([self._turn_back(self._back(np.asarray(one, dtype=np.float32))) for one in values])

    def _turn(self, array: np.ndarray) -> np.ndarray:
        _check_shape(array, self.native_shape)
        axes = tuple(axis for axis in range(3) if self.flipped[axis])
        return np.flip(array.transpose(self.order), axes)

    def _turn_back(self, array: np.ndarray) -> np.ndarray:
        axes = tuple(axis for axis in range(3) if self.flipped[axis])
        return np.ascontiguousarray(np.flip(array, axes).transpose(np.argsort(self.order)))

    def _sampled(self, turned: np.ndarray, along: Sequence[bool], *, order: int, shift: float = 0.0) -> np.ndarray:
        """Sample turned values at the places of working voxels along some axes; the other axes stay as they are."""
        scale = [one if chosen else 1.0 for one, chosen in zip(self.scale, along, strict=True)]
        offset = [start + shift if chosen else 0.0 for start, chosen in zip(self.offset, along, strict=True)]
        shape = [new if chosen else old for new, old, chosen in zip(self.shape, turned.shape, along, strict=True)]
        return _sampled_at(turned, scale, offset, shape, order)

    def _back(self, values: np.ndarray) -> np.ndarray:
        _check_shape(values, self.shape)
        if not self.resampled:
            return values
        scale = 1 / np.asarray(self.scale)
        return _sampled_at(values, scale, -np.asarray(self.offset) * scale, self._turned_shape, order=1)


def _check_shape(array: np.ndarray, shape: Sequence[int]) -> None:
    if array.shape != tuple(shape):
        raise ValueError(f"an array of the shape {tuple(shape)} is needed, this one has {array.shape}")


def grid_from_json(content: dict[str, Any]) -> WorkingGrid:
    """Make the grid whose `asdict` was written as JSON."""
    affine = content["native_affine"]
    plain = {name: tuple(value) for name, value in content.items() if name != "native_affine"}
    return WorkingGrid(**plain, native_affine=None if affine is None else tuple(map(tuple, affine)))


def _of_largest_share(classes: np.ndarray, shares: Iterable[np.ndarray], shape: Sequence[int]) -> np.ndarray:
    """Choose for each voxel the class whose share is the largest, the first of equal ones."""
    best = np.full(shape, -1, dtype=np.float32)
    winner = np.full(shape, classes[0], dtype=classes.dtype)
    for index, share in zip(classes, shares, strict=True):
        wins = share > best
        best[wins], winner[wins] = share[wins], index
    return winner


def _sampled_at(values: np.ndarray, scale: Any, offset: Any, shape: Sequence[int], order: int) -> np.ndarray:
    """Sample values at scale * index + offset, where the edge goes on beyond it."""
    from scipy.ndimage import affine_transform

    return affine_transform(
        values, scale, offset, output_shape=tuple(shape), output=values.dtype, order=order, mode="nearest"
    )


def working_grid(
    volume: Volume, spacing_mm: tuple[float, float, float] | None, *, name: object = "the volume"
) -> WorkingGrid:
    """Make the working grid of a volume.

    Args:
        volume: whose axes are turned to RAS; they stay as they are where its orientation is unknown.
        spacing_mm: of the working grid, along its axes; None keeps the volume's own.
        name: for messages.

    Raises:
        InputError: another spacing is asked for and the volume's own is not known.
    """
    order, flipped = _turning(volume.orientation)
    shape = [volume.shape[native] for native in order]
    scale = [1.0, 1.0, 1.0]
    if spacing_mm is not None:
        _check_spacing(volume, spacing_mm, name)
        for axis, native in enumerate(order):
            ratio = spacing_mm[axis] / (volume.spacing_mm[native] or 1.0)
            if abs(ratio - 1) > SAME_SPACING:
                scale[axis] = ratio
                shape[axis] = max(1, ceil(shape[axis] / ratio - ROUNDING))
    affine = None if volume.affine is None else tuple(tuple(float(cell) for cell in row) for row in volume.affine)
    known = (None if mm is None else float(mm) for mm in volume.spacing_mm)
    return WorkingGrid(volume.shape, order, flipped, _three(shape), _three(scale), affine, _three(known))


def standing_free(spacing_mm: Sequence[float], size: Sequence[int]) -> np.ndarray:
    """Place a volume that lies in no patient, 4 x 4: axes to the right, front and head, its middle at the origin."""
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = -(np.asarray(size) - 1) / 2 * spacing_mm
    return affine


def _three(values) -> tuple[Any, Any, Any]:
    i, j, k = values
    return i, j, k


def _turning(orientation: tuple[str, str, str] | None) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    if orientation is None:
        return (0, 1, 2), (False, False, False)
    order = [next(axis for axis in range(3) if orientation[axis] in letters) for letters in _TURNS]
    return _three(order), _three(orientation[axis] == _TURNS[world][0] for world, axis in enumerate(order))


def _check_spacing(volume: Volume, spacing_mm: Sequence[float], name: object) -> None:
    if len(spacing_mm) != 3 or not all(np.isfinite(mm) and mm > 0 for mm in spacing_mm):
        raise InputError(f"the spacing is {spacing_mm}. It is three distances in millimeters above 0.")
    unknown = [axis for axis, mm in enumerate(volume.spacing_mm) if mm is None]
    if unknown:
        axes = " and ".join(map(str, unknown))
        raise InputError(
            f"{name}: a spacing of {spacing_mm} mm is asked for, but the file does not tell the distance of voxels "
            f"along axis {axes}. Write the voxel size into the file, or take the volumes as they are (no spacing)."
        )
