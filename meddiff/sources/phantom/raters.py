"""Lesions with a blurred border and several raters who each put the line elsewhere: ambiguity whose truth is known.

Real contours of one lesion by several experts differ mostly in how far out each of them still calls it lesion. The
model says that and nothing else. The share of lesion in the skin falls from 1 to 0 over a band about the border,
``fade`` radii wide, and that is what the picture shows. A rater has a threshold, the same for all lesions: the mask is
where the share exceeds it. Thresholds lie evenly between 0.1 and 0.9, from the most generous rater to the strictest.

So the masks of a lesion are nested, all raters are equally right, the picture tells how far apart they are but not
whose mask is asked for, and with the band their disagreement shrinks to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meddiff.errors import InputError
from meddiff.seeds import child_seed
from meddiff.sources.phantom.camera import illumination, photograph
from meddiff.sources.phantom.dermoscopy import healthy_skin, placed, reflected
from meddiff.sources.phantom.pigment import bounded
from meddiff.sources.phantom.texture import halved, outline

FADES = (0.05, 1.2)
"""Width of the band, in radii of the lesion, from a border drawn sharply to one that is hardly there."""
THRESHOLDS = (0.1, 0.9)


@dataclass(frozen=True)
class RatedLesion:
    """A picture and what each rater makes of it."""

    image: np.ndarray
    """[size, size, 3] uint8."""
    masks: np.ndarray
    """[R, size, size] uint8, 1 in the lesion; rater 0 is the most generous, each mask lies within the one before."""
    fade: float
    """Width of the band in which they differ, in radii of the lesion."""


def draw_rated(seed: int, *, size: int = 64, raters: int = 4, fade: float | None = None) -> RatedLesion:
    """Draw a brown lesion on skin, and the masks of its raters: the same arguments give the same bytes.

    Args:
        seed: of skin, lesion and view.
        size: side in pixels, 8 or more.
        raters: R, 1 or more.
        fade: width of the band in radii; by default it is drawn evenly from FADES.

    Raises:
        InputError: a size, a number of raters or a width that cannot be drawn.
    """
    _check(size, raters, fade)
    view, patient, skin, growth, band = (
        np.random.default_rng(child_seed(seed, "rated", name)) for name in ("view", "patient", "skin", "lesion", "band")
    )
    width = float(band.uniform(*FADES)) if fade is None else fade
    plane = placed(view, 2 * size, growth)
    pigments = healthy_skin(patient, skin, plane)
    edge = outline(growth, roughness=growth.uniform(0.02, 0.08))
    settings = {"stretch": growth.uniform(1, 1.4), "ragged": growth.uniform(0.01, 0.03)}
    shape = bounded(growth, plane, growth.uniform(0.3, 0.5), edge=edge, **settings)
    share = shape.fill(width)
    (mottle,) = plane.texture(growth, 0.1, "cloud")
    pigments.melanin += share * growth.uniform(0.6, 1.3) * np.exp(0.15 * mottle)
    pigments.blood += share * growth.uniform(0, 0.3)
    image = photograph(view, halved(reflected(pigments, plane.pixel) * illumination(view, 2 * size)))
    # a line is drawn before pixels are averaged, or a sharp border too would have its half-covered pixels to differ on
    masks = [halved((share > level).astype(np.float32)) >= 0.5 for level in thresholds(raters)]
    return RatedLesion(image, np.stack(masks).astype(np.uint8), width)


def thresholds(raters: int) -> np.ndarray:
    """Return the share of lesion from which each rater calls it lesion [R], evenly between 0.1 and 0.9.

    0.5 for one alone.
    """
    low, high = THRESHOLDS
    return low + (high - low) * (np.arange(raters) + 0.5) / raters


def _check(size: int, raters: int, fade: float | None) -> None:
    if size < 8:
        raise InputError(f"a phantom of {size} pixels was asked for; the smallest is 8")
    if raters < 1:
        raise InputError(f"{raters} raters were asked for; ask for at least 1")
    if fade is not None and not 0 < fade <= 2:
        raise InputError(f"fade is {fade}; it is the width of the border in radii, above 0 and at most 2")
