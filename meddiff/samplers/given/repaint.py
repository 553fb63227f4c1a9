"""RePaint (Lugmayr et al. 2022, algorithm 1): what a picture may have held in a hole, given all that is around it.

DDPM's ancestral sampler in which, after every step, all but the hole is replaced by the picture itself, noised to the
time that was reached. One pass down is not enough: each step is told the outside of the step before, which the inside
did not know of, and the two do not fit. So the walk goes up again, by q(x_t | x_s), and down once more, until the
inside has heard of the outside (section 4.2). The hole is then drawn from p(inside | outside), up to the steps' own
error. Without resampling this is the replacement method of Song et al. 2021b, section 5, which is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoise
from meddiff.diffusion.process import transition
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.errors import InputError
from meddiff.samplers.ddpm import ancestral_weights
from meddiff.samplers.step import Noise, Step, batch_times, require_noise, state


@dataclass(frozen=True)
class Jumps:
    """The way back toward noise."""

    length: int = 10
    """Strides of a jump up (the paper's j); at most all of them."""
    passes: int = 10
    """Times that each stretch of so many strides is walked down (the paper's r); 1 is the replacement method."""


PAPER = Jumps()


@torch.no_grad()
def repaint(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x_T: Tensor,
    timesteps: Sequence[float],
    noise: Noise | None,
    *,
    known: Tensor,
    hole: Tensor,
    jumps: Jumps = PAPER,
) -> Iterator[Step]:
    """Yield the steps down; a jump up yields none, so that a Step's t may be above that of the one before.

    Args:
        denoise, schedule, x_T, timesteps, noise: as for every sampler.
        known: [B, C, *S] clean data, of which the hole is not looked at.
        hole: [B, 1, *S] bool, true where data are to be drawn; the last Step's x is ``known`` everywhere else.
        jumps: how far and how often the walk goes up again.
    """
    noise = require_noise(noise, "repaint")
    times, x, outside = batch_times(timesteps, x_T), state(x_T), state(known)
    alpha, sigma = schedule.scales(timesteps)
    weights = ancestral_weights(schedule, timesteps)
    for draw, (i, k) in enumerate(walk_with_jumps(len(timesteps) - 1, jumps), start=1):
        if k < i:  # up: what is known and what is drawn are noised alike
            kept, variance = transition(alpha[k], sigma[k], alpha[i], sigma[i])
            x = torch.mul(x, kept).add_(noise(draw), alpha=math.sqrt(variance))
            continue
        from_x_t, from_x_0, variance, _ = weights[i]
        x_0 = denoise(x, times[i])
        inside = torch.mul(x, from_x_t).add_(x_0, alpha=from_x_0)
        around = outside * alpha[k]
        if timesteps[k] > 0:  # one draw serves both: no element belongs to both
            eps = noise(draw)
            inside, around = inside.add_(eps, alpha=math.sqrt(variance)), around.add_(eps, alpha=sigma[k])
        x = torch.where(hole, inside, around)
        yield Step(timesteps[k], x, x_0)


def walk_with_jumps(strides: int, jumps: Jumps) -> Iterator[tuple[int, int]]:
    """Yield (from, to) of each move along the places 0 (noise) .. ``strides`` (data): down by one, up by a jump.

    Whole stretches are counted from the data, where they matter most; the remainder at the noise is walked once.

    Raises:
        InputError: a jump or a number of passes below 1.
    """
    if jumps.length < 1 or jumps.passes < 1:
        raise InputError(f"a jump is of 1 stride or more, walked in 1 pass or more; got {jumps.length}, {jumps.passes}")
    jump = min(jumps.length, strides)
    place, first = 0, strides % jump
    while place < first:
        yield place, place + 1
        place += 1
    for start in range(first, strides, jump):
        for number in range(jumps.passes):
            if number:
                yield start + jump, start
            for place in range(start, start + jump):
                yield place, place + 1
