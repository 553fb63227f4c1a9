"""UniPC (Zhao et al. 2023): a multistep predictor, and a corrector that costs no network call.

Both write the step from t to s, in lambda = log(alpha/sigma) with h = lambda_s - lambda_t, as

    x_s = sigma_s/sigma_t x_t + alpha_s (1 - exp(-h)) x_0 + alpha_s B(h) sum_k c_k (x_0_k - x_0) / r_k

x_0_k are estimates from times at a distance r_k h: earlier steps for the predictor (UniP), and s itself, with r = 1,
for the corrector (UniC), whose estimate is there anyway for the next prediction. The c_k make the sum exact for
polynomials: sum_k r_k**(n-1) c_k = b_n, with B(h) = 1 - exp(-h) (their bh2) and data prediction.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoise
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.errors import InputError
from meddiff.samplers.dpm_solver import half_log_snr
from meddiff.samplers.step import Noise, Step, batch_times, state


@torch.no_grad()
def unipc(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x_T: Tensor,
    timesteps: Sequence[float],
    noise: Noise | None = None,
    *,
    order: int = 2,
) -> Iterator[Step]:
    """Yield UniPC steps of the given order (1 to 3; the corrector's is one higher); ``noise`` is not used."""
    if order not in (1, 2, 3):
        raise InputError(f"the order of unipc must be 1, 2 or 3, got {order}")
    times, x = batch_times(timesteps, x_T), state(x_T)
    alpha, sigma = schedule.scales(timesteps)
    lambdas = half_log_snr(alpha, sigma)
    orders = _orders(lambdas, order)
    predictors = [_weights(lambdas, alpha, i, orders[i], corrector=False) for i in range(len(orders))]
    correctors = [_weights(lambdas, alpha, i, orders[i], corrector=True) for i in range(len(orders) - 1)]

    start, estimates = x, []  # the state that the last prediction started from; x_0 estimates, newest first
    for i, weights in enumerate(predictors):
        x_0 = denoise(x, times[i])
        if i > 0:
            x = _combine(start, sigma[i] / sigma[i - 1], correctors[i - 1], [x_0, *estimates])
        start, estimates = x, [x_0, *estimates][:order]
        x = _combine(start, sigma[i + 1] / sigma[i], weights, estimates)
        yield Step(timesteps[i + 1], x, x_0)


def _orders(lambdas: list[float], order: int) -> list[int]:
    """Return the lower orders at the start, for want of history, and before a last step to lambda = infinity."""
    steps = len(lambdas) - 1
    first = 0 if math.isfinite(lambdas[0]) else 1  # an estimate from where lambda is infinite cannot be extrapolated
    last = steps if math.isinf(lambdas[-1]) else steps + order
    return [max(1, min(order, i + 1 - first, last - i)) for i in range(steps)]


def _weights(lambdas: list[float], alpha: list[float], i: int, order: int, *, corrector: bool) -> list[float]:
    """Return weights of the x_0 estimates for the step i -> i + 1, newest first: (at i + 1,) at i, i - 1, ..."""
    h = lambdas[i + 1] - lambdas[i]
    distances = [(lambdas[i - k] - lambdas[i]) / h for k in range(1, order)]
    if corrector:
        distances = [1.0, *distances]
    reach = -alpha[i + 1] * math.expm1(-h)
    shares = [c / r for c, r in zip(_coefficients(h, distances), distances, strict=True)]
    weights = [reach * share for share in shares]
    at_t = reach * (1 - sum(shares))
    return [weights[0], at_t, *weights[1:]] if corrector else [at_t, *weights]


def _coefficients(h: float, distances: list[float]) -> list[float]:
    """Return c of sum_k r_k**(n-1) c_k = b_n, n = 1..len(distances); for one distance c = 1/2, as published."""
    if len(distances) < 2:
        return [0.5] * len(distances)
    b, phi, factorial = [], math.expm1(-h) / -h - 1, 1.0
    for n in range(1, len(distances) + 1):
        b.append(phi * factorial / math.expm1(-h))
        factorial *= n + 1
        phi = phi / -h - 1 / factorial
    return np.linalg.solve(np.vander(distances, increasing=True).T, np.array(b)).tolist()


def _combine(x: Tensor, scale: float, weights: list[float], estimates: list[Tensor]) -> Tensor:
    total = torch.mul(x, scale)
    for weight, estimate in zip(weights, estimates, strict=False):
        total.add_(estimate, alpha=weight)
    return total
