"""Data whose exact denoiser E[x_0 | x_t] is a formula, and the exact moments of what a sampler makes of it.

For Gaussian data the denoiser is linear, so a sampler's output is a linear function of x_T and of its noise draws.
Its mean and variance then follow from its response to one unit of each (``output_moments``), in float64, with no
Monte Carlo error: a test can ask for 1e-9.
"""

import math

import torch
from torch import Tensor


def gaussian(schedule, mean: float, std: float):
    """Exact denoiser of data N(mean, std**2), element by element."""

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = schedule.at(t, x_t)
        return mean + alpha * std**2 / (alpha**2 * std**2 + sigma**2) * (x_t - alpha * mean)

    return denoise


def mixture(schedule, means: list[float], std: float, weights: list[float]):
    """Exact denoiser of the mixture of N(m_k, std**2), element by element."""

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = schedule.at(t, x_t)
        variance = alpha**2 * std**2 + sigma**2
        log_odds = torch.stack(
            [math.log(w) - (x_t - alpha * m) ** 2 / (2 * variance) for m, w in zip(means, weights, strict=True)]
        )
        estimates = torch.stack([m + alpha * std**2 / variance * (x_t - alpha * m) for m in means])
        return (log_odds.softmax(0) * estimates).sum(0)

    return denoise


def moments_at(schedule, t: float, mean: float, std: float) -> tuple[float, float]:
    """Mean and std of x_t for data N(mean, std**2)."""
    (alpha,), (sigma,) = schedule.scales([t])
    return alpha * mean, math.sqrt(alpha**2 * std**2 + sigma**2)


def output_moments(sampler, schedule, timesteps, mean, std, *, draws: int | None = None) -> tuple[float, float]:
    """Mean and std of a sampler's output for Gaussian data, started from the exact law of x at timesteps[0]."""
    draws = len(timesteps) if draws is None else draws
    start_mean, start_std = moments_at(schedule, timesteps[0], mean, std)
    x_T = torch.full((2 + draws, 1), start_mean, dtype=torch.float64)
    x_T[1] += start_std

    def unit_noise(k: int) -> Tensor:
        assert 1 <= k <= draws, f"draw {k} of {draws}"
        impulse = torch.zeros_like(x_T)
        impulse[1 + k] = 1
        return impulse

    *_, last = sampler(gaussian(schedule, mean, std), schedule, x_T, timesteps, unit_noise)
    response = last.x[:, 0] - last.x[0, 0]
    return last.x[0, 0].item(), response.norm().item()


def flow(schedule, t: float, s: float, x_t: Tensor, mean: float, std: float) -> Tensor:
    """Where the probability-flow ODE takes x_t by time s: it keeps the number of standard deviations."""
    (mean_t, std_t), (mean_s, std_s) = moments_at(schedule, t, mean, std), moments_at(schedule, s, mean, std)
    return mean_s + std_s / std_t * (x_t - mean_t)
