"""Weights for resampling patients, and the intervals that come of them.

Rescaled bootstrap (Rao & Wu 1988, "Resampling inference with complex survey data"): from the n units of a stratum
n - 1 are drawn with replacement and weighted n / (n - 1). Drawing n of n, the usual bootstrap, makes the variance too
small by the factor (n - 1) / n, which is a half for a class with 2 patients.
"""

from dataclasses import dataclass

import numpy as np

from meddiff.errors import InputError
from meddiff.seeds import child_seed


def bootstrap_weights(strata: np.ndarray, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """Give the weight of each unit in each resample: strata [U] int -> [U, resamples + 1], the first column all ones.

    Each column sums to the number of units within every stratum. A unit alone in its stratum always weighs 1.
    """
    if resamples < 1:
        raise InputError(f"got {resamples} resamples: give at least 1; 2000 for a 95% interval one can cite")
    weights = np.ones((len(strata), resamples + 1))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        n = len(members)
        if n > 1:
            drawn = generator.integers(n, size=(n - 1, resamples)) + n * np.arange(resamples)
            counts = np.bincount(drawn.ravel(), minlength=n * resamples).reshape(resamples, n)
            weights[members, 1:] = counts.T * (n / (n - 1))
    return weights


def rarest_class(labels: np.ndarray, group: np.ndarray, classes: int) -> np.ndarray:
    """Choose the stratum of each group, [N], [N] -> [G]: of its images' classes the one that fewest groups have."""
    has = np.zeros((group.max() + 1, classes), dtype=bool)
    has[group, labels] = True
    return np.where(has, has.sum(0), np.iinfo(np.int64).max).argmin(1)


def percentile_interval(values: np.ndarray, confidence_level: float) -> tuple[float, float]:
    """Compute the central share ``confidence_level`` of resampled values [R].

    Resamples where they are NaN are left out.
    """
    if not 0 < confidence_level < 1:
        raise InputError(f"got confidence level {confidence_level}: give a share between 0 and 1, such as 0.95")
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - confidence_level) / 2, (1 + confidence_level) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Resampling:
    """The bootstrap that intervals of an evaluation come of."""

    resamples: int = 2000
    confidence_level: float = 0.95
    """Share of the resampled values that an interval holds."""
    seed: int = 0

    def weights(self, strata: np.ndarray, use: str) -> np.ndarray:
        """Draw the weight of each unit in each resample for a named use (see `bootstrap_weights`)."""
        return bootstrap_weights(
            strata, self.resamples, np.random.default_rng(child_seed(self.seed, "evaluation", use))
        )

    def interval(self, values: np.ndarray) -> tuple[float, float]:
        """Compute the interval of resampled values [R] (see `percentile_interval`)."""
        return percentile_interval(values, self.confidence_level)


USUAL = Resampling()
"""The bootstrap where nobody asks for another one."""


def half_samples(groups: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Compute ``count`` random halves of the groups (patients), as columns: groups [N] -> bool [N, count].

    The spread of an estimate over random halves is its standard error on the whole: the delete-d jackknife with
    d = n / 2, whose factor (n - d) / d is 1 (Shao & Wu 1989, "A general theory for jackknife variance estimation").
    This is for distances between sets of images, which a bootstrap biases: it repeats images.
    """
    names, member = np.unique(groups, return_inverse=True)
    if len(names) < 4:
        raise InputError(f"got {len(names)} groups: an error estimate by halves needs at least 4")
    order = generator.random((len(names), count)).argsort(0).argsort(0)
    return (order < len(names) // 2)[member]


def random_half(groups: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Compute one random half of the groups: groups [N] -> bool [N]; of an odd number the smaller half."""
    names = np.unique(groups)
    return np.isin(groups, generator.permutation(names)[: len(names) // 2])
