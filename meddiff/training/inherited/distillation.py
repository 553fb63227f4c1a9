"""A student that draws in a few calls what its teacher draws in many (Salimans & Ho 2022, algorithm 2).

The student walks along the few times of its own grid. From a noisy image at one of them the teacher, guided as it
draws, takes several DDIM steps (Song et al. 2021a, eq. 12 with eta = 0) down to the next; the student learns the
estimate x of the image with which a single DDIM step arrives there:

    x_s = alpha_s x + sigma_s (x_t - alpha_t x) / sigma_t    =>    x = (x_s - r x_t) / (alpha_s - r alpha_t)

with r = sigma_s / sigma_t. The teacher stays as it is: where Salimans & Ho halve the steps again and again, with the
student of one round as the teacher of the next, all its steps between two times of the grid are taken here at once.
What the guidance does is learned with it (Meng et al. 2023), so that the student is asked once per step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from meddiff.batches.batch import Batch
from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoise, Denoiser
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.tasks.task import Task


@dataclass(frozen=True)
class Distilling:
    """The squared error of a student's estimate from that which takes it where its teacher arrives."""

    denoiser: Denoiser
    task: Task
    teach: Callable[[Condition], Denoise]
    """What is told -> the teacher's denoiser, guided as it draws."""
    times: Sequence[float]
    """The student's own times, falling from T (or near it) to 0."""
    strides: int
    """Steps that the teacher takes for one of the student."""
    condition_dropout: float = 0.0
    """Probability of each sample to be told nothing."""
    attribute_dropout: float = 0.0
    """Probability of the label and of each attribute to be left untold on its own, where there are attributes."""
    draws_inside = False
    history = None

    @property
    def network(self) -> nn.Module:
        """The student's network."""
        return self.denoiser.network

    def draw(self, batch: Batch, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw the step of the grid, eps, and who is told, for each sample."""
        x_0, device = self.task.clean(batch), generator.device
        total, steps = count * len(x_0), len(self.times) - 1
        shift = torch.rand((), generator=generator, device=device)
        spread = (torch.randperm(total, generator=generator, device=device) / total + shift) % 1
        step = (steps * spread).long().clamp(max=steps - 1)
        eps = torch.randn((total, *x_0.shape[1:]), generator=generator, device=device)
        draws = [step, eps, torch.rand(total, generator=generator, device=device) >= self.condition_dropout]
        if batch.attributes is not None:
            parts = total, 1 + batch.attributes.shape[1]
            draws.append(torch.rand(parts, generator=generator, device=device) >= self.attribute_dropout)
        return tuple(draws)

    def loss(self, batch: Batch, draws: tuple[Tensor, ...]) -> Tensor:
        """Return one value per sample [B], weighed by max(SNR, 1) (Salimans & Ho 2022, section 4)."""
        step, eps, keep, *others = draws
        condition = self.task.condition(batch).dropped(keep, *others)
        x_0, schedule = self.task.clean(batch), self.denoiser.schedule
        grid = torch.cat([torch.full((1,), t, dtype=torch.float64, device=step.device) for t in self.times])
        t, s = grid[step], grid[step + 1]
        alpha, sigma = schedule.at(t, x_0)
        x_t = alpha * x_0 + sigma * eps
        with torch.no_grad():
            target = arriving(self.teach(condition), schedule, x_t, t, s, self.strides)
        snr = (alpha / sigma).square().clamp(min=1)
        return (snr * (self.denoiser(x_t, t, condition) - target).square()).flatten(1).mean(1)


def arriving(denoise: Denoise, schedule: NoiseSchedule, x_t: Tensor, t: Tensor, s: Tensor, strides: int) -> Tensor:
    """Compute the estimate of x_0 with which one DDIM step arrives where several of a denoiser do.

    Args:
        denoise: the teacher, told what it is told.
        schedule: of both.
        x_t: [B, C, *S] at the times t.
        t, s: [B] float64, where each sample is and where it goes, s < t.
        strides: steps that the denoiser takes, evenly from t to s.

    Returns:
        [B, C, *S]; of one stride the denoiser's own estimate.
    """
    x, shares = x_t, torch.arange(strides + 1, dtype=torch.float64).div(strides).tolist()
    times = [torch.lerp(t, s, share) for share in shares[:-1]] + [s]
    for now, then in pairwise(times):
        kept, from_x_0 = ddim_step(schedule, now, then, x)
        x = kept * x + from_x_0 * denoise(x, now)
    kept, from_x_0 = ddim_step(schedule, t, s, x_t)
    return (x - kept * x_t) / from_x_0


def ddim_step(schedule: NoiseSchedule, t: Tensor, s: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the factors [B, 1, ..., 1] of x_t and of x_0 in x_s, for the times t and s [B]."""
    (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule.at(t, like), schedule.at(s, like)
    kept = sigma_s / sigma_t
    return kept, alpha_s - kept * alpha_t
