"""PNDM without its Runge-Kutta warm-up, known as PLMS (Liu et al. 2022).

DDIM's step with an eps extrapolated by Adams and Bashforth from the last four:

    eps' = (55 eps - 59 eps_1 + 37 eps_2 - 9 eps_3) / 24

The first three steps use as many eps as there are. The formula holds for equal strides of t: use trailing, leading or
linear spacing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoise
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.samplers.step import Noise, Step, batch_times, state

_BASHFORTH = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


@torch.no_grad()
def pndm(
    denoise: Denoise, schedule: NoiseSchedule, x_T: Tensor, timesteps: Sequence[float], noise: Noise | None = None
) -> Iterator[Step]:
    """Yield PLMS steps, one network call each; ``noise`` is not used."""
    times, x = batch_times(timesteps, x_T), state(x_T)
    alpha, sigma = schedule.scales(timesteps)
    history: deque[Tensor] = deque(maxlen=4)  # newest first
    for i in range(len(timesteps) - 1):
        x_0 = denoise(x, times[i])
        history.appendleft(torch.sub(x, x_0, alpha=alpha[i]).div_(sigma[i]))
        order = len(history) if alpha[i] > 0 else 1  # where nothing is left of x_0, eps cannot be corrected
        weights = _BASHFORTH[order - 1]
        reach = alpha[i + 1] * (sigma[i + 1] / alpha[i + 1] - sigma[i] / alpha[i]) if order > 1 else 0.0
        x = torch.mul(x_0, alpha[i + 1]).add_(history[0], alpha=sigma[i + 1] + reach * (weights[0] - 1))
        for weight, eps in zip(weights[1:], list(history)[1:], strict=False):
            x.add_(eps, alpha=reach * weight)
        yield Step(timesteps[i + 1], x, x_0)
