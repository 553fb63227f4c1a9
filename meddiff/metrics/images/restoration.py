"""Distance of an image from the one it should be: error, structure, detail.

PSNR is 10 log10(range^2 / mean squared error); SSIM is that of Wang et al. 2004, one scale, of windows inside the
image. Both are best for the mean of what the image may be, which is blurred (Blau & Michaeli 2018, "The
perception-distortion tradeoff"); detail says how blurred.
"""

import numpy as np

from meddiff.errors import InputError
from meddiff.metrics.images.diversity import window_similarity
from meddiff.metrics.images.spectrum import radial_power_db


def psnr_db(truth: np.ndarray, answer: np.ndarray, *, data_range: float, where: np.ndarray | None = None) -> float:
    """Compute the peak signal-to-noise ratio of an image like its truth, in decibel; infinite for equal ones.

    Args:
        truth, answer: of one shape.
        data_range: largest minus smallest possible value.
        where: bool of that shape, the values that count; None for all.
    """
    if truth.shape != answer.shape:
        raise InputError(f"got a truth {truth.shape} and an answer {answer.shape}: give two images of one shape")
    error = (truth.astype(np.float64) - answer.astype(np.float64)) ** 2
    mean = float(error.mean() if where is None else error[where].mean())
    return float("inf") if mean == 0 else 10 * float(np.log10(data_range**2 / mean))


def ssim(truth: np.ndarray, answer: np.ndarray, *, data_range: float) -> float:
    """Compute the mean structural similarity of images [C, H, W], or of volumes [C, I, J, K] slice by slice.

    1 for equal images.

    Raises:
        InputError: sides under 11 pixels, the window.
    """
    first, second = (_as_planes(image) for image in (truth, answer))
    return float(window_similarity(first, second, data_range, luminance=True).mean())


def detail_db(truth: np.ndarray, answer: np.ndarray) -> float:
    """Compute how much more power an image [C, S, S] has than its truth in the finer half of the frequencies, decibel.

    0 is as sharp, below is blurred, above is noise. NaN where the image is not square.
    """
    if truth.ndim != 3 or truth.shape[1] != truth.shape[2] or truth.shape[1] < 8:
        return float("nan")
    power = radial_power_db(np.stack([truth, answer]))
    return float((power[1] - power[0])[power.shape[1] // 2 :].mean())


def _as_planes(image: np.ndarray) -> np.ndarray:
    """Return the slices of an image as images of one channel: float64 [N, 1, H, W]."""
    planes = np.moveaxis(image, -1, 1) if image.ndim == 4 else image
    return planes.reshape(-1, 1, *planes.shape[-2:]).astype(np.float64)
