"""The report of whether drawn pairs of image and mask help a segmenter, at several numbers of real pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from meddiff.evaluation.answers import differences_of, means_of
from meddiff.evaluation.masks.summary import FEW_PATIENTS
from meddiff.evaluation.rows import numbers, parts, rows_where, texts
from meddiff.metrics.resampling import USUAL, Resampling
from meddiff.reports import tabular, words
from meddiff.reports.galleries import Group, Pictures, thumbnail
from meddiff.reports.literature import CitedSentence, cited
from meddiff.reports.report import Report, Section, present, section_list


@dataclass(frozen=True, kw_only=True)
class PairStudyResults:
    """All that the report shows."""

    title: str
    phantom: bool = False
    titles: Mapping[str, str]
    """Name of an arm -> what the page calls it."""
    beside: Mapping[str, str]
    """Arm with drawn pairs -> the arm of real pairs that differs in nothing else."""
    chosen: str
    """The arm of real pairs that is best on the validation images with all of them: the strongest opponent."""
    means: pd.DataFrame
    """Dice: size, model, mean, low, high, n_cases, n_patients, n_drawn, and spread over the seeds."""
    differences: pd.DataFrame
    """Arms with drawn pairs minus those without: size, model, against, difference, low, high, smallest and in how many
    trainings they are ahead (seeds_better)."""
    seeds: int
    network: str
    steps: int
    group_noun: str = "patient"
    gallery: Sequence[tuple[np.ndarray, np.ndarray]] = ()
    """Drawn images and their masks as pictures."""
    methods: Sequence[CitedSentence] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    confidence_level: float

    @property
    def headline(self) -> str:
        """The verdict: with all real pairs against the strongest opponent, and where there were fewer."""
        verdicts = [_verdict(self, row) for row in _main(self)]
        return " ".join(reversed(verdicts))


def pair_study_results(
    cases: pd.DataFrame, *, beside: Mapping[str, str], resampling: Resampling = USUAL, **shown: Any
) -> PairStudyResults:
    """Compute means and differences of the test cases: split, model, size, n_drawn, seed, case, patient, dice."""
    means, differences = [], []
    for size in sorted(set(numbers(cases, "size").astype(int).tolist())):
        own = rows_where(cases, cases["size"] == size)
        averaged = pd.DataFrame(own.groupby(["model", "case", "patient"], as_index=False, sort=False)["dice"].mean())
        by_seed = {name: _means_of_seeds(rows) for (name,), rows in parts(own, ["model"])}
        drawn = {name: int(numbers(rows, "n_drawn").max()) for (name,), rows in parts(own, ["model"])}
        table = means_of(averaged, resampling=resampling).assign(size=size)
        spread = {name: float(values.std(ddof=1)) if len(values) > 1 else np.nan for name, values in by_seed.items()}
        models = texts(table, "model")
        means.append(table.assign(n_drawn=[drawn[name] for name in models],
                                  spread_of_seeds=[spread[name] for name in models]))  # fmt: skip
        for arm, plain in beside.items():
            pair = rows_where(averaged, averaged["model"].isin([arm, plain])).sort_values(
                "model", key=lambda names, arm=arm: names == arm, kind="stable")  # fmt: skip
            ahead = int((by_seed[arm] > by_seed[plain]).sum())
            differences.append(
                differences_of(pair, [plain], resampling=resampling).assign(size=size, seeds_better=ahead)
            )
    return PairStudyResults(
        beside=beside, means=pd.concat(means, ignore_index=True), differences=pd.concat(differences, ignore_index=True),
        confidence_level=resampling.confidence_level, **shown,
    )  # fmt: skip


def _means_of_seeds(rows: pd.DataFrame) -> np.ndarray:
    """Return the mean Dice of each training of an arm."""
    seeds, dice = numbers(rows, "seed"), numbers(rows, "dice")
    return np.array([dice[seeds == seed].mean() for seed in np.unique(seeds)])


def pair_study_report(results: PairStudyResults) -> Report:
    """Put the report together."""
    return Report(
        kind="pairs",
        title=results.title,
        headline=results.headline,
        phantom=results.phantom,
        sections=section_list(SECTIONS, results),
        methods=cited(results.methods),
        limitations=_limitations(results),
        provenance=results.provenance,
        values={"chosen": results.chosen, "seeds": results.seeds, "confidence_level": results.confidence_level},
    )


def arms(results: PairStudyResults) -> Section:
    """Show the Dice of every arm at every number of real pairs."""
    text = (
        f"{results.network}, trained for {results.steps} steps in every arm, {results.seeds} times with other weights, "
        "order and choice of the real pairs; mean Dice of the test images on the network's grid, averaged over the "
        "trainings."
    )
    rows = [row | {"arm": results.titles[row["model"]], "pairs": f"{row['size']} real", "estimate": row["mean"]}
            for row in tabular.records(results.means)]  # fmt: skip
    table = tabular.crossed(
        rows, f"Mean Dice, {results.confidence_level:.0%} intervals over {results.group_noun}s",
        down="arm", across="pairs", value="estimate", formats={"arm": str, "pairs": str},
    )  # fmt: skip
    return Section("arms", "Arms side by side", present(text, table), values={"means": results.means})


def differences(results: PairStudyResults) -> Section:
    """Compare training with and without drawn pairs, test image by test image."""
    lines = [
        {"size": row["size"], "arm": results.titles[row["model"]], "against": results.titles[row["against"]],
         "difference": row["difference"], "low": row["low"], "high": row["high"], "smallest": row["smallest"],
         "seeds": f"{row['seeds_better']} of {results.seeds}", "n_patients": row["n_patients"]}
        for row in tabular.records(results.differences)
    ]  # fmt: skip
    text = (
        "Each line is one change alone: drawn pairs beside the real ones. An interval that covers zero leaves open "
        "whether they help; the last but one column is the smallest true difference that four of five such studies "
        "would have shown."
    )
    titles = {
        "size": "Real pairs",
        "against": "Minus",
        "smallest": "Smallest that is shown",
        "seeds": "Trainings ahead",
    }
    table = tabular.from_records(lines, "Paired differences of the Dice", titles=titles, drop=("n_patients",),
                                 formats={"smallest": words.number})  # fmt: skip
    return Section("differences", "With and without drawn pairs", present(text, table) if table else (),
                   "Nothing was compared.", values={"differences": results.differences})  # fmt: skip


def pairs(results: PairStudyResults) -> Section:
    """Show some drawn images and the masks that they were drawn by."""
    prefix = "Phantom: " if results.phantom else ""
    groups = tuple(
        Group((thumbnail(mask, f"{prefix}told mask {number}", "mask"),
               thumbnail(image, f"{prefix}drawn image {number}", "drawn")))
        for number, (image, mask) in enumerate(results.gallery, 1)
    )  # fmt: skip
    shown = Pictures("Drawn pairs, evenly chosen", groups, "sides") if groups else None
    return Section("pairs", "Drawn pairs", present(shown), "No pairs were shown.",
                   values={"gallery": len(results.gallery)})  # fmt: skip


SECTIONS = (arms, differences, pairs)
"""Sections in the order of the page."""


def _main(results: PairStudyResults) -> tabular.Records:
    """List the differences against the strongest opponent, from few real pairs to all."""
    arm = next((arm for arm, plain in results.beside.items() if plain == results.chosen), next(iter(results.beside)))
    table = results.differences
    return tabular.records(rows_where(table, table["model"] == arm).sort_values("size"))


def _verdict(results: PairStudyResults, row: Mapping[str, Any]) -> str:
    """Say in a sentence what drawn pairs do at one number of real ones."""
    scores = f"Dice {row['estimate']:.3f} against {row['against_estimate']:.3f}"
    beside = f"{row['size']} real pairs ({results.titles[row['against']]})"
    groups = words.counted(row["n_patients"], results.group_noun)
    if row["n_patients"] < FEW_PATIENTS:
        return (
            f"Whether drawn pairs help beside {beside} cannot be judged on {groups}: {scores}, and an interval needs "
            f"at least {FEW_PATIENTS}."
        )
    says = "help" if row["low"] > 0 else "hurt" if row["high"] < 0 else ""
    verdict = f"Drawn pairs {says} beside {beside}" if says else f"No difference was shown beside {beside}"
    return (
        f"{verdict}: {scores}, {row['difference']:+.3f} with {results.confidence_level:.0%} interval {row['low']:+.3f} "
        f"to {row['high']:+.3f} on {groups}; {row['smallest']:.3f} would have been shown in four of five such studies."
    )


def _limitations(results: PairStudyResults) -> tuple[str, ...]:
    """Say what this study cannot show."""
    drawn = "All images were drawn by code: the numbers show that the program works, and say nothing about patients."
    few = int(numbers(results.means, "n_patients").max())
    seen = f"The test images are of {few} {results.group_noun}s: only large differences could be seen."
    fewer = len(set(numbers(results.means, "size"))) > 1
    learned = (
        "What drew the pairs has learned from all real training pairs: where fewer of them train a segmenter, drawn "
        "pairs carry something of the others, and the comparison flatters them."
    )
    return (
        *([drawn] if results.phantom else []),
        *([learned] if fewer else []),
        *([seen] if few < 100 else []),
        "Intervals cover other images from the same source; the trainings that were averaged are few.",
        "Drawn images were not looked at by a reader.",
    )
