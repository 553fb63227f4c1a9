"""Translate: the wanted image is clean, another image of the same thing is known.

Saharia et al. 2022, "Palette", and Saharia et al. 2022b, "SR3": the known image lies beside x_t as channels. What is
known of an image is one of three:

- `LowResolution`: the mean of each block of factor x factor pixels, shown on the fine grid by cubic interpolation.
- `Hole`: the image around holes, and where they are. The answer outside the holes is the input, to the bit.
- `Sequences`: some channels of the image, of which others are wanted.

A known image is a function of the batch. Holes are random: they are drawn into the batch's mask (1 is a hole), in
training from the seed of the step, in an evaluation from the image's own (`draw_holes`).

``residual``: a sharp image is its blurred self and a small rest, and the rest alone is what has to be learned. So x_0
may be the difference to the shown image, divided by about its standard deviation (Whang et al. 2022, "Deblurring via
stochastic refinement"; Li et al. 2022, "SRDiff").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as functional
from torch import Generator, Tensor

from meddiff.batches.batch import Batch
from meddiff.diffusion.condition import Condition
from meddiff.errors import InputError
from meddiff.manifest.row import ManifestRow
from meddiff.tasks.task import Task


class TranslateTask(Task, Protocol):
    """A task whose answer is an image, told another."""

    @property
    def told_channels(self) -> int:
        """Channels of what the denoiser is told."""
        ...

    def wanted(self, image: Tensor) -> Tensor:
        """Return the part of images [B, C, *S] that is wanted: [B, K, *S]."""
        ...

    def answer(self, x_0: Tensor, told: Tensor) -> Tensor:
        """Make of estimates of x_0 [N, K, *S] and of what they were told the wanted images, in [-1, 1]."""
        ...

    def unknown(self, told: Tensor) -> Tensor | None:
        """Tell which pixels are not known, as bool like ``told`` with one channel; None where all are."""
        ...


@dataclass(frozen=True)
class LowResolution:
    """Noises the sharp image and is told its blocks' means."""

    channels: int
    """Of the image."""
    factor: int = 4
    axes: tuple[int, ...] | None = None
    """Spatial axes of lower resolution, 0 the first; None for all."""
    residual: float = 0.0
    """Scale of the difference to the shown image, which is x_0 then; 0 for the image itself."""

    @property
    def told_channels(self) -> int:
        """Those of the image."""
        return self.channels

    def usable(self, row: ManifestRow) -> str | None:
        """Return None: every image can be made coarser."""
        return None

    def factors(self, dimensions: int) -> tuple[int, ...]:
        """Return the fine pixels to a coarse one along each axis."""
        axes = range(dimensions) if self.axes is None else self.axes
        return tuple(self.factor if axis in axes else 1 for axis in range(dimensions))

    def coarse(self, image: Tensor) -> Tensor:
        """Return the means of the blocks of images [B, C, *S].

        Raises:
            InputError: a side that is no multiple of the factor.
        """
        factors = self.factors(image.ndim - 2)
        if any(side % factor for side, factor in zip(image.shape[2:], factors, strict=True)):
            size = " x ".join(map(str, image.shape[2:]))
            raise InputError(f"an image of {size} pixels has no blocks of {self.factor}: give sides that it divides")
        return functional.avg_pool2d(image, factors) if len(factors) == 2 else functional.avg_pool3d(image, factors)

    def shown(self, coarse: Tensor) -> Tensor:
        """Return coarse images [B, C, *S'] on the fine grid: cubic between their pixels, linear in volumes."""
        factors = self.factors(coarse.ndim - 2)
        size = [side * factor for side, factor in zip(coarse.shape[2:], factors, strict=True)]
        mode = "bicubic" if len(size) == 2 else "trilinear"
        return functional.interpolate(coarse.float(), size=size, mode=mode, align_corners=False)

    def wanted(self, image: Tensor) -> Tensor:
        """Return the image."""
        return image

    def clean(self, batch: Batch) -> Tensor:
        """Return the image [B, C, *S], or its difference to the shown one divided by ``residual``."""
        if not self.residual:
            return batch.image
        return (batch.image - self.shown(self.coarse(batch.image))) / self.residual

    def condition(self, batch: Batch) -> Condition:
        """Return the coarse image on the fine grid [B, C, *S]."""
        return Condition(image=self.shown(self.coarse(batch.image)))

    def decode(self, x_0: Tensor) -> Tensor:
        """Return images in [-1, 1]; a difference, which may be larger than its scale, as it is."""
        return x_0 if self.residual else x_0.clamp(-1, 1)

    def answer(self, x_0: Tensor, told: Tensor) -> Tensor:
        """Return images [N, C, *S]."""
        return (told + self.residual * x_0 if self.residual else x_0).clamp(-1, 1)

    def unknown(self, told: Tensor) -> None:
        """Return None: no fine pixel is known."""


@dataclass(frozen=True)
class Hole:
    """Noises the image and is told it around the holes."""

    channels: int
    """Of the image."""

    @property
    def told_channels(self) -> int:
        """Those of the image, and one that is 1 in the holes and -1 outside."""
        return self.channels + 1

    def usable(self, row: ManifestRow) -> str | None:
        """Return None: every image can have holes."""
        return None

    def wanted(self, image: Tensor) -> Tensor:
        """Return the image."""
        return image

    def clean(self, batch: Batch) -> Tensor:
        """Return the image [B, C, *S]."""
        return batch.image

    def condition(self, batch: Batch) -> Condition:
        """Return the image, 0 in the holes, and where they are: [B, C + 1, *S].

        Raises:
            InputError: a batch without holes.
        """
        if batch.mask is None:
            raise InputError("these images have no holes: draw them with meddiff.tasks.translate.draw_holes")
        return Condition(image=self.joined(batch.image, batch.mask > 0))

    def joined(self, image: Tensor, hole: Tensor) -> Tensor:
        """Join images [B, C, *S] and their holes, bool [B, 1, *S]."""
        return torch.cat([image.masked_fill(hole, 0), hole.to(image.dtype) * 2 - 1], dim=1)

    def decode(self, x_0: Tensor) -> Tensor:
        """Return images in [-1, 1]."""
        return x_0.clamp(-1, 1)

    def answer(self, x_0: Tensor, told: Tensor) -> Tensor:
        """Return images [N, C, *S] that are the input outside the holes, to the bit."""
        return torch.where(self.unknown(told), self.decode(x_0), told[:, : self.channels])

    def unknown(self, told: Tensor) -> Tensor:
        """Return the holes, bool [B, 1, *S]."""
        return told[:, -1:] > 0


@dataclass(frozen=True)
class Sequences:
    """Noises some channels and is told others."""

    given: tuple[int, ...]
    """Positions of the known channels."""
    chosen: tuple[int, ...]
    """Positions of the wanted ones."""

    @property
    def channels(self) -> int:
        """Wanted channels."""
        return len(self.chosen)

    @property
    def told_channels(self) -> int:
        """Known channels."""
        return len(self.given)

    def usable(self, row: ManifestRow) -> str | None:
        """Return None: which channels there are is known once the image is read."""
        return None

    def wanted(self, image: Tensor) -> Tensor:
        """Return the wanted channels."""
        return image[:, self.chosen]

    def clean(self, batch: Batch) -> Tensor:
        """Return the wanted channels [B, K, *S]."""
        return self.wanted(batch.image)

    def condition(self, batch: Batch) -> Condition:
        """Return the known channels."""
        return Condition(image=batch.image[:, self.given])

    def decode(self, x_0: Tensor) -> Tensor:
        """Return images in [-1, 1]."""
        return x_0.clamp(-1, 1)

    def answer(self, x_0: Tensor, told: Tensor) -> Tensor:
        """Return images [N, K, *S]."""
        return self.decode(x_0)

    def unknown(self, told: Tensor) -> None:
        """Return None: no pixel of a wanted channel is known."""


def asked_once(network: Callable[..., Tensor], told: Tensor, channels: int, step: int) -> Tensor:
    """Ask a denoising network once, shown no noise, what x_0 [B, channels, *S] is, told [B, C, *S]: a regression.

    ``step`` is the number of the noise level that it is told, T.
    """
    nothing = told.new_zeros(len(told), channels, *told.shape[2:])
    return network(nothing, torch.full((len(told),), step, device=told.device), Condition(image=told))


STROKES = 4
"""Of a hole that is irregular."""


def draw_holes(count: int, size: Sequence[int], generator: Generator, *, share: float, irregular: bool) -> Tensor:
    """Draw the holes of images of one size: bool [count, 1, *size], some in each image and never all of it.

    Args:
        count: images.
        size: *S.
        generator: on the CPU.
        share: largest side of a box, or length of a stroke, as a share of the side.
        irregular: strokes as of a brush (Yu et al. 2019, "Free-form image inpainting") instead of a box.
    """
    holes = [_stroked(size, generator, share) if irregular else _boxed(size, generator, share) for _ in range(count)]
    return torch.stack(holes)[:, None]


def _boxed(size: Sequence[int], generator: Generator, share: float) -> Tensor:
    hole = torch.zeros(tuple(size), dtype=torch.bool)
    part = (0.5 + 0.5 * torch.rand(len(size), generator=generator)) * share
    sides = [max(1, min(round(side * float(one)), side - 1)) for side, one in zip(size, part, strict=True)]
    first = [int(torch.randint(side - own + 1, (), generator=generator)) for side, own in zip(size, sides, strict=True)]
    hole[tuple(slice(start, start + own) for start, own in zip(first, sides, strict=True))] = True
    return hole


def _stroked(size: Sequence[int], generator: Generator, share: float) -> Tensor:
    """Draw round brushes that walk straight, each turning once."""
    grid = torch.stack(torch.meshgrid(*(torch.arange(side) for side in size), indexing="ij"), dim=-1).float()
    sides, hole = torch.tensor([float(side) for side in size]), torch.zeros(tuple(size), dtype=torch.bool)
    for _ in range(STROKES):
        point = torch.rand(len(size), generator=generator) * sides
        width = (0.02 + 0.03 * float(torch.rand((), generator=generator))) * float(sides.min())
        for _ in range(2):
            way = torch.randn(len(size), generator=generator)
            end = point + way / way.norm() * sides * share / 2
            along = ((grid - point) @ (end - point) / (end - point).square().sum()).clamp(0, 1)[..., None]
            hole |= (grid - point - along * (end - point)).norm(dim=-1) <= max(width, 0.75)
            point = end
    return hole
