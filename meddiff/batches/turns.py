"""Random flips, rotations, zoom and color changes of a whole batch, done to image and mask alike.

Every transform is two functions: one draws parameters from a generator, the other applies them and is pure. The
generator may stay on the CPU while the batch is on a GPU, so that a seed draws the same on any machine.

``flip_rotate90`` moves pixels and changes none: safe for training a generator, whose samples would show any blur or
border that its training images have. ``classical_augmentation`` is what synthetic images must beat, in three strengths.
UPRIGHT is for images that have a side that is up (X-rays, slices of MRI and CT): small turns, zoom, shift and light.
STRONG is the "basic set" of Perez et al. (2018, "Data augmentation for skin lesion analysis"), the best of their 13
scenarios, with their numbers: flips, rotation, crops of 0.4 to 1 of the area, mirrored edges, brightness, contrast and
saturation within 0.3, hue within 0.1. (Rotation here is by any angle, theirs up to 90 degrees; their shear and aspect
are left out.) Where training is short or color tells the classes apart it is a weak opponent, so the study chooses the
strength on its validation images (benchmarks/classical_baseline.py shows by how much that matters).

Volumes have turns and brightness alone: rotation of up to 30 degrees around each axis, brightness and contrast within
a quarter, the numbers of nnU-Net (Isensee et al. 2021, supplementary note 4). Its zoom and mirroring are left out: size
and side may be what the classes differ in. Turns are in voxels: volumes with uneven spacing are to be resampled
to an even one first (``volume.spacing_mm``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.nn import functional

from meddiff.batches.batch import Batch
from meddiff.errors import InputError
from meddiff.images.square import LUMINANCE


@dataclass(frozen=True)
class Strength:
    """The reach of a classical augmentation."""

    smallest_area: float
    """Least share of the image that a zoomed window shows, in (0, 1]."""
    color: float
    """Brightness, contrast and saturation are multiplied by 1 - color to 1 + color."""
    hue: float
    """Hue turns by up to this fraction of the color circle."""
    largest_area: float = 1.0
    """Largest share; above 1 the image becomes smaller, its edges mirrored around it."""
    angle: float = math.pi
    """Turns by up to so many radians; by half a circle an image has no side that is up, and is flipped too."""


UPRIGHT = Strength(smallest_area=0.75, color=0.15, hue=0.0, largest_area=1.3, angle=math.radians(15))
MILD = Strength(smallest_area=0.8, color=0.0, hue=0.0)
MEDIUM = Strength(smallest_area=0.8, color=0.1, hue=0.02)
STRONG = Strength(smallest_area=0.4, color=0.3, hue=0.1)


@dataclass(frozen=True)
class Symmetry:
    """One of the eight symmetries of the square per image: transpose first, then flips."""

    transpose: Tensor
    """[B] bool."""
    flip_rows: Tensor
    """[B] bool."""
    flip_columns: Tensor
    """[B] bool."""


@dataclass(frozen=True)
class View:
    """A turned and zoomed window per image."""

    angle: Tensor
    """[B] radians."""
    side: Tensor
    """[B] side of the window as a fraction of the image's."""
    shift: Tensor
    """[B, 2] center of the window, x and y, from -1 to 1 of the room that it has."""


@dataclass(frozen=True)
class Color:
    """Color changes per image."""

    brightness: Tensor
    """[B] factor."""
    contrast: Tensor
    """[B] factor, around the mean luminance of the image."""
    saturation: Tensor
    """[B] factor, around the luminance of the pixel."""
    hue: Tensor
    """[B] turn of the color circle in radians."""


def flip_rotate90(batch: Batch, generator: Generator) -> Batch:
    """Return each image in one of the eight symmetries of the square, exactly; one of four where it is not square."""
    height, width = batch.image.shape[-2:]
    symmetry = draw_symmetry(len(batch.image), generator, square=height == width)
    mask = None if batch.mask is None else apply_symmetry(batch.mask, symmetry)
    return replace(batch, image=apply_symmetry(batch.image, symmetry), mask=mask)


def classical_augmentation(batch: Batch, generator: Generator, strength: Strength = STRONG) -> Batch:
    """Return flips, rotation, zoom with shift and color jitter, as far as the strength goes; images stay in [-1, 1]."""
    count = len(batch.image)
    view, colors = draw_view(count, generator, strength), draw_color(count, generator, strength)
    if strength.angle == math.pi:
        batch = flip_rotate90(batch, generator)
    image = apply_view(batch.image, view)
    mask = None if batch.mask is None else apply_view(batch.mask, view)
    return replace(batch, image=apply_color(image, colors) if strength.color or strength.hue else image, mask=mask)


def random_flips(batch: Batch, generator: Generator, *, axes: Sequence[int] = ()) -> Batch:
    """Mirror each image along each of these axes with a probability of one half, image and mask alike.

    Args:
        batch: [B, C, D, H, W], or [B, C, H, W] for slices.
        generator: may stay on the CPU while the batch is elsewhere.
        axes: 0 is the first spatial axis. None by default: of a volume in RAS order axis 0 runs from left to right,
            and mirroring it turns a left hippocampus into a right one. Where classes differ in their side,
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


def draw_symmetry(count: int, generator: Generator, *, square: bool = True) -> Symmetry:
    """Draw each of the eight with the same probability; without the transposing four where images are not square."""
    transpose, rows, columns = _uniform((3, count), (0, 1), generator) < 0.5
    return Symmetry(transpose & square, rows, columns)


def draw_view(count: int, generator: Generator, strength: Strength = STRONG) -> View:
    """Draw any angle and area within the strength's reach, the window anywhere that it fits."""
    angle = _uniform((count,), (-strength.angle, strength.angle), generator)
    side = _uniform((count,), (strength.smallest_area, strength.largest_area), generator).sqrt()
    return View(angle, side, _uniform((count, 2), (-1, 1), generator))


def draw_color(count: int, generator: Generator, strength: Strength = STRONG) -> Color:
    """Draw factors and hue within the strength's reach; saturation stays where hue does: channels may be sequences."""
    brightness, contrast, saturation = _uniform((3, count), (1 - strength.color, 1 + strength.color), generator)
    if not strength.hue:
        saturation = torch.ones(count)
    return Color(
        brightness, contrast, saturation, hue=_uniform((count,), (-strength.hue, strength.hue), generator) * 2 * math.pi
    )


def apply_symmetry(values: Tensor, symmetry: Symmetry) -> Tensor:
    """Return values [B, C, H, W] of any type, moved and not changed."""

    def chosen(which: Tensor, changed: Tensor, values: Tensor) -> Tensor:
        return torch.where(which.to(values.device, non_blocking=True)[:, None, None, None], changed, values)

    if values.shape[-1] == values.shape[-2]:
        values = chosen(symmetry.transpose, values.transpose(-1, -2), values)
    values = chosen(symmetry.flip_rows, values.flip(-2), values)
    return chosen(symmetry.flip_columns, values.flip(-1), values)


def apply_view(values: Tensor, view: View) -> Tensor:
    """Show values [B, C, H, W] through the window, edges mirrored: images linearly, class indices by the nearest."""
    side, room = view.side, (1 - view.side)[:, None] * view.shift
    cos, sin = torch.cos(view.angle) * side, torch.sin(view.angle) * side
    height, width = values.shape[-2:]
    aspect = width / height  # a rotation in pixels, not in the unit square
    rows = [torch.stack([cos, -sin / aspect, room[:, 0]], dim=1), torch.stack([sin * aspect, cos, room[:, 1]], dim=1)]
    matrix = torch.stack(rows, dim=1).to(values.device, non_blocking=True)  # [B, 2, 3]
    grid = functional.affine_grid(matrix, list(values.shape), align_corners=False)
    mode = "bilinear" if values.is_floating_point() else "nearest"
    seen = functional.grid_sample(values.to(grid.dtype), grid, mode, "reflection", align_corners=False)
    return seen.to(values.dtype)


def apply_color(image: Tensor, color: Color) -> Tensor:
    """Map images [B, C, H, W] in [-1, 1], changed and cut to [-1, 1]; saturation and hue act on three channels only."""

    def each(factor: Tensor) -> Tensor:
        return factor.to(image, non_blocking=True)[:, None, None, None]

    light = (image + 1) / 2 * each(color.brightness)
    mean = _luminance(light).mean(dim=(1, 2, 3), keepdim=True)
    light = mean + (light - mean) * each(color.contrast)
    if image.shape[1] == 3:
        gray = _luminance(light)
        light = _turned_hue(gray + (light - gray) * each(color.saturation), color.hue)
    return (light * 2 - 1).clamp(-1, 1)


def _mirrored(values: Tensor, which: Tensor, axis: int) -> Tensor:
    chosen = which.to(values.device, non_blocking=True).reshape(-1, *[1] * (values.ndim - 1))
    return torch.where(chosen, values.flip(axis + 2), values)


def _luminance(light: Tensor) -> Tensor:
    if light.shape[1] != 3:
        return light
    weights = torch.tensor(LUMINANCE, dtype=light.dtype).to(light.device, non_blocking=True)
    return (light * weights[:, None, None]).sum(dim=1, keepdim=True)


def _turned_hue(light: Tensor, angle: Tensor) -> Tensor:
    """Return colors turned around the gray axis of YIQ, which leaves luminance as it is."""
    yiq = torch.tensor([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
    turn = torch.zeros(len(angle), 3, 3)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = torch.cos(angle)
    turn[:, 1, 2], turn[:, 2, 1] = -torch.sin(angle), torch.sin(angle)
    matrix = (torch.linalg.inv(yiq) @ turn @ yiq).to(light, non_blocking=True)  # [B, 3, 3]
    return torch.einsum("bij,bjhw->bihw", matrix, light)


def _uniform(shape: tuple[int, ...], limits: tuple[float, float], generator: Generator) -> Tensor:
    low, high = limits
    drawn = torch.rand(shape, generator=generator, device=generator.device)
    return (low + (high - low) * drawn).cpu()


LARGEST_ANGLE = math.radians(30)
FACTOR = (0.75, 1.25)  # brightness and contrast


@dataclass(frozen=True)
class Change:
    """The changes of each volume."""

    angles: Tensor
    """[B, 3] radians around the axes 0, 1, 2."""
    brightness: Tensor
    """[B] factor."""
    contrast: Tensor
    """[B] factor, around the volume's mean."""


def classical_volume_augmentation(batch: Batch, generator: Generator) -> Batch:
    """Return the rotation, brightness and contrast; volumes stay in [-1, 1]."""
    change = draw_change(len(batch.image), generator)
    mask = None if batch.mask is None else rotate(batch.mask, change.angles, outside=0.0)
    image = rotate(batch.image, change.angles, outside=-1.0)
    return replace(batch, image=relight(image, change), mask=mask)


def draw_change(count: int, generator: Generator) -> Change:
    """Draw any angle up to 30 degrees around each axis, factors within a quarter of 1."""
    angles = (2 * torch.rand((count, 3), generator=generator, device=generator.device) - 1) * LARGEST_ANGLE
    low, high = FACTOR
    factors = low + (high - low) * torch.rand((2, count), generator=generator, device=generator.device)
    return Change(angles.cpu(), *factors.cpu())


def rotate(values: Tensor, angles: Tensor, *, outside: float) -> Tensor:
    """Return values [B, C, D, H, W] turned around their middle: images linearly, class indices by the nearest voxel.

    A positive angle around axis 0 turns axis 1 towards axis 2, around 1 turns 2 towards 0, around 2 turns 0 towards 1.
    """
    half = torch.tensor(values.shape[2:], dtype=torch.float32) / 2
    there = _turns(angles).mT * half / half[:, None]  # a voxel that is seen turned is looked up against the turn
    columns_first = there.flip(1, 2)  # affine_grid counts W, H, D
    matrix = functional.pad(columns_first, (0, 1)).to(values.device, non_blocking=True)  # [B, 3, 4], no shift
    grid = functional.affine_grid(matrix, list(values.shape), align_corners=False)
    mode = "bilinear" if values.is_floating_point() else "nearest"
    seen = functional.grid_sample(values.to(grid.dtype) - outside, grid, mode, "zeros", align_corners=False)
    return (seen + outside).to(values.dtype)


def relight(image: Tensor, change: Change) -> Tensor:
    """Map images [B, C, D, H, W] in [-1, 1], changed and cut to [-1, 1]."""

    def each(factor: Tensor) -> Tensor:
        return factor.to(image, non_blocking=True)[:, None, None, None, None]

    light = (image + 1) / 2 * each(change.brightness)
    mean = light.mean(dim=(1, 2, 3, 4), keepdim=True)
    return ((mean + (light - mean) * each(change.contrast)) * 2 - 1).clamp(-1, 1)


def _turns(angles: Tensor) -> Tensor:
    """Return the rotation matrices [B, 3, 3] in voxels, of turns around axis 0, then 1, then 2."""
    whole = torch.eye(3).expand(len(angles), 3, 3)
    for axis in range(3):
        one, two = (axis + 1) % 3, (axis + 2) % 3
        turn = torch.eye(3).repeat(len(angles), 1, 1)
        cos, sin = angles[:, axis].cos(), angles[:, axis].sin()
        turn[:, one, one] = turn[:, two, two] = cos
        turn[:, two, one], turn[:, one, two] = sin, -sin
        whole = turn @ whole
    return whole
