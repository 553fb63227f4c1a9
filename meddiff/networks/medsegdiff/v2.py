"""MedSegDiff-V2: a denoising U-Net over the mask, told by a second U-Net that segments the image itself.

Wu et al., "MedSegDiff-V2: Diffusion based Medical Image Segmentation with Transformer", AAAI 2024 (arXiv 2301.11798,
2023): the paper's architecture, whose transformer is absent from its official repository. The condition model is a
U-Net over the image with a mask head of its own (`WithCoarse.coarse`, trained with Dice and cross entropy beside the
noise loss). It tells the denoising U-Net in two ways:

- section "Anchor Condition with Uncertain Spatial Attention": its last decoded feature f_c is smoothed with a learned
  Gaussian kernel, because it may be wrong about the border, and its stronger half kept; that is attention on the first
  feature f_d of the denoising encoder:

      f_anc = max(k_Gauss * f_c, f_c),    f_d' = sigmoid(k_1x1 * f_anc) f_d + f_d

- section "Semantic Condition with SS-Former": the deepest embeddings of both exchange what they know in the frequency
  domain, at the present time (`meddiff.networks.medsegdiff.ss_former`).

Everything but the SS-Former and the denoising U-Net depends on the image alone and runs once per image (`encode`),
up to and with the attention map sigmoid(k_1x1 * f_anc). The Gaussian is one per channel, with a learned mean and
deviation, applied along one axis after the other; the grid's border is continued, so that it does not darken.

With ``channels=(32, 64, 128, 256, 320)`` and three image channels (2D) the network has 21.5 M weights, of which 9.0 M
are in the condition model and used once per image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import COARSE, WithCoarse
from meddiff.errors import InputError
from meddiff.networks.blocks import Decoder, Encoder, Head, TimeEmbedding, channels_last, check_layout, convolution
from meddiff.networks.folding import fold, pad_to_multiple, unfold
from meddiff.networks.medsegdiff.ss_former import SSFormer
from meddiff.networks.told_image import check_same_grid, told_image

GAUSSIAN_RADIUS = 3
"""Pixels on either side of the middle of the Gaussian kernel."""


class GaussianSmoothing(nn.Module):
    """A Gaussian kernel per channel whose mean and deviation, in pixels, are learned per axis."""

    def __init__(self, channels: int, *, spatial_dims: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(spatial_dims, channels))
        self.log_deviation = nn.Parameter(torch.full((spatial_dims, channels), 0.1))

    def kernel(self, axis: int) -> Tensor:
        """Map [channels, 2 * GAUSSIAN_RADIUS + 1], which sums to 1."""
        offsets = torch.arange(-GAUSSIAN_RADIUS, GAUSSIAN_RADIUS + 1, device=self.mean.device)
        distance = (offsets - self.mean[axis, :, None]) / self.log_deviation[axis, :, None].exp()
        return torch.softmax(-(distance**2) / 2, dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, channels, *S] to the same."""
        rank = x.ndim - 2
        convolve = {2: functional.conv2d, 3: functional.conv3d}[rank]
        x = functional.pad(x, (GAUSSIAN_RADIUS,) * 2 * rank, mode="replicate")
        for axis in range(rank):
            shape = [-1 if other == axis else 1 for other in range(rank)]
            x = convolve(x, self.kernel(axis).view(x.shape[1], 1, *shape), groups=x.shape[1])
        return x


class AnchorAttention(nn.Module):
    """sigmoid(k_1x1 * f_anc) [B, 1, *S] from f_c, section "Anchor Condition with Uncertain Spatial Attention"."""

    def __init__(self, channels: int, *, spatial_dims: int, uncertain: bool) -> None:
        super().__init__()
        self.smoothing = GaussianSmoothing(channels, spatial_dims=spatial_dims) if uncertain else None
        self.reduction = convolution(spatial_dims, channels, 1, size=1)

    def forward(self, decoded: Tensor) -> Tensor:
        """Map the last decoded feature [B, channels, *S] to a weight per position."""
        anchor = decoded if self.smoothing is None else torch.maximum(self.smoothing(decoded), decoded)
        return torch.sigmoid(self.reduction(anchor))


class ConditionModel(nn.Module):
    """A U-Net over the image: its deepest embedding, its last decoded feature, and the logits of its mask."""

    def __init__(
        self, in_channels: int, num_logits: int, *, channels: Sequence[int], residual_blocks: int, spatial_dims: int
    ) -> None:
        super().__init__()
        settings = {"residual_blocks": residual_blocks, "spatial_dims": spatial_dims}
        self.encoder = Encoder(in_channels, channels, **settings)
        self.decoder = Decoder(channels, **settings)
        self.head = Head(channels[0], num_logits, spatial_dims=spatial_dims, silent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map [B, in_channels, *S] to embedding [B, channels[-1], *S / 2^levels], feature and logits on the grid S."""
        features = self.encoder(image)
        decoded = self.decoder(features)
        return features[-1], decoded, self.head(decoded)


class MedSegDiffV2(nn.Module):
    """(x_t, t, condition with an image) -> like x_t, and the condition model's own mask; see the module's docstring.

    Args:
        in_channels: channels of x_t.
        out_channels: channels of the output; twice ``in_channels`` for a learned variance.
        condition_channels: channels of ``condition.image``.
        mask_classes: classes of the condition model's mask.
        channels: feature channels per level of both U-Nets, from fine to coarse.
        residual_blocks: residual blocks per level of the U-Net over x_t, which runs in every step.
        condition_blocks: residual blocks per level of the condition model, which runs once.
        spatial_dims: 2 for images, 3 for volumes.
        patch_size: pixels per side folded into channels.
        anchor: attention on the first feature (section "Anchor Condition with Uncertain Spatial Attention").
        uncertain_anchor: smooth the anchor first; False is plain spatial attention (the same section).
        ss_former_blocks: blocks of the transformer; 0 for none (section "Semantic Condition with SS-Former").
        band_pass: weight its frequencies by the time (the same section, NBP-Filter).

    Raises:
        InputError: where these numbers do not fit together, or nothing is left that hears the image.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        condition_channels: int,
        mask_classes: int,
        channels: Sequence[int],
        residual_blocks: int = 1,
        condition_blocks: int = 1,
        spatial_dims: int = 2,
        patch_size: int = 1,
        anchor: bool = True,
        uncertain_anchor: bool = True,
        ss_former_blocks: int = 2,
        band_pass: bool = True,
    ) -> None:
        super().__init__()
        check_layout(channels, min(residual_blocks, condition_blocks), patch_size, spatial_dims)
        _check_switches(anchor, ss_former_blocks, mask_classes)
        self.condition_channels = condition_channels
        self.patch_size = patch_size
        self.size_multiple = patch_size * 2 ** (len(channels) - 1)
        folded, time_width, rank = patch_size**spatial_dims, 4 * channels[0], {"spatial_dims": spatial_dims}
        denoising = {"residual_blocks": residual_blocks, "time_width": time_width} | rank
        self.condition_model = ConditionModel(
            condition_channels * folded,
            mask_classes * folded,
            channels=channels,
            residual_blocks=condition_blocks,
            spatial_dims=spatial_dims,
        )
        self.anchor = AnchorAttention(channels[0], uncertain=uncertain_anchor, **rank) if anchor else None
        self.time_embedding = TimeEmbedding(time_width)
        self.encoder = Encoder(in_channels * folded, channels, **denoising)
        self.ss_former = (
            SSFormer(channels[-1], blocks=ss_former_blocks, time_width=time_width, band_pass=band_pass, **rank)
            if ss_former_blocks
            else None
        )
        self.decoder = Decoder(channels, **denoising)
        self.head = Head(channels[0], out_channels * folded, silent=True, **rank)

    def encode(self, condition: Condition) -> Condition:
        """Return the same condition with what depends on its image alone as ``features``.

        These are ``coarse``, the mask's logits [B, mask_classes, *S], and on the padded, folded grid ``anchor``, the
        attention on the first feature, and ``embedding``, the deepest; the last two where the network uses them.
        """
        if condition.features is not None:
            return condition
        image, window = pad_to_multiple(told_image(condition, self.condition_channels), self.size_multiple)
        embedding, decoded, logits = self.condition_model(channels_last(fold(image, self.patch_size)))
        features = {COARSE: unfold(logits, self.patch_size)[window]}
        if self.anchor is not None:
            features["anchor"] = self.anchor(decoded)
        if self.ss_former is not None:
            features["embedding"] = embedding
        return replace(condition, features=features)

    def forward(self, x_t: Tensor, t: Tensor, condition: Condition) -> WithCoarse:
        """Return the network's output [B, out_channels, *S], and the condition model's logits [B, mask_classes, *S].

        Args:
            x_t: noisy mask [B, in_channels, *S], any size.
            t: step of each sample [B], 1..T, integer or fractional.
            condition: what is told: an image [B, condition_channels, *S], or the ``features`` that `encode` made of it.
        """
        check_same_grid(condition, x_t)
        features = self.encode(condition).features
        assert features is not None
        x_t, window = pad_to_multiple(x_t, self.size_multiple)
        time = self.time_embedding(t)
        outputs = [self.encoder.stage(0, channels_last(fold(x_t, self.patch_size)), time)]
        if self.anchor is not None:
            outputs[0] = outputs[0] * features["anchor"] + outputs[0]
        for level in range(1, self.encoder.levels):
            outputs.append(self.encoder.stage(level, outputs[-1], time))
        if self.ss_former is not None:
            outputs[-1] = self.ss_former(features["embedding"], outputs[-1], time)
        output = unfold(self.head(self.decoder(outputs, time)), self.patch_size)[window]
        return WithCoarse(output, features[COARSE])


def _check_switches(anchor: bool, ss_former_blocks: int, mask_classes: int) -> None:
    """Refuse a network that would not hear its image, or has no classes to segment."""
    if ss_former_blocks < 0:
        raise InputError(f"network.ss_former_blocks must be 0 (none) or more, got {ss_former_blocks}")
    if not anchor and not ss_former_blocks:
        raise InputError("without anchor and without SS-Former blocks nothing tells the image: leave one of them on")
    if mask_classes < 1:
        raise InputError(f"mask_classes counts the coarse mask's logits and must be at least 1, got {mask_classes}")
