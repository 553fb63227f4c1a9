"""The exact likelihood of a model, by the change of variables along its probability-flow ODE.

Song et al. 2021b, section 4.3. In y = x/alpha and u = log(sigma/alpha) the flow of every schedule is

    dy/du = y - x_0(y, u),        d log p(y)/du = -div(y - x_0(y, u)),

from y = data at t = 1, where almost no noise is left, to y_T ~ N(0, (sigma_T/alpha_T)**2). The divergence of x_0 is
the trace of its Jacobian, estimated by v . (J v) with random signs v (Hutchinson 1990), one vector-Jacobian product
each; the same v along the whole path keeps the ODE smooth.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoise
from meddiff.diffusion.integration import integrate
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.errors import InputError


def flow_likelihood(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x_0: Tensor,
    signs: Callable[[int], Tensor],
    *,
    probes: int = 1,
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> Tensor:
    """Give -log p(x_0) in bits per dimension [B], p being a density: for 8-bit images in [-1, 1] dequantize and add 7.

    Args:
        denoise: differentiable; a network's parameters get no gradient.
        schedule: that of ``denoise``, with alpha[T] > 0.
        x_0: [B, C, *S].
        signs: ``signs(k)`` like x_0, whose signs are the k-th probe (``PerSampleNoise``).
        probes: number of probes averaged; the estimate is unbiased with one.
        rtol, atol: tolerances of the solver, per element.
    """
    (alpha_1, alpha_T), (sigma_1, sigma_T) = schedule.scales([1, schedule.T])
    if alpha_T == 0:
        raise InputError("alpha[T] is 0, where the flow's prior is infinitely wide: use a schedule with alpha[T] > 0")
    shape, elements = x_0.shape, x_0[0].numel()
    probe = torch.stack([signs(k).sign().to(x_0) for k in range(1, probes + 1)])

    def slope(u: Tensor, state: Tensor) -> Tensor:
        t = schedule.time_at(-u)
        alpha, _ = schedule.at(t, x_0)
        with torch.inference_mode(False), torch.enable_grad():
            y = state[:, :elements].reshape(shape).clone().requires_grad_()
            x_0_estimate = denoise(alpha * y, t)
            products = [torch.autograd.grad(x_0_estimate, y, v, retain_graph=True)[0] * v for v in probe]
        trace = torch.stack(products).mean(0).flatten(1).sum(1, keepdim=True)
        return torch.cat([(y - x_0_estimate).detach().flatten(1), trace / elements - 1], dim=1)

    start, end = math.log(sigma_1 / alpha_1), math.log(sigma_T / alpha_T)
    state = torch.cat([x_0.flatten(1), x_0.new_zeros(len(x_0), 1)], dim=1)
    state = integrate(slope, state, start, end, rtol=rtol, atol=atol)
    y_T, change = state[:, :elements], state[:, elements]  # change = (log p(y_T) - log p(x_0)) / elements
    log_prior = -0.5 * ((y_T / math.exp(end)) ** 2 + 2 * end + math.log(2 * math.pi))
    return (change - log_prior.mean(1)) / math.log(2)
