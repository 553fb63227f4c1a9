"""The contents of the three reports: tables that were computed before, pictures and a few words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict, Unpack

import numpy as np
import pandas as pd

from meddiff.errors import InputError
from meddiff.evaluation.masks.detections import froc_table
from meddiff.evaluation.masks.reliability import calibration_errors, case_dice, uncertainty_summary
from meddiff.evaluation.masks.summary import FEW_PATIENTS, paired_mask_differences, soft_summary, summary
from meddiff.evaluation.rows import distinct, rows_where
from meddiff.metrics.resampling import USUAL, Resampling
from meddiff.reports import tabular, words
from meddiff.reports.galleries import GalleryCase, NearestPair, check_gallery
from meddiff.reports.literature import CitedSentence, literature, unknown_keys
from meddiff.reports.tabular import Formats, Records

Named = tuple[str, tuple[str, ...]]
"""The title of an alternative, as a sentence says it, and the keys in literature.bib that it rests on."""


@dataclass(frozen=True)
class Gallery:
    """Some images of one class, drawn at random (the page says so): uint8 [H, W] or [H, W, 3]."""

    class_name: str
    real: list[np.ndarray]
    synthetic: list[np.ndarray]


@dataclass(frozen=True)
class ArmName:
    """An arm as the page names it."""

    title: str
    synthetic: bool = False
    """Whether it trains on synthetic images."""
    ratio: float | None = None
    """Synthetic images per real one, of an arm on the curve over that ratio."""


@dataclass(frozen=True)
class StudyResults:
    """All that the report of an augmentation study shows; an empty table means: not measured in this run.

    In `scores` and `differences`, `class_name` is empty or missing in the rows over all classes.
    """

    title: str
    headline: str
    phantom: bool
    data: pd.DataFrame
    split_note: str
    skipped: pd.DataFrame
    scores: pd.DataFrame
    differences: pd.DataFrame
    distances: pd.DataFrame
    galleries: list[Gallery]
    nearest: list[NearestPair]
    held_out_nearest: list[NearestPair]
    copies: pd.DataFrame
    filter_counts: pd.DataFrame
    log: pd.DataFrame
    stages: pd.DataFrame
    environment: dict[str, Any]
    recipe: dict[str, Any]
    recipe_differences: dict[str, Any]
    tests: pd.DataFrame = field(default_factory=pd.DataFrame)
    subgroups: pd.DataFrame = field(default_factory=pd.DataFrame)
    curve: pd.DataFrame = field(default_factory=pd.DataFrame)
    arms: pd.DataFrame = field(default_factory=pd.DataFrame)
    """These four are described in meddiff.evaluation.classifiers.study_tables."""
    arm_names: Mapping[str, ArmName] = field(default_factory=dict)
    """What each arm is, by its name; one that is not there is shown by its name."""
    alternatives: Mapping[str, Named] = field(default_factory=dict)
    """Titles and citations of the schedule, prediction, sampler and classifier that the recipe names."""
    group_noun: str = "patient"
    """What the groups are that no split cuts: patient, lesion, image, or group where some are one and some another."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Data, seeds, energy; nested as it likes. What the recipe and the environment say is not repeated."""
    license: str = ""
    """License of the weights; empty where nobody has said it."""
    findings: pd.DataFrame = field(default_factory=pd.DataFrame)
    """What the audit found in the images: severity, kind, sentence, n_files and the names of some."""

    def arm(self, name: str) -> ArmName:
        """Look up what an arm is."""
        return self.arm_names.get(name) or ArmName(words.in_words(name))

    @property
    def formats(self) -> Formats:
        """Writers of cells, which give arms their titles."""
        return {"arm": lambda name: self.arm(name).title}

    def named(self, frame: pd.DataFrame) -> Records:
        """List the rows of the arms that are no points of the ratio curve."""
        return [row for row in tabular.records(frame) if self.arm(row["arm"]).ratio is None]

    @property
    def reference(self) -> str:
        """Name of the arm that the others are compared with; "" where none is."""
        rows = self.named(self.differences)
        return str(rows[0]["reference"]) if rows else ""


class Shown(TypedDict, total=False):
    """The part of `MaskResults` that is shown as it is given."""

    gallery: Sequence[GalleryCase]
    methods: Sequence[CitedSentence]
    provenance: Mapping[str, Any]
    phantom: bool
    group_noun: str


@dataclass(frozen=True, kw_only=True)
class MaskResults:
    """All that the report of a segmentation shows; an empty table means: not measured."""

    title: str
    headline: str
    phantom: bool = False
    """Whether the images were drawn by code."""
    baselines: tuple[str, ...]
    """Names among the models that are no diffusion model; `reference` is the best of them."""
    reference: str
    """The baseline that the others are compared with; "" where there is none."""
    group_noun: str = "patient"
    """What ``patient`` names: patient, lesion, image."""
    cases: pd.DataFrame
    """The long table of meddiff.evaluation.masks.cases."""
    summary: pd.DataFrame
    differences: pd.DataFrame
    uncertainty: pd.DataFrame
    case_dice: pd.DataFrame
    """One row per model and case: dice, uncertainty; of the models that state uncertainties."""
    calibration: pd.DataFrame
    """Bins, as meddiff.evaluation.masks.reliability.Reliability.to_frame makes them."""
    calibration_errors: pd.DataFrame
    free_response: pd.DataFrame
    """Lesions found and invented at each threshold, as meddiff.evaluation.masks.detections.froc_table makes them."""
    soft: pd.DataFrame
    """Likelihood, Brier score and distance to several raters, as meddiff.evaluation.masks.summary.soft_summary."""
    gallery: Sequence[GalleryCase] = ()
    """Cases to show, under the headings that they name."""
    methods: Sequence[CitedSentence] = ()
    """On models and training; what was measured, and how, is said by the report itself."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Recipe, data, versions, seeds; nested as it likes."""
    confidence_level: float
    resamples: int
    findings: pd.DataFrame = field(default_factory=pd.DataFrame)
    """What the audit found in images and masks, as in `StudyResults`."""
    license: str = ""
    """License of the weights; empty where nobody has said it."""
    networks: pd.DataFrame = field(default_factory=pd.DataFrame)
    """The network of each model: model, weights (their number), training_seconds, image_size; of others' masks none."""


@dataclass(frozen=True)
class ImageResults:
    """All that the report of an evaluation of images shows; an empty table or list means: not measured."""

    title: str
    headline: str
    phantom: bool
    quality: pd.DataFrame
    """As `meddiff.evaluation.images.quality.image_quality` makes it."""
    unbiased: float
    """Frechet distance extrapolated to infinitely many images; NaN where there are too few."""
    unbiased_note: str
    """Why there is none."""
    copies: pd.DataFrame
    """As `meddiff.evaluation.images.copies.Copies.table`; empty where the training images were not given."""
    statistics: pd.DataFrame
    false_positive_rate: float
    real: list[np.ndarray]
    """Some images drawn at random, uint8 [H, W, 3]."""
    synthetic: list[np.ndarray]
    nearest: list[NearestPair]
    """Synthetic images with their nearest training image, or real image where there are no training images."""
    held_out_nearest: list[NearestPair]
    group_noun: str
    notes: tuple[str, ...]
    """What happened to the data: files left out, sets cut."""
    provenance: dict[str, Any]
    confidence_level: float
    extractor: Named | None = None
    """What made the features; None for its bare name."""


def mask_results(
    *, cases: pd.DataFrame, title: str, calibration: pd.DataFrame | None = None,
    detections: pd.DataFrame | None = None, baselines: Sequence[str] = (), resampling: Resampling = USUAL,
    **shown: Unpack[Shown],
) -> MaskResults:  # fmt: skip
    """Compute what the page shows from the long table of cases.

    Args:
        cases: model, case, patient, the columns of `meddiff.evaluation.case_scores`, and `uncertainty` where a model
            states it. Models are shown baselines first, then in the order of their first row.
        title: shown above the headline.
        calibration: rows of `Reliability.to_frame` of each model that has probabilities.
        detections: rows of `meddiff.evaluation.masks.detections.free_response` with model, case and patient.
        baselines: which of the models are what the others are compared with.
        resampling: of the patients.
        shown: what is shown as it is.

    Raises:
        InputError: a table that is incomplete, a baseline that is not there, models scored on other cases.
    """
    order = _order(cases, baselines)
    if keys := unknown_keys(shown.get("methods", ())):
        raise InputError(f"no references {', '.join(keys)}; there are {', '.join(literature())}")
    check_gallery(shown.get("gallery", ()))
    cases = pd.concat([rows_where(cases, cases["model"] == name) for name in order]) if order else cases
    means = summary(cases, resampling=resampling)
    reference = _best(means, baselines)
    others, differences = [name for name in order if name != reference], pd.DataFrame()
    if reference and others:
        differences = paired_mask_differences(cases, others, reference, resampling=resampling)
    noun, level = shown.get("group_noun", "patient"), resampling.confidence_level
    bins = calibration if calibration is not None else pd.DataFrame()
    return MaskResults(
        title=title, headline=mask_headline(means, differences, baselines, noun, level),
        baselines=tuple(baselines), reference=reference, cases=cases, summary=means, differences=differences,
        uncertainty=uncertainty_summary(cases, resampling=resampling), case_dice=case_dice(cases),
        calibration=bins, calibration_errors=calibration_errors(bins) if len(bins) else pd.DataFrame(),
        free_response=froc_table(detections if detections is not None else pd.DataFrame(), resampling=resampling),
        soft=soft_summary(cases, resampling=resampling), confidence_level=level, resamples=resampling.resamples,
        **shown,
    )  # fmt: skip


def _order(cases: pd.DataFrame, baselines: Sequence[str]) -> list[Any]:
    """List the models, baselines first; refuse a baseline that has no cases."""
    models = distinct(cases, "model") if "model" in cases else []
    unknown = sorted(set(baselines) - set(models))
    if unknown:
        raise InputError(f"no cases of the baseline(s) {', '.join(unknown)}; there are {', '.join(map(str, models))}")
    return [*(name for name in models if name in baselines), *(name for name in models if name not in baselines)]


def mask_headline(
    summary: pd.DataFrame, differences: pd.DataFrame, baselines: Sequence[str], group_noun: str, level: float
) -> str:
    """Say the result in one sentence: the first model that is no baseline, against the best baseline."""
    overall = overall_name(summary)
    dice = rows_where(summary, (summary["class_name"] == overall) & (summary["metric"] == "dice"))
    models = {str(row["model"]): row for row in tabular.records(dice)}
    main = next((name for name in models if name not in baselines), "")
    row = models[main or next(iter(models))]
    of = "" if group_noun == "case" else f" of {words.counted(row['n_patients'], group_noun)}"
    on = f"on {words.counted(row['n_cases'], 'test case')}{of}"
    if not len(differences) or not main:
        span = words.interval_of(row)
        alone = "" if baselines else "; no baseline was scored beside it"
        return f"Mean Dice of {row['model']} is {words.number(row['mean'])} {span} {on}{alone}."
    chosen = (differences["model"] == main) & (differences["class_name"] == overall) & (differences["metric"] == "dice")
    change = tabular.records(rows_where(differences, chosen))[0]
    against = change["against"]
    if change["n_patients"] < FEW_PATIENTS:
        return (
            f"Whether {main} is better than the best baseline, {against}, cannot be judged {on}: mean Dice "
            f"{words.number(change['estimate'])} against {words.number(change['against_estimate'])}, and an interval "
            f"needs at least {FEW_PATIENTS} {group_noun}s, better 100."
        )
    if change["low"] > 0:
        verdict = f"{main} is better than the best baseline, {against}"
    elif change["high"] < 0:
        verdict = f"{main} falls short of the best baseline, {against}"
    else:
        verdict = f"No difference between {main} and the best baseline, {against}, was shown"
    return (
        f"{verdict}: mean Dice {words.number(change['estimate'])} against {words.number(change['against_estimate'])}, "
        f"a difference of {words.number(change['difference'], 3, True)} with {level:.0%} interval "
        f"{words.number(change['low'], 3, True)} to {words.number(change['high'], 3, True)}, {on}."
    )


def overall_name(table: pd.DataFrame) -> str:
    """Name the class of the rows over all classes: "" where there are several, else the only class."""
    names = distinct(table, "class_name")
    return "" if "" in names else names[0]


def _best(summary: pd.DataFrame, baselines: Sequence[str]) -> str:
    """Choose the baseline of highest mean Dice: a choice that can only work against what is compared with it."""
    if not baselines:
        return ""
    chosen = (summary["class_name"] == overall_name(summary)) & (summary["metric"] == "dice")
    means = {row["model"]: row["mean"] for row in tabular.records(rows_where(summary, chosen))}
    return max(baselines, key=lambda name: means[name])
