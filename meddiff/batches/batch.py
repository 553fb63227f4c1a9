"""Batch: images as a network takes them, and what is known of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

TENSORS = ("image", "label", "mask", "index", "attributes")


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
    attributes: Tensor | None = None
    """[B, A, F] features of what describes each image beside its class (`image_attributes`), 0 where unknown."""

    def to(self, device: torch.device | str) -> Batch:
        """Return the same batch on another device."""
        return self.each(lambda part: part.to(device, non_blocking=True))

    def each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Return the batch with every tensor changed."""
        parts = {name: part for name in TENSORS if isinstance(part := getattr(self, name), Tensor)}
        return replace(self, **{name: change(part) for name, part in parts.items()})

    @property
    def tensors(self) -> list[Tensor]:
        """All that there are, in a fixed order."""
        return [part for name in TENSORS if (part := getattr(self, name)) is not None]
