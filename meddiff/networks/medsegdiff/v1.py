"""MedSegDiff V1: a denoising U-Net over the mask that looks at the image through learned, filtered attention.

Wu et al., "MedSegDiff: Medical Image Segmentation with Diffusion Probabilistic Model", MIDL 2023 (arXiv 2211.00611).
With m_I and m_x the features of the image and of x_t at one level, LN layer norm and FF the `FFParser`:

- section "Dynamic Conditional Encoding": A(m_I, m_x) = (LN(m_I) * LN(m_x)) * m_I, the image's features where the
  present mask has something to say about them;
- section "FF-Parser": m_x is filtered before it is fused, against the noise that it brings along;
- the network is D((E_I + E_x, t), t): the embeddings of image and mask are added, then decoded.

What differs from the paper, and why:

- There, A(m_I, m_x) goes on through the image's encoder, which therefore runs again in every step of every member of
  an ensemble. Here that encoder sees the image alone and runs once per image (`encode`); A is added to m_x in what
  the decoder is shown. ``recurrent_condition=True`` is the paper's form, at the paper's cost.
- There, two levels in the middle are fused; here all of them, unless ``fused_levels`` says which.
- Layer norm is over channels and grid together, and the filter is a function of the frequency: any size works.

The official repository has a convolution with fresh random weights in every forward pass; there is none here.

With ``channels=(32, 64, 128, 256, 384)`` and three image channels (2D) the network has 21.3 M weights, of which 9.7 M
are in the image's encoder and used once per image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor, nn

from meddiff.diffusion.condition import Condition
from meddiff.errors import InputError
from meddiff.networks.blocks import Decoder, Encoder, Head, TimeEmbedding, channels_last, check_layout
from meddiff.networks.folding import fold, pad_to_multiple, unfold
from meddiff.networks.medsegdiff.ff_parser import FFParser
from meddiff.networks.told_image import check_same_grid, told_image


class AttentiveFusion(nn.Module):
    """A(m_I, m_x) = (LN(m_I) * LN(FF(m_x))) * m_I, section "Dynamic Conditional Encoding"."""

    def __init__(self, channels: int, *, spatial_dims: int, ff_parser: bool) -> None:
        super().__init__()
        self.parser = FFParser(channels, spatial_dims=spatial_dims) if ff_parser else nn.Identity()
        self.image_norm = nn.GroupNorm(1, channels)
        self.mask_norm = nn.GroupNorm(1, channels)

    def forward(self, image_features: Tensor, mask_features: Tensor) -> Tensor:
        """Map [B, channels, *S] twice, to the image's features that the mask attends to."""
        return self.image_norm(image_features) * self.mask_norm(self.parser(mask_features)) * image_features


class MedSegDiffV1(nn.Module):
    """(x_t, t, condition with an image) -> like x_t; see the module's docstring.

    Args:
        in_channels: channels of x_t.
        out_channels: channels of the output; twice ``in_channels`` for a learned variance.
        condition_channels: channels of ``condition.image``.
        mask_classes: classes of the mask; not used, as V1 has no mask head of its own.
        channels: feature channels per level, from fine to coarse.
        residual_blocks: residual blocks per level of the U-Net over x_t, which runs in every step.
        condition_blocks: residual blocks per level of the image's encoder, which runs once.
        spatial_dims: 2 for images, 3 for volumes.
        patch_size: pixels per side folded into channels.
        fused_levels: levels with attentive fusion, 0 the finest; None for all, () for none: then the image's
            features are added as they are (the paper's ablation of section "Dynamic Conditional Encoding").
        ff_parser: filter m_x before fusion (section "FF-Parser").
        recurrent_condition: the paper's own form, where the fused features go on through the image's encoder.

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
        residual_blocks: int = 1,
        condition_blocks: int = 2,
        spatial_dims: int = 2,
        patch_size: int = 1,
        fused_levels: Sequence[int] | None = None,
        ff_parser: bool = True,
        recurrent_condition: bool = False,
    ) -> None:
        super().__init__()
        check_layout(channels, min(residual_blocks, condition_blocks), patch_size, spatial_dims)
        levels = range(len(channels))
        self.fused_levels = frozenset(levels if fused_levels is None else fused_levels)
        if not self.fused_levels <= set(levels):
            raise InputError(
                f"network.fused_levels must be among 0..{len(channels) - 1}, got {sorted(self.fused_levels)}"
            )
        self.condition_channels = condition_channels
        self.patch_size = patch_size
        self.size_multiple = patch_size * 2 ** (len(channels) - 1)
        self.recurrent_condition = recurrent_condition
        folded, time_width = patch_size**spatial_dims, 4 * channels[0]
        told = {"spatial_dims": spatial_dims, "time_width": time_width}
        self.time_embedding = TimeEmbedding(time_width)
        self.image_encoder = Encoder(
            condition_channels * folded, channels, residual_blocks=condition_blocks, spatial_dims=spatial_dims
        )
        self.mask_encoder = Encoder(in_channels * folded, channels, residual_blocks=residual_blocks, **told)
        self.fusions = nn.ModuleDict(
            {
                str(level): AttentiveFusion(channels[level], spatial_dims=spatial_dims, ff_parser=ff_parser)
                for level in sorted(self.fused_levels)
            }
        )
        self.decoder = Decoder(channels, residual_blocks=residual_blocks, **told)
        self.head = Head(channels[0], out_channels * folded, spatial_dims=spatial_dims, silent=True)

    def encode(self, condition: Condition) -> Condition:
        """Return the same condition with what depends on its image alone as ``features``, one entry per level.

        In the paper's recurrent form that is the first level only.
        """
        if condition.features is not None:
            return condition
        image, _ = pad_to_multiple(told_image(condition, self.condition_channels), self.size_multiple)
        features = channels_last(fold(image, self.patch_size))
        if self.recurrent_condition:
            return replace(condition, features={"level_0": self.image_encoder.stage(0, features)})
        encoded = {f"level_{level}": output for level, output in enumerate(self.image_encoder(features))}
        return replace(condition, features=encoded)

    def forward(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """Return the network's output [B, out_channels, *S].

        Args:
            x_t: noisy mask [B, in_channels, *S], any size.
            t: step of each sample [B], 1..T, integer or fractional.
            condition: what is told: an image [B, condition_channels, *S], or the ``features`` that `encode` made of it.
        """
        check_same_grid(condition, x_t)
        features = self.encode(condition).features
        assert features is not None
        x_t, window = pad_to_multiple(x_t, self.size_multiple)
        mask = channels_last(fold(x_t, self.patch_size))
        time = self.time_embedding(t)
        shown = self._shown_to_decoder(mask, time, features)
        return unfold(self.head(self.decoder(shown, time)), self.patch_size)[window]

    def _shown_to_decoder(self, mask: Tensor, time: Tensor, features: Mapping[str, Tensor]) -> list[Tensor]:
        """Return the mask's and the image's features of every level, added."""
        shown, image = [], None
        for level in range(self.mask_encoder.levels):
            mask = self.mask_encoder.stage(level, mask, time)
            known = features.get(f"level_{level}")
            if known is not None:
                image = known
            else:
                assert image is not None
                image = self.image_encoder.stage(level, image)
            fused = self.fusions[str(level)](image, mask) if level in self.fused_levels else image
            shown.append(mask + fused)
            image = fused  # in the recurrent form the next level starts from it; otherwise that level is known
        return shown
