"""DDPM's ancestral sampler (Ho et al. 2020, algorithm 2), for any stride.

x_s ~ q(x_s | x_t, x_0 = estimate). With s = t - 1 this is the paper's; with fewer steps it is the posterior between
the times actually visited, not the one-step posterior repeated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import BoundDenoiser, Denoise
from meddiff.diffusion.process import posterior, transition
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.errors import InputError
from meddiff.samplers.step import Noise, Step, batch_times, require_noise, state


@torch.no_grad()
def ddpm(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x_T: Tensor,
    timesteps: Sequence[float],
    noise: Noise | None,
    *,
    variance: Literal["small", "large", "learned"] = "small",
) -> Iterator[Step]:
    """Yield the steps of ancestral sampling.

    ``variance`` is beta~ (small) or beta_ts (large; Ho et al. 2020, section 3.2), or learned.

    The true variance lies between: beta~ is exact when the data are one point, beta_ts when they are N(0, 1). A
    learned one is a bound denoiser's own, between the two in the logarithm (Nichol & Dhariwal 2021, eq. 15).
    """
    noise = require_noise(noise, "ddpm")
    times, x = batch_times(timesteps, x_T), state(x_T)
    for i, (from_x_t, from_x_0, small, large) in enumerate(ancestral_weights(schedule, timesteps)):
        fraction = None
        if variance == "learned":
            x_0, fraction = _with_variance(denoise, x, times[i])
        else:
            x_0 = denoise(x, times[i])
        x = torch.mul(x, from_x_t).add_(x_0, alpha=from_x_0)
        if timesteps[i + 1] > 0:  # the last step adds no noise
            if fraction is None:
                x.add_(noise(i + 1), alpha=math.sqrt(large if variance == "large" else small))
            else:
                x.addcmul_(noise(i + 1), torch.exp(0.5 * (fraction * math.log(large / small) + math.log(small))))
        yield Step(timesteps[i + 1], x, x_0)


def ancestral_weights(schedule: NoiseSchedule, timesteps: Sequence[float]) -> list[tuple[float, float, float, float]]:
    """Compute for each stride the weights of x_t and x_0 in the posterior mean, and the variances beta~ and beta_ts."""
    scales = list(pairwise(zip(*schedule.scales(timesteps), strict=True)))
    return [(*posterior(*at_t, *at_s), transition(*at_t, *at_s)[1]) for at_t, at_s in scales]


def _with_variance(denoise: Denoise, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    x_0, fraction = denoise.with_variance(x, t) if isinstance(denoise, BoundDenoiser) else (x, None)
    if fraction is None:
        raise InputError('variance="learned" needs a bound denoiser (unguided) whose network learned its variance')
    return x_0, fraction
