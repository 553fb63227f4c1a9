"""The t of each training sample.

Uniform t is Ho et al. 2020's and needs no code here. These put the effort where it pays; where the loss is to keep its
meaning, a sample drawn with probability p(t) instead of 1/T counts 1 / (T p(t)).
"""

from __future__ import annotations

import torch
from torch import Tensor

from meddiff.diffusion.schedule import NoiseSchedule


def log_normal_times(
    schedule: NoiseSchedule, count: int, generator: torch.Generator, *, mean: float = -1.2, std: float = 1.2
) -> Tensor:
    """Return [count] float64 t whose log(sigma/alpha) is N(mean, std**2) (Karras et al. 2022, table 1), within 1..T."""
    log_ratio = mean + std * torch.randn(count, generator=generator, device=generator.device, dtype=torch.float64)
    return schedule.time_at(-log_ratio)


class LossAwareTimes:
    """t drawn in proportion to the root mean square of its last losses (Nichol & Dhariwal 2021, eq. 18).

    Until every t has ten losses, t is uniform. The history is part of a run's state: keep ``history`` and ``seen`` in
    the checkpoint.
    """

    def __init__(self, schedule: NoiseSchedule, *, remembered: int = 10, uniform: float = 0.001) -> None:
        """Remember ``remembered`` losses per t; ``uniform`` is the share of draws that ignore them."""
        self.history = torch.zeros(schedule.T, remembered, dtype=torch.float64)
        self.seen = torch.zeros(schedule.T, dtype=torch.int64)
        self.uniform = uniform

    def probabilities(self) -> Tensor:
        """Return [T] the probability of t = 1..T."""
        T, remembered = self.history.shape
        if bool((self.seen < remembered).any()):
            return torch.full((T,), 1 / T, dtype=torch.float64)
        size = self.history.square().mean(1).sqrt()
        return (1 - self.uniform) * size / size.sum() + self.uniform / T

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw ``(t [count] in 1..T, weight [count])``; weight times loss has the expectation of uniform t."""
        probability = self.probabilities()
        index = torch.multinomial(probability, count, replacement=True, generator=generator)
        return index + 1, 1 / (len(probability) * probability[index])

    def update(self, t: Tensor, loss: Tensor) -> None:
        """Take note of the unweighted losses [B] at t [B]; the oldest ones of each t are forgotten."""
        for index, value in zip((t - 1).tolist(), loss.detach().double().tolist(), strict=True):
            self.history[index, self.seen[index] % self.history.shape[1]] = value
            self.seen[index] += 1
