"""Predictor and corrector (Song et al. 2021b, algorithm 1): an ancestral step, then Langevin steps at the new time.

The corrector (algorithms 4 and 5) moves x along the score at its present noise level,

    x <- x + a score + sqrt(2 a) z,      a = 2 (1 - beta_ts) (r |z| / |score|)**2,

which changes no distribution that is right already and repairs one that is not. The norms are taken per sample: the
paper's batch means would make a sample depend on its neighbors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoise
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.samplers.ddpm import ancestral_weights
from meddiff.samplers.step import Noise, Step, batch_times, require_noise, state


@torch.no_grad()
def predictor_corrector(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x_T: Tensor,
    timesteps: Sequence[float],
    noise: Noise | None,
    *,
    corrections: int = 1,
    signal_to_noise: float = 0.16,
) -> Iterator[Step]:
    """Yield ancestral steps with ``corrections`` Langevin steps each; ``signal_to_noise`` is r."""
    noise = require_noise(noise, "predictor_corrector")
    times, x = batch_times(timesteps, x_T), state(x_T)
    alpha, sigma = schedule.scales(timesteps)
    draw = 0
    for i, (from_x_t, from_x_0, _, beta) in enumerate(ancestral_weights(schedule, timesteps)):
        x_0 = denoise(x, times[i])
        x = torch.mul(x, from_x_t).add_(x_0, alpha=from_x_0)
        if timesteps[i + 1] > 0:
            draw += 1
            x.add_(noise(draw), alpha=math.sqrt(beta))
            for _ in range(corrections):
                draw += 1
                score = torch.sub(denoise(x, times[i + 1]) * alpha[i + 1], x).div_(sigma[i + 1] ** 2)
                kept = (alpha[i] / alpha[i + 1]) ** 2
                x = langevin_step(x, score, noise(draw), signal_to_noise * math.sqrt(kept))
        yield Step(timesteps[i + 1], x, x_0)


def langevin_step(x: Tensor, score: Tensor, z: Tensor, ratio: float) -> Tensor:
    """Return ``x + a score + sqrt(2 a) z`` with a = 2 (ratio |z| / |score|)**2 per sample."""
    a = 2 * (ratio * _norm(z) / _norm(score)) ** 2
    return x + a * score + (2 * a).sqrt() * z


def _norm(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=tuple(range(1, x.ndim)), keepdim=True)
