"""DPM-Solver++(2M) (Lu et al. 2022b, algorithm 2): second order at one network call per step.

With lambda = log(alpha/sigma) the probability-flow ODE has the exact solution

    x_s = sigma_s/sigma_t x_t + sigma_s  integral from lambda_t to lambda_s of  exp(lambda) x_0(lambda) d lambda.

Freezing x_0 gives DDIM; the 2M step extrapolates it with the previous estimate, h and h_last being the last two
strides in lambda:

    D = x_0 + h / (2 h_last) (x_0 - x_0_last),     x_s = sigma_s/sigma_t x_t + (alpha_s - alpha_t sigma_s/sigma_t) D.

The step to sigma = 0 has h infinite and is of first order, as is the first; neither costs the order of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoise
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.samplers.step import Noise, Step, batch_times, state


@torch.no_grad()
def dpm_solver(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x_T: Tensor,
    timesteps: Sequence[float],
    noise: Noise | None = None,
) -> Iterator[Step]:
    """Yield DPM-Solver++(2M) steps; ``noise`` is not used."""
    times, x = batch_times(timesteps, x_T), state(x_T)
    coefficients = _coefficients(*schedule.scales(timesteps))
    x_0_last = x
    for i, (from_x_t, from_x_0, from_last) in enumerate(coefficients):
        x_0 = denoise(x, times[i])
        x = torch.mul(x, from_x_t).add_(x_0, alpha=from_x_0)
        if from_last:
            x.add_(x_0_last, alpha=from_last)
        x_0_last = x_0
        yield Step(timesteps[i + 1], x, x_0)


def _coefficients(alpha: list[float], sigma: list[float]) -> list[tuple[float, float, float]]:
    """Return weights of x_t, x_0 and the previous x_0 for each step."""
    strides = [later - earlier for earlier, later in pairwise(half_log_snr(alpha, sigma))]
    coefficients = []
    for i, h in enumerate(strides):
        from_x_t = sigma[i + 1] / sigma[i]
        from_D = alpha[i + 1] - alpha[i] * from_x_t
        extrapolation = h / (2 * strides[i - 1]) if i > 0 and math.isfinite(h) else 0.0
        coefficients.append((from_x_t, from_D * (1 + extrapolation), -from_D * extrapolation))
    return coefficients


def half_log_snr(alpha: list[float], sigma: list[float]) -> list[float]:
    """Return lambda = log(alpha/sigma), infinite at the data and where no signal is left."""
    both = zip(alpha, sigma, strict=True)
    return [math.log(a) - math.log(s) if a and s else math.copysign(math.inf, a - s) for a, s in both]
