"""Batch: images as a network takes them, and what is known of them."""

from __future__ import annotations

from collections.abc import Callable
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

    def to(self, device: torch.device | str) -> Batch:
        """Return the same batch on another device."""
        return self.each(lambda part: part.to(device, non_blocking=True))

    def each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Return the batch with every tensor changed."""
        label = None if self.label is None else change(self.label)
        mask = None if self.mask is None else change(self.mask)
        return Batch(change(self.image), label, mask, change(self.index), self.ignores)

    @property
    def tensors(self) -> list[Tensor]:
        """All that there are, in a fixed order."""
        return [part for part in (self.image, self.label, self.mask, self.index) if part is not None]
