"""Slices of whole volumes as images, with their neighbors as channels ("2.5D"): two dimensions for a 2D network.

The choice is stateless as for patches: batch k is a function of the volumes, seed and k alone. Channels are ordered by
slice, then by sequence: with one neighbor to each side and sequences a and b they are a-1 b-1 a0 b0 a+1 b+1. Beyond
the first and the last slice the border slice is repeated: -1 would claim that the body ends there.

H and W are the volume's other two axes in their order: of an axial slice to the right and to the front.
"""

import numpy as np
import torch
from torch import Tensor

from meddiff.batches.cuts import Size, cut_image, cut_mask, draw_cases, foreground_center, patch_start
from meddiff.batches.images import Batch, to_model_range
from meddiff.cache.volumes import CachedVolume, VolumeArray
from meddiff.errors import InputError
from meddiff.seeds import child_seed

AXES = {"sagittal": 0, "coronal": 1, "axial": 2}
"""The axis that slices lie across, in a volume whose axes lead to the right, front and head."""


def slice_batch(
    array: VolumeArray,
    *,
    axis: int,
    batch_size: int,
    step: int,
    seed: int,
    size: tuple[int, int] | None = None,
    neighbors: int = 0,
    foreground_share: float = 0.0,
) -> Batch:
    """Batch number ``step``.

    Args:
        array: the volumes.
        axis: slices lie across it, see `AXES`.
        batch_size: slices per batch, each of another volume until all were seen.
        step: number of the batch, from 0.
        seed: of the whole order.
        size: height and width; a larger slice is cut at a random place (around the foreground, where it is chosen by
            it), a smaller one lies in the middle, with -1 and background around it. None is the largest of the array.
        neighbors: slices to either side that become channels.
        foreground_share: of slices that are chosen through a voxel that is not background (a class first, each
            alike); the others are any. Needs masks.

    Returns:
        image [B, (2 neighbors + 1) C, H, W], mask [B, 1, H, W] of the slice itself (None without masks), no label,
        index: position in the array.

    Raises:
        InputError: an axis, size, number or share that makes no sense, or a share of the foreground without masks.
    """
    _check(axis, neighbors)
    block = _block(array, axis, size)
    index = draw_cases(array, batch_size=batch_size, step=step, seed=seed)
    images, masks = [], []
    for position, case in enumerate(array[int(at)] for at in index):
        number = step * batch_size + position
        generator = np.random.default_rng(child_seed(seed, "slice", number))
        center = foreground_center(case, generator, number=number, share=foreground_share)
        start = patch_start(case.shape, block, center, generator)
        images.append(_with_neighbors(case, start, block, axis=axis, neighbors=neighbors))
        mask = cut_mask(case, start, block)
        if mask is not None:
            masks.append(mask.squeeze(axis))
    return Batch(
        image=to_model_range(np.stack(images)),
        label=None,
        mask=torch.from_numpy(np.stack(masks)[:, None].astype(np.int64)) if masks else None,
        index=torch.from_numpy(index),
    )


def slice_stack(volume: Tensor, index: int, *, axis: int, neighbors: int = 0) -> Tensor:
    """Slice ``index`` of a volume [C, I, J, K], whole, with its neighbors: [(2 neighbors + 1) C, H, W]."""
    planes = volume.movedim(axis + 1, 0)
    return planes[_around(index, len(planes), neighbors)].flatten(0, 1)


def _around(index: int, count: int, neighbors: int) -> list[int]:
    """The slices of a stack; the border slice stands for those beyond it."""
    return [min(max(index + step, 0), count - 1) for step in range(-neighbors, neighbors + 1)]


def _with_neighbors(case: CachedVolume, start: Size, block: Size, *, axis: int, neighbors: int) -> np.ndarray:
    """[(2 neighbors + 1) C, H, W] uint16."""
    wanted = _around(start[axis], case.shape[axis], neighbors)
    first, count = wanted[0], wanted[-1] - wanted[0] + 1
    some = cut_image(case, with_side(start, axis, first), with_side(block, axis, count))
    planes = np.moveaxis(some, axis + 1, 0)[[index - first for index in wanted]]
    return planes.reshape(-1, *planes.shape[2:])


def _block(array: VolumeArray, axis: int, size: tuple[int, int] | None) -> Size:
    plane = [other for other in range(3) if other != axis]
    height, width = size or [max(case.shape[other] for case in array) for other in plane]
    if min(height, width) < 1:
        raise InputError(f"the size is {size}. It is height and width in voxels, 1 or more each.")
    sizes = [1, 1, 1]
    sizes[plane[0]], sizes[plane[1]] = height, width
    return sizes[0], sizes[1], sizes[2]


def with_side(values: Size, axis: int, value: int) -> Size:
    """Three numbers with another one along an axis."""
    i, j, k = (value if number == axis else old for number, old in enumerate(values))
    return i, j, k


def _check(axis: int, neighbors: int) -> None:
    if axis not in (0, 1, 2) or neighbors < 0:
        raise InputError(
            f"axis is {axis} and neighbors {neighbors}. A volume has the axes 0, 1 and 2; neighbors are 0 or more."
        )
