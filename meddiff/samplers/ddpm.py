"""DDPM's ancestral sampler (Ho et al. 2020, algorithm 2), for any stride.

x_s ~ q(x_s | x_t, x_0 = estimate). With s = t - 1 this is the paper's; with fewer steps it is the posterior between
the times actually visited, not the one-step posterior repeated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoise
from meddiff.diffusion.process import posterior, transition
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.samplers.step import Noise, Step, batch_times, require_noise, state


@torch.no_grad()
def ddpm(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x_T: Tensor,
    timesteps: Sequence[float],
    noise: Noise | None,
    *,
    variance: Literal["small", "large"] = "small",
) -> Iterator[Step]:
    """Ancestral sampling; ``variance`` is beta~ (small) or beta_ts (large; Ho et al. 2020, section 3.2).

    The true variance lies between: beta~ is exact when the data are one point, beta_ts when they are N(0, 1).
    """
    noise = require_noise(noise, "ddpm")
    times, x = batch_times(timesteps, x_T), state(x_T)
    alpha, sigma = schedule.scales(timesteps)
    coefficients = []
    for i in range(len(timesteps) - 1):
        scales = alpha[i], sigma[i], alpha[i + 1], sigma[i + 1]
        from_x_t, from_x_0, beta = posterior(*scales)
        if variance == "large" and timesteps[i + 1] > 0:  # the last step adds no noise
            beta = transition(*scales)[1]
        coefficients.append((from_x_t, from_x_0, math.sqrt(beta)))

    for i, (from_x_t, from_x_0, deviation) in enumerate(coefficients):
        x_0 = denoise(x, times[i])
        x = torch.mul(x, from_x_t).add_(x_0, alpha=from_x_0)
        if deviation > 0:
            x.add_(noise(i + 1), alpha=deviation)
        yield Step(timesteps[i + 1], x, x_0)
