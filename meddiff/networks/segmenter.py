"""Deterministic baselines: networks that map an image to class logits in one pass, from MONAI, at any size.

A diffusion segmenter is worth its cost where it beats these, or knows its own doubt better than they do.

- ``unet``: MONAI's `UNet` with two residual units per level, stride 2, instance norm (Kerfoot et al. 2018).
- ``dynunet``: MONAI's `DynUNet` as nnU-Net configures it (Isensee et al. 2021): plain blocks of two convolutions,
  stride 2, instance norm, leaky ReLU. Without deep supervision: it has one output, as every network here, and the
  planning of nnU-Net (patches, spacing, folds, ensembles) is not part of it.
- ``segresnet``: MONAI's `SegResNet` without its variational branch (Myronenko 2018), group norm.

Sizes that are no multiple of the coarsest stride are padded with zeros and cropped back. The coarsest grid always has
at least two positions along each axis: instance norm, and group norm of one channel, would turn a single one into zero
(PyTorch refuses that), and of two in all it would keep nothing but which is larger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from monai.networks.nets.dynunet import DynUNet
from monai.networks.nets.segresnet import SegResNet
from monai.networks.nets.unet import UNet
from torch import Tensor, nn

from meddiff.errors import InputError
from meddiff.networks.folding import pad_to_multiple

SEGRESNET_GROUPS = 8
"""Groups of SegResNet's group norm, MONAI's default."""


class Segmenter(nn.Module):
    """``segmenter(image) -> logits`` on the image's own grid."""

    def __init__(self, body: nn.Module, *, in_channels: int, spatial_dims: int, stride: int) -> None:
        super().__init__()
        self.body = body
        self.in_channels = in_channels
        self.spatial_dims = spatial_dims
        self.stride = stride

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [B, K, *S] of images [B, C, *S] in [-1, 1], any size."""
        if image.ndim != 2 + self.spatial_dims or image.shape[1] != self.in_channels:
            raise InputError(
                f"this segmenter takes images [B, {self.in_channels}, *S] with {self.spatial_dims} axes in S, "
                f"got {tuple(image.shape)}"
            )
        thin = any(side <= self.stride for side in image.shape[2:])
        padded, window = pad_to_multiple(image, self.stride * 2 if thin else self.stride)
        return self.body(padded)[window]


def build_segmenter(
    name: str, *, in_channels: int, num_classes: int, channels: Sequence[int], spatial_dims: int = 2
) -> Segmenter:
    """Build a deterministic segmentation network.

    Args:
        name: one of `SEGMENTERS`.
        in_channels: channels C of the image.
        num_classes: number of classes K.
        channels: feature channels per level, from fine to coarse; each level after the first halves the grid.
        spatial_dims: 2 for images, 3 for volumes.

    Raises:
        InputError: unknown name, or channels that the network cannot have.
    """
    if name not in SEGMENTERS:
        raise InputError(f"unknown segmenter {name!r}: use one of {', '.join(SEGMENTERS)}")
    if spatial_dims not in (2, 3):
        raise InputError(f"spatial_dims must be 2 (images) or 3 (volumes), got {spatial_dims}")
    if not channels or min(channels) < 1:
        raise InputError(f"network.channels must name at least one level of at least 1 channel, got {list(channels)}")
    body = SEGMENTERS[name](in_channels, num_classes, tuple(channels), spatial_dims)
    return Segmenter(body, in_channels=in_channels, spatial_dims=spatial_dims, stride=2 ** (len(channels) - 1))


def _unet(in_channels: int, num_classes: int, channels: tuple[int, ...], spatial_dims: int) -> nn.Module:
    _need_levels("unet", channels, 2)
    return UNet(
        spatial_dims=spatial_dims,
        in_channels=in_channels,
        out_channels=num_classes,
        channels=channels,
        strides=(2,) * (len(channels) - 1),
        num_res_units=2,
    )


def _dynunet(in_channels: int, num_classes: int, channels: tuple[int, ...], spatial_dims: int) -> nn.Module:
    _need_levels("dynunet", channels, 3)
    halvings = (2,) * (len(channels) - 1)
    network = DynUNet(
        spatial_dims=spatial_dims,
        in_channels=in_channels,
        out_channels=num_classes,
        kernel_size=(3,) * len(channels),
        strides=(1, *halvings),
        upsample_kernel_size=halvings,
        filters=channels,
    )
    # MONAI registers its blocks a second time, nested: each weight would have two names, and no checkpoint takes that
    nested = network.skip_layers
    del network.skip_layers
    object.__setattr__(network, "skip_layers", nested)
    return network


def _segresnet(in_channels: int, num_classes: int, channels: tuple[int, ...], spatial_dims: int) -> nn.Module:
    doubling = all(coarse == 2 * fine for fine, coarse in pairwise(channels))
    if not doubling or channels[0] % SEGRESNET_GROUPS:
        raise InputError(
            f"segresnet doubles its channels from level to level and starts from a multiple of {SEGRESNET_GROUPS}, "
            f"got network.channels={list(channels)}: use [8, 16, 32] or the like"
        )
    blocks_down = (1, 2, 2, 4)[: len(channels)] + (4,) * (len(channels) - 4)  # MONAI's default, Myronenko 2018
    return SegResNet(
        spatial_dims=spatial_dims,
        init_filters=channels[0],
        in_channels=in_channels,
        out_channels=num_classes,
        blocks_down=blocks_down,
        blocks_up=(1,) * (len(channels) - 1),
    )


def _need_levels(name: str, channels: tuple[int, ...], least: int) -> None:
    """Refuse fewer levels than MONAI can build the network of."""
    if len(channels) < least:
        raise InputError(f"{name} needs at least {least} levels, got network.channels={list(channels)}: add levels")


SEGMENTERS: dict[str, Callable[[int, int, tuple[int, ...], int], nn.Module]] = {
    "unet": _unet,
    "dynunet": _dynunet,
    "segresnet": _segresnet,
}
