"""Keeping x_0 estimates inside the range of the data. Off unless asked for: it is right only where the range is known.

Images in [-1, 1] may be kept there; latents and z-scored volumes may not.
"""

from torch import Tensor

from meddiff.diffusion.denoiser import Denoise


def clip_x_0(denoise: Denoise, low: float = -1.0, high: float = 1.0) -> Denoise:
    """Return static thresholding (Ho et al. 2020, released code): every estimate is clipped to the data's range."""

    def clipped(x_t: Tensor, t: Tensor) -> Tensor:
        return denoise(x_t, t).clamp(low, high)

    return clipped


def rescale_x_0(denoise: Denoise, *, quantile: float = 0.995, bound: float = 1.0) -> Denoise:
    """Return dynamic thresholding (Saharia et al. 2022, section 2.3), against saturation by strong guidance.

    Where the given quantile of an image's |x_0| is above ``bound``, the image is clipped to that quantile and divided
    by it, so that it fills -bound..bound without piling up at the ends.
    """

    def rescaled(x_t: Tensor, t: Tensor) -> Tensor:
        x_0 = denoise(x_t, t)
        largest = x_0.abs().flatten(1).quantile(quantile, dim=1).clamp(min=bound)
        largest = largest.view(-1, *[1] * (x_0.ndim - 1))
        return x_0.clamp(-largest, largest) * (bound / largest)

    return rescaled
