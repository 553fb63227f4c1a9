"""Annealed Langevin dynamics (Song & Ermon 2019, algorithm 1): the sampler of NCSN.

At each noise level, from high to low, a number of steps along the score, with noise:

    x <- x + a/2 score + sqrt(a) z,      a = step sigma_t**2

so that the signal-to-noise ratio of a step is the same at every level (section 4.3). ``step`` is the paper's
epsilon / sigma_L**2. The last level is followed by the estimate of x_0 (Jolicoeur-Martineau et al. 2021). Made for
the exponential schedule, and runs on any.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoise
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.samplers.step import Noise, Step, batch_times, require_noise, state


@torch.no_grad()
def annealed_langevin(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x_T: Tensor,
    timesteps: Sequence[float],
    noise: Noise | None,
    *,
    steps_per_level: int = 10,
    step: float = 0.2,
) -> Iterator[Step]:
    """Yield Langevin steps at each of ``timesteps[:-1]``; a Step is yielded per level, at the level that follows.

    The variance at a level comes out too large by a factor of up to 1 / (1 - step/4), the price of finite steps.
    """
    noise = require_noise(noise, "annealed_langevin")
    times, x = batch_times(timesteps, x_T), state(x_T)
    alpha, sigma = schedule.scales(timesteps)
    draw = 0
    for i, s in enumerate(timesteps[1:]):
        for _ in range(steps_per_level):
            draw += 1
            x_0 = denoise(x, times[i])  # sigma**2 score = alpha x_0 - x
            x = torch.mul(x, 1 - step / 2).add_(x_0, alpha=step / 2 * alpha[i])
            x.add_(noise(draw), alpha=sigma[i] * math.sqrt(step))
        x_0 = denoise(x, times[i])
        if s == 0:
            x = x_0
        yield Step(s, x, x_0)
