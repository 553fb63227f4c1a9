"""A step, which every sampler yields, and the times it hands to the denoiser.

A sampler is ``sampler(denoise, schedule, x_T, timesteps, noise, *, options) -> Iterator[Step]``. It walks along
``timesteps`` (t falling to 0, from ``schedule.timesteps``), calls ``denoise(x_t, t)`` and yields after each step, so
that the caller adds progress bars, pictures and early stops. Its coefficients are Python floats, computed in float64
before the loop: inside it there is no table look-up, no host synchronization and no random state. ``noise(k)`` gives
the k-th standard normal draw, k = 1, 2, ... (``PerSampleNoise``; draw 0 made x_T); a deterministic sampler takes None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from meddiff.diffusion.times import at_one_time
from meddiff.errors import InputError

Noise = Callable[[int], Tensor]


@dataclass(frozen=True, slots=True)
class Step:
    """The state after one step."""

    t: float
    """The time that ``x`` has reached; 0 is the end."""
    x: Tensor
    """[B, C, *S] the sample at time t."""
    x_0: Tensor
    """[B, C, *S] the estimate of x_0 that led there."""


def batch_times(timesteps: Sequence[float], x_T: Tensor) -> list[Tensor]:
    """Make the t [B] of each step before the loop; falling times are required."""
    if len(timesteps) < 2 or any(t <= s for t, s in pairwise(timesteps)):
        raise InputError(f"timesteps must fall strictly and hold two times or more, got {list(timesteps)}")
    return filled(timesteps, x_T)


def filled(times: Sequence[float], x_T: Tensor) -> list[Tensor]:
    """Return each time as a tensor [B]: int64 where all are whole, else in the state's precision.

    Filled on the device, not copied to it: a copy would wait for the device, and could not be in a CUDA graph.
    """
    dtype = torch.int64 if all(isinstance(t, int) for t in times) else torch.promote_types(x_T.dtype, torch.float32)
    return [at_one_time(t, len(x_T), dtype=dtype, device=x_T.device) for t in times]


def state(x_T: Tensor) -> Tensor:
    """Return x_T in float32 at least: a sampler's state is never half precision."""
    return x_T.to(torch.promote_types(x_T.dtype, torch.float32))


def require_noise(noise: Noise | None, sampler: str) -> Noise:
    """Return the noise, or an error that names the sampler that needs it."""
    if noise is None:
        raise InputError(f"{sampler} draws noise at every step: give it noise=PerSampleNoise(seeds, shape)")
    return noise
