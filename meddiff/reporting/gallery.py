"""A case as tiles: the image, the outline of the truth, that of the prediction, and where the model is unsure.

Images are enlarged by whole factors without interpolation, so that what is seen is what the network saw. Outlines are
drawn on the enlarged grid, on the outermost part of the mask's own pixels. Every class has one color, the same for
truth and prediction. The map of uncertainty is scaled to the largest value of the whole
gallery, so that maps of two cases can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion

from meddiff.errors import InputError
from meddiff.images.views import as_rgb

SIDE = 224  # pixels that a tile has at least, unless the image itself is larger; at most twice that
OUTLINES = ((64, 224, 208), (255, 170, 60), (240, 98, 146), (174, 213, 80), (140, 158, 255), (255, 241, 118))
RAMP = ((13, 17, 36), (54, 41, 110), (122, 46, 134), (193, 66, 112), (240, 120, 76), (253, 200, 110), (252, 252, 220))


@dataclass(frozen=True)
class GalleryCase:
    """One case to look at. Volumes come as one slice."""

    name: str
    caption: str
    """What is said below it: its Dice, and why it is shown."""
    image: np.ndarray
    """uint8 [H, W, 3] or [H, W]."""
    truth: np.ndarray
    """Class indices [H, W]."""
    prediction: np.ndarray
    """Class indices [H, W]."""
    uncertainty: np.ndarray | None = None
    """[H, W], 0 for sure; None where the model has none."""
    group: str = ""
    """The heading under which it is shown, such as "Worst cases" or "Most uncertain cases"."""


def check_gallery(cases: Sequence[GalleryCase]) -> None:
    """InputError for a case whose parts do not belong together."""
    for case in cases:
        size = as_rgb(case.image).shape[:2]
        others = {"truth": case.truth, "prediction": case.prediction, "uncertainty": case.uncertainty}
        wrong = {name: part.shape for name, part in others.items() if part is not None and part.shape != size}
        if wrong:
            raise InputError(f"the gallery's case {case.name!r} has an image {size}, but {wrong}: give all of one size")
        if case.uncertainty is not None and not (np.isfinite(case.uncertainty).all() and case.uncertainty.min() >= 0):
            raise InputError(f"the uncertainty of the gallery's case {case.name!r} is negative, NaN or infinite")


def tiles(case: GalleryCase, largest_uncertainty: float) -> list[tuple[str, np.ndarray]]:
    """Title and picture (uint8 [h, w, 3]) of each tile."""
    image = resized(as_rgb(case.image), smooth=True)
    found = [("Image", image)]
    for title, mask in (("Truth", case.truth), ("Prediction", case.prediction)):
        found.append((title, outlined(image, resized(mask.astype(np.uint8), smooth=False))))
    if case.uncertainty is not None:
        found.append(("Uncertainty", resized(colored(case.uncertainty, largest_uncertainty), smooth=True)))
    return found


def resized(picture: np.ndarray, *, smooth: bool) -> np.ndarray:
    """Enlarged by a whole factor to at least SIDE, or brought down to twice that where it is larger."""
    longest = max(picture.shape[:2])
    if longest > 2 * SIDE:
        size = [max(1, round(side * 2 * SIDE / longest)) for side in picture.shape[:2]]
        how = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
        return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), how))
    factor = -(-SIDE // longest)
    return picture.repeat(factor, 0).repeat(factor, 1)


def outlined(image: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The image with the rim of every class in its color, on a dark line that keeps it visible on bright skin."""
    drawn = image.copy()
    for index in (int(value) for value in np.unique(classes) if value > 0):
        mask = classes == index
        rim = mask & ~np.asarray(binary_erosion(mask, iterations=2), bool)
        drawn[np.asarray(binary_dilation(rim), bool) & ~rim] = (20, 20, 24)
        drawn[rim] = outline_color(index)
    return drawn


def outline_color(index: int) -> tuple[int, int, int]:
    """The color of class ``index`` (1 is the first that is not background)."""
    return OUTLINES[(index - 1) % len(OUTLINES)]


def colored(values: np.ndarray, largest: float) -> np.ndarray:
    """Values from 0 to ``largest`` as colors from dark to bright, uint8 [H, W, 3]."""
    shares = np.clip(values / largest if largest > 0 else np.zeros_like(values), 0, 1)
    stops = np.linspace(0, 1, len(RAMP))
    channels = [np.interp(shares, stops, [color[channel] for color in RAMP]) for channel in range(3)]
    return np.stack(channels, -1).round().astype(np.uint8)
