"""Batch: images as a network takes them, and what is known of them."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Images with what is known of them, as a task is handed them."""

    image: Tensor
    """[B, C, *S] float32 in [-1, 1]."""
    label: Tensor | None
    """[B] int64, position in the class names."""
    mask: Tensor | None
    """[B, 1, *S] int64 class indices, 0 is background, IGNORED is not judged."""
    index: Tensor
    """[B] int64, position of each image in its Images."""
    ignores: bool = False
    """Whether some pixel of the masks is not judged."""

    def to(self, device: torch.device | str) -> "Batch":
        """Return the same batch on another device."""
        label = None if self.label is None else self.label.to(device, non_blocking=True)
        mask = None if self.mask is None else self.mask.to(device, non_blocking=True)
        image, index = self.image.to(device, non_blocking=True), self.index.to(device, non_blocking=True)
        return Batch(image, label, mask, index, self.ignores)
