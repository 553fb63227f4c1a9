"""Keeping x_0 estimates inside the range of the data. Off unless asked for: it is right only where the range is known.

Images in [-1, 1] may be clipped; latents, velocities and z-scored volumes may not.
"""

from torch import Tensor

from meddiff.diffusion.denoiser import Denoise


def clip_x_0(denoise: Denoise, low: float = -1.0, high: float = 1.0) -> Denoise:
    """Static thresholding (Ho et al. 2020, released code): every estimate is clipped to the data's range."""

    def clipped(x_t: Tensor, t: Tensor) -> Tensor:
        return denoise(x_t, t).clamp(low, high)

    return clipped
