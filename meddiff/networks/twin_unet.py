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

from torch import Tensor, nn

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import COARSE, WithCoarse
from meddiff.errors import InputError
from meddiff.networks.blocks import Decoder, Encoder, Head, TimeEmbedding, check_layout, convolution
from meddiff.networks.folding import fold, pad_to_multiple, unfold
from meddiff.networks.told_image import check_same_grid, told_image


class TwinUNet(nn.Module):
    """A denoiser of masks that is told an image.

    Args:
        in_channels: channels of x_t.
        out_channels: channels of the output.
        condition_channels: channels of the image.
        mask_classes: K, classes of the coarse mask.
        channels: feature channels of the reader per level, from fine to coarse.
        thin_channels: those of the denoiser, one for each of its levels; a quarter of the reader's, at least 16,
            unless told.
        thin_from: the level of the reader whose grid is the denoiser's finest; pixels below it are folded into
            channels. 1 makes a step about three times cheaper, and masks are smooth.
        residual_blocks: per level and direction, of the reader; the denoiser has one.
        patch_size: pixels per side folded into channels before the first level.
        spatial_dims: 2 for images, 3 for volumes.
        starts_coarse: add the coarse logits to the output, which must then be class logits too.

    Raises:
        InputError: where these numbers do not fit together.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        condition_channels: int,
        mask_classes: int,
        channels: Sequence[int],
        thin_channels: Sequence[int] = (),
        thin_from: int = 0,
        residual_blocks: int = 1,
        patch_size: int = 1,
        spatial_dims: int = 2,
        starts_coarse: bool = False,
    ) -> None:
        super().__init__()
        check_layout(channels, residual_blocks, patch_size, spatial_dims)
        told = channels[thin_from:]
        thin = tuple(thin_channels or (max(16, width // 4) for width in told))
        _check(told, thin, out_channels, mask_classes, starts_coarse)
        folded = patch_size**spatial_dims
        self.thin_from = thin_from
        self.thin_patch = patch_size * 2**thin_from
        self.patch_size = patch_size
        self.size_multiple = patch_size * 2 ** (len(channels) - 1)
        self.condition_channels = condition_channels
        self.starts_coarse = starts_coarse
        settings = {"residual_blocks": residual_blocks, "spatial_dims": spatial_dims}
        self.encoder = Encoder(condition_channels * folded, channels, **settings)
        self.decoder = Decoder(channels, **settings)
        self.head = Head(channels[0], mask_classes * folded, spatial_dims=spatial_dims, silent=False)
        self.projections = nn.ModuleList(
            convolution(spatial_dims, wide, narrow, size=1) for wide, narrow in zip(told, thin, strict=True)
        )
        thin_folded = self.thin_patch**spatial_dims
        self.denoiser = ThinDenoiser(in_channels * thin_folded, out_channels * thin_folded, thin, spatial_dims)

    def encode(self, condition: Condition) -> Condition:
        """Return the condition with the reader's features and coarse logits; as it is where it has them."""
        if condition.features is not None:
            return condition
        padded, window = pad_to_multiple(told_image(condition, self.condition_channels), self.size_multiple)
        levels = self.decoder.levels(self.encoder(fold(padded, self.patch_size)))
        below = levels[self.thin_from :]
        projected = [project(level) for project, level in zip(self.projections, below, strict=True)]
        told = {f"level_{number}": level for number, level in enumerate(projected)}
        return replace(condition, features=told | {COARSE: unfold(self.head(levels[0]), self.patch_size)[window]})

    def forward(self, x_t: Tensor, t: Tensor, condition: Condition) -> WithCoarse:
        """Return the output [B, out_channels, *S] and the coarse logits [B, K, *S].

        Args:
            x_t: noisy mask [B, in_channels, *S], any size.
            t: step of each sample [B], 1..T, integer or fractional.
            condition: its ``image`` [B, condition_channels, *S], or already encoded.
        """
        condition = self.encode(condition)
        check_same_grid(condition, x_t)
        features = condition.features or {}
        padded, window = pad_to_multiple(x_t, self.size_multiple)
        levels = [features[f"level_{number}"] for number in range(len(self.projections))]
        output = unfold(self.denoiser(fold(padded, self.thin_patch), t, levels), self.thin_patch)[window]
        coarse = features[COARSE]
        return WithCoarse(output + coarse if self.starts_coarse else output, coarse)


class ThinDenoiser(nn.Module):
    """A U-Net over x_t with one residual block per level and direction, told the reader's features on its way down."""

    def __init__(self, in_channels: int, out_channels: int, channels: Sequence[int], spatial_dims: int) -> None:
        super().__init__()
        width = 4 * channels[0]
        settings = {"residual_blocks": 1, "spatial_dims": spatial_dims, "time_width": width}
        self.time = TimeEmbedding(width)
        self.encoder = Encoder(in_channels, channels, **settings)
        self.decoder = Decoder(channels, **settings)
        self.head = Head(channels[0], out_channels, spatial_dims=spatial_dims, silent=True)

    def forward(self, x_t: Tensor, t: Tensor, told: Sequence[Tensor]) -> Tensor:
        """Give [B, out_channels, *S] from x_t [B, in_channels, *S], t [B] and the projected features of each level."""
        time, features, x = self.time(t), [], x_t
        for level, part in enumerate(told):
            x = self.encoder.stage(level, x, time) + part
            features.append(x)
        return self.head(self.decoder(features, time))


def _check(told: Sequence[int], thin: Sequence[int], out_channels: int, mask_classes: int, starts_coarse: bool) -> None:
    if not told or len(thin) != len(told) or min(thin) < 2:
        raise InputError(
            f"thin_channels is {list(thin)}: name 2 or more channels for each of the {len(told)} levels of the denoiser"
        )
    if starts_coarse and out_channels != mask_classes:
        raise InputError(
            f"the output can start at the coarse logits only where it has a channel per class ({mask_classes}), "
            f"not {out_channels}: use the encoding one_hot"
        )
