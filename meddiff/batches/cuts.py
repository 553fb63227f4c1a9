"""Batches of patches from cached volumes, and which patch is where in the k-th batch.

The choice is stateless, as for images (see order.py): batch k is a function of the volumes, seed and k alone, so a
resumed run sees what an uninterrupted one would have seen. Volumes come in shuffled epochs. Of any run of patches the
share of foreground_share is centered on the foreground, to one patch: by its number and not by a coin. A class is
drawn first, each alike, then one of its voxels; small structures are else never seen (Isensee et al. 2021, "nnU-Net",
supplementary note 4, draws a third of its patches so).

Axes D, H, W of a patch are I, J, K of the volume: to the right, front and head where the orientation is known.

Slices of whole volumes as images, with their neighbors as channels ("2.5D"): two dimensions for a 2D network.

The choice is stateless as for patches: batch k is a function of the volumes, seed and k alone. Channels are ordered by
slice, then by sequence: with one neighbor to each side and sequences a and b they are a-1 b-1 a0 b0 a+1 b+1. Beyond
the first and the last slice the border slice is repeated: -1 would claim that the body ends there.

H and W are the volume's other two axes in their order: of an axial slice to the right and to the front.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Generator, Tensor

from meddiff.batches.batch import Batch
from meddiff.batches.order import draw_indices
from meddiff.cache.volumes import CachedVolume, VolumeArray
from meddiff.errors import InputError
from meddiff.images.intensity import to_model_range
from meddiff.seeds import child_seed

Size = tuple[int, int, int]


def draw_patches(
    array: VolumeArray,
    *,
    patch_size: Size,
    batch_size: int,
    step: int,
    seed: int,
    foreground_share: float = 0.0,
) -> Batch:
    """Batch number ``step``.

    Args:
        array: the volumes.
        patch_size: voxels along each axis. Where a volume is smaller it lies in the middle, with -1 and background
            around it; so a patch as large as the largest volume gives whole volumes.
        batch_size: patches per batch, each of another volume until all were seen.
        step: number of the batch, from 0.
        seed: of the whole order.
        foreground_share: of patches that are centered on a voxel that is not background, as far as the volume's
            border allows; the others lie anywhere. Needs masks.

    Returns:
        image [B, C, D, H, W], mask [B, 1, D, H, W] (None without masks), no label, index: position in the array.

    Raises:
        InputError: a size below 1, a share outside 0 to 1, or a share of the foreground without masks.
    """
    if len(patch_size) != 3 or min(patch_size) < 1:
        raise InputError(f"the patch size is {patch_size}. It is three numbers of voxels, 1 or more each.")
    index = draw_cases(array, batch_size=batch_size, step=step, seed=seed)
    images, masks = [], []
    for position, case in enumerate(array[int(at)] for at in index):
        number = step * batch_size + position
        generator = np.random.default_rng(child_seed(seed, "patch", number))
        center = foreground_center(case, generator, number=number, share=foreground_share)
        start = patch_start(case.shape, patch_size, center, generator)
        images.append(cut_image(case, start, patch_size))
        masks.append(cut_mask(case, start, patch_size))
    known = [mask for mask in masks if mask is not None]
    return Batch(
        image=to_model_range(np.stack(images)),
        label=None,
        mask=torch.from_numpy(np.stack(known)[:, None].astype(np.int64)) if known else None,
        index=torch.from_numpy(index),
    )


def draw_cases(array: VolumeArray, *, batch_size: int, step: int, seed: int) -> np.ndarray:
    """Which volumes batch ``step`` is drawn from: [batch_size] int64, going through shuffled epochs."""
    return draw_indices(np.zeros(len(array), dtype=np.int64), batch_size=batch_size, step=step, seed=seed)


def foreground_center(
    case: CachedVolume, generator: np.random.Generator, *, number: int, share: float
) -> tuple[int, int, int] | None:
    """A voxel of the foreground, if it is the turn of the patch of this number; None else, or where there is none.

    Raises:
        InputError: a share outside 0 to 1, or one above 0 for a volume without mask.
    """
    if not 0 <= share <= 1:
        raise InputError(f"foreground_share is {share}. It goes from 0 (anywhere) to 1 (all on the foreground).")
    if share > 0 and case.counts is None:
        raise InputError(f"foreground_share is {share}, but the volumes have no masks. Prepare them with masks, or 0.")
    is_turn = int((number + 1) * share + 1e-9) > int(number * share + 1e-9)
    return case.foreground_voxel(generator) if is_turn else None


def cut_image(case: CachedVolume, start: Size, size: Size) -> np.ndarray:
    """Image [C, D, H, W] uint16 of the patch that begins at a voxel; 0 (which is -1 for the model) outside."""
    inside, place = _overlap(case.shape, start, size)
    image = case.image
    patch = np.zeros((len(image), *size), dtype=image.dtype)
    patch[:, *place] = image[:, *inside]
    return patch


def cut_mask(case: CachedVolume, start: Size, size: Size) -> np.ndarray | None:
    """Mask [D, H, W] uint8 of the patch that begins at a voxel, background outside; None without masks."""
    mask = case.mask
    if mask is None:
        return None
    inside, place = _overlap(case.shape, start, size)
    patch = np.zeros(size, dtype=mask.dtype)
    patch[place] = mask[inside]
    return patch


def _overlap(shape: Size, start: Size, size: Size) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The part of the volume that the patch covers, and where it lies in the patch."""
    inside = tuple(slice(max(s, 0), max(min(s + d, n), 0)) for s, d, n in zip(start, size, shape, strict=True))
    return inside, tuple(slice(part.start - s, part.stop - s) for part, s in zip(inside, start, strict=True))


def patch_start(shape: Size, size: Size, center: Size | None, generator: np.random.Generator) -> Size:
    """The first voxel of a patch: anywhere, or around the center as far as the border allows.

    Along an axis that the patch is longer than, the volume lies in the patch's middle.
    """
    start = []
    for axis in range(3):
        room = shape[axis] - size[axis]
        if room <= 0:
            start.append(-(-room // 2))  # in the middle
        elif center is None:
            start.append(int(generator.integers(room + 1)))
        else:
            start.append(min(max(center[axis] - size[axis] // 2, 0), room))
    return start[0], start[1], start[2]


def middle_start(shape: Size, size: Size) -> Size:
    """The first voxel of the patch in the volume's middle; where the volume is smaller, it lies in the patch's."""
    i, j, k = (int((whole - part) / 2) for whole, part in zip(shape, size, strict=True))
    return i, j, k


def random_flips(batch: Batch, generator: Generator, *, axes: Sequence[int] = ()) -> Batch:
    """Each patch mirrored along each of these axes with a probability of one half, image and mask alike.

    Args:
        batch: [B, C, D, H, W], or [B, C, H, W] for slices.
        generator: may stay on the CPU while the batch is elsewhere.
        axes: 0 is the first spatial axis. None by default: of a volume in RAS order axis 0 runs from left to right,
            and mirroring it turns a left hippocampus into a right one. Where classes are told apart by their side,
            or the heart's place matters, leave it out.

    Raises:
        InputError: an axis that the batch has not.
    """
    spatial = batch.image.ndim - 2
    if not set(axes) <= set(range(spatial)):
        raise InputError(f"the axes are {tuple(axes)}. A batch of this shape has the axes 0 to {spatial - 1}.")
    drawn = torch.rand((spatial, len(batch.image)), generator=generator, device=generator.device) < 0.5
    image, mask = batch.image, batch.mask
    for axis in axes:
        image = _mirrored(image, drawn[axis], axis)
        mask = None if mask is None else _mirrored(mask, drawn[axis], axis)
    return replace(batch, image=image, mask=mask)


def _mirrored(values: Tensor, which: Tensor, axis: int) -> Tensor:
    chosen = which.to(values.device).reshape(-1, *[1] * (values.ndim - 1))
    return torch.where(chosen, values.flip(axis + 2), values)


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
