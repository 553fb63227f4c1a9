"""Parts of a condition as networks take them: the image that one that segments is told, the features of attributes."""

from __future__ import annotations

import torch
from torch import Tensor

from meddiff.diffusion.condition import Condition
from meddiff.errors import InputError


def told_image(condition: Condition, channels: int) -> Tensor:
    """Return the condition's image [B, channels, *S].

    Raises:
        InputError: no image, one of other channels, or a label or tokens that the network cannot hear.
    """
    if any(part is not None for part in (condition.label, condition.context, condition.attributes)):
        raise InputError("a segmentation network is told an image alone: leave label, context and attributes None")
    if condition.image is None:
        raise InputError(f"a segmentation network must be told an image of {channels} channels, got none")
    if condition.image.shape[1] != channels:
        raise InputError(
            f"this network was built for an image of {channels} channels, got {condition.image.shape[1]}: "
            "tell it an image of that many channels, or build it with another condition_channels"
        )
    return condition.image


def check_same_grid(condition: Condition, x_t: Tensor) -> None:
    """Refuse an image, encoded or not, of another size or batch than x_t, which would broadcast or be padded alike.

    Raises:
        InputError: with both shapes.
    """
    image = condition.image
    if image is not None and (len(image) != len(x_t) or image.shape[2:] != x_t.shape[2:]):
        raise InputError(
            f"x_t is a batch of {len(x_t)} of size {tuple(x_t.shape[2:])}, the image one of {len(image)} of size "
            f"{tuple(image.shape[2:])}: give both the same size, and one image per sample (Condition.repeated)"
        )


def told_features(condition: Condition, count: int, t: Tensor) -> Tensor | None:
    """Return the features of all attributes [B, count], zeros where none are told; None for a network without.

    Raises:
        InputError: attributes that the network was not built for.
    """
    told = 0 if condition.attributes is None else condition.attributes[0].numel()
    if told and told != count:
        raise InputError(
            f"this network was built for attributes of {count} features, got {told}: tell it those that it was "
            f"trained with, or build it with attribute_features={told}"
        )
    if condition.attributes is not None:
        return condition.attributes.flatten(1)
    return torch.zeros(t.shape[0], count, device=t.device) if count else None
