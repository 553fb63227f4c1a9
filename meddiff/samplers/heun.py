"""Heun's method with churn (Karras et al. 2022, algorithm 2): second order, two network calls per step.

Along the probability flow x moves by dx = x_0 d(alpha) + eps d(sigma). A step first goes to s with the slope at t,
which is DDIM, then once more with the mean of the slopes at both ends:

    x_s = x_t + (alpha_s - alpha_t) (x_0 + x_0') / 2 + (sigma_s - sigma_t) (eps + eps') / 2

With alpha = 1 that is the paper's algorithm; in this form it also takes schedules whose alpha falls to 0. Churn adds
noise before each step, raising rho = sigma/alpha by a factor 1 + gamma, which corrects earlier errors (section 4).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoise
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.samplers.step import Noise, Step, batch_times, filled, require_noise, state


@torch.no_grad()
def heun(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x_T: Tensor,
    timesteps: Sequence[float],
    noise: Noise | None = None,
    *,
    churn: float = 0.0,
    churn_range: tuple[float, float] = (0.0, math.inf),
    noise_scale: float = 1.0,
) -> Iterator[Step]:
    """Yield Heun steps, best on ``karras`` spacing; the last, to sigma = 0, is Euler's.

    Args:
        denoise, schedule, x_T, timesteps, noise: as for every sampler; without churn no noise is needed.
        churn: S_churn, the total amount of fresh noise, spread over the steps; 40 to 80 in the paper.
        churn_range: S_tmin and S_tmax, the sigma/alpha between which noise is added.
        noise_scale: S_noise, a little over 1 against the loss of detail.
    """
    if churn:
        noise = require_noise(noise, "heun with churn")
    times, x = batch_times(timesteps, x_T), state(x_T)
    alpha, sigma = schedule.scales(timesteps)
    churned = _churned(schedule, timesteps, churn, churn_range)
    churned_times = filled(churned, x)
    churned_alpha, churned_sigma = schedule.scales(churned)

    for i in range(len(timesteps) - 1):
        alpha_t, sigma_t, alpha_s, sigma_s = churned_alpha[i], churned_sigma[i], alpha[i + 1], sigma[i + 1]
        if noise is not None and churned[i] > timesteps[i]:
            kept = alpha_t / alpha[i]
            fresh = noise_scale * math.sqrt(sigma_t**2 - (kept * sigma[i]) ** 2)
            x = torch.mul(x, kept).add_(noise(i + 1), alpha=fresh)
        x_0 = denoise(x, churned_times[i])
        eps = torch.sub(x, x_0, alpha=alpha_t).div_(sigma_t)
        euler = torch.mul(x_0, alpha_s).add_(eps, alpha=sigma_s)
        if sigma_s > 0:
            x_0_there = denoise(euler, times[i + 1])
            eps.add_(torch.sub(euler, x_0_there, alpha=alpha_s), alpha=1 / sigma_s)
            x = torch.add(x, x_0 + x_0_there, alpha=(alpha_s - alpha_t) / 2).add_(eps, alpha=(sigma_s - sigma_t) / 2)
        else:
            x = euler
        yield Step(timesteps[i + 1], x, x_0)


def _churned(
    schedule: NoiseSchedule, timesteps: Sequence[float], churn: float, churn_range: tuple[float, float]
) -> list[float]:
    """Find the times that each step begins at once noise is added, by the paper's gamma_i."""
    alpha, sigma = schedule.scales(timesteps)
    gamma = min(churn / (len(timesteps) - 1), math.sqrt(2) - 1)
    return [
        _raised(schedule, t, gamma if a and churn_range[0] <= s / a <= churn_range[1] else 0.0)
        for t, a, s in zip(timesteps[:-1], alpha, sigma, strict=False)
    ]


def _raised(schedule: NoiseSchedule, t: float, gamma: float) -> float:
    """Return the time at which sigma/alpha is 1 + gamma times that of t, T at most, as float32 holds it."""
    if gamma == 0:
        return t
    (alpha,), (sigma,) = schedule.scales([t])
    raised = schedule.time_at(torch.tensor(math.log(alpha / sigma / (1 + gamma)))).float().item()
    return max(raised, t)
