"""What a network outputs, and how it becomes an estimate of x_0 or eps.

Every kind of output in use is a mix of data and noise whose two weights depend on t alone:

    output = a x_0 + b eps              eps: (0, 1)    x_0: (1, 0)    v: (-sigma, alpha)  ...
    x_t    = alpha x_0 + sigma eps

Two equations, two unknowns: with det = alpha b - sigma a,

    x_0 = (b x_t - sigma output) / det,      eps = (alpha output - a x_t) / det.

So a kind of prediction is two numbers per t, and conversions need no case distinction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """One kind of network output. All tensors are [B, C, *S]; alpha and sigma are [B, 1, ..., 1]."""

    name: str
    weights: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    """(alpha, sigma) -> (a, b)"""

    def target(self, x_0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """What the network should have said: ``a x_0 + b eps``."""
        a, b = self.weights(alpha, sigma)
        return a * x_0 + b * eps

    def to_x_0(self, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """The estimate of x_0 that an output stands for."""
        a, b = self.weights(alpha, sigma)
        det = alpha * b - sigma * a
        return (b / det) * x_t - (sigma / det) * output

    def to_eps(self, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """The estimate of eps that an output stands for."""
        a, b = self.weights(alpha, sigma)
        det = alpha * b - sigma * a
        return (alpha / det) * output - (a / det) * x_t

    def x_0_gain(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """By how much an error of the output is an error of x_0: |d x_0 / d output| = sigma / |det|."""
        a, b = self.weights(alpha, sigma)
        return sigma / (alpha * b - sigma * a).abs()


EPS = Prediction("eps", lambda alpha, sigma: (torch.zeros_like(alpha), torch.ones_like(sigma)))
"""The noise (Ho et al. 2020, eq. 11 and 14). Says nothing about x_0 where alpha = 0."""

X_0 = Prediction("x_0", lambda alpha, sigma: (torch.ones_like(alpha), torch.zeros_like(sigma)))
"""The data."""

V = Prediction("v", lambda alpha, sigma: (-sigma, alpha))
"""The velocity alpha eps - sigma x_0 (Salimans & Ho 2022, appendix D): well conditioned at every t."""
