"""The forward process between any two times s < t, and its exact reversal given x_0.

    q(x_t | x_s)      = N(alpha_ts x_s, beta_ts)      alpha_ts = alpha_t / alpha_s
                                                      beta_ts  = sigma_t**2 - alpha_ts**2 sigma_s**2
    q(x_s | x_t, x_0) = N(mu, beta~)                  beta~    = beta_ts sigma_s**2 / sigma_t**2
              mu = alpha_ts sigma_s**2 / sigma_t**2 x_t + alpha_s beta_ts / sigma_t**2 x_0

(Kingma et al. 2021, appendix A). With s = t - 1 these are beta_t, mu~_t and beta~_t of Ho et al. 2020, eq. 2, 6
and 7. The functions take numbers or tensors: samplers call them with floats, losses with [B, 1, ..., 1].
"""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor

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
