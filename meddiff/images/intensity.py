"""The numbers of a volume as the model takes them: [-1, 1], each sequence by itself.

MRI has no unit: of two scanners, or two days, one ends at 112 and the other at 1.7 million. So it is measured by its
own body: z-score (mean and standard deviation) or percentiles. Air that a program has set to one constant would
shift both, so the body is all but the value that most of the eight corners share, and everything where they share
none. CT has a unit: a window of Hounsfield values, the same for every volume.

`to_pixels` is the way back, from the model's [-1, 1] to what a file holds.

The smooth brightness of a receiver coil, taken out of MRI: N4 (Tustison et al. 2010) through SimpleITK.

The field is fitted on a grid that is four times coarser, where it is as smooth as before, and taken out at full
resolution. It is fitted inside the Otsu mask: air has no signal to be brightened.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from meddiff.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

INTENSITIES = ("zscore", "percentile", "window")
_SHARED_CORNERS = 5  # of eight


def body(values: np.ndarray) -> np.ndarray:
    """Mark all but the constant background, if there is one: [I, J, K] bool."""
    corners, counts = np.unique(values[np.ix_(*[(0, -1)] * 3)], return_counts=True)
    inside = values != corners[counts.argmax()]
    return inside if counts.max() >= _SHARED_CORNERS and inside.any() else np.ones(values.shape, dtype=bool)


def to_unit_range(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Scale values to float32, low at -1 and high at 1, cut off beyond; an even volume is -1."""
    scaled = (values.astype(np.float32) - np.float32(low)) * np.float32(2 / (high - low) if high > low else 0.0)
    return np.clip(scaled - 1, -1, 1, out=scaled)


def value_range(
    values: np.ndarray, intensity: str, *, clip_std: float, percentiles: Sequence[float]
) -> tuple[float, float]:
    """Find the values of a volume [I, J, K] that become -1 and 1.

    Args:
        values: finite numbers.
        intensity: zscore or percentile.
        clip_std: of zscore: standard deviations to either side of the mean.
        percentiles: of percentile: the lower and the upper one.
    """
    inside = values[body(values)].astype(np.float64)
    if intensity == "percentile":
        low, high = np.percentile(inside, percentiles)
        return float(low), float(high)
    mean, std = float(inside.mean()), float(inside.std())
    return mean - clip_std * std, mean + clip_std * std


def check_finite(values: np.ndarray, name: object) -> None:
    """Refuse NaN and infinity: one of them spoils mean, percentiles and every voxel that is interpolated with it."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise InputError(f"{name}: {count} voxels are not finite numbers (NaN or infinity). Replace them in the file.")


def to_model_range(pixels: np.ndarray) -> Tensor:
    """Scale uint8 or uint16 pixels to float32 in [-1, 1]: 0 is -1, the largest value of the type is 1."""
    import torch  # takes seconds, and who only looks at pixels needs none of it

    half = np.iinfo(pixels.dtype).max / 2
    return torch.from_numpy(pixels.astype(np.float32)).div_(half).sub_(1)


def to_stored(image: np.ndarray) -> np.ndarray:
    """Turn an image in [-1, 1] into the uint16 that are kept of it: -1 is 0 and 1 is 65535."""
    return np.rint((image + 1) * np.float32(65535 / 2)).astype(np.uint16)


def to_pixels(image: np.ndarray, dtype: np.dtype | type = np.uint8) -> np.ndarray:
    """Turn an image [C, H, W] in [-1, 1] into pixels [H, W, C], or [H, W] where C is 1.

    -1 becomes 0 and 1 the largest value of ``dtype`` (uint8 or uint16), rounded to the nearest; what lies outside
    [-1, 1] has no pixel value and is clipped.
    """
    largest = np.iinfo(dtype).max
    pixels = np.rint((np.clip(image, -1, 1) + 1) / 2 * largest).astype(dtype)
    return pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)


SHRINK = 4
ITERATIONS = (50, 50, 50, 50)  # per level, the default of the original program
_FEWEST = 8  # voxels along an axis that shrinking leaves


def correct_bias_field(array: np.ndarray, spacing_mm: tuple[float, float, float], *, name: object) -> np.ndarray:
    """Take its bias field out of a volume [I, J, K], as float32.

    Args:
        array: MRI as it was measured, not below 0 (the field is a factor).
        spacing_mm: along the axes; only its ratios count.
        name: for messages.

    Raises:
        InputError: negative values: this is CT, or its intensities have been changed already.
    """
    import SimpleITK

    if array.min() < 0:
        raise InputError(
            f"{name}: its values go down to {array.min():g}. Bias correction needs MRI as it was measured, without "
            "negative values. Switch it off for volumes that are corrected or normalized already, and for CT."
        )
    axes = [axis for axis in range(3) if array.shape[axis] > 1]  # a single slice is a picture for N4
    if len(axes) < 2:
        raise InputError(f"{name}: a line of voxels {array.shape} has no bias field. Switch bias correction off.")
    image = SimpleITK.GetImageFromArray(array.astype(np.float32).squeeze().T)  # the fastest axis comes last there
    image.SetSpacing([float(spacing_mm[axis]) for axis in axes])
    mask = SimpleITK.OtsuThreshold(image, 0, 1, 200)
    if not SimpleITK.GetArrayFromImage(mask).any():
        return array.astype(np.float32)  # an even volume has no field
    shrink = [max(1, min(SHRINK, array.shape[axis] // _FEWEST)) for axis in axes]
    corrector = SimpleITK.N4BiasFieldCorrectionImageFilter()
    corrector.SetMaximumNumberOfIterations(list(ITERATIONS))
    corrector.SetNumberOfThreads(1)  # so that sums round alike on any machine
    corrector.Execute(SimpleITK.Shrink(image, shrink), SimpleITK.Shrink(mask, shrink))
    field = SimpleITK.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(image)).T.reshape(array.shape)
    return (array / np.exp(field)).astype(np.float32)
