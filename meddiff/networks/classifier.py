"""Image classifiers: MONAI's DenseNet121, EfficientNet-B0 and ResNet18, split into features and a linear head.

The networks were designed for 224 pixels: their stems shrink the image 4 times (EfficientNet: 2) before the first
stage, which leaves 8 x 8 of a 32-pixel image. Here the stem shrinks by the largest of the network's own factors
(1, 2, 4) that still leaves the first stage 32 pixels per side, or not at all below 64 pixels: 32 px -> 1, 64 px -> 2,
128 px and more -> 4. A stem that shrinks less than it was made for is a 3 x 3 convolution as in He et al. 2016
(section 4.2, CIFAR-10), unless weights are loaded: then it has the size of their filters. Volumes go to the first
stage with half as many voxels per side: each side less saves a power of the cost.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from monai.networks.nets.densenet import DenseNet121
from monai.networks.nets.efficientnet import EfficientNetBN
from monai.networks.nets.resnet import resnet18
from torch import Tensor, nn

from meddiff.errors import InputError
from meddiff.networks.published import misfits

FIRST_STAGE_PIXELS = {2: 32, 3: 16}
"""By spatial dimensions: pixels or voxels per side that the first stage gets at least, where the image has them."""
SMALLEST_IMAGE = {"densenet121": 8, "efficientnet_b0": 16, "resnet18": 1}
"""Sides in pixels below which nothing is left for the last stage."""


class Classifier(nn.Module):
    """``body`` turns images into one feature vector each, ``head`` turns that into logits."""

    def __init__(self, body: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def features(self, image: Tensor) -> Tensor:
        """Return pooled features before the last layer [B, F] of images [B, C, *S] in [-1, 1].

        Channels last: with bf16 on a CPU a training step of DenseNet121 takes 0.7 times as long, one of ResNet18 0.8
        to 0.95, and inference 0.5 to 0.8 times as long (measured at 32 and 64 px).
        """
        layout = torch.channels_last if image.ndim == 4 else torch.channels_last_3d
        return self.body(image.contiguous(memory_format=layout))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [B, K] of images [B, C, *S] in [-1, 1]."""
        return self.head(self.features(image))


def build_classifier(
    name: str,
    *,
    in_channels: int,
    num_classes: int,
    image_size: int,
    width: float = 1.0,
    weights: str | Path = "",
    spatial_dims: int = 2,
) -> Classifier:
    """Build a classifier of images or volumes.

    Args:
        name: densenet121, efficientnet_b0 or resnet18.
        in_channels: channels of the image.
        num_classes: number of classes K.
        image_size: shortest side of the images in pixels; decides how much the stem shrinks (module docstring).
        width: multiple of the usual channels, resnet18 only.
        weights: safetensors file of pretrained weights under MONAI's names (for resnet18 they are torchvision's too),
            or of a `Classifier`; a head of another shape is left out, anything else that does not fit is an error.
        spatial_dims: 2 for images, 3 for volumes.

    Raises:
        InputError: unknown name, width where the network has none, or weights that do not fit.
    """
    if name not in _BUILDERS:
        raise InputError(f"unknown classifier {name!r}: use one of {', '.join(_BUILDERS)}")
    if width != 1.0 and name != "resnet18":
        raise InputError(f"classifier.width={width:g} is only for resnet18; {name} has one width: set it to 1")
    if image_size < SMALLEST_IMAGE[name]:
        asked = "data.image_size=" if spatial_dims == 2 else "volume.patch_size with a side of "
        raise InputError(f"{name} needs images of at least {SMALLEST_IMAGE[name]} pixels, got {asked}{image_size}")
    build, stem_name, head_name = _BUILDERS[name]
    stride = _stem_stride(image_size, spatial_dims)
    stored = read_weights(Path(weights), head_name) if weights else {}
    kernel = stored[stem_name].shape[-1] if stem_name in stored else 7 if stride == 4 else 3
    network = build(spatial_dims, in_channels, num_classes, stride, kernel, width)
    if stored:
        load_pretrained(network, stored, head_name, str(weights))
    parent, _, leaf = head_name.rpartition(".")
    head = network.get_submodule(head_name)
    assert isinstance(head, nn.Linear)
    setattr(network.get_submodule(parent), leaf, nn.Identity())
    return Classifier(network, head)


def read_weights(path: Path, head_name: str) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file under MONAI's names.

    Raises:
        InputError: no such file, or no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise InputError(f"no weights file {path}: give an existing .safetensors file, or none to start from scratch")
    try:
        stored = load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path} is no safetensors file ({error}): convert it, pickles are not read") from error
    ours = any(key.startswith("body.") for key in stored)
    return {_plain_name(key, head_name): tensor for key, tensor in stored.items()} if ours else stored


def load_pretrained(network: nn.Module, stored: dict[str, Tensor], head_name: str, where: str) -> None:
    """Load ``stored`` into ``network``, leaving out a head that is absent or of another shape.

    Raises:
        InputError: tensors that are missing, unknown or of another shape; ``where`` says whose they are.
    """
    expected = network.state_dict()
    head = {key for key in expected if key.startswith(f"{head_name}.")}
    if any(key not in stored or stored[key].shape != expected[key].shape for key in head):
        stored = stored | {key: expected[key] for key in head}
    batches = {key: tensor for key, tensor in expected.items() if key.endswith("num_batches_tracked")}
    stored = batches | stored  # a count that nothing depends on, which some files leave out
    problems = misfits(network, stored)
    if problems:
        raise InputError(f"{where} does not fit this classifier: {problems}")
    network.load_state_dict(stored)


def _plain_name(key: str, head_name: str) -> str:
    """Return the network's own name of a `Classifier` tensor."""
    part, _, rest = key.partition(".")
    return rest if part == "body" else f"{head_name}.{rest}"


def _stem_stride(image_size: int, spatial_dims: int) -> int:
    """Choose how many times the stem shrinks the image: 1, 2 or 4 (module docstring)."""
    enough = FIRST_STAGE_PIXELS[spatial_dims]
    return max(stride for stride in (1, 2, 4) if stride == 1 or image_size // stride >= enough)


def _resnet18(dims: int, in_channels: int, num_classes: int, stride: int, kernel: int, width: float) -> nn.Module:
    return resnet18(
        spatial_dims=dims,
        n_input_channels=in_channels,
        num_classes=num_classes,
        widen_factor=width,
        conv1_t_size=kernel,
        conv1_t_stride=min(stride, 2),
        no_max_pool=stride < 4,
        bias_downsample=False,  # a bias before batch norm does nothing, and torchvision's weights have none
    )


def _densenet121(dims: int, in_channels: int, num_classes: int, stride: int, kernel: int, width: float) -> nn.Module:
    network = DenseNet121(spatial_dims=dims, in_channels=in_channels, out_channels=num_classes)
    conv = (nn.Conv2d, nn.Conv3d)[dims - 2](
        in_channels, 64, kernel, stride=min(stride, 2), padding=kernel // 2, bias=False
    )
    nn.init.kaiming_normal_(conv.weight)  # as MONAI initializes the convolution that this one replaces
    network.features.conv0 = conv
    if stride < 4:
        network.features.pool0 = nn.Identity()
    return network


def _efficientnet_b0(
    dims: int, in_channels: int, num_classes: int, stride: int, kernel: int, width: float
) -> nn.Module:
    network = EfficientNetBN(
        "efficientnet-b0", pretrained=False, spatial_dims=dims, in_channels=in_channels, num_classes=num_classes
    )
    if stride == 1:
        network._conv_stem.stride = (1,) * dims
        network._conv_stem_padding = (nn.ConstantPad2d, nn.ConstantPad3d)[dims - 2](1, 0.0)
    return network


_BUILDERS: dict[str, tuple[Callable[[int, int, int, int, int, float], nn.Module], str, str]] = {
    "densenet121": (_densenet121, "features.conv0.weight", "class_layers.out"),
    "efficientnet_b0": (_efficientnet_b0, "_conv_stem.weight", "_fc"),
    "resnet18": (_resnet18, "conv1.weight", "fc"),
}
CLASSIFIERS = tuple(_BUILDERS)
