"""Calibration of a segmentation: are its probabilities true, and does its uncertainty find the failures?

Pixels of all cases are pooled into bins of stated probability, as counts and sums: nothing else is kept, so a test
split of any size needs a few hundred numbers. `Reliability` objects add up. From them follow the expected calibration
error of the called class (Guo et al. 2017, eq. 3) and that of every class's own probability (Kull et al. 2019), as in
`meddiff.metrics.classifiers.calibration`, where pixels are held in memory.

Most pixels of a medical image are far from any lesion and surely background, so pixel-wise errors are small numbers:
compare them between models on the same images, and not across data sets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from meddiff.ensemble.temperature import FLOOR
from meddiff.errors import InputError
from meddiff.evaluation.masks.summary import LOW_DICE, check_cases, of_held_classes, with_all_classes
from meddiff.evaluation.rows import numbers, parts, texts
from meddiff.formats.masks import IGNORED
from meddiff.metrics.classifiers.discrimination import resampled_auroc
from meddiff.metrics.masks.uncertainty import area_under_risk_coverage
from meddiff.metrics.resampling import USUAL, Resampling

BINS = 15
UNCERTAINTY_COLUMNS = ["model", "auroc", "low", "high", "aurc", "aurc_best", "aurc_random", "n_failed", "n_cases"]
CASE_COLUMNS = ["model", "case", "patient", "dice", "uncertainty"]


@dataclass(frozen=True)
class Reliability:
    """Pixels by stated probability. Row 0 is the called class, row 1 + k the probability of class k, called or not."""

    count: np.ndarray  # [1 + K, bins] pixels
    stated: np.ndarray  # [1 + K, bins] sum of their stated probabilities
    happened: np.ndarray  # [1 + K, bins] how many of them were right, or of class k

    def __add__(self, other: Reliability) -> Reliability:
        """Return both pooled."""
        if self.count.shape != other.count.shape:
            raise InputError(
                f"bins {self.count.shape} and {other.count.shape}: pool those of the same classes and bins"
            )
        pairs = ((getattr(self, name), getattr(other, name)) for name in ("count", "stated", "happened"))
        return Reliability(*(first + second for first, second in pairs))

    @property
    def errors(self) -> np.ndarray:
        """Expected calibration error of the called class, then of each class's own probability: [1 + K]."""
        return np.abs(self.stated - self.happened).sum(1) / self.count.sum(1)

    def to_frame(self, model: str, class_names: tuple[str, ...]) -> pd.DataFrame:
        """Give one row per class and bin: model, class_name ("" for the called one), bin, count, stated, happened."""
        rows, bins = self.count.shape
        return pd.DataFrame(
            {
                "model": model,
                "class_name": np.repeat(["", *class_names], bins),
                "bin": np.tile(np.arange(bins), rows),
                **{name: getattr(self, name).ravel() for name in ("count", "stated", "happened")},
            }
        )


def reliability_of(
    truth: np.ndarray, probabilities: np.ndarray, *, bins: int = BINS, where: np.ndarray | None = None
) -> Reliability:
    """Compute the bins of one case: truth [*S] int, probabilities [K, *S]; only where ``where`` (bool [*S]) is.

    Where the truth is IGNORED nothing is counted.
    """
    if where is not None:
        truth, probabilities = truth[where], probabilities[:, where]
    labels, flat = _flat(truth, probabilities)
    called = flat.argmax(0)
    stated = [flat.max(0), *flat]
    happened = [called == labels, *(labels == index for index in range(len(flat)))]
    counts, sums, hits = [], [], []
    for probability, hit in zip(stated, happened, strict=True):
        place = np.clip(np.ceil(probability * bins).astype(np.int64) - 1, 0, bins - 1)  # bins closed on the right
        counts.append(np.bincount(place, minlength=bins))
        sums.append(np.bincount(place, weights=probability, minlength=bins))
        hits.append(np.bincount(place, weights=hit, minlength=bins))
    return Reliability(np.array(counts, np.int64), np.array(sums), np.array(hits))


def case_calibration(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Give the negative log likelihood (nats) and Brier score (0 to 2) of a case's pixels: [*S], [K, *S] -> nll, brier.

    Pixels that nobody judged (IGNORED) are left out; both are NaN where none is judged.

    The probability of the true class counts at least 1e-6 in the likelihood: one pixel that was called impossible
    would make the mean over all cases infinite.
    """
    labels, flat = _flat(truth, probabilities)
    if not len(labels):
        return {"nll": float("nan"), "brier": float("nan")}
    of_truth = np.take_along_axis(flat, labels[None], 0)[0].astype(np.float64)
    squares = np.square(flat, dtype=np.float64).sum(0) - 2 * of_truth + 1
    return {"nll": float(-np.log(np.maximum(of_truth, FLOOR)).mean()), "brier": float(squares.mean())}


def calibration_errors(calibration: pd.DataFrame) -> pd.DataFrame:
    """Sum up rows of `Reliability.to_frame`, one row per model: model, ece, classwise_ece (mean of the classes).

    A class that no truth holds enters no mean.
    """
    missing = [name for name in ("model", "class_name", "count", "stated", "happened") if name not in calibration]
    if missing:
        raise InputError(f"the table of calibration lacks {', '.join(missing)}: make it with Reliability.to_frame")
    records = []
    for (model,), rows in parts(calibration, ["model"]):
        errors, pixels, held = {}, {}, {}
        for (class_name,), bins in parts(rows, ["class_name"]):
            gaps = np.abs(numbers(bins, "stated") - numbers(bins, "happened"))
            pixels[class_name] = numbers(bins, "count").sum()
            errors[class_name] = float(gaps.sum() / pixels[class_name])
            held[class_name] = numbers(bins, "happened").sum() > 0
        called, counted = errors.pop(""), int(pixels[""])
        classwise = float(np.mean([error for name, error in errors.items() if held[name]]))
        records.append({"model": model, "ece": called, "classwise_ece": classwise, "n_pixels": counted})
    return pd.DataFrame(records)


def uncertainty_summary(cases: pd.DataFrame, *, resampling: Resampling = USUAL) -> pd.DataFrame:
    """Say whether the column `uncertainty` ranks the cases whose Dice is below `LOW_DICE` above the others.

    Returns one row per model that has uncertainties: model, auroc, low, high (bootstrap over patients, where both
    kinds of case are), aurc (area under the curve of 1 - Dice over coverage), aurc_best, aurc_random, n_failed,
    n_cases. Dice is the mean over the classes. Resamples without any failed case are left out of the interval.
    """
    records = []
    for (model,), rows in parts(case_dice(cases), ["model"]):
        dice, uncertainty = numbers(rows, "dice"), numbers(rows, "uncertainty")
        failed = dice < LOW_DICE
        patients, group = np.unique(texts(rows, "patient"), return_inverse=True)
        weights = resampling.weights(np.zeros(len(patients), int), "uncertainty")
        aurocs = resampled_auroc(failed.astype(int), np.stack([-uncertainty, uncertainty], 1), group, weights)[:, 1]
        low, high = resampling.interval(aurocs[1:])
        areas = area_under_risk_coverage(1 - dice, -uncertainty)
        records.append(
            {"model": model, "auroc": aurocs[0], "low": low, "high": high,
             **dict(zip(("aurc", "aurc_best", "aurc_random"), areas, strict=True)),
             "n_failed": int(failed.sum()), "n_cases": len(rows)}
        )  # fmt: skip
    return pd.DataFrame(records, columns=UNCERTAINTY_COLUMNS)


def case_dice(cases: pd.DataFrame) -> pd.DataFrame:
    """Give the mean Dice over the classes with the uncertainty of each case: model, case, patient, dice, uncertainty.

    Models without any uncertainty are left out; a model that has it for some cases alone is refused.
    """
    check_cases(cases)
    tables = []
    for (model,), rows in parts(cases, ["model"]) if "uncertainty" in cases else ():
        known = ~np.isnan(numbers(rows, "uncertainty"))
        if known.all():
            whole = with_all_classes(of_held_classes(rows))
            tables.append(whole.drop_duplicates(["model", "case"])[CASE_COLUMNS])  # the row over all classes is first
        elif known.any():
            raise InputError(
                f"{model}: {known.sum()} of {len(known)} rows have an uncertainty; give one to all cases, or none"
            )
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=CASE_COLUMNS)


def _flat(truth: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if truth.shape != probabilities.shape[1:] or not truth.size:
        raise InputError(f"got truth {truth.shape} and probabilities {probabilities.shape}: give [*S] and [K, *S]")
    if not np.isfinite(probabilities).all() or probabilities.min() < 0 or probabilities.max() > 1 + 1e-6:
        raise InputError("some probabilities are NaN or outside [0, 1]: calibration needs the output of a softmax")
    labels, flat = truth.reshape(-1).astype(np.int64), probabilities.reshape(len(probabilities), -1)
    judged = labels != IGNORED
    if not judged.all():
        labels, flat = labels[judged], flat[:, judged]
    if len(labels) and (labels.min() < 0 or labels.max() >= len(probabilities)):
        raise InputError(f"the truth has classes {labels.min()} to {labels.max()}, probabilities {len(probabilities)}")
    return labels, flat
