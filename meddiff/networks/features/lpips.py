"""LPIPS (Zhang et al. 2018, "The unreasonable effectiveness of deep features as a perceptual metric"): AlexNet's trunk
and the published weights of its channels, version 0.1, from two local files.

Eq. 1 of the paper, ``d(x, y) = sum_l mean_hw sum_c w_lc (f_lc(x) - f_lc(y))^2`` with features f of unit length along
the channels, is the squared Euclidean distance of two vectors: ``sqrt(w_lc / (H_l W_l)) f_lc`` of all layers, channels
and places. So an image is embedded once, and no pair goes through the network.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from meddiff.errors import InputError
from meddiff.networks.features.network import FeatureNetwork
from meddiff.networks.published import load_published, read_tensors

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""ImageNet's mean and deviation for images in [-1, 1], as the authors round them."""
CHANNELS = (64, 192, 384, 256, 256)
TAPPED = (1, 4, 7, 9, 11)
"""Layers of the trunk after which features are read: its five ReLUs."""
LEAST_SIDE = 31
"""Below it AlexNet's second pool has nothing left."""


class LpipsEmbedding(FeatureNetwork):
    """``features`` turns images of one size into vectors whose squared distances are LPIPS."""

    preprocessing = "LPIPS v0.1, AlexNet"

    def __init__(self, trunk: str | Path, heads: str | Path) -> None:
        super().__init__()
        self.layers = _trunk()
        stored = read_tensors(trunk, "AlexNet")
        renamed = {name.removeprefix("features."): tensor for name, tensor in stored.items()}
        load_published(self.layers, renamed, str(trunk), ignored=lambda name: name.startswith("classifier."))
        self.heads = nn.ParameterList(_heads(heads))

    def _of_rgb(self, image: Tensor) -> Tensor:
        if min(image.shape[2:]) < LEAST_SIDE:
            raise InputError(f"got images {tuple(image.shape)}: LPIPS needs sides of at least {LEAST_SIDE} pixels")
        shift, scale = (image.new_tensor(values).view(1, 3, 1, 1) for values in (SHIFT, SCALE))
        value, parts = (image - shift) / scale, []
        for number, layer in enumerate(self.layers):
            value = layer(value)
            if number in TAPPED:
                unit = value / (value.square().sum(1, keepdim=True).clamp(min=1e-20).sqrt() + 1e-10)
                weight = self.heads[TAPPED.index(number)] / (value.shape[2] * value.shape[3])
                parts.append((unit * weight.sqrt().view(1, -1, 1, 1)).flatten(1))
        return torch.cat(parts, 1)


def _trunk() -> nn.Sequential:
    """Return the convolutions of AlexNet (Krizhevsky 2014) under the numbers of the published file."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    )  # fmt: skip


def _heads(file: str | Path) -> list[nn.Parameter]:
    """Return the weight of each channel of each layer."""
    stored = read_tensors(file, "the heads of LPIPS")
    names = [f"lin{number}.model.1.weight" for number in range(len(CHANNELS))]
    shapes = {name: (1, channels, 1, 1) for name, channels in zip(names, CHANNELS, strict=True)}
    if {name: tuple(tensor.shape) for name, tensor in stored.items()} != shapes:
        raise InputError(
            f"{file} holds {', '.join(list(stored)[:3])} ...: give alex.pth of LPIPS v0.1, with {names[0]} to "
            f"{names[-1]} of {', '.join(map(str, CHANNELS))} channels"
        )
    if any(bool((tensor < 0).any()) for tensor in stored.values()):
        raise InputError(f"{file} holds negative weights: those of LPIPS are none. Give alex.pth as published")
    return [nn.Parameter(stored[name].float().flatten(), requires_grad=False) for name in names]
