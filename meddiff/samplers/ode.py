"""The probability-flow ODE with an adaptive solver (Song et al. 2021b, section 4.3).

In y = x/alpha and u = log(sigma/alpha) it is dy/du = y - x_0(y, u) for every schedule. The solver takes the steps it
needs between the given times, each sample its own; the last stride goes on to t = 1 and ends with the estimate of x_0.
It looks at its error after each step, so unlike the other samplers it synchronizes with the host.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoise
from meddiff.diffusion.integration import integrate
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.errors import InputError
from meddiff.samplers.step import Noise, Step, batch_times, state


@torch.no_grad()
def probability_flow(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x_T: Tensor,
    timesteps: Sequence[float],
    noise: Noise | None = None,
    *,
    rtol: float = 1e-4,
    atol: float = 1e-4,
) -> Iterator[Step]:
    """Yield the ODE's solution at each of ``timesteps``, to the given tolerances; ``noise`` is not used."""
    times, x = batch_times(timesteps, x_T), state(x_T)
    if schedule.scales(timesteps[:1])[0][0] == 0:
        raise InputError("the flow has no start where alpha = 0: use another schedule, or ddim or heun")

    def slope(u: Tensor, y: Tensor) -> Tensor:
        t = schedule.time_at(-u)
        alpha, _ = schedule.at(t, y)
        return y - denoise(alpha * y, t.to(y.dtype))

    for t, s in pairwise(timesteps):
        (alpha, alpha_end), (sigma, sigma_end) = schedule.scales([t, s if s > 0 else min(t, 1)])
        start, end = math.log(sigma / alpha), math.log(sigma_end / alpha_end)
        x = alpha_end * integrate(slope, x / alpha, start, end, rtol=rtol, atol=atol)
        x_0 = denoise(x, torch.full_like(times[0], s if s > 0 else min(t, 1), dtype=x.dtype))
        x = x if s > 0 else x_0
        yield Step(s, x, x_0)
