"""An estimate of skin tone from a photograph of a lesion: the individual typology angle of the skin around it.

``ITA = arctan((L* - 50) / b*)`` in degrees (Chardon, Cretois & Hourseau 1991), of the pixels' CIELAB values: large
for light skin, negative for dark. Kinyanjui et al. 2020 ("Fairness of classifiers across skin tones in dermatology")
take it from the skin outside the lesion's outline. Here there need be no outline: the lesion is in the middle, so the
skin is taken from the outer frame of the picture; vignette, ruler marks, reflections and, where a mask is given, the
lesion are left out, and the median is robust to the hairs that remain.

**It is an estimate of the picture, not of the person**: light, camera and dermatoscope (polarized or not, gel) move it
by many degrees, and none of them is known. Of 120 pictures of HAM10000, 25 are so blue that no angle is given (of PH2
none); most others are light or very light (median 60 degrees, PH2 49), as both collections are. It may show that a
classifier is worse on dark pictures; it must not be used to say who somebody is.
"""

from __future__ import annotations

import numpy as np

from meddiff.errors import InputError

FRAME = 0.15
"""Width of the frame, as a share of the picture's side."""
DARKEST, LIGHTEST = 15.0, 97.0
"""L* of skin: darker is vignette or ink, lighter is a reflection or white paper."""
SKIN_HUE_DEGREES = (10.0, 100.0)
"""Hue angle arctan(b*, a*) of skin, light or dark: from red to yellow, with room for bad white balance."""
FEWEST_SHARE = 0.05
"""Smallest share of the frame that must look like skin."""
BANDS = {
    "very light (ITA over 55)": 55.0,
    "light (41 to 55)": 41.0,
    "intermediate (28 to 41)": 28.0,
    "tan (10 to 28)": 10.0,
    "brown (-30 to 10)": -30.0,
    "dark (-30 or less)": -np.inf,
}
"""Name -> the angle in degrees that it lies above (Chardon et al. 1991; Del Bino & Bernerd 2013)."""


def typology_angle_degrees(image: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Compute the median individual typology angle of the skin in the frame of a photograph, in degrees, -90 to 90.

    image [3, H, W] sRGB in [-1, 1]; mask [H, W], above 0 where the lesion is. NaN where too little of the frame looks
    like skin. Raises InputError for images without three channels.
    """
    from skimage.color import rgb2lab

    if image.ndim != 3 or image.shape[0] != 3 or not np.isfinite(image).all():
        raise InputError(f"got an image {image.shape}: give the three channels of a photograph, without NaN")
    lightness, red, yellow = np.moveaxis(rgb2lab((np.moveaxis(image, 0, -1) + 1) / 2), -1, 0)
    hue = np.degrees(np.arctan2(yellow, red))
    around = _frame(image.shape[1:])
    skin = around & (lightness > DARKEST) & (lightness < LIGHTEST)
    skin &= (hue > SKIN_HUE_DEGREES[0]) & (hue < SKIN_HUE_DEGREES[1])
    if mask is not None:
        skin &= mask <= 0
    if skin.sum() < FEWEST_SHARE * around.sum():
        return float("nan")
    return float(np.median(np.degrees(np.arctan2(lightness[skin] - 50, yellow[skin]))))


def band(angle_degrees: float) -> str | None:
    """Compute the name of a skin tone in BANDS; None where the angle is not known."""
    return next((name for name, above in BANDS.items() if angle_degrees > above), None)


def _frame(size: tuple[int, ...]) -> np.ndarray:
    """Mark what lies within FRAME of the border: [H, W] bool."""
    inside = np.ones(size, dtype=bool)
    rows, columns = (max(1, round(FRAME * side)) for side in size)
    inside[rows : size[0] - rows, columns : size[1] - columns] = False
    return inside
