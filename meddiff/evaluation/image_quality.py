"""Synthetic images against real ones: every figure beside what real images give against each other.

No distance between sets of images means anything alone: it depends on the extractor, the resolution and the number of
images. So the real images are cut in halves by patient, several times. Half against half is what a perfect generator
would get; the synthetic images take the place of the second half, the same number of them. A figure that lies beyond
every one of the halves, and farther from their mean than its own sampling error, is outside of what chance gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import norm

from meddiff.errors import InputError
from meddiff.evaluation.image_sets import ImageSet, check_comparable
from meddiff.metrics.color import color_distance_levels, color_distributions
from meddiff.metrics.diversity import similarity_of_pairs, vendi_score
from meddiff.metrics.fidelity import frechet_distance, frechet_distance_unbiased, kernel_distance
from meddiff.metrics.manifold import manifold_scores
from meddiff.metrics.resampling import half_samples, random_half
from meddiff.metrics.spectrum import radial_power_db
from meddiff.seeds import child_seed

NEIGHBORS = 5
FEWEST_REAL, FEWEST_SYNTHETIC, FEWEST_GROUPS = 16, 12, 4
HALVES = 20
"""Half-samples that a standard error is estimated from."""
PAIRS = 100
"""Of each estimate of the structural similarity."""
SIMILARITY_SIDE = 64
"""Images are averaged down to about this side before their structural similarity is taken."""
FRECHET = "frechet_distance"


@dataclass(frozen=True)
class Measure:
    """What a figure is called, and on which side of the real halves something is wrong."""

    title: str
    wrong: Literal["above", "below", "either"]
    of_features: bool = True
    bounds: tuple[float, float] = (-np.inf, np.inf)
    sees: str = ""


MEASURES: dict[str, Measure] = {
    FRECHET: Measure("Frechet distance", "above", bounds=(0, np.inf), sees="any change of mean and covariance"),
    "kernel_distance": Measure("Kernel distance (KID)", "above", sees="any change, without bias in n"),
    "precision": Measure("Precision", "below", bounds=(0, 1), sees="images that look like no real one"),
    "recall": Measure("Recall", "below", bounds=(0, 1), sees="real images that are never drawn"),
    "density": Measure("Density", "either", bounds=(0, np.inf), sees="crowding in the middle, or emptiness there"),
    "coverage": Measure("Coverage", "below", bounds=(0, 1), sees="real images that have no synthetic neighbor"),
    "vendi_score": Measure("Vendi score", "either", bounds=(1, np.inf), sees="the number of different images"),
    "pair_similarity": Measure("MS-SSIM of pairs", "either", False, (0, 1), "images that repeat each other"),
    "spectrum_distance_db": Measure("Spectrum distance, dB", "above", False, (0, np.inf), "blur, noise, checkerboards"),
    "color_distance_levels": Measure("Color distance, levels", "above", False, (0, np.inf), "tint and brightness"),
}


@dataclass(frozen=True)
class Measured:
    """What of a set goes into the figures, one line per image."""

    features: np.ndarray  # [N, F] float64
    spectra: np.ndarray  # [N, S / 2]
    colors: np.ndarray  # [N, 5, bins]
    small: np.ndarray  # [N, 3, s, s]
    groups: np.ndarray  # [N]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.groups)

    def chosen(self, which: np.ndarray) -> Measured:
        """Some of the images."""
        parts = (self.features, self.spectra, self.colors, self.small, self.groups)
        return Measured(*(part[which] for part in parts))


def measured(images: ImageSet, *, block: int = 256) -> Measured:
    """Spectra, colors and small copies of a set, block by block."""
    works = (radial_power_db, color_distributions, _reduced)
    found = []
    for start in range(0, len(images), block):
        part = images.images(slice(start, start + block))
        found.append([work(part) for work in works])
    spectra, colors, small = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Measured(np.asarray(images.features, np.float64), spectra, colors, small, images.groups)


def image_quality(
    real: ImageSet, synthetic: ImageSet, *, splits: int = 10, confidence_level: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """All measures, one row each.

    Columns: metric; value with low and high (all images; standard error from half-samples of the patients); matched
    and baseline, each with _low and _high: mean, smallest and largest over the splits of synthetic images and of a
    held-out real half against the other half, the same number of both; outside: whether the mean of the former lies
    beyond the latter's worst, and farther from their mean than its sampling error; n_real, n_synthetic, n_matched,
    splits; extractor, weights, dimension, resolution, fit, resize_filter, preprocessing; warning.

    Raises:
        InputError: features made in different ways, too few images or patients.
    """
    check_comparable(real, synthetic)
    _check_enough(real, synthetic)
    generator = np.random.default_rng(child_seed(seed, "evaluation", "image_quality"))
    ours, theirs = measured(real), measured(synthetic)
    whole = _figures(ours, theirs, generator)
    errors = _standard_errors(ours, theirs, generator)
    halves = [_half_figures(ours, theirs, generator) for _ in range(splits)]
    margin = norm.ppf((1 + confidence_level) / 2)
    space = real.space
    about = {
        "n_real": len(real), "n_synthetic": len(synthetic), "n_matched": halves[0][2], "splits": splits,
        "extractor": space.extractor, "weights": space.weights, "dimension": ours.features.shape[1],
        "resolution": space.resolution, "fit": space.fit, "resize_filter": space.resize_filter,
        "preprocessing": space.preprocessing,
    }  # fmt: skip
    sides = [half[0] for half in halves], [half[1] for half in halves]
    rows = []
    for metric, measure in MEASURES.items():
        matched, baseline = (np.array([parts[metric] for parts in side]) for side in sides)
        low, high = np.clip(whole[metric] + margin * errors[metric] * np.array([-1, 1]), *measure.bounds)
        row = {"metric": metric, "value": whole[metric], "low": low, "high": high}
        for name, values in (("matched", matched), ("baseline", baseline)):
            row |= {name: values.mean(), f"{name}_low": values.min(), f"{name}_high": values.max()}
        row["outside"] = _outside(measure, float(matched.mean()), baseline, float(margin * errors[metric]))
        rows.append(row | about | {"warning": _warning(metric, real, synthetic)})
    return pd.DataFrame(rows)


def unbiased_frechet(real: ImageSet, synthetic: ImageSet, *, seed: int = 0) -> tuple[float, str]:
    """The Frechet distance extrapolated to infinitely many images, or NaN and the reason why there is none."""
    check_comparable(real, synthetic)
    generator = np.random.default_rng(child_seed(seed, "evaluation", "unbiased_frechet"))
    try:
        return frechet_distance_unbiased(real.features, synthetic.features, generator), ""
    except InputError as error:
        return float("nan"), str(error)


def _figures(real: Measured, other: Measured, generator: np.random.Generator) -> dict[str, float]:
    """Every measure of one set against another."""
    scores = manifold_scores(real.features, other.features, neighbors=NEIGHBORS)
    spectrum = real.spectra.mean(0) - other.spectra.mean(0)
    return {
        FRECHET: frechet_distance(real.features, other.features),
        "kernel_distance": float(kernel_distance(real.features, other.features)[0]),
        "precision": scores.precision,
        "recall": scores.recall,
        "density": scores.density,
        "coverage": scores.coverage,
        "vendi_score": _vendi(other.features - real.features.mean(0)),
        "pair_similarity": float(similarity_of_pairs(other.small, generator, data_range=2.0, pairs=PAIRS).mean()),
        "spectrum_distance_db": float(np.sqrt(np.mean(spectrum**2))),
        "color_distance_levels": color_distance_levels(real.colors, other.colors),
    }


def _half_figures(
    real: Measured, synthetic: Measured, generator: np.random.Generator
) -> tuple[dict[str, float], dict[str, float], int]:
    """A random half of the patients against synthetic images, and against as many images of the other half."""
    half = random_half(real.groups, generator)
    first, second = real.chosen(half), real.chosen(~half)
    count = min(len(second), len(synthetic))
    others = [part.chosen(generator.permutation(len(part))[:count]) for part in (synthetic, second)]
    return _figures(first, others[0], generator), _figures(first, others[1], generator), count


def _standard_errors(real: Measured, synthetic: Measured, generator: np.random.Generator) -> dict[str, float]:
    chosen = [half_samples(part.groups, HALVES, generator).T for part in (real, synthetic)]
    found = [
        _figures(real.chosen(a), synthetic.chosen(b), generator)
        for a, b in zip(*chosen, strict=True)
        if min(a.sum(), b.sum()) > NEIGHBORS
    ]
    return {metric: float(np.std([entry[metric] for entry in found], ddof=1)) for metric in MEASURES}


def _outside(measure: Measure, value: float, baseline: np.ndarray, error: float) -> bool:
    """Beyond the worst half, and farther from their mean than the sampling of these images explains."""
    above = value > max(baseline.max(), baseline.mean() + error)
    below = value < min(baseline.min(), baseline.mean() - error)
    return bool({"above": above, "below": below, "either": above or below}[measure.wrong])


def _vendi(centered: np.ndarray) -> float:
    """The score of the images that have a direction: one that equals the center has none."""
    return vendi_score(centered[np.linalg.norm(centered, axis=1) > 0])


def _reduced(images: np.ndarray) -> np.ndarray:
    """Averaged over whole blocks of pixels, down to no less than SIMILARITY_SIDE."""
    factor = max(1, images.shape[-1] // SIMILARITY_SIDE)
    side = images.shape[-1] // factor
    cut = images[..., : side * factor, : side * factor]
    return cut.reshape(*cut.shape[:2], side, factor, side, factor).mean((3, 5))


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
