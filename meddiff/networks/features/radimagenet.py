"""Features of a ResNet50 that learned on radiological images (RadImageNet; Mei et al. 2022), from a local file.

What it is given, as in the distances that MONAI computes with it: 224 x 224 pixels (bilinear, antialiased) from 0 to 1
with the channels in the order blue, green, red, less ImageNet's mean. Features are the 2,048 means of its last layer.
"""

from __future__ import annotations

from pathlib import Path

from monai.networks.nets.resnet import resnet50
from torch import Tensor
from torch.nn import functional

from meddiff.networks.features.network import FeatureNetwork
from meddiff.networks.published import load_published, read_tensors

SIDE = 224
MEAN = (0.406, 0.456, 0.485)
"""Of blue, green and red."""
PARTS = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""The names' beginnings in files that numbered the layers."""


class RadImageNetFeatures(FeatureNetwork):
    """``features`` turns images of any size into 2,048 numbers each."""

    preprocessing = "224 x 224, bilinear, antialiased, BGR in [0, 1] less ImageNet's mean"

    def __init__(self, file: str | Path) -> None:
        super().__init__()
        self.body = resnet50(
            spatial_dims=2, n_input_channels=3, conv1_t_stride=2, feed_forward=False, bias_downsample=False
        )
        stored = {_plain(name): value for name, value in read_tensors(file, "RadImageNet's ResNet50").items()}
        load_published(self.body, stored, str(file), ignored=lambda name: name.startswith("fc."))

    def _of_rgb(self, image: Tensor) -> Tensor:
        image = functional.interpolate(image, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
        return self.body((image.flip(1) + 1) / 2 - image.new_tensor(MEAN).view(1, 3, 1, 1))


def _plain(name: str) -> str:
    """Return ``backbone.4.0.conv1.weight`` -> ``layer1.0.conv1.weight``."""
    name = name.removeprefix("backbone.").removeprefix("body.")
    first, dot, rest = name.partition(".")
    return f"{PARTS[first]}{dot}{rest}" if first in PARTS else name
