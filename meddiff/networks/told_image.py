"""The part of its condition that a network that segments takes: one image, and nothing else."""

from __future__ import annotations

from torch import Tensor

from meddiff.diffusion.condition import Condition
from meddiff.errors import InputError


def told_image(condition: Condition, channels: int) -> Tensor:
    """Return the condition's image [B, channels, *S].

    Raises:
        InputError: no image, one of other channels, or a label or tokens that the network cannot hear.
    """
    if condition.label is not None or condition.context is not None:
        raise InputError("a segmentation network is told an image alone: leave label and context None")
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
