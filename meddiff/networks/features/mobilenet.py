"""Features of a MobileNetV2 that learned on ImageNet (Sandler et al. 2018), from a local file: works without network.

The file is an .npz: ``convNN.weight`` (OIHW), ``convNN.bias`` and ``graph_json``, which lists the operations with their
inputs, stride, groups, padding and the range that the output is clamped to (those of the 8-bit TensorFlow model that
the weights came from). Here the list is run as it stands, up to the pooled features before the last layer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from meddiff.errors import InputError
from meddiff.networks.features.network import FeatureNetwork

SIDE = 224
"""Pixels per side of the network's input."""


class MobileNetFeatures(FeatureNetwork):
    """``features`` turns images of any size into 1280 numbers each."""

    preprocessing = "224 x 224, bilinear, antialiased"

    def __init__(self, file: str | Path) -> None:
        super().__init__()
        arrays = _read(Path(file))
        operations: list[dict[str, Any]] = json.loads(str(arrays.pop("graph_json")))["ops"]
        pooled = [position for position, entry in enumerate(operations) if entry["op"] == "AVERAGE_POOL_2D"]
        self.operations = operations[: pooled[-1] + 1]
        for name, array in arrays.items():
            self.register_buffer(name.replace(".", "_"), torch.from_numpy(array))

    def _of_rgb(self, image: Tensor) -> Tensor:
        image = functional.interpolate(image, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
        values = {self.operations[0]["inputs"][0]: ((image + 1) * 127.5 - 128) / 128}
        for entry in self.operations:
            values[entry["output"]] = self._run(entry, [values[number] for number in entry["inputs"]])
        return values[self.operations[-1]["output"]].flatten(1)

    def _run(self, entry: dict[str, Any], inputs: list[Tensor]) -> Tensor:
        match entry["op"]:
            case "CONV_2D" | "DEPTHWISE_CONV_2D":
                weight, bias = self.get_buffer(f"{entry['key']}_weight"), self.get_buffer(f"{entry['key']}_bias")
                padded = _same(inputs[0], weight.shape[-1], entry["stride"])
                output = functional.conv2d(padded, weight, bias, stride=entry["stride"], groups=entry["groups"])
            case "ADD":
                output = inputs[0] + inputs[1]
            case "AVERAGE_POOL_2D":
                output = inputs[0].mean((2, 3), keepdim=True)
            case other:
                raise InputError(
                    f"the weights file asks for the operation {other}: this is not the MobileNetV2 we can run"
                )
        return output.clamp(*entry["clip"])


def _same(image: Tensor, kernel: int, stride: int) -> Tensor:
    """TensorFlow's SAME padding: an odd row or column goes to the bottom or right."""
    missing = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in image.shape[:1:-1]]  # width first
    return functional.pad(image, [edge for total in missing for edge in (total // 2, total - total // 2)])


def _read(file: Path) -> dict[str, np.ndarray]:
    if not file.is_file():
        raise InputError(
            f"no weights of MobileNetV2 at {file}: give the .npz file, or use the features of the classifier"
        )
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (ValueError, OSError) as error:
        raise InputError(f"{file} is not an .npz file of arrays: {error}") from error
    if "graph_json" not in arrays or "conv00.weight" not in arrays:
        raise InputError(f"{file} has no graph_json and conv00.weight: it is not the MobileNetV2 file that we can read")
    return arrays
