"""Features of a network that has learned nothing: the same for everybody, without a file and without a network.

Naeem et al. 2020 ("Reliable fidelity and diversity metrics for generative models", section 4) embed images by a
randomly initialized VGG16 that ends in 64 numbers, called R64. A network trained on photographs of things sees medical
images through the differences between those things; random convolutions see color, texture and coarse form, whatever
the images show, and are the better choice the farther images are from ImageNet. Here too, blocks of 3 x 3 convolution,
ReLU and pooling as in Simonyan & Zisserman 2015 end in 64 numbers. Other than theirs, they are few and see a smaller
input; the weights are orthogonal (Saxe et al. 2014), which keeps apart in the next layer what one layer tells apart;
and the last layer takes the mean over all places of what each block made, so that an image and its mirror image are
near each other, as they are for a trained network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from meddiff.networks.features.network import FeatureNetwork

SIDE = 64
"""Pixels per side of the network's input."""
CHANNELS = (64, 128, 256, 512)
FEATURES = 64
SEED = 0


class UntrainedVGG(FeatureNetwork):
    """``features`` turns images of any size into 64 numbers each."""

    preprocessing = "64 x 64, bilinear, antialiased"
    of_file = False

    def __init__(self) -> None:
        super().__init__()
        with torch.device("meta"):  # so that nothing is drawn from the global generator
            self.blocks = nn.ModuleList(
                nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(2))
                for before, after in zip((3, *CHANNELS), CHANNELS, strict=False)
            )
            self.last = nn.Linear(sum(CHANNELS), FEATURES, bias=False)
        self.to_empty(device="cpu")
        generator = torch.Generator().manual_seed(SEED)
        for weight in self.parameters():
            nn.init.orthogonal_(
                weight, 1.0 if weight.ndim == 2 else nn.init.calculate_gain("relu"), generator=generator
            )

    def _of_rgb(self, image: Tensor) -> Tensor:
        value, means = functional.interpolate(image, (SIDE, SIDE), mode="bilinear", antialias=True), []
        for block in self.blocks:
            value = block(value)
            means.append(value.mean((2, 3)))
        return self.last(torch.cat(means, 1))
