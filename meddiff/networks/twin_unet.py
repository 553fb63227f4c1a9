"""Two U-Nets side by side: a wide one reads the image once, a thin one denoises the mask beside it.

What an ensemble of M members and N steps costs is one reading and M N denoisings, so nearly all weights and work are
put where they are paid once. (MedSegDiff's V1 feeds x_t into the condition encoder, which must then run M N times; its
default network could cache 42 to 46 % of a forward and does not.)

The reader is a segmentation network in its own right: its head gives the logits of a coarse mask, trained as such (Wu
et al. 2023). The features of its decoder, projected to the width of the denoiser, are added to the denoiser's encoder
level by level (Amit et al. 2021, SegDiff, add them once at the top).

Where the denoiser predicts class logits, the coarse logits are added to its output: what it must learn is what x_t
tells beyond the image, and a fresh network, whose last layer is zero, says what the reader says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import gcd

import torch
import torch.nn.functional as functional
from monai.networks.nets.diffusion_model_unet import get_timestep_embedding
from torch import Tensor, nn

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import WithCoarse
from meddiff.errors import InputError
from meddiff.networks.folding import fold, pad_to_multiple, unfold

COARSE = "coarse"
CONVOLUTIONS = {2: nn.Conv2d, 3: nn.Conv3d}


class TwinUNet(nn.Module):
    """A denoiser of masks that is told an image."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        condition_channels: int,
        num_classes: int,
        channels: Sequence[int],
        thin_channels: Sequence[int] = (),
        residual_blocks: int = 1,
        patch_size: int = 1,
        spatial_dims: int = 2,
        starts_coarse: bool = False,
    ) -> None:
        """Build both networks.

        Args:
            in_channels: channels of x_t.
            out_channels: channels of the output.
            condition_channels: channels of the image.
            num_classes: K, classes of the coarse mask.
            channels: feature channels of the reader per level, from fine to coarse.
            thin_channels: those of the denoiser; a quarter of the reader's, at least 16, unless told.
            residual_blocks: per level and direction, of the reader; the denoiser has one.
            patch_size: pixels per side folded into channels before the first level.
            spatial_dims: 2 for images, 3 for volumes.
            starts_coarse: add the coarse logits to the output, which must then be class logits too.

        Raises:
            InputError: where these numbers do not fit together.
        """
        super().__init__()
        thin = tuple(thin_channels or (max(16, width // 4) for width in channels))
        _check(channels, thin, out_channels, num_classes, starts_coarse)
        folded = patch_size**spatial_dims
        self.patch_size = patch_size
        self.size_multiple = patch_size * 2 ** (len(channels) - 1)
        self.condition_channels = condition_channels
        self.starts_coarse = starts_coarse
        self.reader = Reader(condition_channels * folded, num_classes * folded, channels, residual_blocks, spatial_dims)
        self.projections = nn.ModuleList(
            CONVOLUTIONS[spatial_dims](wide, narrow, 1) for wide, narrow in zip(channels, thin, strict=True)
        )
        self.denoiser = ThinDenoiser(in_channels * folded, out_channels * folded, thin, spatial_dims)

    def encode(self, condition: Condition) -> Condition:
        """The condition with the reader's features and coarse logits; as it is where it has them."""
        if condition.features is not None:
            return condition
        if condition.image is None or condition.image.shape[1] != self.condition_channels:
            got = None if condition.image is None else condition.image.shape[1]
            raise InputError(f"this network reads an image of {self.condition_channels} channels, got {got}")
        padded, window = pad_to_multiple(condition.image, self.size_multiple)
        levels, logits = self.reader(fold(padded, self.patch_size))
        projected = [project(level) for project, level in zip(self.projections, levels, strict=True)]
        told = {f"level_{number}": level for number, level in enumerate(projected)}
        return replace(condition, features=told | {COARSE: unfold(logits, self.patch_size)[window]})

    def forward(self, x_t: Tensor, t: Tensor, condition: Condition) -> WithCoarse:
        """The output [B, out_channels, *S] and the coarse logits [B, K, *S].

        Args:
            x_t: noisy mask [B, in_channels, *S], any size.
            t: step of each sample [B], 1..T, integer or fractional.
            condition: its ``image`` [B, condition_channels, *S], or already encoded.
        """
        features = self.encode(condition).features or {}
        padded, window = pad_to_multiple(x_t, self.size_multiple)
        levels = [features[f"level_{number}"] for number in range(len(self.projections))]
        output = unfold(self.denoiser(fold(padded, self.patch_size), t, levels), self.patch_size)[window]
        coarse = features[COARSE]
        return WithCoarse(output + coarse if self.starts_coarse else output, coarse)


class Reader(nn.Module):
    """A segmentation U-Net: image -> features of its decoder, from fine to coarse, and logits."""

    def __init__(
        self, in_channels: int, out_channels: int, channels: Sequence[int], blocks: int, spatial_dims: int
    ) -> None:
        super().__init__()
        conv = CONVOLUTIONS[spatial_dims]
        self.enter = conv(in_channels, channels[0], 3, padding=1)
        self.down = nn.ModuleList(
            _stack(before, width, blocks, spatial_dims)
            for before, width in zip([channels[0], *channels], channels, strict=False)
        )
        self.up = nn.ModuleList(_stack(deep + width, width, blocks, spatial_dims) for width, deep in pairwise(channels))
        self.head = nn.Sequential(_norm(channels[0]), nn.SiLU(), conv(channels[0], out_channels, 3, padding=1))

    def forward(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Features [B, C_l, *S / 2^l] of each level l, and logits [B, out_channels, *S]."""
        h = self.enter(image)
        features = []
        for level, blocks in enumerate(self.down):
            h = blocks(_halved(h) if level else h)
            features.append(h)
        for level in reversed(range(len(self.up))):
            h = self.up[level](torch.cat([_doubled(h), features[level]], dim=1))
            features[level] = h
        return features, self.head(h)


class ThinDenoiser(nn.Module):
    """A U-Net over x_t with one residual block per level and direction, told the reader's features on its way down."""

    def __init__(self, in_channels: int, out_channels: int, channels: Sequence[int], spatial_dims: int) -> None:
        super().__init__()
        conv, embedded = CONVOLUTIONS[spatial_dims], 4 * channels[0]
        self.width = channels[0]
        self.time = nn.Sequential(nn.Linear(channels[0], embedded), nn.SiLU(), nn.Linear(embedded, embedded))
        self.enter = conv(in_channels, channels[0], 3, padding=1)
        self.down = nn.ModuleList(
            ResidualBlock(before, width, spatial_dims, embedded)
            for before, width in zip([channels[0], *channels], channels, strict=False)
        )
        self.up = nn.ModuleList(
            ResidualBlock(deep + width, width, spatial_dims, embedded) for width, deep in pairwise(channels)
        )
        self.norm = nn.Sequential(_norm(channels[0]), nn.SiLU())
        self.leave = conv(channels[0], out_channels, 3, padding=1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x_t: Tensor, t: Tensor, told: Sequence[Tensor]) -> Tensor:
        """[B, out_channels, *S] from x_t [B, in_channels, *S], t [B] and the projected features of each level."""
        time = self.time(get_timestep_embedding(t.float(), self.width))
        h = self.enter(x_t)
        skips = []
        for level, block in enumerate(self.down):
            h = block(_halved(h) if level else h, time) + told[level]
            skips.append(h)
        for level in reversed(range(len(self.up))):
            h = self.up[level](torch.cat([_doubled(h), skips[level]], dim=1), time)
        return self.leave(self.norm(h))


class ResidualBlock(nn.Module):
    """Norm, SiLU, convolution, twice, beside a shortcut (He et al. 2016); time scales and shifts the second norm."""

    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int, time_channels: int = 0) -> None:
        super().__init__()
        conv = CONVOLUTIONS[spatial_dims]
        self.first = nn.Sequential(_norm(in_channels), nn.SiLU(), conv(in_channels, out_channels, 3, padding=1))
        self.norm = _norm(out_channels)
        self.second = nn.Sequential(nn.SiLU(), conv(out_channels, out_channels, 3, padding=1))
        self.time = nn.Linear(time_channels, 2 * out_channels) if time_channels else None
        self.shortcut = conv(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """[B, out_channels, *S] from x [B, in_channels, *S] and, where it was built for it, time [B, time_channels]."""
        h = self.norm(self.first(x))
        if self.time is not None and time is not None:
            scale, shift = self.time(time).view(len(x), -1, *[1] * (x.ndim - 2)).chunk(2, dim=1)
            h = h * (1 + scale) + shift
        return self.second(h) + self.shortcut(x)


def _stack(in_channels: int, out_channels: int, blocks: int, spatial_dims: int) -> nn.Sequential:
    widths = [in_channels, *[out_channels] * blocks]
    return nn.Sequential(*(ResidualBlock(before, after, spatial_dims) for before, after in pairwise(widths)))


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(gcd(8, channels), channels)


def _halved(x: Tensor) -> Tensor:
    """Means of 2 x 2 (x 2) neighbors."""
    return functional.avg_pool2d(x, 2) if x.ndim == 4 else functional.avg_pool3d(x, 2)


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")


def _check(
    channels: Sequence[int], thin: Sequence[int], out_channels: int, num_classes: int, starts_coarse: bool
) -> None:
    if not channels or min(*channels, *thin, 2) < 2:
        raise InputError(f"network.channels must name at least one level of 2 or more channels, got {list(channels)}")
    if len(thin) != len(channels):
        raise InputError(f"thin_channels names {len(thin)} levels, channels {len(channels)}: name as many")
    if starts_coarse and out_channels != num_classes:
        raise InputError(
            f"the output can start at the coarse logits only where it has a channel per class ({num_classes}), "
            f"not {out_channels}: use the encoding one_hot"
        )
