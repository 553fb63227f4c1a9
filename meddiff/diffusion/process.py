"""The forward process between any two times s < t, and its exact reversal given x_0.

    q(x_t | x_s)      = N(alpha_ts x_s, beta_ts)      alpha_ts = alpha_t / alpha_s
                                                      beta_ts  = sigma_t**2 - alpha_ts**2 sigma_s**2
    q(x_s | x_t, x_0) = N(mu, beta~)                  beta~    = beta_ts sigma_s**2 / sigma_t**2
              mu = alpha_ts sigma_s**2 / sigma_t**2 x_t + alpha_s beta_ts / sigma_t**2 x_0

(Kingma et al. 2021, appendix A). With s = t - 1 these are beta_t, mu~_t and beta~_t of Ho et al. 2020, eq. 2, 6
and 7. The functions take numbers or tensors: samplers call them with floats, losses with [B, 1, ..., 1].

In continuous time it is a stochastic differential equation (Song et al. 2021b):

    forward    dx = f x dt + g dw                                  q(x_t | x_0) = N(alpha_t x_0, sigma_t**2)
    reverse    dx = (f x - g**2 score) dt + g dw (time backward)   eq. 6
    flow       dx = (f x - g**2 score / 2) dt                      eq. 13, the same marginals without noise

    f = d log(alpha)/dt,    g**2 = d sigma**2/dt - 2 f sigma**2 = -2 sigma**2 d lambda/dt,    lambda = log(alpha/sigma)

(Kingma et al. 2021 for the second). Time is the index t = 0..T of the tables. In y = x/alpha and
rho = sigma/alpha the flow is simply dy/d(rho) = eps, for every schedule.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoise
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.errors import InputError

Scale = TypeVar("Scale", float, Tensor)


def transition(alpha_t: Scale, sigma_t: Scale, alpha_s: Scale, sigma_s: Scale) -> tuple[Scale, Scale]:
    """Return ``(alpha_ts, beta_ts)`` of q(x_t | x_s) = N(alpha_ts x_s, beta_ts)."""
    alpha_ts = alpha_t / alpha_s
    return alpha_ts, sigma_t**2 - alpha_ts**2 * sigma_s**2


def posterior(alpha_t: Scale, sigma_t: Scale, alpha_s: Scale, sigma_s: Scale) -> tuple[Scale, Scale, Scale]:
    """Return ``(weight of x_t, weight of x_0, variance beta~)`` of q(x_s | x_t, x_0)."""
    alpha_ts, beta_ts = transition(alpha_t, sigma_t, alpha_s, sigma_s)
    noise_kept = sigma_s**2 / sigma_t**2
    return alpha_ts * noise_kept, alpha_s * beta_ts / sigma_t**2, beta_ts * noise_kept


def drift_and_diffusion(schedule: NoiseSchedule, t: Tensor) -> tuple[Tensor, Tensor]:
    """Give ``(f, g**2)`` at t in (0, T], float64, like t: the slopes of the tables' interpolation, from the left at t.

    With r**2 = alpha**2 + sigma**2: d log(alpha) = d log(r) + sigma**2/r**2 d lambda, where log(r) and lambda are
    linear between grid points (``schedule.interpolate``).
    """
    if schedule.alpha[-1] == 0 and bool((t > schedule.T - 1).any()):
        raise InputError("the drift is infinite where alpha falls to 0: use another schedule, or ddim or ddpm")
    right = t.to(torch.float64).ceil().long().clamp(1, schedule.T)
    radius = (schedule.alpha**2 + schedule.sigma**2).sqrt().log().diff()[right - 1]
    half_log_snr = (schedule.alpha / schedule.sigma).log().diff()[right - 1]
    (alpha, sigma) = (torch.tensor(scale, dtype=torch.float64) for scale in schedule.scales(t.tolist()))
    angle = torch.atan2(schedule.sigma, schedule.alpha).diff()[right - 1]  # linear where lambda is infinite
    slope = torch.where(half_log_snr.isfinite(), half_log_snr, -angle * (alpha / sigma + sigma / alpha))
    return radius + sigma**2 / (alpha**2 + sigma**2) * slope, -2 * sigma**2 * slope


def score(denoise: Denoise, schedule: NoiseSchedule, x_t: Tensor, t: Tensor) -> Tensor:
    """Compute the gradient of log q(x_t) by Tweedie's formula from an x_0 estimate: (alpha x_0 - x_t) / sigma**2."""
    alpha, sigma = schedule.at(t, x_t)
    return (alpha * denoise(x_t, t) - x_t) / sigma**2
