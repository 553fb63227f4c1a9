"""Copies among synthetic images of what a generator was trained on, beside held-out real images.

Compared twice: pixels, averaged down and under the eight symmetries of the square, and features. A copy is an image
nearer to some training image than all but a stated share of held-out real images are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from meddiff.audit.study import repeated
from meddiff.errors import InputError
from meddiff.evaluation.images.sets import ImageSet, check_comparable
from meddiff.metrics.images.copying import (
    LEAST_IN_CELL,
    authentic_share,
    copying_statistic,
    memorization_distance,
    memorization_informed_frechet,
)
from meddiff.metrics.images.memorization import SYMMETRIES, copy_threshold, nearest, nearest_image
from meddiff.metrics.resampling import bootstrap_weights, percentile_interval, random_half
from meddiff.seeds import child_seed

SYNTHETIC, HELD_OUT = "synthetic", "held-out real"
COMPARED_SIDE = 32
FEWEST_HELD_OUT = 10
COPYING = -3.0
"""C_T is about standard normal for an honest generator: below this it is not."""
CHANCE = 1e-3
"""Probability below which an honest generator has not drawn as many images that lie so near."""
IMAGES_PER_CELL = 100
"""Training images that a cell of C_T has on average; one cell for few."""


@dataclass(frozen=True)
class Pair:
    """An image and its nearest training image."""

    query: int
    reference: int
    distance: float
    symmetry: str


@dataclass(frozen=True)
class Copies:
    """Near-copies of training images, in tables and pairs, as `copies` finds them."""

    table: pd.DataFrame
    """set, space, n, median_distance, smallest_distance, share_of_copies with low and high, threshold; how many lie
    nearer_than_held_out (than every held-out image), and half_as_near (half as far, or less)."""
    statistics: pd.DataFrame
    """metric (authentic_share, copying_statistic, memorization_distance, memorization_informed_frechet), synthetic,
    held_out, n_synthetic, n_held_out, n_training, cells (of C_T)."""
    pairs: dict[str, list[Pair]]
    """The nearest pairs of pixels, of synthetic and of held-out real images."""
    false_positive_rate: float
    held_out: ImageSet


def held_out_of(real: ImageSet, training: ImageSet) -> ImageSet:
    """Compute the real images that are not in the training set, not even as near-copies, and of nobody who is.

    Raises:
        InputError: fewer than ten are left.
    """
    seen, known = set(training.contents), set(training.groups)
    rest = np.array([
        content not in seen and group not in known
        for content, group in zip(real.contents, real.groups, strict=True)
    ])  # fmt: skip
    rest &= ~repeated(*(zip(some.rows, some.pixels, strict=True) for some in (real, training)))
    if rest.sum() < FEWEST_HELD_OUT:
        raise InputError(
            f"{int(rest.sum())} of the {len(real)} real images are held out: the others, or others of their patients, "
            f"are in --train. What is a copy is told from at least {FEWEST_HELD_OUT} real images that were not trained "
            "on: give such as --real, or leave --train out"
        )
    return real.chosen(rest)


def copies(
    real: ImageSet,
    synthetic: ImageSet,
    training: ImageSet,
    *,
    false_positive_rate: float = 0.05,
    shown: int = 8,
    resamples: int = 2000,
    confidence_level: float = 0.95,
    seed: int = 0,
) -> Copies:
    """Compute the nearest training images of synthetic and of held-out real images; see `Copies`.

    Raises:
        InputError: features made in different ways, too few held-out real images.
    """
    check_comparable(real, synthetic, training)
    held_out = held_out_of(real, training)
    generator = np.random.default_rng(child_seed(seed, "evaluation", "copies"))
    reference = _small(training)
    sets = {SYNTHETIC: synthetic, HELD_OUT: held_out}
    by_pixel = {name: nearest_image(_small(part), reference) for name, part in sets.items()}
    spaces = {
        "pixels": {name: near[0] for name, near in by_pixel.items()},
        "features": {name: nearest(part.features, training.features)[0] for name, part in sets.items()},
    }
    rows = []
    for space, distance in spaces.items():
        threshold = copy_threshold(distance[HELD_OUT], false_positive_rate)
        for name, values in distance.items():
            below = values < threshold
            low, high = _interval(below, sets[name].groups, resamples, confidence_level, generator)
            rows.append(
                {"set": name, "space": space, "n": len(values), "median_distance": float(np.median(values)),
                 "smallest_distance": float(values.min()), "share_of_copies": float(below.mean()), "low": low,
                 "high": high, "threshold": threshold,
                 "nearer_than_held_out": int((values < distance[HELD_OUT].min()).sum()),
                 "half_as_near": int((values < distance[HELD_OUT].min() / 2).sum())}
            )  # fmt: skip
    pairs = {name: _pairs(near, shown) for name, near in by_pixel.items()}
    statistics = _statistics(held_out, synthetic, training, generator, seed)
    return Copies(pd.DataFrame(rows), statistics, pairs, false_positive_rate, held_out)


def copied(table: pd.DataFrame, statistics: pd.DataFrame) -> bool:
    """Say whether training images are in the synthetic ones: by shares of copies, by the nearest ones, or by C_T."""
    for _, rows in table.groupby("space"):
        ours, theirs = (rows[rows["set"] == name].iloc[0] for name in (SYNTHETIC, HELD_OUT))
        if ours["low"] > theirs["high"] or chance_of(ours["half_as_near"], ours["n"], theirs["n"]) < CHANCE:
            return True
    statistic = statistics.loc[statistics["metric"] == "copying_statistic", "synthetic"]
    return bool((statistic < COPYING).any())


def chance_of(nearest_ones: int, synthetic: int, held_out: int) -> float:
    """Compute how probable it is that so many of the nearest images are synthetic, of images that are all alike.

    Where a generator draws as nature does, each order of all distances is as probable as any other.
    """
    every = synthetic + held_out
    return float(np.prod([(synthetic - place) / (every - place) for place in range(nearest_ones)]))


def nearest_pairs(queries: ImageSet, references: ImageSet, shown: int = 8) -> list[Pair]:
    """Compute the images nearest to any of the references by their pixels, nearest first."""
    check_comparable(queries, references)
    return _pairs(nearest_image(_small(queries), _small(references)), shown)


def _statistics(
    held_out: ImageSet, synthetic: ImageSet, training: ImageSet, generator: np.random.Generator, seed: int
) -> pd.DataFrame:
    """Give AuthPct, C_T and MiFID of synthetic images, and of held-out ones in their place (C_T: of half of them)."""
    features = np.asarray(training.features)
    half = random_half(held_out.groups, generator)
    judged, rest = held_out.features[half], held_out.features[~half]
    cells = max(1, min(5, len(training) // IMAGES_PER_CELL))
    if min(len(judged), len(rest), len(synthetic)) < LEAST_IN_CELL * cells:
        cells = 1

    def copying(others: np.ndarray, against: np.ndarray) -> float:
        if min(len(others), len(against)) < LEAST_IN_CELL:
            return float("nan")
        return copying_statistic(features, against, others, cells=cells, seed=seed)

    count = min(len(synthetic), len(held_out))  # the Frechet distance depends on it
    ours, theirs = (part.features[generator.permutation(len(part))[:count]] for part in (synthetic, held_out))
    return pd.DataFrame(
        [
            {"metric": "authentic_share", "synthetic": authentic_share(features, synthetic.features),
             "held_out": authentic_share(features, held_out.features)},
            {"metric": "copying_statistic", "synthetic": copying(synthetic.features, held_out.features),
             "held_out": copying(judged, rest)},
            *({"metric": work.__name__, "synthetic": work(features, ours), "held_out": work(features, theirs)}
              for work in (memorization_distance, memorization_informed_frechet)),
        ]
    ).assign(n_synthetic=len(synthetic), n_held_out=len(held_out), n_training=len(training), cells=cells)  # fmt: skip


def _interval(
    below: np.ndarray, groups: np.ndarray, resamples: int, level: float, generator: np.random.Generator
) -> tuple[float, float]:
    """Compute the interval of a share by bootstrap over the groups."""
    member = np.unique(groups, return_inverse=True)[1]
    weights = bootstrap_weights(np.zeros(member.max() + 1, dtype=int), resamples, generator)[:, 1:]
    totals, hits = np.bincount(member), np.bincount(member, weights=below)
    return percentile_interval((hits @ weights) / (totals @ weights), level)


def _small(images: ImageSet, block: int = 256) -> np.ndarray:
    """Map [N, 3, s, s] in [-1, 1], averaged over whole blocks down to about COMPARED_SIDE."""
    factor = max(1, images.pixels.shape[-1] // COMPARED_SIDE)
    side = images.pixels.shape[-1] // factor
    parts = []
    for start in range(0, len(images), block):
        cut = images.images(slice(start, start + block))[..., : side * factor, : side * factor]
        parts.append(cut.reshape(*cut.shape[:2], side, factor, side, factor).mean((3, 5)))
    return np.concatenate(parts)


def _pairs(found: tuple[np.ndarray, np.ndarray, np.ndarray], shown: int) -> list[Pair]:
    distance, index, symmetry = found
    nearest_first = np.argsort(distance, kind="stable")[:shown]
    return [Pair(int(at), int(index[at]), float(distance[at]), SYMMETRIES[int(symmetry[at])]) for at in nearest_first]
