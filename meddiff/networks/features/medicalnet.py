"""Features of MedicalNet (Chen, Ma & Zheng 2019, "Med3D: transfer learning for 3D medical image analysis"): a 3D ResNet
that learned to segment 23 data sets of CT and MRI, from a local file of the published weights.

The file says which size it is (resnet_10 to resnet_200; blocks and the kind of shortcut are read off its tensors). As
its authors use it: values less the mean of the body over its standard deviation; the last two stages keep the size and
are dilated by 2 and 4. Features are the means of the last layer, 512 numbers, or 2,048 from ResNet50 on.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from monai.networks.nets.resnet import ResNet, resnet10, resnet18, resnet34, resnet50, resnet101, resnet152, resnet200
from torch import Tensor, nn

from meddiff.errors import InputError
from meddiff.networks.features.network import VolumeNetwork
from meddiff.networks.published import load_published, read_tensors

SIZES = {
    ((1, 1, 1, 1), False): resnet10,
    ((2, 2, 2, 2), False): resnet18,
    ((3, 4, 6, 3), False): resnet34,
    ((3, 4, 6, 3), True): resnet50,
    ((3, 4, 23, 3), True): resnet101,
    ((3, 8, 36, 3), True): resnet152,
    ((3, 24, 36, 3), True): resnet200,
}
"""Blocks of the four stages, and whether they have a bottleneck."""
DILATIONS = {"layer3": 2, "layer4": 4}


class MedicalNetFeatures(VolumeNetwork):
    """``features`` turns volumes of any size into 512 or 2,048 numbers each."""

    preprocessing = "z-score of the body"

    def __init__(self, file: str | Path) -> None:
        super().__init__()
        stored = read_tensors(file, "MedicalNet")
        self.body = _network(stored, file)
        load_published(self.body, stored, str(file), ignored=lambda name: name.startswith(("fc.", "conv_seg.")))

    def _of_volume(self, volume: Tensor) -> Tensor:
        return self.body(torch.stack([_standardized(one) for one in volume]))


def _standardized(volume: Tensor) -> Tensor:
    """Subtract the mean of what is not background, over its standard deviation; background stays below all of it."""
    body = volume[volume > volume.min()]
    if len(body) < 2:  # one value everywhere
        return torch.zeros_like(volume)
    return (volume - body.mean()) / body.std().clamp(min=1e-6)


def _network(stored: Mapping[str, Tensor], file: str | Path) -> ResNet:
    """Return the ResNet that the tensors belong to, untrained."""
    blocks = [{name.split(".")[1] for name in stored if name.startswith(f"layer{stage}.")} for stage in (1, 2, 3, 4)]
    size = tuple(map(len, blocks)), "layer1.0.conv3.weight" in stored
    if size not in SIZES:
        raise InputError(
            f"{file} has stages of {', '.join(map(str, size[0]))} blocks: give weights of MedicalNet, such as "
            "resnet_18_23dataset.pth"
        )
    projected = "layer2.0.downsample.0.weight" in stored
    network = SIZES[size](  # pyright: ignore[reportArgumentType]
        spatial_dims=3, n_input_channels=1, conv1_t_stride=2, feed_forward=False,
        shortcut_type="B" if projected else "A", bias_downsample="layer2.0.downsample.0.bias" in stored,
    )  # fmt: skip
    for stage, dilation in DILATIONS.items():
        _dilate(network.get_submodule(stage), dilation)
    return network


def _dilate(stage: nn.Module, dilation: int) -> None:
    """Make a stage keep the size: stride 1, and windows of 3 spread out."""
    for layer in stage.modules():
        if isinstance(layer, nn.Conv3d):
            layer.stride = (1, 1, 1)
            if layer.kernel_size == (3, 3, 3):
                layer.dilation = layer.padding = (dilation,) * 3
        shortcut = getattr(layer, "downsample", None)
        if isinstance(shortcut, partial):  # without weights: it halves the size by itself
            shortcut.keywords["stride"] = 1
