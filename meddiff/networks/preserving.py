"""Layers that keep the magnitude of what goes through them (Karras et al. 2024, "Analyzing and Improving the Training
Dynamics of Diffusion Models", section 2 and appendix B).

A value of unit variance goes in and one of unit variance comes out, at any width and depth: nothing grows while a
network is trained, no group norm is needed to keep it small, and a learning rate means the same for every layer.

    weight     w / (|w| / sqrt(N)) / sqrt(N)           of each output, N inputs (eq. 66)
    SiLU       silu(x) / 0.596                         (eq. 81)
    sum        ((1 - s) a + s b) / sqrt((1 - s)^2 + s^2)     (eq. 88)

A constant factor costs a pass over memory of its own, so it is given to the weights of the layer behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

SILU_GAIN = 1 / 0.596
"""silu(x) times this has unit variance where x is standard normal."""
_SMALL = 1e-4
_CONVOLUTIONS = {0: functional.linear, 2: functional.conv2d, 3: functional.conv3d}


def unit(x: Tensor, dims: Sequence[int]) -> Tensor:
    """Divide ``x`` by its root mean square over ``dims``, which is taken in float32 at least."""
    norm = torch.linalg.vector_norm(x, dim=tuple(dims), keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32))
    count = prod([x.shape[dim] for dim in dims])  # a compiler takes no generator
    return x / (_SMALL + norm / sqrt(count)).to(x.dtype)


def unit_channels(x: Tensor) -> Tensor:
    """Divide x [B, C, *S] by the root mean square over the channels of each pixel (eq. 62)."""
    return unit(x, (1,))


class Preserving(nn.Module):
    """A linear layer or convolution without bias whose weights are of unit length for each output.

    The weights are normalized in every call, so that no gradient points along them; `force` also puts the stored ones
    back to that length, once after each optimizer step, so that a step is of the same relative size for ever.
    """

    def __init__(self, inputs: int, outputs: int, *, size: int = 1, spatial_dims: int = 0) -> None:
        """Build a layer.

        Args:
            inputs: channels in.
            outputs: channels out.
            size: pixels per side of the kernel, odd.
            spatial_dims: 2 or 3 for a convolution over images or volumes, 0 for a linear layer.
        """
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, *(size,) * spatial_dims))
        self.spatial_dims = spatial_dims
        self.padding = size // 2

    def forward(self, x: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        """Apply the layer to x [B, inputs, *S] (or [..., inputs]), times ``gain``."""
        weight = self._unit() * (gain / sqrt(self.weight[0].numel()))
        if self.spatial_dims == 0:
            return functional.linear(x, weight)
        return _CONVOLUTIONS[self.spatial_dims](x, weight, padding=self.padding)

    @torch.no_grad()
    def force(self) -> None:
        """Bring the stored weights back to unit variance for each output."""
        self.weight.copy_(self._unit())

    def _unit(self) -> Tensor:
        return unit(self.weight, range(1, self.weight.ndim))


def preserving_sum(a: Tensor, b: Tensor, share: float) -> Tensor:
    """Add two values that know nothing of each other; ``share`` is that of ``b``."""
    length = sqrt((1 - share) ** 2 + share**2)
    return torch.add(a * ((1 - share) / length), b, alpha=share / length)


def preserving_cat(a: Tensor, b: Tensor) -> Tensor:
    """Join both along the channels, each with half of the influence whatever its width (eq. 103)."""
    wide, narrow = a.shape[1], b.shape[1]
    if wide == narrow:
        return torch.cat((a, b), dim=1)
    scale = sqrt((wide + narrow) / 2)
    return torch.cat((a * (scale / sqrt(wide)), b * (scale / sqrt(narrow))), dim=1)


class Waves(nn.Module):
    """Sines and cosines of t, as Vaswani et al. 2017 embed a position, of unit variance."""

    frequencies: Tensor

    def __init__(self, width: int, *, longest: float = 10_000.0) -> None:
        super().__init__()
        half = width // 2
        self.register_buffer("frequencies", longest ** -(torch.arange(half) / half), persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        """Embed t [B] as [B, width] float32."""
        angle = t.float()[:, None] * self.frequencies
        return torch.cat((angle.cos(), angle.sin()), dim=1) * sqrt(2)
