"""Data whose denoiser is a formula: what a perfectly trained network would say. For learning, and for testing samplers.

For data sum_k w_k N(m_k, s**2 1) the noisy x_t is a mixture too, of N(alpha m_k, v) with v = alpha**2 s**2 + sigma**2:

    E[x_0 | x_t] = sum_k p_k (m_k + alpha s**2 / v (x_t - alpha m_k)),    p_k ~ w_k exp(-|x_t - alpha m_k|**2 / 2v)
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from meddiff.diffusion.denoiser import Denoise
from meddiff.diffusion.schedule import NoiseSchedule


def gaussian_mixture(schedule: NoiseSchedule, means: Tensor, std: float, weights: Tensor | None = None) -> Denoise:
    """Build the exact denoiser of a mixture of round Gaussians: ``means`` [K, *S], ``weights`` [K], samples [B, *S]."""

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = schedule.at(t, x_t.unsqueeze(1))  # [B, 1, 1, ...]
        variance = alpha**2 * std**2 + sigma**2
        offset = x_t.unsqueeze(1) - alpha * means  # [B, K, *S]
        log_p = _log_shares(offset, variance, weights)
        p = log_p.exp().view(*log_p.shape, *[1] * (x_t.ndim - 1))
        return (p * (means + alpha * std**2 / variance * offset)).sum(1)

    return denoise


def log_membership(
    schedule: NoiseSchedule, means: Tensor, std: float, members: Tensor
) -> Callable[[Tensor, Tensor], Tensor]:
    """Build the exact classifier of the same mixture: (x_t, t) -> [B], log p(x_0 is of a part in ``members`` | x_t)."""

    def log_probability(x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = schedule.at(t, x_t.unsqueeze(1))
        offset = x_t.unsqueeze(1) - alpha * means
        return _log_shares(offset, alpha**2 * std**2 + sigma**2)[:, members].logsumexp(1)

    return log_probability


def _log_shares(offset: Tensor, variance: Tensor, weights: Tensor | None = None) -> Tensor:
    """Compute log p(part k | x_t) [B, K] from x_t - alpha m_k [B, K, *S]."""
    squares = (offset**2 / (2 * variance)).flatten(2).sum(2)
    return ((0.0 if weights is None else weights.log()) - squares).log_softmax(1)
