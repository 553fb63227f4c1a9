"""Random turns and brightness of a whole batch of volumes, done to image and mask alike.

The augmentation that synthetic volumes must beat: rotation of up to 30 degrees around each axis, brightness and
contrast within a quarter, the numbers of nnU-Net (Isensee et al. 2021, supplementary note 4). Its zoom and mirroring
are left out: size and side may be what the classes are told apart by.

As in transforms.py parameters are drawn by one function and applied by another. Turns are in voxels: volumes with
uneven spacing are to be resampled to an even one first (``volume.spacing_mm``).
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.nn import functional

from meddiff.batches.images import Batch

LARGEST_ANGLE = math.radians(30)
FACTOR = (0.75, 1.25)  # brightness and contrast


@dataclass(frozen=True)
class Change:
    """What happens to each volume."""

    angles: Tensor
    """[B, 3] radians around the axes 0, 1, 2."""
    brightness: Tensor
    """[B] factor."""
    contrast: Tensor
    """[B] factor, around the volume's mean."""


def classical_volume_augmentation(batch: Batch, generator: Generator) -> Batch:
    """Rotation, brightness and contrast; volumes stay in [-1, 1]."""
    change = draw_change(len(batch.image), generator)
    mask = None if batch.mask is None else rotate(batch.mask, change.angles, outside=0.0)
    image = rotate(batch.image, change.angles, outside=-1.0)
    return replace(batch, image=relight(image, change), mask=mask)


def draw_change(count: int, generator: Generator) -> Change:
    """Any angle up to 30 degrees around each axis, factors within a quarter of 1."""
    angles = (2 * torch.rand((count, 3), generator=generator, device=generator.device) - 1) * LARGEST_ANGLE
    low, high = FACTOR
    factors = low + (high - low) * torch.rand((2, count), generator=generator, device=generator.device)
    return Change(angles.cpu(), *factors.cpu())


def rotate(values: Tensor, angles: Tensor, *, outside: float) -> Tensor:
    """Values [B, C, D, H, W] turned around their middle: images linearly, class indices by the nearest voxel.

    A positive angle around axis 0 turns axis 1 towards axis 2, around 1 turns 2 towards 0, around 2 turns 0 towards 1.
    """
    half = torch.tensor(values.shape[2:], dtype=torch.float32) / 2
    there = _turns(angles).mT * half / half[:, None]  # a voxel that is seen turned is looked up against the turn
    columns_first = there.flip(1, 2)  # affine_grid counts W, H, D
    matrix = functional.pad(columns_first, (0, 1)).to(values.device)  # [B, 3, 4], no shift
    grid = functional.affine_grid(matrix, list(values.shape), align_corners=False)
    mode = "bilinear" if values.is_floating_point() else "nearest"
    seen = functional.grid_sample(values.to(grid.dtype) - outside, grid, mode, "zeros", align_corners=False)
    return (seen + outside).to(values.dtype)


def relight(image: Tensor, change: Change) -> Tensor:
    """Images [B, C, D, H, W] in [-1, 1], changed and cut to [-1, 1]."""

    def each(factor: Tensor) -> Tensor:
        return factor.to(image)[:, None, None, None, None]

    light = (image + 1) / 2 * each(change.brightness)
    mean = light.mean(dim=(1, 2, 3, 4), keepdim=True)
    return ((mean + (light - mean) * each(change.contrast)) * 2 - 1).clamp(-1, 1)


def _turns(angles: Tensor) -> Tensor:
    """Rotation matrices [B, 3, 3] in voxels, of turns around axis 0, then 1, then 2."""
    whole = torch.eye(3).expand(len(angles), 3, 3)
    for axis in range(3):
        one, two = (axis + 1) % 3, (axis + 2) % 3
        turn = torch.eye(3).repeat(len(angles), 1, 1)
        cos, sin = angles[:, axis].cos(), angles[:, axis].sin()
        turn[:, one, one] = turn[:, two, two] = cos
        turn[:, two, one], turn[:, one, two] = sin, -sin
        whole = turn @ whole
    return whole
