"""Generate a pair: image and mask are clean together, the label is known.

The mask lies behind the channels of the image as the binary digits of its classes (Chen et al. 2023, analog bits), one
channel for two classes. What nobody judged is background here: a drawn mask has no unknown pixel.
"""

from __future__ import annotations

import torch
from torch import Tensor

from meddiff.batches.batch import Batch
from meddiff.diffusion.condition import Condition
from meddiff.manifest.row import ManifestRow
from meddiff.tasks.generate import GenerateTask
from meddiff.tasks.segment import SegmentTask


class PairTask:
    """Noises an image and its mask, and is told its class, and what else describes it."""

    def __init__(self, channels: int, num_classes: int) -> None:
        """Hold the task to images of so many channels and masks of so many classes, background included.

        Raises:
            InputError: fewer than 2 classes.
        """
        self.image, self.mask = GenerateTask(channels), SegmentTask(num_classes, encoding="bits")

    @property
    def channels(self) -> int:
        """Channels of the image and of the mask."""
        return self.image.channels + self.mask.channels

    def usable(self, row: ManifestRow) -> str | None:
        """Say why a pair cannot be learned from: it has no class, or no mask."""
        return self.image.usable(row) or self.mask.usable(row)

    def clean(self, batch: Batch) -> Tensor:
        """Return image and mask [B, C, *S] in [-1, 1].

        Raises:
            InputError: a batch without masks.
        """
        return torch.cat([self.image.clean(batch), self.mask.clean(batch)], dim=1)

    def condition(self, batch: Batch) -> Condition:
        """Return what an image is told without its mask."""
        return self.image.condition(batch)

    def decode(self, x_0: Tensor) -> Tensor:
        """Return both in [-1, 1], one behind the other; see `parts`."""
        return x_0.clamp(-1, 1)

    def parts(self, decoded: Tensor) -> tuple[Tensor, Tensor]:
        """Return images [B, C, *S] and the class indices [B, *S] of their masks."""
        image, mask = decoded[:, : self.image.channels], decoded[:, self.image.channels :]
        return image, self.mask.decode(mask).argmax(dim=1)
