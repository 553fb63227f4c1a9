"""Synthetic images against real ones: every figure beside what real images give against each other.

No distance between sets of images means anything alone: it depends on the extractor, the resolution and the number of
images. So the real images are cut in halves by patient, several times. Half against half is what a perfect generator
would get; the synthetic images take the place of the second half, the same number of them. A figure that lies beyond
every one of the halves, and farther from their mean than its own sampling error, is outside of what chance gives.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from meddiff.errors import InputError
from meddiff.evaluation.images.measures import FRECHET, MEASURES, NEIGHBORS, Embed, Measure, Measured, figures, measured
from meddiff.evaluation.images.sets import ImageSet, check_comparable
from meddiff.metrics.images.fidelity import frechet_distance_unbiased
from meddiff.metrics.resampling import half_samples, random_half
from meddiff.seeds import child_seed

FEWEST_REAL, FEWEST_SYNTHETIC, FEWEST_GROUPS = 16, 12, 4
FEWEST_OF_CLASS = 8
"""Patients that two classes at least must have before labels are judged: halves of fewer lack one of them too often."""
HALVES = 20
"""Half-samples that a standard error is estimated from."""


def image_quality(
    real: ImageSet,
    synthetic: ImageSet,
    *,
    splits: int = 10,
    embed: Embed | None = None,
    confidence_level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Return all measures, one row each.

    Those of labels where both sets have them, LPIPS where ``embed`` makes its vectors.

    Columns: metric; value with low and high (all images; standard error from half-samples of the patients); matched
    and baseline, each with _low and _high: mean, smallest and largest over the splits of synthetic images and of a
    held-out real half against the other half, the same number of both; outside: whether the mean of the former lies
    beyond the latter's worst, and farther from their mean than its sampling error; fault: what that means, empty
    inside; n_real, n_synthetic, n_matched, splits; extractor, weights, dimension, resolution, fit, resize_filter,
    preprocessing, volumes; warning.

    Raises:
        InputError: features made in different ways, too few images or patients.
    """
    check_comparable(real, synthetic)
    _check_enough(real, synthetic)
    generator = np.random.default_rng(child_seed(seed, "evaluation", "image_quality"))
    ours, theirs = _comparable_labels(measured(real, embed), measured(synthetic, embed))
    whole = figures(ours, theirs, generator)
    errors = _standard_errors(ours, theirs, generator)
    halves = [_half_figures(ours, theirs, generator) for _ in range(splits)]
    margin = float(norm.ppf((1 + confidence_level) / 2))
    space = real.space
    about = {
        "n_real": len(real), "n_synthetic": len(synthetic), "n_matched": halves[0][2], "splits": splits,
        "extractor": space.extractor, "weights": space.weights, "dimension": ours.features.shape[1],
        "resolution": space.resolution, "fit": space.fit, "resize_filter": space.resize_filter,
        "preprocessing": space.preprocessing, "volumes": space.volumes,
    }  # fmt: skip
    sides = [half[0] for half in halves], [half[1] for half in halves]
    rows = []
    for metric, value in whole.items():
        matched, baseline = (np.array([parts[metric] for parts in side]) for side in sides)
        row = _beside_halves(MEASURES[metric], value, margin * errors[metric], matched, baseline)
        rows.append({"metric": metric} | row | about | {"warning": _warning(metric, real, synthetic)})
    return pd.DataFrame(rows)


def _beside_halves(
    measure: Measure, value: float, error: float, matched: np.ndarray, baseline: np.ndarray
) -> dict[str, Any]:
    """Put a figure with its interval beside its values in the splits, and say what is wrong."""
    low, high = np.clip(value + error * np.array([-1, 1]), *measure.bounds)
    row: dict[str, Any] = {"value": value, "low": low, "high": high}
    for name, values in (("matched", matched), ("baseline", baseline)):
        row |= {name: np.nanmean(values), f"{name}_low": np.nanmin(values), f"{name}_high": np.nanmax(values)}
    fault = _fault(measure, row["matched"], baseline[~np.isnan(baseline)], error)
    return row | {"outside": bool(fault), "fault": fault}


def unbiased_frechet(real: ImageSet, synthetic: ImageSet, *, seed: int = 0) -> tuple[float, str]:
    """Compute the Frechet distance extrapolated to infinitely many images, or NaN and the reason why there is none."""
    check_comparable(real, synthetic)
    generator = np.random.default_rng(child_seed(seed, "evaluation", "unbiased_frechet"))
    try:
        return frechet_distance_unbiased(real.features, synthetic.features, generator), ""
    except InputError as error:
        return float("nan"), str(error)


def _half_figures(
    real: Measured, synthetic: Measured, generator: np.random.Generator
) -> tuple[dict[str, float], dict[str, float], int]:
    """Measure a random half of the patients against synthetic images, and against as many images of the other half."""
    half = random_half(real.groups, generator)
    first, second = real.chosen(half), real.chosen(~half)
    count = min(len(second), len(synthetic))
    others = [part.chosen(generator.permutation(len(part))[:count]) for part in (synthetic, second)]
    return figures(first, others[0], generator), figures(first, others[1], generator), count


def _standard_errors(real: Measured, synthetic: Measured, generator: np.random.Generator) -> dict[str, float]:
    chosen = [half_samples(part.groups, HALVES, generator).T for part in (real, synthetic)]
    resampled = [
        figures(real.chosen(a), synthetic.chosen(b), generator)
        for a, b in zip(*chosen, strict=True)
        if min(a.sum(), b.sum()) > NEIGHBORS
    ]
    return {metric: float(np.nanstd([entry[metric] for entry in resampled], ddof=1)) for metric in resampled[0]}


def _fault(measure: Measure, value: float, baseline: np.ndarray, error: float) -> str:
    """Name the fault of a figure beyond the worst half, and farther from their mean than sampling explains."""
    if value > max(baseline.max(), baseline.mean() + error):
        return measure.above
    return measure.below if value < min(baseline.min(), baseline.mean() - error) else ""


def _comparable_labels(real: Measured, synthetic: Measured) -> tuple[Measured, Measured]:
    """Compute both as they are, or without labels where two classes do not have patients enough for halves."""
    if real.labels is not None and synthetic.labels is not None:
        common = np.intersect1d(real.labels, synthetic.labels)
        if sum(len(np.unique(real.groups[real.labels == name])) >= FEWEST_OF_CLASS for name in common) > 1:
            return real, synthetic
    return replace(real, labels=None), replace(synthetic, labels=None)


def _check_enough(real: ImageSet, synthetic: ImageSet) -> None:
    groups = len(np.unique(real.groups))
    drawn = len(np.unique(synthetic.groups))
    if len(real) < FEWEST_REAL or groups < FEWEST_GROUPS or drawn < FEWEST_SYNTHETIC:
        raise InputError(
            f"got {len(real)} real images of {groups} patients and {drawn} synthetic images: give at least "
            f"{FEWEST_REAL} real ones of {FEWEST_GROUPS} patients, which are cut in halves, and {FEWEST_SYNTHETIC} "
            "synthetic ones"
        )
    generator = np.random.default_rng(0)
    sizes = [random_half(real.groups, generator) for _ in range(20)]
    smallest = min(min(int(half.sum()), int((~half).sum())) for half in sizes)
    if smallest <= NEIGHBORS:
        raise InputError(
            f"a half of the real images by patient may hold as few as {smallest} images, and {NEIGHBORS + 1} are "
            "needed: give more patients"
        )


def _warning(metric: str, real: ImageSet, synthetic: ImageSet) -> str:
    n, dimension = min(len(real), len(synthetic)), real.features.shape[1]
    if metric == FRECHET and n < dimension:
        return f"{n} images are fewer than {dimension} features: read it beside the real halves alone"
    return ""
