"""Readers who were shown real and synthetic images and did not know which: can they tell them apart?

A reader rates each image from 1 (surely real) to 6 (surely synthetic); 4 and more is a call of synthetic. There is no
middle, so every rating is a call, and the six steps still give a curve (Metz 1986, "ROC methodology in radiologic
imaging"). Without any skill an accuracy is one half, because half of the images are real.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy.stats import binom, binomtest

from meddiff.errors import InputError, Problems
from meddiff.metrics.classifiers.discrimination import auroc
from meddiff.metrics.resampling import Resampling

RATINGS = (1, 2, 3, 4, 5, 6)
SYNTHETIC_FROM = 4
"""The least rating that calls an image synthetic."""
POWER = 0.8
"""Share of studies that should find what is called findable."""
ANSWERS = ("study", "reader", "number", "rating", "seconds")
"""Columns of a reader's file."""
KEY = ("study", "number", "source", "label", "row_id", "group", "sha256")
"""Columns of the file that says what each image was."""


@dataclass(frozen=True)
class ReaderStudy:
    """Answers beside the truth: readers x images, NaN where a reader has left an image out."""

    readers: tuple[str, ...]
    ratings: np.ndarray
    """[R, N] float64, 1 to 6."""
    synthetic: np.ndarray
    """[N] bool."""
    groups: np.ndarray
    """[N] the patient of each image, or the image itself."""

    @property
    def right(self) -> np.ndarray:
        """[R, N] 1 where the call is right, 0 where it is wrong, NaN where there is none."""
        right = ((self.ratings >= SYNTHETIC_FROM) == self.synthetic).astype(float)
        return np.where(np.isnan(self.ratings), np.nan, right)


def study_of(key: pd.DataFrame, answers: Sequence[pd.DataFrame], names: Sequence[str]) -> ReaderStudy:
    """Put the answers beside the truth.

    Args:
        key: as written beside the page.
        answers: the tables of the readers.
        names: of their files, for messages.

    Raises:
        InputError: answers of another study, two of one reader, an image rated twice or no image of the study, a
            rating that is none, or nobody who rated real and synthetic images.
    """
    problems = Problems("the answers")
    study, numbers = str(key["study"].iloc[0]), key["number"].to_numpy(int)
    place = {number: at for at, number in enumerate(numbers)}
    ratings: dict[str, np.ndarray] = {}
    for table, name in zip(answers, names, strict=True):
        if others := sorted(set(table["study"].astype(str)) - {study}):
            problems.add(
                "answers of another study", f"{name} is of {others[0]}, the key of {study}", "Give its own key."
            )
            continue
        for reader in dict.fromkeys(table["reader"].astype(str)):
            if reader in ratings:
                problems.add("two files of one reader", f"{name}: {reader!r}", "Leave one out, or rename the reader.")
                continue
            ratings[reader] = _rated(table.loc[table["reader"].astype(str) == reader], place, name, problems)
    problems.raise_if_any()
    if not ratings:
        raise InputError("there are no answers: give the CSV files that the page has saved")
    synthetic = (key["source"] == "synthetic").to_numpy(bool)
    stacked = np.stack(list(ratings.values()))
    for reader, own in ratings.items():
        if not (~np.isnan(own) & synthetic).any() or not (~np.isnan(own) & ~synthetic).any():
            raise InputError(f"reader {reader!r} has not rated both real and synthetic images: leave the file out")
    return ReaderStudy(tuple(ratings), stacked, synthetic, key["group"].astype(str).to_numpy())


def _rated(own: pd.DataFrame, place: dict[int, int], name: str, problems: Problems) -> np.ndarray:
    rated = np.full(len(place), np.nan)
    for number, rating in zip(own["number"], own["rating"], strict=True):
        if number not in place:
            problems.add("no image of the study", f"{name}: number {number}", "Give the file as the page saved it.")
        elif rating not in RATINGS:
            problems.add("bad rating", f"{name}: number {number} is {rating}", "A rating is 1, 2, 3, 4, 5 or 6.")
        elif not np.isnan(rated[place[int(number)]]):
            problems.add("image rated twice", f"{name}: number {number}", "Give the file as the page saved it.")
        else:
            rated[place[int(number)]] = rating
    return rated


def reader_scores(study: ReaderStudy, resampling: Resampling) -> pd.DataFrame:
    """Score every reader, and all together in the last line.

    Returns:
        Columns reader, images, accuracy with low and high, p (against guessing, exact binomial; of all readers
        together NaN), findable (the accuracy that a study of so many images finds with 80%; NaN likewise), sensitivity
        (of synthetic images called so), specificity, auroc, agreement (Fleiss' kappa, of all together), seconds.
        Intervals of readers are exact (Clopper & Pearson 1934); that of all together resamples patients, and with
        three readers and more the readers too. Of a single reader it is the reader's, and where all calls are right
        (or wrong) exact in the number of patients.
    """
    lines = [_of_reader(study, at, resampling.confidence_level) for at in range(len(study.readers))]
    return pd.DataFrame([*lines, _together(study, lines, resampling)])


def _of_reader(study: ReaderStudy, at: int, confidence_level: float) -> dict:
    rated = ~np.isnan(study.ratings[at])
    right, ratings, synthetic = study.right[at][rated], study.ratings[at][rated], study.synthetic[rated]
    n, k = len(right), int(right.sum())
    exact = binomtest(k, n)
    span = exact.proportion_ci(confidence_level, method="exact")
    score = (ratings - 0.5) / len(RATINGS)
    return {
        "reader": study.readers[at], "images": n, "accuracy": k / n, "low": span.low, "high": span.high,
        "p": exact.pvalue, "findable": findable(n, 1 - confidence_level), "sensitivity": right[synthetic].mean(),
        "specificity": right[~synthetic].mean(),
        "auroc": auroc(synthetic.astype(int), np.stack([1 - score, score], axis=1))[1],
        "agreement": np.nan,
    }  # fmt: skip


def _together(study: ReaderStudy, lines: list[dict], resampling: Resampling) -> dict:
    means = {name: float(np.mean([line[name] for line in lines])) for name in
             ("accuracy", "sensitivity", "specificity", "auroc")}  # fmt: skip
    groups = len(np.unique(study.groups))
    if means["accuracy"] in (0.0, 1.0):  # every resample gives the same, as if that were certain
        exact = binomtest(round(means["accuracy"]) * groups, groups).proportion_ci(resampling.confidence_level, "exact")
        low, high = exact.low, exact.high
    elif len(lines) == 1 and groups == len(study.groups):
        low, high = lines[0]["low"], lines[0]["high"]
    else:
        low, high = _interval(study, resampling)
    return {
        "reader": "all readers", "images": int((~np.isnan(study.ratings)).any(axis=0).sum()), **means, "low": low,
        "high": high, "p": np.nan, "findable": np.nan, "agreement": fleiss_kappa(study.ratings >= SYNTHETIC_FROM)
        if len(lines) > 1 and not np.isnan(study.ratings).any() else np.nan,
    }  # fmt: skip


def _interval(study: ReaderStudy, resampling: Resampling) -> tuple[float, float]:
    """Resample patients within real and synthetic images, and readers where there are three or more."""
    names, group = np.unique(study.groups, return_inverse=True)
    strata = np.zeros(len(names), dtype=int)
    strata[group] = study.synthetic
    weights = resampling.weights(strata, "readers")[group]  # [N, resamples + 1]
    right = study.right
    with np.errstate(invalid="ignore", divide="ignore"):
        of_readers = np.nan_to_num(right) @ weights / ((~np.isnan(right)).astype(float) @ weights)
    if len(study.readers) >= 3:
        of_each = resampling.weights(np.zeros(len(study.readers), dtype=int), "who reads")
        means = (of_readers * of_each).sum(axis=0) / of_each.sum(axis=0)
    else:
        means = of_readers.mean(axis=0)
    low, high = resampling.interval(means[1:])
    return max(0.0, low), min(1.0, high)


@cache
def findable(n: int, error: float) -> float:
    """Return the least accuracy, in steps of 0.01, that a two-sided test of n calls finds with a power of 80%.

    NaN where even perfect calls are too few.
    """
    calls = np.arange(n + 1)
    detected = np.array([binomtest(int(k), n).pvalue <= error for k in calls]) & (calls > n / 2)
    for accuracy in np.arange(0.51, 1.005, 0.01):
        if binom.pmf(calls[detected], n, accuracy).sum() >= POWER:
            return round(float(accuracy), 2)
    return float("nan")


def fleiss_kappa(calls: np.ndarray) -> float:
    """Return the agreement of readers on calls [R, N] of yes and no beyond chance (Fleiss 1971); 1 is perfect.

    NaN where all have called everything the same.
    """
    readers = len(calls)
    yes = calls.sum(axis=0)
    observed = ((yes * (yes - 1) + (readers - yes) * (readers - yes - 1)) / (readers * (readers - 1))).mean()
    share = yes.sum() / calls.size
    by_chance = share**2 + (1 - share) ** 2
    return float("nan") if by_chance == 1 else float((observed - by_chance) / (1 - by_chance))


def verdict(scores: pd.DataFrame) -> str:
    """Say in a sentence whether readers could tell synthetic images from real ones."""
    together, each = scores.iloc[-1], scores.iloc[:-1]
    who = f"{len(each)} readers" if len(each) > 1 else "The reader"
    n, least = int(together["images"]), each["findable"].max()
    what = f"{100 * together['accuracy']:.0f}% of {n} images right (interval {100 * together['low']:.0f}% to " \
           f"{100 * together['high']:.0f}%; guessing is 50%)"  # fmt: skip
    if together["low"] > 0.5:
        return f"{who} could tell synthetic images from real ones: {what}."
    if together["high"] < 0.5:
        return f"{who} took synthetic images for real ones, and real ones for synthetic: {what}."
    limit = f"An accuracy of {100 * least:.0f}% or more" if least == least else "Not even a perfect reader"
    return (f"That readers tell synthetic images from real ones was not shown: {who[0].lower() + who[1:]} called "
            f"{what}. {limit} would have been found with so many images in 80% of studies.")  # fmt: skip
