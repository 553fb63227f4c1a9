"""DDIM (Song et al. 2021a, eq. 12 and 16): from deterministic (eta = 0) to DDPM's ancestral sampler (eta = 1).

    x_s = alpha_s x_0 + sqrt(sigma_s**2 - d**2) eps + d z
    eps = (x_t - alpha_t x_0) / sigma_t,    d = eta sqrt(beta~)

beta~ is the posterior variance between the two times visited. With eta = 0 this is the exponential Euler step of the
probability-flow ODE: first order, and exact where the x_0 estimate does not change.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoise
from meddiff.diffusion.process import posterior
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.samplers.step import Noise, Step, batch_times, require_noise, state


@torch.no_grad()
def ddim(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x_T: Tensor,
    timesteps: Sequence[float],
    noise: Noise | None = None,
    *,
    eta: float = 0.0,
) -> Iterator[Step]:
    """Yield DDIM steps; ``eta`` scales the fresh noise, 0 needs none."""
    if eta:
        noise = require_noise(noise, "ddim with eta > 0")
    times, x = batch_times(timesteps, x_T), state(x_T)
    alpha, sigma = schedule.scales(timesteps)
    coefficients = []
    for i in range(len(timesteps) - 1):
        deviation = eta * math.sqrt(posterior(alpha[i], sigma[i], alpha[i + 1], sigma[i + 1])[2])
        kept = max(sigma[i + 1] ** 2 - deviation**2, 0.0)  # never negative but for rounding, where alpha[T] = 0
        from_x_t = math.sqrt(kept) / sigma[i]
        coefficients.append((from_x_t, alpha[i + 1] - from_x_t * alpha[i], deviation))

    for i, (from_x_t, from_x_0, deviation) in enumerate(coefficients):
        x_0 = denoise(x, times[i])
        x = torch.mul(x, from_x_t).add_(x_0, alpha=from_x_0)
        if noise is not None and deviation > 0:
            x.add_(noise(i + 1), alpha=deviation)
        yield Step(timesteps[i + 1], x, x_0)
