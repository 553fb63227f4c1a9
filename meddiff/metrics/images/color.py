"""Colors and brightness of synthetic images against those of real ones.

Features of photographs have learned to ignore a change of tint, and a spectrum without its mean does not see one.
So the values themselves are compared: red, green, blue and the differences red - green and green - blue (a tint that
moves two channels alike shows in the third) of all pixels of a set, by the 1-Wasserstein distance of their
distributions, which for numbers is the area between the two distribution functions (Vallender 1974). Gray images have
three equal channels: there it compares brightness.
"""

import numpy as np

from meddiff.errors import InputError

BINS = 128
"""Per channel, over all values that it can have."""
LEVELS = 255.0
"""The unit: gray levels of an 8-bit image."""


def color_distributions(images: np.ndarray) -> np.ndarray:
    """Give the share of pixels of each image at or below each value: images [N, C, *S] in [-1, 1] -> [N, 2C - 1, BINS].

    Channels first, then the differences of neighbors in that order, which reach from -2 to 2.
    """
    if images.ndim < 3 or len(images) == 0:
        raise InputError(f"got images {images.shape}: give [images, channels, height, width] of at least one image")
    if not np.isfinite(images.sum(dtype=np.float64)):
        raise InputError("the images contain NaN or infinity")
    parts = []
    for image in images.reshape(*images.shape[:2], -1).astype(np.float64):
        channels = [(image + 1) / 2, (image[:-1] - image[1:]) / 4 + 0.5]
        places = np.clip(np.concatenate(channels) * BINS, 0, BINS - 1).astype(int)  # [2C - 1, pixels]
        counts = np.bincount((places + BINS * np.arange(len(places))[:, None]).ravel(), minlength=BINS * len(places))
        parts.append(counts.reshape(len(places), BINS).cumsum(1) / image.shape[1])
    return np.stack(parts)


def color_distance_levels(real: np.ndarray, synthetic: np.ndarray) -> float:
    """Compute the distance between two sets in gray levels, the mean over channels and differences.

    Both are given as `color_distributions`.

    A shift of all channels by one level adds 3 / 5 for color images (their differences stay) and 1 for gray ones with
    one channel. Raises InputError for sets of other channels.
    """
    if real.ndim != 3 or synthetic.ndim != 3 or real.shape[1:] != synthetic.shape[1:]:
        raise InputError(f"got distributions {real.shape} and {synthetic.shape}: give those of images of one kind")
    channels = (real.shape[1] + 1) // 2
    reach = np.where(np.arange(real.shape[1]) < channels, LEVELS, 2 * LEVELS)  # of the values, in gray levels
    area = np.abs(real.mean(0) - synthetic.mean(0)).sum(1) / BINS
    return float(np.mean(area * reach))
