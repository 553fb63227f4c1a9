"""The denoising U-Net: MONAI's `DiffusionModelUNet` behind the interface (x_t, t, condition) -> like x_t.

The architecture is that of Ho et al. 2020 and Dhariwal & Nichol 2021. What the adapter works around in MONAI:

- Sizes that are no multiple of 2^(levels - 1) fail in `torch.cat`: they are padded with zeros and cropped back.
- It counts steps 0..T-1; here t is 1..T, so t - 1 is passed on. Fractional t is welcome.
- It has no class for "not told": label -1 (or no label at all) selects a null class of its own, per sample.
- It has one number of groups for the norms of all levels: 32 of them are single channels where a level has 32, and what
  the embedding of t and of all that is told adds to a channel is then taken off again by its norm. Every norm gets the
  groups of `blocks.group_norm` instead, at least four channels each (as Karras et al. 2022); weights that were trained
  with the former groups are loaded with these.
- The middle block always has attention, whatever `attention_levels` says: ``head_channels`` must divide the coarsest
  width too, and the memory of one attention over the coarsest grid is always needed (mind it in 3D).
- Its flash attention applies attention dropout in eval() as well: dropout is left at 0 and not offered.
- A fresh network outputs exactly zero (its last layer is zero): perturb that layer before testing that input matters.
- It has no dropout and no gradient checkpointing; einops is needed at construction (a dependency of ours).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import gcd
from typing import Any, ClassVar

import torch
import torch.nn.functional as functional
from monai.networks.blocks.selfattention import SABlock
from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet
from torch import Tensor, nn

from meddiff.diffusion.condition import Condition
from meddiff.errors import InputError
from meddiff.networks.blocks import GROUP_CHANNELS, check_attention_levels, group_norm
from meddiff.networks.folding import fold, pad_to_multiple, unfold
from meddiff.networks.told_image import told_features


class SelfAttention(SABlock):
    """MONAI's self-attention, fused where fusing pays.

    `scaled_dot_product_attention` is the faster one in inference; its CPU backward is slower than the plain products
    (measured: a training step of the quick network takes 1.4 times as long with it).
    """

    def forward(self, x: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """Map tokens [B, L, C] to tokens [B, L, C]; fused on an accelerator and wherever no gradient is asked for."""
        if attn_mask is not None or (x.device.type == "cpu" and torch.is_grad_enabled()):
            return super().forward(x, attn_mask)
        query, key, value = (self.input_rearrange(part(x)) for part in (self.to_q, self.to_k, self.to_v))
        attended = functional.scaled_dot_product_attention(query, key, value, scale=self.scale)
        return self.out_proj(self.out_rearrange(attended))


class ToldEmbedding(nn.Embedding):
    """MONAI's embedding of the label, and beside it that of the attributes: their sum goes with the time's."""

    def __init__(self, labels: int, features: int, width: int) -> None:
        super().__init__(labels, width)
        self.attributes = nn.Linear(features, width, bias=False)
        nn.init.normal_(self.attributes.weight, std=features**-0.5)

    def forward(self, told: tuple[Tensor, Tensor]) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Embed label indices [B] and features [B, A * F] as [B, width]."""
        return super().forward(told[0]) + self.attributes(told[1])


class ConditionalUNet(nn.Module):
    """A U-Net that is told a label, attributes, an image beside x_t, all of them, or nothing.

    Args:
        in_channels: channels of x_t.
        out_channels: channels of the output; twice ``in_channels`` for a learned variance.
        channels: feature channels per level, from fine to coarse.
        residual_blocks: residual blocks per level.
        attention_levels: how many of the coarsest levels have self-attention (the middle block always has it).
        head_channels: channels per attention head.
        num_classes: number of labels; 0 for a network that is told none.
        patch_size: pixels per side folded into channels.
        condition_channels: channels of ``condition.image``; 0 for a network that is told none.
        attribute_features: A * F of ``condition.attributes``; 0 for a network that is told none.
        spatial_dims: 2 for images, 3 for volumes.

    Raises:
        InputError: where these numbers do not fit together.
    """

    OLDER: ClassVar[Mapping[str, Tensor]] = {"group_channels": torch.tensor(1)}
    """What weights that lack it were trained with: groups as small as one channel, as many in all levels."""
    LABELS = ("body.class_embedding.weight", 0, 1)
    """The weight that embeds the classes, its axis of classes and the first of them (0 is the null class)."""

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
        attribute_features: int = 0,
        patch_size: int = 1,
        condition_channels: int = 0,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        levels = len(channels)
        _check_settings(channels, attention_levels, head_channels, patch_size, spatial_dims)
        self.num_classes = num_classes
        self.attribute_features = attribute_features
        self.condition_channels = condition_channels
        self.patch_size = patch_size
        self.size_multiple = patch_size * 2 ** (levels - 1)
        folded = patch_size**spatial_dims
        self.body = DiffusionModelUNet(
            spatial_dims=spatial_dims,
            in_channels=(in_channels + condition_channels) * folded,
            out_channels=out_channels * folded,
            num_res_blocks=(residual_blocks,) * levels,
            channels=tuple(channels),
            attention_levels=tuple(level >= levels - attention_levels for level in range(levels)),
            norm_num_groups=gcd(32, *channels),  # any that fits: `_group` has the last word
            num_head_channels=head_channels,
            num_class_embeds=num_classes + 1 if num_classes or attribute_features else None,
        )
        if attribute_features:
            self.body.class_embedding = ToldEmbedding(num_classes + 1, attribute_features, 4 * channels[0])
        for block in self.body.modules():
            if type(block) is SABlock:
                block.__class__ = SelfAttention  # same weights, another forward
        self.register_buffer("group_channels", torch.tensor(GROUP_CHANNELS))
        self.register_load_state_dict_post_hook(lambda network, _: _group(network, channels))
        _group(self, channels)

    def forward(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """Return the network's output [B, out_channels, *S].

        Args:
            x_t: noisy image [B, in_channels, *S], any size.
            t: step of each sample [B], 1..T, integer or fractional.
            condition: what is told; ``label`` [B] in -1..num_classes-1 where -1 is not told.
        """
        x_t, window = pad_to_multiple(self._with_image(x_t, condition), self.size_multiple)
        output = self.body(
            fold(x_t, self.patch_size),
            timesteps=t.to(torch.float32) - 1,
            class_labels=self._told(condition, t),
        )
        return unfold(output, self.patch_size)[window]

    def _with_image(self, x_t: Tensor, condition: Condition) -> Tensor:
        """Return x_t [B, C, *S] with the channels of the condition image behind its own."""
        if condition.context is not None:
            raise InputError("this U-Net cannot be told context tokens: give a label or an image, or another network")
        told = 0 if condition.image is None else condition.image.shape[1]
        if told != self.condition_channels:
            raise InputError(
                f"this U-Net was built for a condition image of {self.condition_channels} channels, got {told}: "
                f"tell it an image of that many channels, or build it with condition_channels={told}"
            )
        return x_t if condition.image is None else torch.cat((x_t, condition.image.to(x_t.dtype)), dim=1)

    def _told(self, condition: Condition, t: Tensor) -> Any:
        """Return what the embedding of the label takes: the label's row, and the features of attributes if any."""
        index = self._class_index(condition, t)
        features = told_features(condition, self.attribute_features, t)
        return index if features is None else (index, features)

    def _class_index(self, condition: Condition, t: Tensor) -> Tensor | None:
        """Find the row of the class embedding [B]: 0 is the null class, and no label too large can be taken for it."""
        if self.num_classes == 0:
            if condition.label is not None:
                raise InputError("this U-Net was built without classes, got labels: build it with num_classes > 0")
            if not self.attribute_features:
                return None
        if condition.label is None:
            return torch.zeros(t.shape[0], dtype=torch.int64, device=t.device)
        return condition.label + 1


def _group(network: ConditionalUNet, channels: Sequence[int]) -> None:
    """Give every group norm the groups that its weights are trained with."""
    former = bool(network.group_channels == network.OLDER["group_channels"])
    for norm in network.body.modules():
        if isinstance(norm, nn.GroupNorm):
            norm.num_groups = gcd(32, *channels) if former else group_norm(norm.num_channels).num_groups


def _check_settings(
    channels: Sequence[int], attention_levels: int, head_channels: int, patch_size: int, spatial_dims: int
) -> None:
    """Refuse numbers that MONAI would accept and fail on later, or fail on with an obscure message."""
    if not channels or min(channels) < 1:
        raise InputError(f"network.channels must name at least one level of at least 1 channel, got {list(channels)}")
    check_attention_levels(channels, attention_levels)
    attended = channels[min(len(channels) - attention_levels, len(channels) - 1) :]
    uneven = [width for width in attended if width % head_channels]
    if uneven:
        raise InputError(
            f"network.head_channels={head_channels} must divide the channels of every level with attention and of the "
            f"coarsest level, whose middle block always has it; it does not divide {uneven}"
        )
    if patch_size < 1:
        raise InputError(f"network.patch_size must be at least 1, got {patch_size}")
    if spatial_dims not in (2, 3):
        raise InputError(f"spatial_dims must be 2 (images) or 3 (volumes), got {spatial_dims}")
