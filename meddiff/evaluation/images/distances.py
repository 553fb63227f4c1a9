"""Distances of synthetic images to real ones, beside those of real images of other patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from meddiff.errors import InputError
from meddiff.metrics.images.fidelity import frechet_distance, kernel_distance
from meddiff.metrics.resampling import half_samples, random_half
from meddiff.seeds import child_seed

FRECHET, KERNEL = "frechet_distance", "kernel_distance"
AGAINST_SYNTHETIC, AGAINST_HELD_OUT = "real against synthetic", "real against held-out real"
LEAST = {FRECHET: 0.0, KERNEL: -np.inf}
"""No interval goes below: a Frechet distance is none, an unbiased estimate of a kernel distance may be."""
FEWEST = 4
"""Patients (or images without one) that each set needs: halves of fewer have no spread."""
HALVES = 20
"""Half-samples that the error of a distance is estimated from."""


@dataclass(frozen=True)
class ImageFeatures:
    """Features of a set of images, and of whom they are."""

    values: np.ndarray  # [N, F]
    groups: np.ndarray | None = None  # [N] patient of each image; None: no two images are of one patient
    labels: np.ndarray | None = None  # [N] class of each image; None: unknown

    @property
    def group_of_each(self) -> np.ndarray:
        """[N] the groups, or a number per image."""
        return np.arange(len(self.values)) if self.groups is None else np.asarray(self.groups)

    @property
    def label_of_each(self) -> np.ndarray:
        """[N] the labels, or one and the same for all."""
        return np.full(len(self.values), "") if self.labels is None else np.asarray(self.labels)

    @property
    def enough(self) -> bool:
        """True where a distance and its error can be computed at all."""
        return len(np.unique(self.group_of_each)) >= FEWEST

    def chosen(self, which: np.ndarray) -> ImageFeatures:
        """Return some of the images: bool [N] or indices."""
        return ImageFeatures(self.values[which], self.group_of_each[which], self.label_of_each[which])


def distances(
    real: ImageFeatures,
    synthetic: ImageFeatures,
    held_out: ImageFeatures | None = None,
    *,
    features: str = "",
    confidence_level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute Frechet and kernel distance of real to synthetic images, and beside it of real to held-out real ones.

    The second is what the first would be if the synthetic images were real images of other patients: nothing else
    says what a distance means. ``held_out`` shares no patient with ``real``; without it, a random half of the
    patients of ``real`` is held out. Both comparisons use the same real images and, because both distances depend on
    it, the same number of images of every class (random choices of the larger sets; class by class where labels are
    given, so that a different mix of classes is not taken for a different look).

    Returns two comparisons x two metrics: features (the extractor's name), comparison, metric, value, low, high,
    n_real, n_synthetic (of the set compared with), dimension, warning. The interval is normal, with the standard error
    from half-samples of the patients; it is about the sampling of images, around a Frechet distance that is biased.
    Where a set has too few images, or no class in common with the others, value and interval are NaN and the warning
    says so.
    """
    generator = np.random.default_rng(child_seed(seed, "evaluation", "distances"))
    if held_out is None:
        half = random_half(real.group_of_each, generator)
        real, held_out = real.chosen(half), real.chosen(~half)
    elif shared := set(real.groups if real.groups is not None else ()) & set(
        held_out.groups if held_out.groups is not None else ()
    ):
        raise InputError(f"held-out images share {len(shared)} patient(s) with the real ones: hold out whole patients")
    real, synthetic, held_out, dropped = _same_mix(real, synthetic, held_out, generator)
    records = []
    for comparison, other in ((AGAINST_SYNTHETIC, synthetic), (AGAINST_HELD_OUT, held_out)):
        for metric, (value, error) in _both_distances(real, other, generator).items():
            margin = error * norm.ppf((1 + confidence_level) / 2)
            records.append(
                {"features": features, "comparison": comparison, "metric": metric, "value": value,
                 "low": max(value - margin, LEAST[metric]), "high": value + margin, "n_real": len(real.values),
                 "n_synthetic": len(other.values), "dimension": real.values.shape[1],
                 "warning": _distance_warning(metric, real, other, dropped)}
            )  # fmt: skip
    return pd.DataFrame(records)


def _both_distances(
    real: ImageFeatures, other: ImageFeatures, generator: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Compute the value and standard error of the Frechet and of the kernel distance.

    NaN where there are too few images.
    """
    if not (real.enough and other.enough):
        return dict.fromkeys((FRECHET, KERNEL), (float("nan"), float("nan")))
    first = half_samples(real.group_of_each, HALVES, generator)
    second = half_samples(other.group_of_each, HALVES, generator)
    frechet = [frechet_distance(real.values[a], other.values[b]) for a, b in zip(first.T, second.T, strict=True)]
    kernel = kernel_distance(
        real.values,
        other.values,
        real_chosen=np.column_stack([np.ones(len(first), bool), first]),
        synthetic_chosen=np.column_stack([np.ones(len(second), bool), second]),
    )
    return {
        FRECHET: (frechet_distance(real.values, other.values), float(np.std(frechet, ddof=1))),
        KERNEL: (float(kernel[0]), float(np.std(kernel[1:], ddof=1))),
    }


def _same_mix(
    real: ImageFeatures, synthetic: ImageFeatures, held_out: ImageFeatures, generator: np.random.Generator
) -> tuple[ImageFeatures, ImageFeatures, ImageFeatures, list[str]]:
    """Cut three sets to one mix of classes, the last two to one size.

    Returns them, and the classes that one of them lacks.
    """
    labels = [part.label_of_each for part in (real, synthetic, held_out)]
    everything = sorted(set().union(*(set(part) for part in labels)))
    counts = {name: [int((part == name).sum()) for part in labels] for name in everything}
    common = {name: min(count[1:]) for name, count in counts.items() if min(count) > 0}
    per_one = min((counts[name][0] / number for name, number in common.items()), default=0.0)
    wanted = ({name: round(per_one * number) for name, number in common.items()}, common, common)
    parts = []
    for part, label, numbers in zip((real, synthetic, held_out), labels, wanted, strict=True):
        picked = [generator.permutation(np.flatnonzero(label == name))[:number] for name, number in numbers.items()]
        parts.append(part.chosen(np.sort(np.concatenate([np.zeros(0, int), *picked]))))
    return *parts, [str(name) for name in everything if name not in common]


def _distance_warning(metric: str, real: ImageFeatures, other: ImageFeatures, dropped: list[str]) -> str:
    n, dimension = min(len(real.values), len(other.values)), real.values.shape[1]
    notes = []
    if not (real.enough and other.enough):
        notes.append(
            f"too few to say anything: each set needs images of at least {FEWEST} groups (patients, lesions or images)"
        )
    elif metric == FRECHET and n < dimension:
        notes.append(f"{n} images are fewer than {dimension} features: read it against the held-out row alone")
    if dropped:
        notes.append(f"without {', '.join(dropped)}, which one of the sets lacks")
    return "; ".join(notes)
