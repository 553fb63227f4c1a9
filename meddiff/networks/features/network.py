"""Networks that turn images or volumes into features: what all are, so that one can take another's place.

Features of volumes by a network of pictures ("2.5D"): slices of three planes, averaged plane by plane.

As in the 2.5D Frechet distance of Guo et al. 2024 (MAISI) and before it Sun et al. 2022 (HA-GAN): a network that has
learned on pictures looks at sagittal, coronal and axial slices. Here the means over the slices of each plane are put
side by side, so that a volume is one line of features, and slices are no images of their own: those of one volume
would pass for as many patients.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from meddiff.errors import InputError


class FeatureNetwork(nn.Module, ABC):
    """``features`` turns images of any size into as many numbers each."""

    preprocessing = ""
    """The way it resizes and scales what it is given, in words: figures made otherwise cannot be compared."""
    of_file = True
    """Made from a file of weights; else of nothing, and the same for everybody."""

    @torch.no_grad()
    def features(self, image: Tensor) -> Tensor:
        """Map images [B, C, H, W] in [-1, 1], C = 3 (RGB) or 1 (repeated) -> [B, F] float32.

        Raises:
            InputError: another shape.
        """
        return self.embedded(image)

    def embedded(self, image: Tensor) -> Tensor:
        """Return the same as `features`, with the gradient of the image."""
        if image.ndim != 4 or image.shape[1] not in (1, 3):
            raise InputError(
                f"got images {tuple(image.shape)}: the features need [images, 1 or 3 channels, height, width]"
            )
        return self._of_rgb(image.float().expand(-1, 3, -1, -1))

    def forward(self, image: Tensor) -> Tensor:
        """Return the same as `features`."""
        return self.features(image)

    @abstractmethod
    def _of_rgb(self, image: Tensor) -> Tensor:
        """Map images [B, 3, H, W] float32 in [-1, 1] -> [B, F]."""


class VolumeNetwork(nn.Module, ABC):
    """``features`` turns volumes of any size into as many numbers each."""

    preprocessing = ""
    """How it resizes and scales what it is given, in words."""

    @torch.no_grad()
    def features(self, volume: Tensor) -> Tensor:
        """Map volumes [B, 1, D, H, W] in [-1, 1], axes to the patient's right, front and head -> [B, F] float32.

        Raises:
            InputError: another shape.
        """
        if volume.ndim != 5 or volume.shape[1] != 1:
            raise InputError(f"got volumes {tuple(volume.shape)}: the features need [volumes, 1, depth, height, width]")
        return self._of_volume(volume.float())

    def forward(self, volume: Tensor) -> Tensor:
        """Return the same as `features`."""
        return self.features(volume)

    @abstractmethod
    def _of_volume(self, volume: Tensor) -> Tensor:
        """Map volumes [B, 1, D, H, W] float32 in [-1, 1] -> [B, F]."""


SLICES = 16
"""Of each plane, in the middle of as many slabs of equal thickness."""


class PlaneFeatures(VolumeNetwork):
    """``features`` turns volumes into three times as many numbers as the network of pictures does."""

    def __init__(self, pictures: FeatureNetwork) -> None:
        super().__init__()
        self.pictures = pictures
        self.preprocessing = f"{SLICES} slices of each of three planes, their mean; {pictures.preprocessing}"

    def _of_volume(self, volume: Tensor) -> Tensor:
        planes = [torch.stack([self.pictures.features(slices).mean(0) for slices in upright_slices(volume, axis)])
                  for axis in range(3)]  # fmt: skip
        return torch.cat(planes, 1)


def upright_slices(volume: Tensor, axis: int) -> Tensor:
    """Cut slices of volumes [B, 1, D, H, W] across one of three axes, as they are looked at: [B, SLICES, 1, h, w].

    The second of the other axes leads up, the first to the left: the patient's right is on the left.
    """
    count = volume.shape[2 + axis]
    at = ((torch.arange(SLICES) + 0.5) * count / SLICES).long()
    across = volume.movedim(2 + axis, 1)[:, at.to(volume.device)]  # [B, SLICES, 1, a, b]
    return across.flip((3, 4)).transpose(3, 4)
