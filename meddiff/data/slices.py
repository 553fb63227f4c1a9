"""Slices of cached volumes as images, with their neighbors as channels ("2.5D"): two dimensions for a 2D network.

The choice is stateless as for patches: batch k is a function of the volumes, seed and k alone. Channels are ordered by
slice, then by sequence: with one neighbor to each side and sequences a and b they are a-1 b-1 a0 b0 a+1 b+1. Beyond
the first and the last slice the border slice is repeated: -1 would claim that the body ends there.

H and W are the volume's other two axes in their order.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from meddiff.data.batch import Batch, to_model_range
from meddiff.data.patches import Size, cut_image, cut_mask, draw_cases, foreground_center, patch_start
from meddiff.data.volume_cache import CachedVolume, VolumeArray
from meddiff.errors import InputError
from meddiff.seeds import child_seed


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
        axis: slices lie across it: of a volume in RAS order 0 gives sagittal, 1 coronal and 2 axial ones.
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


def read_slices(case: CachedVolume, indices: Sequence[int], *, axis: int, neighbors: int = 0) -> Tensor:
    """These slices of one volume, whole, as float32 [N, (2 neighbors + 1) C, H, W] in [-1, 1]: for prediction.

    Predictions of all slices, stacked along ``axis``, are what `CachedVolume.restore` brings back.

    Raises:
        InputError: an axis or slice that is not there.
    """
    _check(axis, neighbors)
    outside = [index for index in indices if not 0 <= index < case.shape[axis]]
    if outside:
        raise InputError(f"slice {outside[0]} is asked for; along axis {axis} there are 0 to {case.shape[axis] - 1}.")
    block = _with(case.shape, axis, 1)
    slices = [
        _with_neighbors(case, _with((0, 0, 0), axis, index), block, axis=axis, neighbors=neighbors) for index in indices
    ]
    return to_model_range(np.stack(slices))


def _with_neighbors(case: CachedVolume, start: Size, block: Size, *, axis: int, neighbors: int) -> np.ndarray:
    """[(2 neighbors + 1) C, H, W] uint16."""
    wanted = [min(max(start[axis] + step, 0), case.shape[axis] - 1) for step in range(-neighbors, neighbors + 1)]
    first, count = wanted[0], wanted[-1] - wanted[0] + 1
    some = cut_image(case, _with(start, axis, first), _with(block, axis, count))
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


def _with(values: Size, axis: int, value: int) -> Size:
    i, j, k = (value if number == axis else old for number, old in enumerate(values))
    return i, j, k


def _check(axis: int, neighbors: int) -> None:
    if axis not in (0, 1, 2) or neighbors < 0:
        raise InputError(
            f"axis is {axis} and neighbors {neighbors}. A volume has the axes 0, 1 and 2; neighbors are 0 or more."
        )
