"""The Inception v3 that the Frechet Inception distance is made with (Heusel et al. 2017), from a local weights file.

Its weights are those of the TensorFlow graph of 2015 as converted for PyTorch by pytorch-fid and torch-fidelity
(``pt_inception-2015-12-05-6726825d.pth``; the last eight digits begin its SHA-256). That network differs from the
published Inception v3 (Szegedy et al. 2016, table 1): its average pools leave the padding out of the count, the pool of
the last block takes maxima, it has 1,008 outputs and no auxiliary head.

What it is given, as in torch-fidelity: pixels of 8 bits, brought to 299 x 299 by TensorFlow 1's bilinear resize (output
pixel i is read at i * side / 299, corners not aligned, no antialiasing), then (value - 128) / 128. Features are the
2,048 means before the last layer.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from meddiff.networks.features.network import FeatureNetwork
from meddiff.networks.published import load_published, read_tensors

SIDE = 299
DIMENSION = 2048
Layer = tuple[str, int, int | tuple[int, int], int, int | tuple[int, int]]
"""Name, channels out, kernel, stride, padding."""


class Convolution(nn.Module):
    """Convolution without bias, batch normalization, ReLU."""

    def __init__(self, channels: int, out: int, kernel: int | tuple[int, int], stride: int, padding: int | tuple):
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] -> [B, out, H', W']."""
        return functional.relu(self.bn(self.conv(x)), inplace=True)


class Block(nn.Module):
    """Chains of convolutions side by side, joined along the channels.

    Each chain is a list of layers; a tuple of several layers is a fork, whose outputs are joined. ``pool`` is average
    or max (both keep the size, and ``branch_pool`` comes after it), or reduce (the maximum at stride 2, as it is).
    """

    def __init__(self, channels: int, chains: list[list[Layer | tuple[Layer, ...]]], pool: str, pooled: int = 0):
        super().__init__()
        self.pool = pool
        self.names: list[list[tuple[str, ...]]] = []
        for chain in chains:
            width, names = channels, []
            for step in chain:
                fork: tuple[Layer, ...] = step if isinstance(step[0], tuple) else (step,)  # type: ignore[assignment]
                for name, *sizes in fork:
                    self.add_module(name, Convolution(width, *sizes))  # type: ignore[arg-type]
                names.append(tuple(layer[0] for layer in fork))
                width = fork[-1][1]
            self.names.append(names)
        if pooled:
            self.branch_pool = Convolution(channels, pooled, 1, 1, 0)

    def forward(self, x: Tensor) -> Tensor:
        """Return the chains in their order, then the pool."""
        outputs = []
        for chain in self.names:
            value = x
            for fork in chain:
                value = torch.cat([self.get_submodule(name)(value) for name in fork], 1)
            outputs.append(value)
        return torch.cat([*outputs, self._pooled(x)], 1)

    def _pooled(self, x: Tensor) -> Tensor:
        if self.pool == "reduce":
            return functional.max_pool2d(x, 3, 2)
        if self.pool == "max":
            return self.branch_pool(functional.max_pool2d(x, 3, 1, 1))
        return self.branch_pool(functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False))


def _plain(channels: int, pooled: int) -> Block:
    """Return 35 x 35."""
    return Block(
        channels,
        [
            [("branch1x1", 64, 1, 1, 0)],
            [("branch5x5_1", 48, 1, 1, 0), ("branch5x5_2", 64, 5, 1, 2)],
            [("branch3x3dbl_1", 64, 1, 1, 0), ("branch3x3dbl_2", 96, 3, 1, 1), ("branch3x3dbl_3", 96, 3, 1, 1)],
        ],
        "average",
        pooled,
    )


def _long(channels: int, inner: int) -> Block:
    """Return 17 x 17: rows and columns in turn."""
    row, column = ((1, 7), 1, (0, 3)), ((7, 1), 1, (3, 0))
    return Block(
        channels,
        [
            [("branch1x1", 192, 1, 1, 0)],
            [("branch7x7_1", inner, 1, 1, 0), ("branch7x7_2", inner, *row), ("branch7x7_3", 192, *column)],
            [("branch7x7dbl_1", inner, 1, 1, 0), ("branch7x7dbl_2", inner, *column), ("branch7x7dbl_3", inner, *row),
             ("branch7x7dbl_4", inner, *column), ("branch7x7dbl_5", 192, *row)],
        ],
        "average",
        192,
    )  # fmt: skip


def _wide(channels: int, pool: str) -> Block:
    """Return 8 x 8: rows and columns side by side."""
    row, column = (384, (1, 3), 1, (0, 1)), (384, (3, 1), 1, (1, 0))
    return Block(
        channels,
        [
            [("branch1x1", 320, 1, 1, 0)],
            [("branch3x3_1", 384, 1, 1, 0), (("branch3x3_2a", *row), ("branch3x3_2b", *column))],
            [("branch3x3dbl_1", 448, 1, 1, 0), ("branch3x3dbl_2", 384, 3, 1, 1),
             (("branch3x3dbl_3a", *row), ("branch3x3dbl_3b", *column))],
        ],
        pool,
        192,
    )  # fmt: skip


def _reducing_first(channels: int) -> Block:
    """Return 35 -> 17."""
    return Block(
        channels,
        [
            [("branch3x3", 384, 3, 2, 0)],
            [("branch3x3dbl_1", 64, 1, 1, 0), ("branch3x3dbl_2", 96, 3, 1, 1), ("branch3x3dbl_3", 96, 3, 2, 0)],
        ],
        "reduce",
    )


def _reducing_second(channels: int) -> Block:
    """Return 17 -> 8."""
    return Block(
        channels,
        [
            [("branch3x3_1", 192, 1, 1, 0), ("branch3x3_2", 320, 3, 2, 0)],
            [("branch7x7x3_1", 192, 1, 1, 0), ("branch7x7x3_2", 192, (1, 7), 1, (0, 3)),
             ("branch7x7x3_3", 192, (7, 1), 1, (3, 0)), ("branch7x7x3_4", 192, 3, 2, 0)],
        ],
        "reduce",
    )  # fmt: skip


class InceptionFeatures(FeatureNetwork):
    """``features`` turns images of any size into 2,048 numbers each."""

    preprocessing = "8 bits, 299 x 299, TensorFlow 1 bilinear, not antialiased"

    def __init__(self, file: str | Path) -> None:
        super().__init__()
        with torch.device("meta"):  # drawing 22 million random weights only to replace them takes longer than reading
            self.body = _body()
        self.body.to_empty(device="cpu")
        load_published(self.body, read_tensors(file, "Inception v3"), str(file),
                       ignored=lambda name: name.startswith(("fc.", "AuxLogits.")))  # fmt: skip

    def _of_rgb(self, image: Tensor) -> Tensor:
        pixels = ((image + 1) * 127.5).round_().clamp_(0, 255)
        return self.body((resized(pixels, SIDE) - 128) / 128).mean((2, 3))


def resized(image: Tensor, side: int) -> Tensor:
    """Return the bilinear as TensorFlow 1 does it: [B, C, H, W] -> [B, C, side, side]."""
    for axis in (2, 3):
        count = image.shape[axis]
        at = torch.arange(side, device=image.device, dtype=torch.float32) * (count / side)
        low = at.floor().long().clamp(max=count - 1)
        high = (low + 1).clamp(max=count - 1)
        shape = [1] * image.ndim
        shape[axis] = side
        part = (at - low).view(shape).to(image.dtype)
        first, second = image.index_select(axis, low), image.index_select(axis, high)
        image = first + (second - first) * part
    return image


def _body() -> nn.Sequential:
    """Return the layers under the names of the published file, pools without one of their own."""
    body = nn.Sequential()
    layers: list[tuple[str, nn.Module]] = [
        ("Conv2d_1a_3x3", Convolution(3, 32, 3, 2, 0)),
        ("Conv2d_2a_3x3", Convolution(32, 32, 3, 1, 0)),
        ("Conv2d_2b_3x3", Convolution(32, 64, 3, 1, 1)),
        ("pool_1", nn.MaxPool2d(3, 2)),
        ("Conv2d_3b_1x1", Convolution(64, 80, 1, 1, 0)),
        ("Conv2d_4a_3x3", Convolution(80, 192, 3, 1, 0)),
        ("pool_2", nn.MaxPool2d(3, 2)),
        ("Mixed_5b", _plain(192, 32)),
        ("Mixed_5c", _plain(256, 64)),
        ("Mixed_5d", _plain(288, 64)),
        ("Mixed_6a", _reducing_first(288)),
        ("Mixed_6b", _long(768, 128)),
        ("Mixed_6c", _long(768, 160)),
        ("Mixed_6d", _long(768, 160)),
        ("Mixed_6e", _long(768, 192)),
        ("Mixed_7a", _reducing_second(768)),
        ("Mixed_7b", _wide(1280, "average")),
        ("Mixed_7c", _wide(2048, "max")),
    ]
    for name, layer in layers:
        body.add_module(name, layer)
    return body
