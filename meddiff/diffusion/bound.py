"""The variational bound on -log p(x_0), term by term (Sohl-Dickstein et al. 2015; Ho et al. 2020, eq. 5).

    L = KL(q(x_T | x_0), p(x_T)) + sum over t > 1 of KL(q(x_{t-1} | x_t, x_0), p(x_{t-1} | x_t)) - log p(x_0 | x_1)
             L_T                                          L_{t-1}                                        L_0

The model's step is p(x_{t-1} | x_t) = N(mu~(x_t, estimate of x_0), variance), with the variance beta~_t (small), beta_t
(large), or between them in the logarithm (learned; Nichol & Dhariwal 2021, eq. 15). All terms are per sample and in
bits per dimension, so that their sum compares with a file's size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoise
from meddiff.diffusion.process import posterior, transition
from meddiff.diffusion.schedule import NoiseSchedule

Variance = Literal["small", "large"] | Tensor


@dataclass(frozen=True)
class Bound:
    """The terms of -log p(x_0) <= ``total``, in bits per dimension."""

    prior: Tensor
    """[B] L_T, what is left of x_0 at T."""
    steps: Tensor
    """[T - 1, B] L_{t-1} for t = T .. 2."""
    decoder: Tensor
    """[B] L_0."""

    @property
    def total(self) -> Tensor:
        """[B] the bound itself."""
        return self.prior + self.steps.sum(0) + self.decoder


@torch.no_grad()
def variational_bound(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x_0: Tensor,
    noise: Callable[[int], Tensor],
    *,
    variance: Literal["small", "large"] = "large",
    levels: int | None = 256,
) -> Bound:
    """Compute all terms for x_0 [B, C, *S], one network call per t, with ``noise(t)`` like x_0 as the eps of x_t.

    ``levels`` is the number of gray levels of x_0 in [-1, 1]; None takes x_0 as continuous and L_0 as a density.
    """
    terms = []
    for level in range(schedule.T, 0, -1):
        t = torch.full((len(x_0),), level, device=x_0.device)
        x_t = schedule.diffuse(x_0, t, noise(level))
        terms.append(bound_term(schedule, x_0, x_t, denoise(x_t, t), t, variance=variance, levels=levels))
    return Bound(prior_term(schedule, x_0), torch.stack([x_0.new_zeros(len(x_0)), *terms[:-1]])[1:], terms[-1])


def prior_term(schedule: NoiseSchedule, x_0: Tensor) -> Tensor:
    """Compute L_T [B]: KL of q(x_T | x_0) = N(alpha_T x_0, sigma_T**2) from p(x_T) = N(0, sigma_T**2)."""
    alpha, sigma = schedule.alpha[-1].item(), schedule.sigma[-1].item()
    log_variance = torch.tensor(2 * math.log(sigma))
    return _bits(gaussian_kl(alpha * x_0, log_variance, torch.zeros_like(x_0), log_variance))


def bound_term(
    schedule: NoiseSchedule,
    x_0: Tensor,
    x_t: Tensor,
    estimate: Tensor,
    t: Tensor,
    *,
    variance: Variance = "large",
    levels: int | None = 256,
) -> Tensor:
    """Compute L_{t-1} [B] for t > 1 and L_0 for t = 1, given the estimate of x_0 from x_t.

    A tensor ``variance`` like x_t is the fraction of a learned one. Differentiable in ``estimate`` and ``variance``.
    """
    (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule.at(t, x_0), schedule.at(t - 1, x_0)
    from_x_t, from_x_0, beta_tilde = posterior(alpha_t, sigma_t, alpha_s, sigma_s)
    log_beta = transition(alpha_t, sigma_t, alpha_s, sigma_s)[1].log()
    # beta~_1 is 0: its place in the model is taken by beta~_2 (Nichol & Dhariwal 2021, section 3.1)
    first = [scale.item() for k in (2, 1) for scale in (schedule.alpha[k], schedule.sigma[k])]
    log_beta_tilde = torch.where(beta_tilde > 0, beta_tilde, posterior(*first)[2]).log()
    if isinstance(variance, Tensor):
        log_variance = torch.lerp(log_beta_tilde.expand_as(variance), log_beta.expand_as(variance), variance)
    else:
        log_variance = log_beta if variance == "large" else log_beta_tilde
    mean = from_x_t * x_t + from_x_0 * estimate
    kl = gaussian_kl(from_x_t * x_t + from_x_0 * x_0, log_beta_tilde, mean, log_variance)
    last = -decoder_log_likelihood(x_0, mean, log_variance, levels)
    return _bits(torch.where((t > 1).view(-1, *[1] * (x_0.ndim - 1)), kl, last))


def gaussian_kl(mean_q: Tensor, log_variance_q: Tensor, mean_p: Tensor, log_variance_p: Tensor) -> Tensor:
    """Compute KL(q, p) of normal distributions, element by element, in nats."""
    ratio = log_variance_q - log_variance_p
    return 0.5 * (ratio.exp() - 1 - ratio + (mean_q - mean_p) ** 2 * (-log_variance_p).exp())


def decoder_log_likelihood(x_0: Tensor, mean: Tensor, log_variance: Tensor, levels: int | None) -> Tensor:
    """Compute log p(x_0 | x_1) by element, in nats (Ho et al. 2020, eq. 13).

    With ``levels`` it is the probability that N(mean, variance) gives x_0's bin, of half width 1 / (levels - 1); the
    outermost bins reach to infinity. With None it is the density.
    """
    deviation = (0.5 * log_variance).exp()
    z = (x_0 - mean) / deviation
    if levels is None:
        return -0.5 * (z**2 + log_variance + math.log(2 * math.pi))
    half = 1 / (levels - 1) / deviation
    upper, lower = torch.special.log_ndtr(half - z.abs()), torch.special.log_ndtr(-half - z.abs())  # both tails small
    inner = upper + torch.log1p(-(lower - upper).exp())
    edge = 1 - 1 / (levels - 1)
    at_edge = torch.special.log_ndtr(half + torch.where(x_0 > 0, -z, z))
    return torch.where(x_0.abs() > edge, at_edge, inner)


def _bits(nats: Tensor) -> Tensor:
    """Compute nats per element to bits per dimension of each sample."""
    return nats.flatten(1).mean(1) / math.log(2)
