"""The part of a prepared image that a network sees: all of it, its middle, a patch, or a slice with its neighbors.

A cut is a function (case, draw) -> image [C, *S] and mask [*S] or None, in the stored type. What is random in it comes
from the draw, which knows the seed and the number of the sample and nothing else: sample n of a training is the same
in whatever batch, run or process it comes.

Axes D, H, W of a volume's box are I, J, K: to the right, front and head where the orientation is known. H and W of a
slice are the volume's other two axes in their order: of an axial slice to the right and to the front. Outside an image
lies the value that is -1 for the model, that of the darkest tissue and of air, and background in the mask.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from torch import Tensor

from meddiff.cache.store import PreparedCase
from meddiff.cache.volume_array import CachedVolume
from meddiff.errors import InputError
from meddiff.images.views import upright
from meddiff.seeds import child_seed

AXES = {"sagittal": 0, "coronal": 1, "axial": 2}
"""The axis that slices lie across, in a volume whose axes lead to the right, front and head."""
Size = tuple[int, ...]


@dataclass(frozen=True)
class Draw:
    """The source of all that one sample draws."""

    seed: int
    """Of the whole order."""
    number: int
    """Of the sample, counted from the first of the first batch."""

    def generator(self, use: str) -> np.random.Generator:
        """Return a stream of its own for a named use."""
        return np.random.default_rng(child_seed(self.seed, use, self.number))


class Cut(Protocol):
    """The part of an image that a network sees."""

    @property
    def size(self) -> Size | None:
        """Sides of the box that is shown; None shows all of the image."""
        ...

    def __call__(self, case: PreparedCase, draw: Draw) -> tuple[np.ndarray, np.ndarray | None]:
        """Return image [C, *S] and mask [*S] (None where there is none), in the stored type."""
        ...


@dataclass(frozen=True)
class Whole:
    """All of the image, as it was prepared."""

    size = None

    def __call__(self, case: PreparedCase, draw: Draw) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the image and its mask."""
        return case.image, case.mask


WHOLE = Whole()


class Box(ABC):
    """A box of the image; its kinds differ in where it begins."""

    size: Size
    """Voxels along each axis."""

    @abstractmethod
    def start(self, case: PreparedCase, draw: Draw, use: str = "patch") -> Size:
        """Choose the first voxel of the box; ``use`` names the stream of random numbers."""

    def __call__(self, case: PreparedCase, draw: Draw) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the image and mask in the box."""
        return _boxed(case, self.start(case, draw), self.size)


@dataclass(frozen=True)
class Middle(Box):
    """The middle of the image; where it is smaller than the box, it lies in the middle of the box."""

    size: Size

    def start(self, case: PreparedCase, draw: Draw, use: str = "") -> Size:
        """Choose the first voxel so that the middles meet."""
        return tuple(int((has - wanted) / 2) for has, wanted in zip(case.shape, self.size, strict=True))


@dataclass(frozen=True)
class Patch(Box):
    """A box anywhere in a volume; for a share of the samples around a voxel of the foreground.

    Of any run of samples the share is centered on the foreground, to one sample: by its number and not by a coin. A
    class is drawn first, each alike, then one of its voxels; small structures are else never seen (Isensee et al.
    2021, "nnU-Net", supplementary note 4, draws a third of its patches so).

    Raises:
        InputError: a size below 1, a share outside 0 to 1; a share of the foreground of a volume without mask.
    """

    size: Size
    """Voxels along each axis. Where a volume is smaller it lies in the middle, so a box as large as the largest volume
    shows whole volumes."""
    foreground_share: float = 0.0
    """Of samples centered on a voxel that is not background, as far as the border allows. Needs masks."""

    def __post_init__(self) -> None:
        """Refuse what is no box and no share."""
        if len(self.size) != 3 or min(self.size) < 1:
            raise InputError(f"the patch size is {self.size}. It is three numbers of voxels, 1 or more each.")
        if not 0 <= self.foreground_share <= 1:
            raise InputError(
                f"foreground_share is {self.foreground_share}. It goes from 0 (anywhere) to 1 (all on the foreground)."
            )

    def start(self, case: PreparedCase, draw: Draw, use: str = "patch") -> Size:
        """Choose the first voxel of the box; ``use`` names the stream of random numbers."""
        generator = draw.generator(use)
        center = self._center(cast(CachedVolume, case), draw.number, generator)
        return tuple(
            _first(*sides, None if center is None else center[axis], generator)
            for axis, sides in enumerate(zip(case.shape, self.size, strict=True))
        )

    def _center(self, case: CachedVolume, number: int, generator: np.random.Generator) -> Size | None:
        """Return a voxel of the foreground, if it is this sample's turn; None else, or where there is none."""
        share = self.foreground_share
        if share > 0 and case.counts is None:
            raise InputError(
                f"foreground_share is {share}, but the volumes have no masks. Prepare them with masks, or 0."
            )
        is_turn = int((number + 1) * share + 1e-9) > int(number * share + 1e-9)
        return case.foreground_voxel(generator) if is_turn else None


@dataclass(frozen=True)
class Slice:
    """A slice of the box that another cut chooses, with its neighbors as channels ("2.5D"). A picture stays whole.

    Channels are ordered by slice, then by sequence: with one neighbor to each side and sequences a and b they are
    a-1 b-1 a0 b0 a+1 b+1. Beyond the first and the last slice the border slice is repeated: -1 would claim that the
    body ends there.

    Raises:
        InputError: an axis that no volume has, a box that is thicker than a slice, neighbors below 0.
    """

    axis: int
    """Slices lie across it, see `AXES`."""
    of: Middle | Patch
    """Chooses the slice: a box one voxel thick along the axis."""
    neighbors: int = 0
    """Slices to either side that become channels."""
    upright: bool = False
    """Whether it is turned as radiologists look at it: front or head at the top, the patient's right side (of a
    sagittal slice the front) at the left."""

    def __post_init__(self) -> None:
        """Refuse what is no slice."""
        if self.axis not in (0, 1, 2) or self.neighbors < 0:
            raise InputError(
                f"axis is {self.axis} and neighbors {self.neighbors}. A volume has the axes 0, 1 and 2; neighbors are "
                "0 or more."
            )
        if min(self.size) < 1 or self.size[self.axis] != 1:
            raise InputError(
                f"the box of a slice is {self.size}. It is one voxel thick along axis {self.axis}, with a height and a "
                "width of 1 or more."
            )

    @property
    def size(self) -> Size:
        """Sides of the box, one voxel thick."""
        return self.of.size

    def __call__(self, case: PreparedCase, draw: Draw) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the slice [(2 neighbors + 1) C, H, W] and its mask [H, W]."""
        if len(case.shape) == 2:
            return case.image, case.mask
        start = self.of.start(case, draw, use="slice")
        image, mask = self._stack(case, start), cut_mask(case, start, self.size)
        mask = None if mask is None else mask.squeeze(self.axis)
        return (upright(image), None if mask is None else upright(mask)) if self.upright else (image, mask)

    def _stack(self, case: PreparedCase, start: Size) -> np.ndarray:
        wanted = _around(start[self.axis], case.shape[self.axis], self.neighbors)
        first, count = wanted[0], wanted[-1] - wanted[0] + 1
        slab = cut_image(case, with_side(start, self.axis, first), with_side(self.size, self.axis, count))
        planes = np.moveaxis(slab, self.axis + 1, 0)[[index - first for index in wanted]]
        return planes.reshape(-1, *planes.shape[2:])


def square(axis: int, side: int) -> Size:
    """Return the box of a square slice across an axis."""
    return with_side((side, side, side), axis, 1)


def slice_stack(volume: Tensor, index: int, *, axis: int, neighbors: int = 0) -> Tensor:
    """Return slice ``index`` of a volume [C, I, J, K], whole, with its neighbors: [(2 neighbors + 1) C, H, W]."""
    planes = volume.movedim(axis + 1, 0)
    return planes[_around(index, len(planes), neighbors)].flatten(0, 1)


def cut_image(case: PreparedCase, start: Size, size: Size) -> np.ndarray:
    """Cut image [C, *size] in the stored type, in a box that begins at a voxel.

    Outside lies 0, which is -1 for the model.
    """
    inside, place = _overlap(case.shape, start, size)
    image = case.image
    box = np.zeros((len(image), *size), dtype=image.dtype)
    box[:, *place] = image[:, *inside]
    return box


def cut_mask(case: PreparedCase, start: Size, size: Size) -> np.ndarray | None:
    """Return mask [*size] uint8 of the box that begins at a voxel, background outside; None without masks."""
    mask = case.mask
    if mask is None:
        return None
    inside, place = _overlap(case.shape, start, size)
    box = np.zeros(size, dtype=mask.dtype)
    box[place] = mask[inside]
    return box


def with_side(values: Size, axis: int, value: int) -> Size:
    """Return numbers along the axes with another one along one of them."""
    return tuple(value if number == axis else old for number, old in enumerate(values))


def _boxed(case: PreparedCase, start: Size, size: Size) -> tuple[np.ndarray, np.ndarray | None]:
    return cut_image(case, start, size), cut_mask(case, start, size)


def _overlap(shape: Size, start: Size, size: Size) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the part of the image that the box covers, and where it lies in the box."""
    inside = tuple(slice(max(s, 0), max(min(s + d, n), 0)) for s, d, n in zip(start, size, shape, strict=True))
    return inside, tuple(slice(part.start - s, part.stop - s) for part, s in zip(inside, start, strict=True))


def _first(has: int, wanted: int, center: int | None, generator: np.random.Generator) -> int:
    """Return the first voxel of a box along one axis: anywhere, or around the center as far as the border allows.

    Along an axis that the box is longer than, the volume lies in the box's middle.
    """
    room = has - wanted
    if room <= 0:
        return -(-room // 2)
    if center is None:
        return int(generator.integers(room + 1))
    return min(max(center - wanted // 2, 0), room)


def _around(index: int, count: int, neighbors: int) -> list[int]:
    """Return the slices of a stack; the border slice stands for those beyond it."""
    return [min(max(index + step, 0), count - 1) for step in range(-neighbors, neighbors + 1)]
