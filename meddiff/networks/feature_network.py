"""What a network that turns images into features is, so that one can take another's place."""

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
