"""Generate: the image is clean, the label is known (Ho et al. 2020; Dhariwal & Nichol 2021, class-conditional)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from meddiff.batches.batch import Batch
from meddiff.diffusion.condition import Condition
from meddiff.manifest.row import ManifestRow


@dataclass(frozen=True)
class GenerateTask:
    """Noises an image and is told its class, and what else describes it."""

    channels: int
    """Of the image, or of its code."""
    decoded: Callable[[Tensor], Tensor] | None = None
    """What makes images of codes, where codes are drawn (`batches.latents`)."""

    def usable(self, row: ManifestRow) -> str | None:
        """Say why an image cannot be learned from: it has no class."""
        return "it has no label" if row.label is None else None

    def clean(self, batch: Batch) -> Tensor:
        """Return the image [B, C, *S] in [-1, 1]."""
        return batch.image

    def condition(self, batch: Batch) -> Condition:
        """Return the class [B] of each image, -1 where it is not told, and what else describes it."""
        return Condition(label=batch.label, attributes=batch.attributes)

    def decode(self, x_0: Tensor) -> Tensor:
        """Return the image [B, C, *S] in [-1, 1], of a code where codes are drawn.

        The sampler may overshoot the data range by a little, files cannot.
        """
        return (x_0 if self.decoded is None else self.decoded(x_0)).clamp(-1, 1)
