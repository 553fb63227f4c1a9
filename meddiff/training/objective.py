"""What is minimized: an objective draws what a step needs and gives the loss of its samples.

Of a denoiser it is Ho et al. 2020, algorithm 1. The times of a step are spread evenly over 1..T with one random shift
(Kingma et al. 2021, appendix I.1): each is still uniform, and the loss varies less from step to step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from meddiff.batches.images import Batch
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.loss import diffusion_loss
from meddiff.tasks.task import Task


class Objective(Protocol):
    """What the training loop minimizes."""

    @property
    def network(self) -> nn.Module:
        """What is trained, on the device and wrapped."""
        ...

    def draw(self, batch: Batch, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """All that is random in a step of ``count`` micro-batches like this one: tensors of count * B samples."""
        ...

    def loss(self, batch: Batch, draws: tuple[Tensor, ...]) -> Tensor:
        """The loss of the batch: one value, or one per sample [B]; ``draws`` are those of its samples."""
        ...


@dataclass(frozen=True)
class Denoising:
    """The loss of a denoiser on what its task calls clean, told what its task calls known."""

    denoiser: Denoiser
    task: Task
    condition_dropout: float = 0.0
    """Probability of each sample to be told nothing."""
    min_snr_gamma: float | None = None
    """Clamp of the min-SNR weight, None for L_simple."""

    @property
    def network(self) -> nn.Module:
        """The denoising network."""
        return self.denoiser.network

    def draw(self, batch: Batch, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """t, eps and who is told, for each sample."""
        x_0 = self.task.clean(batch)
        t, eps = draw_noise(x_0, count, self.denoiser.schedule.T, generator)
        keep = torch.rand(len(t), generator=generator, device=generator.device) >= self.condition_dropout
        return t, eps, keep

    def loss(self, batch: Batch, draws: tuple[Tensor, ...]) -> Tensor:
        """One value per sample [B]."""
        t, eps, keep = draws
        condition = self.task.condition(batch).dropped(keep)
        clean = self.task.clean(batch)
        return diffusion_loss(self.denoiser, clean, condition, t, eps, min_snr_gamma=self.min_snr_gamma)


def draw_noise(x_0: Tensor, count: int, T: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """t in 1..T [N] and eps [N, C, *S], for the N = count * B samples of a step."""
    total, device = count * len(x_0), generator.device
    shift = torch.rand((), generator=generator, device=device)
    spread = (torch.randperm(total, generator=generator, device=device) / total + shift) % 1
    t = (T * spread).long().clamp(max=T - 1) + 1
    return t, torch.randn((total, *x_0.shape[1:]), generator=generator, device=device)
