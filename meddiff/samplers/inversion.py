"""DDIM inversion (Song et al. 2021a, section 4.3; Dhariwal & Nichol 2021): from an image back to its noise.

DDIM's step from t to s, solved for x_t:    x_t = sigma_t/sigma_s (x_s - alpha_s x_0) + alpha_t x_0

with the estimate x_0 made at s, which is right to first order. Each refinement asks again at (x_t, t); as it converges
the step becomes the exact inverse (a fixed-point iteration, Pan et al. 2023). The last step of DDIM, x_s = estimate,
forgets eps: it is inverted by x_t <- x_t + alpha_t (x_0 - estimate), from x_t = alpha_t x_0 on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoise
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.samplers.step import Step, batch_times, state


@torch.no_grad()
def invert(
    denoise: Denoise, schedule: NoiseSchedule, x_0: Tensor, timesteps: Sequence[float], *, refinements: int = 0
) -> Iterator[Step]:
    """Walk up the times that ``ddim`` walks down; the last Step's x is the noise that ddim turns into ``x_0``.

    Args:
        denoise, schedule: as for every sampler.
        x_0: [B, C, *S] clean data.
        timesteps: falling to 0, as for ddim.
        refinements: further network calls per step.
    """
    times, data = batch_times(timesteps, x_0), state(x_0)
    alpha, sigma = schedule.scales(timesteps)
    lowest = len(timesteps) - 2
    x = estimate = data * alpha[lowest]
    for _ in range(1 + refinements):
        estimate = denoise(x, times[lowest])
        x = torch.add(x, data - estimate, alpha=alpha[lowest])
    yield Step(timesteps[lowest], x, estimate)
    for i in range(lowest - 1, -1, -1):
        x_s, here = x, (x, times[i + 1])
        ratio = sigma[i] / sigma[i + 1]
        for _ in range(1 + refinements):
            estimate = denoise(*here)
            x = torch.mul(x_s, ratio).add_(estimate, alpha=alpha[i] - ratio * alpha[i + 1])
            here = x, times[i]
        yield Step(timesteps[i], x, estimate)
