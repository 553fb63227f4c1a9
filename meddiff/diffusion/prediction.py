"""Predictions: what a network outputs, and how it becomes an estimate of x_0.

Every kind of output in use is a mix of data and noise whose two weights depend on t alone:

    output = a x_0 + b eps              eps: (0, 1)    x_0: (1, 0)    v: (-sigma, alpha)  ...
    x_t    = alpha x_0 + sigma eps

Two equations, two unknowns: with det = alpha b - sigma a,

    x_0 = (b x_t - sigma output) / det,      eps = (alpha output - a x_t) / det.

So a kind of prediction is two numbers per t, and conversions need no case distinction. The preconditioning of
Karras et al. 2022 is one more such mix, which also scales what the network is given.
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
    inputs: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    """(x_t, alpha, sigma) -> what the network is given instead of (x_t, t); None gives it these."""

    def target(self, x_0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Compute what the network should have said: ``a x_0 + b eps``."""
        a, b = self.weights(alpha, sigma)
        return a * x_0 + b * eps

    def to_x_0(self, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the estimate of x_0 that an output stands for."""
        a, b = self.weights(alpha, sigma)
        det = alpha * b - sigma * a
        return (b / det) * x_t - (sigma / det) * output

    def x_0_gain(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Compute by how much an error of the output is one of x_0: |d x_0 / d output| = sigma / |det|."""
        a, b = self.weights(alpha, sigma)
        return sigma / (alpha * b - sigma * a).abs()


EPS = Prediction("eps", lambda alpha, sigma: (torch.zeros_like(alpha), torch.ones_like(sigma)))
"""The noise (Ho et al. 2020, eq. 11 and 14). Says nothing about x_0 where alpha = 0."""

X_0 = Prediction("x_0", lambda alpha, sigma: (torch.ones_like(alpha), torch.zeros_like(sigma)))
"""The data."""

V = Prediction("v", lambda alpha, sigma: (-sigma, alpha))
"""The velocity alpha eps - sigma x_0 (Salimans & Ho 2022, appendix D): well conditioned at every t."""

SCORE = Prediction("score", lambda alpha, sigma: (torch.zeros_like(alpha), -1 / sigma))
"""The gradient of log q(x_t) (Song & Ermon 2019, eq. 5): -eps / sigma."""

VELOCITY = Prediction("velocity", lambda alpha, sigma: (-torch.ones_like(alpha), torch.ones_like(sigma)))
"""eps - x_0, the direction of a rectified flow (Liu et al. 2023, eq. 1, with their time reversed)."""


def edm(sigma_data: float = 0.5, *, time_scale: float = 1.0) -> Prediction:
    """Return the preconditioning of Karras et al. 2022, table 1: what goes in and out has unit variance at every t.

    With y = x_t / alpha and rho = sigma / alpha, that is the paper's x and sigma,

        x_0 = c_skip(rho) y + c_out(rho) network(c_in(rho) y, c_noise(rho)).

    Args:
        sigma_data: standard deviation of the data.
        time_scale: factor on the paper's c_noise = log(rho) / 4, which runs from about -1.5 to 1.1: larger where the
            network embeds its time for steps 1..T (250 is about right).
    """

    def weights(alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        rho, total = sigma / alpha, (sigma / alpha) ** 2 + sigma_data**2
        c_skip, c_out = sigma_data**2 / total, rho * sigma_data / total.sqrt()
        return (1 - c_skip) / c_out, -c_skip * rho / c_out

    def inputs(x_t: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        rho = sigma / alpha
        c_in, c_noise = 1 / (rho**2 + sigma_data**2).sqrt(), rho.log() / 4
        return c_in / alpha * x_t, time_scale * c_noise.flatten()

    return Prediction("edm", weights, inputs)


@dataclass(frozen=True)
class ClassLogits:
    """The network outputs the logits of what x_0 is made of, where x_0 can only be +scale or -scale per channel.

    E[x_0 | x_t] is then scale (2 p - 1) with p the posterior probability of +scale, and cross-entropy is the loss
    whose minimum it is: score interpolation (Dieleman et al. 2022, section 3). An estimate can never leave the range.
    """

    scale: float = 1.0
    one_hot: bool = True
    """Whether exactly one channel is +scale (softmax over channels) or each for itself (sigmoid)."""
    name: str = "class_logits"
    inputs: None = None

    def to_x_0(self, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return scale (2 p - 1), like ``output``."""
        return self.scale * (2 * (output.softmax(dim=1) if self.one_hot else output.sigmoid()) - 1)
