"""What a volume's numbers become for the model: [-1, 1], each sequence by itself.

MRI has no unit: of two scanners, or two days, one ends at 112 and the other at 1.7 million. So it is measured by its
own body: z-score (mean and standard deviation) or percentiles. Air that a program has set to one constant would
shift both, so the body is all but the value that most of the eight corners share, and everything where they share
none. CT has a unit: a window of Hounsfield values, the same for every volume.
"""

from collections.abc import Sequence

import numpy as np

from meddiff.errors import InputError

INTENSITIES = ("zscore", "percentile", "window")
_SHARED_CORNERS = 5  # of eight


def body(values: np.ndarray) -> np.ndarray:
    """[I, J, K] bool: all but the constant background, if there is one."""
    corners, counts = np.unique(values[np.ix_(*[(0, -1)] * 3)], return_counts=True)
    inside = values != corners[counts.argmax()]
    return inside if counts.max() >= _SHARED_CORNERS and inside.any() else np.ones(values.shape, dtype=bool)


def to_unit_range(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values as float32, low at -1 and high at 1, cut off beyond; an even volume is -1."""
    scaled = (values.astype(np.float32) - np.float32(low)) * np.float32(2 / (high - low) if high > low else 0.0)
    return np.clip(scaled - 1, -1, 1, out=scaled)


def value_range(
    values: np.ndarray, intensity: str, *, clip_std: float, percentiles: Sequence[float]
) -> tuple[float, float]:
    """The values of a volume [I, J, K] that become -1 and 1.

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
