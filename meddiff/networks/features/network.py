"""What networks that turn images or volumes into features are, so that one can take another's place."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from meddiff.errors import InputError


class FeatureNetwork(nn.Module, ABC):
    """``features`` turns images of any size into as many numbers each."""

    preprocessing = ""
    """How it resizes and scales what it is given, in words: figures made otherwise cannot be compared."""

    @torch.no_grad()
    def features(self, image: Tensor) -> Tensor:
        """Images [B, C, H, W] in [-1, 1], C = 3 (RGB) or 1 (repeated) -> [B, F] float32.

        Raises:
            InputError: another shape.
        """
        if image.ndim != 4 or image.shape[1] not in (1, 3):
            raise InputError(
                f"got images {tuple(image.shape)}: the features need [images, 1 or 3 channels, height, width]"
            )
        return self._of_rgb(image.float().expand(-1, 3, -1, -1))

    def forward(self, image: Tensor) -> Tensor:
        """The same as `features`."""
        return self.features(image)

    @abstractmethod
    def _of_rgb(self, image: Tensor) -> Tensor:
        """Images [B, 3, H, W] float32 in [-1, 1] -> [B, F]."""


class VolumeNetwork(nn.Module, ABC):
    """``features`` turns volumes of any size into as many numbers each."""

    preprocessing = ""
    """How it resizes and scales what it is given, in words."""

    @torch.no_grad()
    def features(self, volume: Tensor) -> Tensor:
        """Volumes [B, 1, D, H, W] in [-1, 1], axes to the patient's right, front and head -> [B, F] float32.

        Raises:
            InputError: another shape.
        """
        if volume.ndim != 5 or volume.shape[1] != 1:
            raise InputError(f"got volumes {tuple(volume.shape)}: the features need [volumes, 1, depth, height, width]")
        return self._of_volume(volume.float())

    def forward(self, volume: Tensor) -> Tensor:
        """The same as `features`."""
        return self.features(volume)

    @abstractmethod
    def _of_volume(self, volume: Tensor) -> Tensor:
        """Volumes [B, 1, D, H, W] float32 in [-1, 1] -> [B, F]."""
