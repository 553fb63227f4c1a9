"""A task says what is clean and what is known; everything else of a diffusion model is the same for all tasks."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from meddiff.batches.batch import Batch
from meddiff.diffusion.condition import Condition
from meddiff.manifest.row import ManifestRow


class Task(Protocol):
    """A use of diffusion: what is clean, and what is known."""

    @property
    def channels(self) -> int:
        """Channels C of x_0."""
        ...

    def usable(self, row: ManifestRow) -> str | None:
        """Say why an image cannot be learned from; None where it can."""
        ...

    def clean(self, batch: Batch) -> Tensor:
        """Return x_0 [B, C, *S] in [-1, 1]: what is noised in training and found by sampling."""
        ...

    def condition(self, batch: Batch) -> Condition:
        """Make what the denoiser is told."""
        ...

    def decode(self, x_0: Tensor) -> Tensor:
        """Make what is saved: an image, or probabilities."""
        ...
