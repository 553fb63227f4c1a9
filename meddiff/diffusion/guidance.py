"""Guidance: sharpening what a denoiser was told. It wraps denoisers and IS a denoiser.

Classifier-free guidance (Ho & Salimans 2022, eq. 6) goes beyond the told estimate, away from the untold one:

    x_0 = x_0_untold + scale (x_0_told - x_0_untold)

They write it for eps with scale = 1 + w; since x_0 is linear in eps with weights that sum to one on both sides, the
guided x_0 is that of the guided eps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import BoundDenoiser, Denoise


def guide(told: Denoise, untold: Denoise, scale: float) -> Denoise:
    """The denoiser ``untold + scale (told - untold)``.

    ``guide(bind(denoiser, condition), bind(denoiser, condition.untold()), 1.5)`` is classifier-free guidance and
    calls the network once per step, on a doubled batch. Scale 1 is ``told`` and 0 is ``untold``, at single cost.
    """
    if scale == 1:
        return told
    if scale == 0:
        return untold
    both = _both(told, untold)

    def guided(x_t: Tensor, t: Tensor) -> Tensor:
        x_0_told, x_0_untold = both(x_t, t)
        return torch.lerp(x_0_untold, x_0_told, scale)

    return guided


def _both(told: Denoise, untold: Denoise):
    """One pass over a doubled batch where the two share a denoiser, else two passes."""
    if isinstance(told, BoundDenoiser) and isinstance(untold, BoundDenoiser) and told.denoiser is untold.denoiser:
        denoiser, condition = told.denoiser, Condition.cat([told.condition, untold.condition])
        return lambda x_t, t: denoiser(torch.cat([x_t, x_t]), torch.cat([t, t]), condition).chunk(2)
    return lambda x_t, t: (told(x_t, t), untold(x_t, t))
