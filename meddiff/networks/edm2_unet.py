"""The U-Net of EDM2 (Karras et al. 2024), in two and three dimensions, told a label, an image, tokens, or nothing.

It is their configuration G: magnitude-preserving layers, no group norm, no biases, cosine attention. Train it with the
prediction ``edm``, which gives it inputs of unit variance and asks for outputs of unit variance. What is ours:

- Any size: sides that are no multiple of the coarsest level's are padded with zeros and cropped back.
- Volumes: the same layers over three axes.
- Tokens are keys and values beside those of the pixels, wherever there is attention.
- The encoder halves an image by the mean of each two pixels and the decoder doubles it by copies; no block does that.
- Constant factors are given to the weights (see `preserving`), and pixels lie channels last throughout: each layer of
  the network is a convolution and one pass over memory, which is what a compiler fuses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from meddiff.diffusion.condition import Condition
from meddiff.errors import InputError
from meddiff.networks.blocks import check_attention_levels, check_layout
from meddiff.networks.folding import fold, pad_to_multiple, unfold
from meddiff.networks.preserving import (
    SILU_GAIN,
    Preserving,
    Waves,
    preserving_cat,
    preserving_sum,
    unit,
    unit_channels,
)
from meddiff.networks.told_image import told_features

BRANCH_SHARE = 0.3
"""Of a block's branch in the sum with what goes past it (their table 6)."""
_PAST, _BRANCH = (part / sqrt((1 - BRANCH_SHARE) ** 2 + BRANCH_SHARE**2) for part in (1 - BRANCH_SHARE, BRANCH_SHARE))
_CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}


class Block(nn.Module):
    """Two convolutions beside a way past them, scaled in between by what the embedding says; then attention."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        embedding: int,
        encoder: bool,
        head_channels: int = 0,
        context_channels: int = 0,
        dropout: float = 0.0,
        spatial_dims: int = 2,
    ) -> None:
        """Build a block.

        Args:
            inputs: channels in.
            outputs: channels out.
            embedding: width of the embedding.
            encoder: whether what comes in is brought to unit length per pixel first.
            head_channels: channels per head of the attention; 0 for a block without.
            context_channels: width of the tokens; 0 for none.
            dropout: probability of a feature to be dropped between the convolutions.
            spatial_dims: 2 or 3.
        """
        super().__init__()
        dims = {"spatial_dims": spatial_dims}
        self.encoder = encoder
        self.dropout = dropout
        self.past = Preserving(inputs, outputs, **dims) if inputs != outputs else None
        self.first = Preserving(outputs if encoder else inputs, outputs, size=3, **dims)
        self.scale = Preserving(embedding, outputs)
        self.scale_gain = nn.Parameter(torch.zeros(()))
        self.second = Preserving(outputs, outputs, size=3, **dims)
        self.attention = (
            Attention(outputs, head_channels, context_channels, spatial_dims) if head_channels else nn.Identity()
        )

    def forward(self, x: Tensor, embedding: Tensor, context: Tensor | None) -> Tensor:
        """Compute [B, outputs, *S] of x [B, inputs, *S] and the embedding [B, E]."""
        if self.encoder:
            x = unit_channels(x if self.past is None else self.past(x))
        y = self.first(functional.silu(x), SILU_GAIN)
        scale = 1 + self.scale(embedding, self.scale_gain)
        y = functional.silu(y * scale.view(*scale.shape, *(1,) * (y.ndim - 2)).to(y.dtype))
        y = functional.dropout(y, self.dropout, self.training)
        if not self.encoder and self.past is not None:
            x = self.past(x)
        x = torch.add(self.second(y, SILU_GAIN * _BRANCH), x, alpha=_PAST)
        return self.attention(x, context) if isinstance(self.attention, Attention) else x


class Attention(nn.Module):
    """Self-attention over all pixels with queries, keys and values of unit length (cosine attention), tokens beside."""

    def __init__(self, width: int, head_channels: int, context_channels: int, spatial_dims: int) -> None:
        super().__init__()
        self.heads = width // head_channels
        self.ask = Preserving(width, 3 * width, spatial_dims=spatial_dims)
        self.tokens = Preserving(context_channels, 2 * width) if context_channels else None
        self.answer = Preserving(width, width, spatial_dims=spatial_dims)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Attend from each pixel of x [B, C, *S] to all of them and to the tokens [B, L, D]."""
        query, key, value = unit(self._by_head(self.ask(x).flatten(2), 3), (-1,)).unbind(1)
        if self.tokens is not None and context is not None:
            beside = unit(self._by_head(self.tokens(context).transpose(1, 2), 2), (-1,)).to(key.dtype)
            key, value = torch.cat((key, beside[:, 0]), dim=2), torch.cat((value, beside[:, 1]), dim=2)
        y = _attend(query, key, value).transpose(2, 3).reshape(x.shape)
        y = y.contiguous(memory_format=_CHANNELS_LAST[x.ndim - 2])
        return torch.add(self.answer(y, _BRANCH), x, alpha=_PAST)

    def _by_head(self, x: Tensor, parts: int) -> Tensor:
        """Split [B, parts * C, L] into [B, parts, heads, L, C / heads]."""
        return x.unflatten(1, (parts, self.heads, -1)).transpose(3, 4)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend over [B, heads, L, C]; fused but in training on a CPU, where the fused backward is the slower one."""
    if query.device.type == "cpu" and torch.is_grad_enabled():
        weights = (query @ key.transpose(-1, -2)).mul(1 / sqrt(query.shape[-1])).softmax(-1)
        return weights.to(value.dtype) @ value
    return functional.scaled_dot_product_attention(query, key, value)


class Embedding(nn.Module):
    """The embedding of time, label and attributes that every block is given; that of what is untold is zero."""

    def __init__(self, waves: int, width: int, num_classes: int, attribute_features: int) -> None:
        super().__init__()
        self.num_classes, self.attribute_features = num_classes, attribute_features
        self.waves = Waves(waves)
        self.time = Preserving(waves, width)
        self.label = Preserving(num_classes, width) if num_classes else None
        self.attributes = Preserving(attribute_features, width) if attribute_features else None

    def forward(self, t: Tensor, condition: Condition) -> Tensor:
        """Embed t [B] and what is told as [B, width].

        Raises:
            InputError: labels or attributes that the network was not built for.
        """
        embedding, label = self.time(self.waves(t)), condition.label
        if self.label is None and label is not None:
            raise InputError("this U-Net was built without classes, got labels: build it with num_classes > 0")
        if self.label is not None:
            label = torch.full_like(t, -1, dtype=torch.int64) if label is None else label
            one_hot = sqrt(self.num_classes) * torch.eye(self.num_classes, device=t.device)
            rows = functional.embedding(label + 1, functional.pad(one_hot, (0, 0, 1, 0)))
            embedding = preserving_sum(embedding, self.label(rows), 0.5)
        features = told_features(condition, self.attribute_features, t)
        if self.attributes is not None and features is not None:
            embedding = preserving_sum(embedding, self.attributes(features), 0.5)
        return functional.silu(embedding) * SILU_GAIN


class Levels(nn.Module):
    """The two halves of the U and what joins them: each block of the decoder also sees one of the encoder's."""

    def __init__(
        self, channels: Sequence[int], residual_blocks: int, block: Callable[..., Block], checkpointing: bool
    ) -> None:
        """Build the blocks by ``block(inputs, level, encoder=)``."""
        super().__init__()
        self.checkpointing = checkpointing
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        now, skipped = channels[0], []
        for level, wide in enumerate(channels):
            widths = [now, *[wide] * (residual_blocks - 1)]
            skipped += [now, *[wide] * residual_blocks]
            self.encoder.append(nn.ModuleList(block(width, level, encoder=True) for width in widths))
            now = wide
        self.middle = nn.ModuleList(block(now, len(channels) - 1, encoder=False) for _ in range(2))
        for level, wide in reversed(list(enumerate(channels))):
            blocks = nn.ModuleList()
            for _ in range(residual_blocks + 1):
                blocks.append(block(now + skipped.pop(), level, encoder=False))
                now = wide
            self.decoder.append(blocks)

    def forward(self, x: Tensor, embedding: Tensor, context: Tensor | None) -> Tensor:
        """Go down and up again: [B, channels[0], *S] to the same shape."""

        def through(block: nn.Module, x: Tensor) -> Tensor:
            if self.checkpointing and torch.is_grad_enabled():
                return checkpoint(block, x, embedding, context, use_reentrant=False)
            return block(x, embedding, context)

        skipped = []
        for level, blocks in enumerate(self.encoder):
            x = _halved(x) if level else x
            skipped.append(x)
            for block in blocks:  # pyright: ignore[reportGeneralTypeIssues]
                skipped.append(x := through(block, x))
        for block in self.middle:
            x = through(block, x)
        for depth, blocks in enumerate(self.decoder):
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest") if depth else x
            for block in blocks:  # pyright: ignore[reportGeneralTypeIssues]
                x = through(block, preserving_cat(x, skipped.pop()))
        return x


class EDM2UNet(nn.Module):
    """A U-Net of magnitude-preserving layers that is told a label, attributes, an image beside x_t, tokens, or nothing.

    Args:
        in_channels: channels of x_t.
        out_channels: channels of the output; twice ``in_channels`` for a learned variance.
        channels: feature channels per level, from fine to coarse.
        residual_blocks: blocks per level of the encoder; the decoder has one more.
        attention_levels: how many of the coarsest levels have self-attention; with one, the middle has it too.
        head_channels: channels per attention head.
        num_classes: number of labels; 0 for a network that is told none.
        patch_size: pixels per side folded into channels.
        condition_channels: channels of ``condition.image``; 0 for a network that is told none.
        context_channels: width of the tokens of ``condition.context``; 0 for a network that is told none.
        attribute_features: A * F of ``condition.attributes``; 0 for a network that is told none.
        dropout: probability of a feature to be dropped in training.
        checkpointing: keep in training what goes into each block alone, and compute the rest again for the gradient:
            less memory, a third more work.
        spatial_dims: 2 for images, 3 for volumes.

    Raises:
        InputError: where these numbers do not fit together.
    """

    LABELS = ("embedding.label.weight", 1, 0)
    """The weight that embeds the classes, its axis of classes and the first of them."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        channels: Sequence[int],
        residual_blocks: int = 2,
        attention_levels: int = 0,
        head_channels: int = 32,
        num_classes: int = 0,
        patch_size: int = 1,
        condition_channels: int = 0,
        context_channels: int = 0,
        attribute_features: int = 0,
        dropout: float = 0.0,
        checkpointing: bool = False,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        check_edm2_settings(channels, residual_blocks, attention_levels, head_channels, patch_size, spatial_dims)
        levels, width = len(channels), 4 * channels[0]
        self.condition_channels, self.context_channels = condition_channels, context_channels
        self.patch_size = patch_size
        self.size_multiple = patch_size * 2 ** (levels - 1)
        folded, dims = patch_size**spatial_dims, {"spatial_dims": spatial_dims}

        def block(inputs: int, level: int, *, encoder: bool) -> Block:
            heads = head_channels if level >= levels - attention_levels else 0
            return Block(
                inputs, channels[level], embedding=width, encoder=encoder, head_channels=heads,
                context_channels=context_channels, dropout=dropout, **dims,
            )  # fmt: skip

        self.embedding = Embedding(channels[0], width, num_classes, attribute_features)
        self.entry = Preserving((in_channels + condition_channels) * folded + 1, channels[0], size=3, **dims)
        self.levels = Levels(channels, residual_blocks, block, checkpointing)
        self.last = Preserving(channels[0], out_channels * folded, size=3, **dims)
        self.last_gain = nn.Parameter(torch.zeros(()))

    @torch.no_grad()
    def force(self) -> None:
        """Bring all stored weights back to unit length, as training does after each optimizer step."""
        for layer in self.modules():
            if isinstance(layer, Preserving):
                layer.force()

    def forward(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """Compute the network's output [B, out_channels, *S].

        Args:
            x_t: noisy image [B, in_channels, *S], any size.
            t: step of each sample [B], or what the prediction gives instead; integer or fractional.
            condition: what is told; ``label`` [B] in -1..num_classes-1 where -1 is not told.

        Raises:
            InputError: a condition that the network was not built for.
        """
        x, window = pad_to_multiple(self._with_image(x_t, condition), self.size_multiple)
        x = fold(x, self.patch_size)
        x = torch.cat((x, torch.ones_like(x[:, :1])), dim=1).contiguous(memory_format=_CHANNELS_LAST[x.ndim - 2])
        x = self.levels(self.entry(x), self.embedding(t, condition), condition.context)
        return unfold(self.last(x, self.last_gain), self.patch_size)[window]

    def _with_image(self, x_t: Tensor, condition: Condition) -> Tensor:
        """Put the channels of the condition image behind those of x_t [B, C, *S]."""
        for what, part, width, axis in (
            ("image", condition.image, self.condition_channels, 1),
            ("context", condition.context, self.context_channels, 2),
        ):
            given = 0 if part is None else part.shape[axis]
            if given != width:
                raise InputError(
                    f"this U-Net was built for a condition {what} of {width} channels, got {given}: give one of that "
                    f"many channels, or build it with {'condition' if axis == 1 else what}_channels={given}"
                )
        return x_t if condition.image is None else torch.cat((x_t, condition.image.to(x_t.dtype)), dim=1)


def _halved(x: Tensor) -> Tensor:
    """Average each two pixels along every axis: half the size."""
    return functional.avg_pool2d(x, 2) if x.ndim == 4 else functional.avg_pool3d(x, 2)


def check_edm2_settings(
    channels: Sequence[int],
    residual_blocks: int,
    attention_levels: int,
    head_channels: int,
    patch_size: int,
    spatial_dims: int,
) -> None:
    """Refuse numbers of which no network can be built.

    Raises:
        InputError: the setting, what was got and what is allowed.
    """
    check_layout(channels, residual_blocks, patch_size, spatial_dims)
    check_attention_levels(channels, attention_levels)
    uneven = [width for width in channels[len(channels) - attention_levels :] if width % head_channels]
    if uneven:
        raise InputError(
            f"network.head_channels={head_channels} must divide the channels of every level with attention; it does "
            f"not divide {uneven}"
        )
    if channels[0] % 2:
        raise InputError(f"network.channels: the finest level must have an even number, got {channels[0]}")
