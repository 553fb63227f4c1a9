"""The Feature Frequency Parser of MedSegDiff: a learned filter per channel and frequency.

Wu et al., "MedSegDiff: Medical Image Segmentation with Diffusion Probabilistic Model", MIDL 2023 (arXiv 2211.00611),
section "FF-Parser": m' = F^-1(A * F(m)), where F is the Fourier transform over space, A a learned map with one
(here complex) value per channel and frequency, and * the product of elements: by the convolution theorem a circular
convolution with a learned kernel as large as the grid. It damps the high frequencies that noise brings into m.

The paper's A has the size of one grid. Here A is a function of the frequency (in cycles per pixel, -1/2 .. 1/2 along
each axis) given at the points of a base grid and linear in between, so that one filter serves every size and rank.
On a grid of the base size it is read at its own points.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SPREAD = 0.02
"""Standard deviation around the identity at the start, per real and imaginary part."""


class FFParser(nn.Module):
    """m' = F^-1(A * F(m)); close to the identity when fresh."""

    def __init__(self, channels: int, *, spatial_dims: int, base_size: int = 16) -> None:
        """Build the filter.

        Args:
            channels: channels of m.
            spatial_dims: 2 for images, 3 for volumes.
            base_size: side of the grid that the filter is given on, even; the frequencies are 1 / base_size apart.
        """
        super().__init__()
        # The last axis holds the frequencies 0..1/2 alone: features are real, so the negative ones are their mirror.
        points = (base_size + 1,) * (spatial_dims - 1) + (base_size // 2 + 1,)
        self.real = nn.Parameter(1 + SPREAD * torch.randn(channels, *points))
        self.imaginary = nn.Parameter(SPREAD * torch.randn(channels, *points))

    def forward(self, features: Tensor) -> Tensor:
        """Map [B, channels, *S] to the same, in float32 inside whatever runs outside."""
        axes = tuple(range(2, features.ndim))
        with torch.autocast(features.device.type, enabled=False):
            spectrum = torch.fft.rfftn(features.to(torch.float32, memory_format=torch.contiguous_format), dim=axes)
            filtered = torch.fft.irfftn(spectrum * self.response(features.shape[2:]), s=features.shape[2:], dim=axes)
        return filtered.to(features.dtype)

    def response(self, size: tuple[int, ...] | torch.Size) -> Tensor:
        """Return a at the frequencies of `torch.fft.rfftn` on a grid of that size, complex [channels, *frequencies]."""
        parts = []
        for values in (self.real, self.imaginary):
            for axis, side in enumerate(size):
                whole = axis < len(size) - 1
                frequencies = (torch.fft.fftfreq if whole else torch.fft.rfftfreq)(side, device=values.device)
                weights = _interpolation(frequencies, -0.5 if whole else 0.0, values.shape[1 + axis])
                values = (values.movedim(1 + axis, -1) @ weights.T).movedim(-1, 1 + axis)
            parts.append(values)
        return torch.complex(*parts)


def _interpolation(frequencies: Tensor, lowest: float, points: int) -> Tensor:
    """Weigh evenly spaced points between ``lowest`` and 1/2 at each frequency: [F, points]."""
    position = (frequencies.double() - lowest) / (0.5 - lowest) * (points - 1)
    distance = position[:, None] - torch.arange(points, device=frequencies.device)
    return (1 - distance.abs()).clamp(min=0).to(frequencies.dtype)
