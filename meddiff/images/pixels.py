"""From the model's [-1, 1] back to what a file holds."""

from __future__ import annotations

import numpy as np


def to_pixels(image: np.ndarray, dtype: np.dtype | type = np.uint8) -> np.ndarray:
    """An image [C, H, W] in [-1, 1] as pixels [H, W, C], or [H, W] where C is 1.

    -1 becomes 0 and 1 the largest value of ``dtype`` (uint8 or uint16), rounded to the nearest; what lies outside
    [-1, 1] has no pixel value and is clipped.
    """
    largest = np.iinfo(dtype).max
    pixels = np.rint((np.clip(image, -1, 1) + 1) / 2 * largest).astype(dtype)
    return pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)
