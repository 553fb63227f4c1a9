"""The long table of predictions as arrays, and every score of every arm in every resample of patients and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from meddiff.errors import InputError
from meddiff.evaluation.classifiers.metrics import METRICS, Judged
from meddiff.metrics.resampling import Resampling, rarest_class
from meddiff.seeds import child_seed

Names = list[tuple[str, str]]
"""Metric and class name, "" for what is over all classes."""


@dataclass(frozen=True)
class Study:
    """Predictions of several classifiers (arm x seed) on the same test images, as arrays."""

    class_names: tuple[str, ...]  # K
    arms: tuple[str, ...]  # A
    seeds: tuple[int, ...]  # S
    row_ids: tuple[str, ...]  # N, sorted
    labels: np.ndarray  # [N] int, index into class_names
    group: np.ndarray  # [N] int in 0..G-1: the patient
    probabilities: np.ndarray  # [A, S, N, K]
    validation: Study | None = None
    """The same classifiers on the validation images, by which thresholds are chosen."""

    def names(self, metrics: Sequence[str] = tuple(METRICS)) -> Names:
        """Give the metric and class name ("" for the averages) in the order of the last axis of `resampled_scores`."""
        return [(key, name) for key in metrics for name in (self.class_names if METRICS[key].per_class else ("",))]

    def counts(self, class_name: str) -> tuple[int, int]:
        """Return images and patients of a class, or of all for ""."""
        chosen = self.labels == self.class_names.index(class_name) if class_name else np.ones(len(self.labels), bool)
        return int(chosen.sum()), len(np.unique(self.group[chosen]))

    def of(self, chosen: np.ndarray) -> Study:
        """Return the study on some of the test images: chosen [N] bool.

        Thresholds are still those of all validation images.

        Patients are numbered anew.
        """
        group = np.unique(self.group[chosen], return_inverse=True)[1]
        ids = tuple(row_id for row_id, kept in zip(self.row_ids, chosen, strict=True) if kept)
        return replace(
            self, row_ids=ids, labels=self.labels[chosen], group=group, probabilities=self.probabilities[:, :, chosen]
        )

    def judged(self, arm: int, seed: int, weights: np.ndarray) -> Judged:
        """Compute one classifier under weightings of the patients [G, R]."""
        of_validation = self.validation and (self.validation.labels, self.validation.probabilities[arm, seed])
        return Judged(self.labels, self.probabilities[arm, seed], self.group, weights, of_validation)


def read_study(predictions: pd.DataFrame, class_names: Sequence[str], validation: pd.DataFrame | None = None) -> Study:
    """Read the long table of predictions as arrays; InputError for one that is incomplete (see `score`).

    ``validation`` is the same of the validation images: by the same arms with the same seeds.
    """
    check_predictions(predictions, class_names)
    columns = [f"p_{name}" for name in class_names]
    arms, seeds = tuple(dict.fromkeys(predictions["arm"])), tuple(sorted(set(predictions["seed"])))
    rows = predictions.drop_duplicates("row_id").sort_values("row_id")
    ordered = predictions.set_index(["arm", "seed", "row_id"]).sort_index()[columns]
    study = Study(
        class_names=tuple(class_names),
        arms=arms,
        seeds=seeds,
        row_ids=tuple(rows["row_id"].astype(str)),
        labels=np.array([list(class_names).index(label) for label in rows["label"]]),
        group=np.unique(rows["group"].astype(str), return_inverse=True)[1],
        probabilities=np.stack([[ordered.loc[(a, s)].to_numpy(np.float64) for s in seeds] for a in arms]),
    )
    if validation is None:
        return study
    other = read_study(validation, class_names)
    if (other.arms, other.seeds) != (arms, seeds):
        raise InputError(
            f"the validation predictions are of the arms {', '.join(other.arms)} with seeds {other.seeds}, the test "
            f"predictions of {', '.join(arms)} with seeds {seeds}: let the same classifiers judge both"
        )
    return replace(study, validation=other)


def check_predictions(predictions: pd.DataFrame, class_names: Sequence[str]) -> None:
    """Refuse a long table that is not every arm with the same seeds on the same images, each of a known class.

    Raises:
        InputError: what is missing, twice or contradictory.
    """
    columns = [f"p_{name}" for name in class_names]
    missing = [c for c in ("arm", "seed", "row_id", "group", "label", *columns) if c not in predictions.columns]
    if missing or predictions.empty:
        raise InputError(
            f"the predictions have {len(predictions)} rows and lack the column(s) {', '.join(missing) or '(none)'}: "
            "they need arm, seed, row_id, group, label and p_<class> for every class"
        )
    unnamed = int(predictions[["group", "label"]].isna().to_numpy().any(1).sum())
    if unnamed:
        raise InputError(f"{unnamed} rows have no group or no label: say whose image it is, and of which class")
    unknown = sorted(set(predictions["label"]) - set(class_names))
    if unknown:
        raise InputError(f"label(s) {', '.join(map(str, unknown))} are not among the classes {', '.join(class_names)}")
    counts = predictions.groupby(["arm", "seed"])["row_id"].agg(["size", "nunique"])
    images, runs = predictions["row_id"].nunique(), predictions["arm"].nunique() * predictions["seed"].nunique()
    if len(counts) != runs or not (counts.to_numpy() == images).all():
        raise InputError(
            f"every arm must be scored with the same seeds on the same images, each once; there are {images} images "
            f"and {predictions['seed'].nunique()} seeds, but rows (and images) per arm and seed are:\n"
            f"{counts.to_string(header=False)}"
        )
    if (predictions.groupby("row_id")[["group", "label"]].nunique(dropna=False).to_numpy() > 1).any():
        raise InputError("some images have another group or label in another arm: predict from one manifest")


def resampled_scores(study: Study, *, resampling: Resampling, metrics: Sequence[str] = tuple(METRICS)) -> np.ndarray:
    """Compute every metric of `Study.names` for every seed in every resample of the patients: [A, S, resamples + 1, M].

    Resample 0 is the data themselves.
    """
    strata = rarest_class(study.labels, study.group, len(study.class_names))
    patients = resampling.weights(strata, "patients")  # [G, R]
    scores = np.empty((len(study.arms), len(study.seeds), resampling.resamples + 1, len(study.names(metrics))))
    for a, s in np.ndindex(scores.shape[:2]):
        judged = study.judged(a, s, patients)
        scores[a, s] = np.column_stack([METRICS[name].values(judged) for name in metrics])
    return scores


def over_seeds(values: np.ndarray, resampling: Resampling) -> np.ndarray:
    """Compute the mean over the seeds in every resample, spread by what is not known about the seeds' mean.

    values [S, R + 1, M] -> [R + 1, M]. To each resample is added Student's t with S - 1 degrees of freedom times the
    standard error of the mean over seeds, so that where patients do not matter the percentiles are the t-interval of
    the seeds (Weerahandi 1993, "Generalized confidence intervals"). Resample 0 stays the plain mean. One seed says
    nothing about its spread: nothing is added.
    """
    seeds = len(values)
    if seeds == 1:
        return values[0]
    generator = np.random.default_rng(child_seed(resampling.seed, "evaluation", "seeds"))
    student = np.concatenate([[0.0], generator.standard_t(seeds - 1, size=values.shape[1] - 1)])
    means = values.mean(0)
    with np.errstate(invalid="ignore"):  # a negative log-likelihood may be infinite, and stays so
        spread = means + student[:, None] * values[:, 0].std(0, ddof=1) / np.sqrt(seeds)
    return np.where(np.isinf(means), means, spread)
