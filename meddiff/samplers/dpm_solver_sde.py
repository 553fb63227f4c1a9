"""SDE-DPM-Solver++(2M) (Lu et al. 2022b): the reverse SDE with DPM-Solver's extrapolated x_0.

    x_s = sigma_s/sigma_t exp(-h) x_t + alpha_s (1 - exp(-2h)) D + sigma_s sqrt(1 - exp(-2h)) z
    D   = x_0 + h / (2 h_last) (x_0 - x_0_last)

in lambda = log(alpha/sigma), with h and h_last the last two strides. With D = x_0 it is the ancestral step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoise
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.samplers.dpm_solver import half_log_snr
from meddiff.samplers.step import Noise, Step, batch_times, require_noise, state


@torch.no_grad()
def dpm_solver_sde(
    denoise: Denoise, schedule: NoiseSchedule, x_T: Tensor, timesteps: Sequence[float], noise: Noise | None
) -> Iterator[Step]:
    """Yield SDE-DPM-Solver++(2M) steps."""
    noise = require_noise(noise, "dpm_solver_sde")
    times, x = batch_times(timesteps, x_T), state(x_T)
    alpha, sigma = schedule.scales(timesteps)
    lambdas = half_log_snr(alpha, sigma)
    x_0_last = x
    for i in range(len(timesteps) - 1):
        h = lambdas[i + 1] - lambdas[i]
        shrink, fresh = math.exp(-h), -math.expm1(-2 * h)
        extrapolation = h / (2 * (lambdas[i] - lambdas[i - 1])) if i > 0 and math.isfinite(h) else 0.0
        x_0 = denoise(x, times[i])
        x = torch.mul(x, sigma[i + 1] / sigma[i] * shrink)
        x.add_(x_0, alpha=alpha[i + 1] * fresh * (1 + extrapolation))
        if extrapolation:
            x.add_(x_0_last, alpha=-alpha[i + 1] * fresh * extrapolation)
        if sigma[i + 1] > 0:
            x.add_(noise(i + 1), alpha=sigma[i + 1] * math.sqrt(fresh))
        x_0_last = x_0
        yield Step(timesteps[i + 1], x, x_0)
