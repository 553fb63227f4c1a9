"""One seed per image: the same seed gives the same image, alone or in any batch, on any device.

A generator with a state would have to be called image by image. A counter-based one has none: number j of stream i
is a function of (seed_i, j), computed for the whole batch at once. It is SplitMix64 (Steele, Lea & Flood 2014),
whose j-th output is mix(base + j gamma): each image is one stream, whose base is its mixed seed, and draw k owns the
counters from k 2**32 on. Each 64-bit output becomes a pair of normals (Box & Muller 1958): 40 bits for the radius
(up to 7.4 standard deviations) and 24 for the angle, in float64, so that a device whose logarithm differs in the
last bit still rounds to the same float32.

The cost is about 25 launches per draw whatever the batch, and no transfer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from meddiff.errors import InputError

_GAMMA = 0x9E3779B97F4A7C15 - 2**64  # the odd integer nearest 2**64 / golden ratio, as a signed int64
_MULTIPLIERS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)


class PerSampleNoise:
    """``noise(k)`` is the k-th standard normal draw [B, *shape] of B images; it depends on their seeds alone."""

    def __init__(self, seeds: Sequence[int], shape: Sequence[int], *, device: torch.device | str = "cpu") -> None:
        """Return streams for ``len(seeds)`` images of ``shape`` = (C, *S); seeds are 0 .. 2**63 - 1."""
        if not all(0 <= seed < 2**63 for seed in seeds):
            raise InputError(f"seeds must lie in 0 .. 2**63 - 1, got {list(seeds)}")
        self.shape = (len(seeds), *shape)
        self._numbers = math.prod(shape)
        pairs = (self._numbers + 1) // 2
        self._base = _mix(torch.tensor(list(seeds), dtype=torch.int64, device=device).add_(_GAMMA)).view(-1, 1)
        self._counters = torch.arange(1, pairs + 1, dtype=torch.int64, device=device).mul_(_GAMMA)

    def __call__(self, k: int) -> Tensor:
        """Draw number k = 0, 1, ...: [B, *shape] float32. By convention draw 0 is x_T's, and samplers use 1, 2, ..."""
        bits = _mix(self._base + (self._counters + _wrap((k << 32) * _GAMMA)))  # [B, pairs]
        radius = _unsigned_shift(bits, 24).double().add_(1).mul_(2.0**-40).log_().mul_(-2).sqrt_()
        angle = bits.bitwise_and_(2**24 - 1).double().mul_(math.tau / 2**24)
        normals = radius.new_empty(*radius.shape, 2, dtype=torch.float32)
        normals[..., 0] = angle.cos().mul_(radius)
        normals[..., 1] = angle.sin_().mul_(radius)
        return normals.flatten(1)[:, : self._numbers].reshape(self.shape)


def offset_noise(eps: Tensor, offset: Tensor, *, strength: float = 0.1) -> Tensor:
    """Return noise with a common part per sample and channel (Guttenberg 2023): lets a model learn to move the mean.

    ``offset`` is standard normal [B, C]; ``eps`` [B, C, *S].
    """
    return eps + strength * offset.view(*offset.shape, *[1] * (eps.ndim - 2))


def _mix(state: Tensor) -> Tensor:
    """Return SplitMix64's finalizer (variant 13 of Stafford): each input bit flips each output bit half the time."""
    for shift, multiplier in zip((30, 27), _MULTIPLIERS, strict=True):
        state = state.bitwise_xor_(_unsigned_shift(state, shift)).mul_(multiplier)
    return state.bitwise_xor_(_unsigned_shift(state, 31))


def _unsigned_shift(state: Tensor, by: int) -> Tensor:
    """Shift an unsigned 64-bit integer right: torch shifts int64 arithmetically, so the sign is masked out."""
    return (state >> by).bitwise_and_((1 << (64 - by)) - 1)


def _wrap(integer: int) -> int:
    """Return a Python integer modulo 2**64, as a signed int64."""
    return (integer + 2**63) % 2**64 - 2**63
