"""Euler and Maruyama's method for the reverse SDE (Song et al. 2021b, eq. 6).

    x_s = x_t - (f x_t - g**2 score) (t - s) + g sqrt(t - s) z

The plainest stochastic sampler, and the one that needs the most steps: hundreds, on a schedule whose beta stays small
(linear). The last step returns the estimate of x_0 (Jolicoeur-Martineau et al. 2021).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoise
from meddiff.diffusion.process import drift_and_diffusion
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.samplers.step import Noise, Step, batch_times, require_noise, state


@torch.no_grad()
def euler_maruyama(
    denoise: Denoise, schedule: NoiseSchedule, x_T: Tensor, timesteps: Sequence[float], noise: Noise | None
) -> Iterator[Step]:
    """Yield Euler-Maruyama steps."""
    noise = require_noise(noise, "euler_maruyama")
    times, x = batch_times(timesteps, x_T), state(x_T)
    alpha, sigma = schedule.scales(timesteps)
    drift, diffusion = (
        part.tolist() for part in drift_and_diffusion(schedule, torch.tensor(timesteps[:-1], dtype=torch.float64))
    )
    for i, s in enumerate(timesteps[1:]):
        x_0 = denoise(x, times[i])
        if s > 0:
            stride = timesteps[i] - s
            pull = diffusion[i] * stride / sigma[i] ** 2  # g**2 (t - s) score = pull (alpha x_0 - x)
            x = torch.mul(x, 1 - drift[i] * stride - pull).add_(x_0, alpha=pull * alpha[i])
            x.add_(noise(i + 1), alpha=math.sqrt(diffusion[i] * stride))
        else:
            x = x_0
        yield Step(s, x, x_0)
