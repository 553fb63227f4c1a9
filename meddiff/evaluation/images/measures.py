"""Measures of a set of images against another: each figure, what it sees, and which side of it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np

from meddiff.evaluation.images.sets import ImageSet
from meddiff.metrics.images.color import color_distance_levels, color_distributions
from meddiff.metrics.images.diversity import mean_square_distance, similarity_of_pairs, vendi_score
from meddiff.metrics.images.fidelity import frechet_distance, kernel_distance
from meddiff.metrics.images.label_agreement import label_agreement
from meddiff.metrics.images.manifold import manifold_scores
from meddiff.metrics.images.spectrum import radial_power_db

NEIGHBORS = 5
PAIRS = 100
"""Of each estimate of the structural similarity."""
SIMILARITY_SIDE = 64
"""Images are averaged down to about this side before their structural or perceptual similarity is taken."""
FRECHET = "frechet_distance"
Embed = Callable[[np.ndarray], np.ndarray]
"""Images [N, 3, s, s] in [-1, 1] -> vectors [N, P] whose squared distances are a perceptual distance."""

UNLIKE = "features unlike those of real images"
STRANGE = "images that look like no real one"
MISSING = "kinds of real images that are missing"
REPEATED = "images that repeat each other"
VARIED = "more variety than real images have"
DETAIL = "wrong detail"
GENERAL = (UNLIKE, DETAIL)
"""Faults of which another measure may say what they consist of."""


@dataclass(frozen=True)
class Measure:
    """The name of a figure, and its meaning where it lies beyond the real halves."""

    title: str
    sees: str
    above: str = ""
    """The fault of a set whose figure is above theirs; empty: that is no fault."""
    below: str = ""
    bounds: tuple[float, float] = (-np.inf, np.inf)


MEASURES: dict[str, Measure] = {
    FRECHET: Measure("Frechet distance", "any change of mean and covariance", UNLIKE, bounds=(0, np.inf)),
    "kernel_distance": Measure("Kernel distance (KID)", "any change, without bias in n", UNLIKE),
    "precision": Measure("Precision", STRANGE, below=STRANGE, bounds=(0, 1)),
    "recall": Measure("Recall", "real images that are never drawn", below=MISSING, bounds=(0, 1)),
    "density": Measure("Density", "crowding in the middle, or emptiness there", "images crowded in the middle of the "
                       "real ones", STRANGE, (0, np.inf)),
    "coverage": Measure("Coverage", "real images that have no synthetic neighbor", below=MISSING, bounds=(0, 1)),
    "vendi_score": Measure("Vendi score", "the number of different images", VARIED, REPEATED, (1, np.inf)),
    "pair_similarity": Measure("MS-SSIM of pairs", REPEATED, REPEATED, VARIED, (0, 1)),
    "perceptual_distance": Measure("LPIPS of pairs", REPEATED, VARIED, REPEATED, (0, np.inf)),
    "spectrum_distance_db": Measure("Spectrum distance, dB", "any change of detail", DETAIL, bounds=(0, np.inf)),
    "fine_detail_db": Measure("Fine detail, dB", "blur (below 0), noise and checkerboards (above)",
                              "noise or patterns in the finest detail", "blur"),
    "color_distance_levels": Measure("Color and brightness, levels", "tint and brightness",
                                     "wrong colors or brightness", bounds=(0, np.inf)),
    "label_agreement": Measure("Label agreement", "labels that do not fit the images",
                               below="labels that do not fit the images", bounds=(0, 1)),
}  # fmt: skip
"""In the order of tables. LPIPS needs its weights, the agreement labels of both sets; volumes have no LPIPS."""


@dataclass(frozen=True)
class Measured:
    """Measured values of a set, one row per image."""

    groups: np.ndarray  # [N]
    features: np.ndarray  # [N, F] float64
    spectra: np.ndarray  # [N, S / 2]
    colors: np.ndarray  # [N, 5, bins], or [N, 1, bins] of volumes
    small: np.ndarray  # [N, 3, s, s]
    labels: np.ndarray | None  # [N]; None: unknown
    embedded: np.ndarray | None  # [N, P]; None: no perceptual distance

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.groups)

    def chosen(self, which: np.ndarray) -> Measured:
        """Return some of the images."""
        known = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return replace(self, **{name: part[which] for name, part in known.items() if part is not None})


def measured(images: ImageSet, embed: Embed | None = None, *, block: int = 256) -> Measured:
    """Measure spectra, colors and small copies of a set, block by block."""
    blocks: list[list[np.ndarray]] = []
    for start in range(0, len(images), block):
        part = images.images(slice(start, start + block))
        values = part[:, None] if images.space.volumes else part  # the planes of a volume are no colors
        blocks.append([radial_power_db(part), color_distributions(values), _reduced(part)])
    spectra, colors, small = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    embedded = None if embed is None or images.space.volumes else embed(small)
    features = np.asarray(images.features, np.float64)
    return Measured(images.groups, features, spectra, colors, small, images.labels, embedded)


def figures(real: Measured, other: Measured, generator: np.random.Generator) -> dict[str, float]:
    """Compute every measure of one set against another, by its name in MEASURES."""
    scores = manifold_scores(real.features, other.features, neighbors=NEIGHBORS)
    spectrum = other.spectra.mean(0) - real.spectra.mean(0)
    values = {
        FRECHET: frechet_distance(real.features, other.features),
        "kernel_distance": float(kernel_distance(real.features, other.features)[0]),
        "precision": scores.precision,
        "recall": scores.recall,
        "density": scores.density,
        "coverage": scores.coverage,
        "vendi_score": _vendi(other.features - real.features.mean(0)),
        "pair_similarity": float(similarity_of_pairs(other.small, generator, data_range=2.0, pairs=PAIRS).mean()),
        "spectrum_distance_db": float(np.sqrt(np.mean(spectrum**2))),
        "fine_detail_db": float(spectrum[len(spectrum) // 2 :].mean()),
        "color_distance_levels": color_distance_levels(real.colors, other.colors),
    }
    if other.embedded is not None:
        values["perceptual_distance"] = mean_square_distance(other.embedded)
    if real.labels is not None and other.labels is not None:
        shared = len(np.intersect1d(real.labels, other.labels))  # a small half may lack a class
        agreement = (real.features, real.labels, other.features, other.labels)
        values["label_agreement"] = label_agreement(*agreement) if shared > 1 else float("nan")
    return {metric: values[metric] for metric in MEASURES if metric in values}


def _vendi(centered: np.ndarray) -> float:
    """Compute the score of the images that have a direction: one that equals the center has none."""
    return vendi_score(centered[np.linalg.norm(centered, axis=1) > 0])


def _reduced(images: np.ndarray) -> np.ndarray:
    """Average over whole blocks of pixels, down to no less than SIMILARITY_SIDE."""
    factor = max(1, images.shape[-1] // SIMILARITY_SIDE)
    side = images.shape[-1] // factor
    cut = images[..., : side * factor, : side * factor]
    return cut.reshape(*cut.shape[:2], side, factor, side, factor).mean((3, 5))
