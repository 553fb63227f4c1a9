"""Generate: the image is clean, the label is known (Ho et al. 2020; Dhariwal & Nichol 2021, class-conditional)."""

from __future__ import annotations

from torch import Tensor

from meddiff.batches.batch import Batch
from meddiff.diffusion.condition import Condition


class GenerateTask:
    """Noises an image and is told its class."""

    def clean(self, batch: Batch) -> Tensor:
        """The image [B, C, *S] in [-1, 1]."""
        return batch.image

    def condition(self, batch: Batch) -> Condition:
        """The class [B] of each image; -1 where it is not told."""
        return Condition(label=batch.label)

    def decode(self, x_0: Tensor) -> Tensor:
        """The image [B, C, *S] in [-1, 1]; the sampler may overshoot the data range by a little, files cannot."""
        return x_0.clamp(-1, 1)
