"""The parts that the segmentation networks share: residual block, time embedding, encoder and decoder of a U-Net.

The residual block is that of Dhariwal & Nichol 2021, section 3: group norm, SiLU, convolution, twice, and the time as
a scale and shift of the second norm ("adaptive group normalization"). MONAI's own block (`DiffusionUNetResnetBlock`)
adds the time and cannot do without it; the condition models here know no time, so there is one block for both.

Nothing here looks across the batch, and nothing depends on the size or the rank of the grid. Tensors are kept with
their channels last in memory: with bf16 on a CPU a convolution of a fine grid then takes a third of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as functional
from monai.networks.nets.diffusion_model_unet import get_timestep_embedding
from torch import Tensor, nn

from meddiff.errors import InputError

GROUP_CHANNELS = 4
"""Fewest channels in a group of a group norm: one channel alone on a grid of 1 x 1 has no spread to divide by."""
SINES = 64
"""Sines and cosines of t that its embedding starts from."""


def convolution(spatial_dims: int, in_channels: int, out_channels: int, *, size: int = 3, stride: int = 1) -> nn.Module:
    """Return a convolution in 2D or 3D that keeps the size (at stride 1)."""
    kind, layout = {2: (nn.Conv2d, torch.channels_last), 3: (nn.Conv3d, torch.channels_last_3d)}[spatial_dims]
    layer = kind(in_channels, out_channels, size, stride=stride, padding=size // 2)
    return layer.to(memory_format=layout)  # or else the weights are rearranged in every call


def group_norm(width: int) -> nn.GroupNorm:
    """Group norm with the most groups, up to 32, that divide ``width`` into at least `GROUP_CHANNELS` channels each."""
    fitting = [count for count in range(1, 33) if width % count == 0 and width // count >= GROUP_CHANNELS]
    return nn.GroupNorm(max(fitting, default=1), width)


def channels_last(x: Tensor) -> Tensor:
    """Return the same tensor [B, C, *S], in memory with its channels last."""
    return x.contiguous(memory_format=torch.channels_last if x.ndim == 4 else torch.channels_last_3d)


class TimeEmbedding(nn.Module):
    """t [B] to a vector [B, width]: sines of t (Ho et al. 2020, appendix B), then two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(SINES, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())

    def forward(self, t: Tensor) -> Tensor:
        """Map [B] in 1..T, integer or fractional, to [B, width]."""
        return self.layers(get_timestep_embedding(t, SINES))


class ResidualBlock(nn.Module):
    """x + convolutions of x; ``time_width`` 0 is a block that knows no time."""

    def __init__(self, in_channels: int, out_channels: int, *, spatial_dims: int, time_width: int = 0) -> None:
        super().__init__()
        self.first_norm = group_norm(in_channels)
        self.first = convolution(spatial_dims, in_channels, out_channels)
        self.scale_and_shift = nn.Linear(time_width, 2 * out_channels) if time_width else None
        self.second_norm = group_norm(out_channels)
        self.second = convolution(spatial_dims, out_channels, out_channels)
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else convolution(spatial_dims, in_channels, out_channels, size=1)

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """Map [B, in_channels, *S] and the embedded time [B, time_width], if it knows any, to [B, out_channels, *S]."""
        hidden = self.second_norm(self.first(functional.silu(self.first_norm(x))))
        if self.scale_and_shift is not None:
            scale, shift = self.scale_and_shift(time).view(len(x), -1, *[1] * (x.ndim - 2)).chunk(2, dim=1)
            hidden = hidden * (1 + scale) + shift
        return self.shortcut(x) + self.second(functional.silu(hidden))


class Encoder(nn.Module):
    """The contracting half of a U-Net, one stage per level; each level after the first halves the grid."""

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        *,
        residual_blocks: int,
        spatial_dims: int,
        time_width: int = 0,
    ) -> None:
        super().__init__()
        before = (in_channels, *channels[:-1])
        self.entries = nn.ModuleList(
            convolution(spatial_dims, narrow, wide, stride=2 if level else 1)
            for level, (narrow, wide) in enumerate(zip(before, channels, strict=True))
        )
        self.stages = nn.ModuleList(
            nn.ModuleList(
                ResidualBlock(width, width, spatial_dims=spatial_dims, time_width=time_width)
                for _ in range(residual_blocks)
            )
            for width in channels
        )

    @property
    def levels(self) -> int:
        """Number of levels."""
        return len(self.entries)

    def stage(self, level: int, x: Tensor, time: Tensor | None = None) -> Tensor:
        """Run level ``level`` on the level before it, or of the input."""
        x = self.entries[level](x)
        for block in self.stages[level]:  # pyright: ignore[reportGeneralTypeIssues]
            x = block(x, time)
        return x

    def forward(self, x: Tensor, time: Tensor | None = None) -> list[Tensor]:
        """Compute the output of every level, from fine to coarse."""
        outputs = []
        for level in range(self.levels):
            x = self.stage(level, x, time)
            outputs.append(x)
        return outputs


class Decoder(nn.Module):
    """The expanding half of a U-Net: from the coarsest features to the finest grid, past those of the encoder."""

    def __init__(
        self, channels: Sequence[int], *, residual_blocks: int, spatial_dims: int, time_width: int = 0
    ) -> None:
        super().__init__()
        settings = {"spatial_dims": spatial_dims, "time_width": time_width}
        self.middle = ResidualBlock(channels[-1], channels[-1], **settings)
        self.narrowings = nn.ModuleList(
            convolution(spatial_dims, wide, narrow, size=1) for narrow, wide in pairwise(channels)
        )
        self.stages = nn.ModuleList(
            nn.ModuleList(ResidualBlock(width if n else 2 * width, width, **settings) for n in range(residual_blocks))
            for width in channels[:-1]
        )

    def forward(self, features: Sequence[Tensor], time: Tensor | None = None) -> Tensor:
        """Map features of every level, from fine to coarse, to features on the finest grid [B, channels[0], *S]."""
        return self.levels(features, time)[0]

    def levels(self, features: Sequence[Tensor], time: Tensor | None = None) -> list[Tensor]:
        """Return the decoded features of every level, from fine to coarse."""
        outputs = [x := self.middle(features[-1], time)]
        for narrowing, blocks, skipped in zip(
            reversed(self.narrowings), reversed(self.stages), reversed(features[:-1]), strict=True
        ):
            x = functional.interpolate(narrowing(x), scale_factor=2, mode="nearest")
            x = torch.cat((x, skipped), dim=1)
            for block in blocks:  # pyright: ignore[reportGeneralTypeIssues]
                x = block(x, time)
            outputs.append(x)
        return outputs[::-1]


class Head(nn.Module):
    """Group norm, SiLU and a last convolution; that convolution starts at zero in a denoising network."""

    def __init__(self, width: int, out_channels: int, *, spatial_dims: int, silent: bool) -> None:
        super().__init__()
        self.norm = group_norm(width)
        self.last = convolution(spatial_dims, width, out_channels)
        if silent:
            for parameter in self.last.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, width, *S] to [B, out_channels, *S]."""
        return self.last(functional.silu(self.norm(x)))


def check_layout(channels: Sequence[int], residual_blocks: int, patch_size: int, spatial_dims: int) -> None:
    """Refuse numbers of which no U-Net can be built.

    Raises:
        InputError: the setting, what was got and what is allowed.
    """
    if not channels or min(channels) < 2:
        raise InputError(f"network.channels must name at least one level of at least 2 channels, got {list(channels)}")
    if residual_blocks < 1:
        raise InputError(f"network.residual_blocks must be at least 1, got {residual_blocks}")
    if patch_size < 1:
        raise InputError(f"network.patch_size must be at least 1, got {patch_size}")
    if spatial_dims not in (2, 3):
        raise InputError(f"spatial_dims must be 2 (images) or 3 (volumes), got {spatial_dims}")


def check_attention_levels(channels: Sequence[int], attention_levels: int) -> None:
    """Refuse self-attention on more levels than there are.

    Raises:
        InputError: the setting, what was got and what is allowed.
    """
    if not 0 <= attention_levels <= len(channels):
        raise InputError(
            f"network.attention_levels counts the coarsest of {len(channels)} levels, got {attention_levels}"
        )
