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
PERSISTENCE, WAVELENGTH = 0.8, 64.0
"""Of simplex noise: amplitude of an octave as a share of the one before, pixels of the coarsest (Wyatt et al. 2022)."""
_SKEW, _UNSKEW = (math.sqrt(3) - 1) / 2, (3 - math.sqrt(3)) / 6


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


class SimplexNoise:
    """``noise(k)`` is the k-th draw [B, C, H, W] of B pictures, as of `PerSampleNoise`: simplex noise over octaves.

    White noise hides what is fine and leaves what is coarse, so a denoiser finds a large lesion again from what is
    left of it. Noise of all scales hides both (Wyatt et al. 2022, AnoDDPM; Perlin 2001; Gustavson 2005). Octave k has
    twice the frequency of the one before and ``PERSISTENCE`` times its amplitude.

    The plane is cut into equilateral triangles. Each of the three corners around a point has a direction g, a hash of
    seed, draw, octave, channel and corner; with d the way from the corner to the point it adds
    max(0, 1/2 - |d|**2)**4 g.d. The sum has mean 0 and variance 1 in each channel, so that sigma_t means what it means
    for white noise.
    """

    def __init__(
        self, seeds: Sequence[int] | Tensor, shape: Sequence[int], *, octaves: int = 6,
        device: torch.device | str = "cpu",
    ) -> None:  # fmt: skip
        """Return streams for ``len(seeds)`` pictures of ``shape`` = (C, H, W).

        Raises:
            InputError: volumes.
        """
        if len(shape) != 3:
            raise InputError(f"simplex noise is of pictures [C, H, W], not of {list(shape)}: use gaussian noise")
        self.shape = (len(seeds), *shape)
        self._octaves = octaves
        self._seeds = torch.as_tensor(seeds, dtype=torch.int64).to(device)

    def __call__(self, k: int) -> Tensor:
        """Draw number k = 0, 1, ...: [B, C, H, W] float32, each channel with mean 0 and variance 1."""
        total = torch.stack([PERSISTENCE**octave * self._octave(k, octave) for octave in range(self._octaves)]).sum(0)
        total = total - total.mean(dim=(-2, -1), keepdim=True)
        return total / total.std(dim=(-2, -1), keepdim=True, correction=0).clamp(min=1e-6)

    def _octave(self, k: int, octave: int) -> Tensor:
        """Sum the corners' parts of one octave: [B, C, H, W]."""
        _, channels, height, width = self.shape
        device = self._seeds.device
        frequency = 2**octave / WAVELENGTH
        numbers = torch.arange(channels, device=device).add(channels * (octave + self._octaves * k))
        streams = _hashed(_hashed(self._seeds).view(-1, 1) + numbers)  # [B, C]
        shift = _unit(_hashed(streams + 1)), _unit(_hashed(streams + 2))  # or a corner would always lie at pixel (0, 0)
        rows = torch.arange(height, device=device).mul(frequency).view(1, 1, -1, 1) + 256 * shift[0][..., None, None]
        columns = torch.arange(width, device=device).mul(frequency).view(1, 1, 1, -1) + 256 * shift[1][..., None, None]
        skewed = (rows + columns) * _SKEW
        i, j = (rows + skewed).floor(), (columns + skewed).floor()
        back = (i + j) * _UNSKEW
        y, x = rows - (i - back), columns - (j - back)
        lower = (y > x).to(y.dtype)
        total = torch.zeros(self.shape, device=device)
        for di, dj in ((0.0, 0.0), (lower, 1 - lower), (1.0, 1.0)):
            dy, dx = y - di + (di + dj) * _UNSKEW, x - dj + (di + dj) * _UNSKEW
            corner = (i + di).long() * 4096 + (j + dj).long()
            angle = _unit(_hashed(streams[..., None, None] + corner)) * math.tau
            total += (0.5 - dy**2 - dx**2).clamp(min=0) ** 4 * (angle.cos() * dy + angle.sin() * dx)
        return total


def offset_noise(eps: Tensor, offset: Tensor, *, strength: float = 0.1) -> Tensor:
    """Return noise with a common part per sample and channel (Guttenberg 2023): lets a model learn to move the mean.

    ``offset`` is standard normal [B, C]; ``eps`` [B, C, *S].
    """
    return eps + strength * offset.view(*offset.shape, *[1] * (eps.ndim - 2))


def _hashed(numbers: Tensor) -> Tensor:
    """Return a hash of each number (int64), a tensor of its own: two that differ in one bit have nothing in common."""
    return _mix(numbers + _GAMMA)


def _unit(bits: Tensor) -> Tensor:
    """Return 24 bits of a hash as a share in [0, 1)."""
    return bits.bitwise_and(2**24 - 1).float() / 2**24


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
