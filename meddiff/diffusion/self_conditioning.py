"""Self-conditioning (Chen et al. 2023): a network that is shown its own last estimate of x_0.

The estimate stands beside the condition's image as further channels, zeros where there is none yet. Half of the
training samples see one; a sampler shows the estimate of the step before, at no further cost.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser


def beside(condition: Condition, x_0: Tensor) -> Condition:
    """Return the condition with an estimate of x_0 [B, C, *S] behind its image's channels."""
    image = x_0 if condition.image is None else torch.cat([condition.image, x_0], dim=1)
    return replace(condition, image=image)


@torch.no_grad()
def shown_in_training(denoiser: Denoiser, x_t: Tensor, t: Tensor, condition: Condition, show: Tensor) -> Condition:
    """Make the condition of a training step: a first estimate where ``show`` [B] bool (half the samples), else zeros.

    No gradient flows into the first estimate.
    """
    nothing = torch.zeros_like(x_t)
    first = denoiser(x_t, t, beside(condition, nothing))
    return beside(condition, torch.where(show.view(-1, *[1] * (x_t.ndim - 1)), first, nothing))


class SelfConditioned:
    """A ``Denoise`` that remembers its last estimate: one per run of a sampler."""

    def __init__(self, denoiser: Denoiser, condition: Condition) -> None:
        self._denoiser, self._condition = denoiser, condition
        self._last: Tensor | None = None

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Return the x_0 estimate, having seen the one before."""
        last = torch.zeros_like(x_t) if self._last is None else self._last
        x_0 = self._last = self._denoiser(x_t, t, beside(self._condition, last))
        return x_0
