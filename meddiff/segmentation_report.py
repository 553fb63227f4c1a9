"""A segmentation as one HTML page that opens anywhere, as JSON, as Markdown and as a model card: from tables alone.

The files are those of `meddiff.report`; ``report.json`` keeps to the same ``reporting/report.schema.json``. The rows of
the cases are a table of their own (cases.csv).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from meddiff.errors import InputError
from meddiff.evaluation.masks.calibration import calibration_errors, case_dice, uncertainty_summary
from meddiff.evaluation.masks.detections import froc_table
from meddiff.evaluation.masks.summary import paired_mask_differences, soft_summary, summary
from meddiff.evaluation.rows import distinct, rows_where
from meddiff.reporting import words
from meddiff.reporting.bibliography import CitedSentence, literature
from meddiff.reporting.cards import segmentation_card
from meddiff.reporting.files import ReportText, write_files
from meddiff.reporting.frame import fill_in
from meddiff.reporting.gallery import GalleryCase, check_gallery
from meddiff.reporting.plain import plain_records
from meddiff.reporting.segmentation_content import SegmentationReport
from meddiff.reporting.segmentation_page import overall_name, segmentation_content

__all__ = ["GalleryCase", "segmentation_report", "write_pages", "write_segmentation_report"]

PLAIN = ("baselines", "reference", "confidence_level", "resamples")
FRAMES = ("summary", "differences", "uncertainty", "calibration", "calibration_errors", "free_response", "soft")


def write_segmentation_report(folder: Path, **content: Any) -> tuple[Path, ...]:
    """Write the report into an existing folder; the arguments are those of `segmentation_report`."""
    return write_pages(folder, segmentation_report(**content))


def write_pages(folder: Path, report: SegmentationReport) -> tuple[Path, ...]:
    """Write report.html, report.json, report.md, references.bib, and a model card where models were trained."""
    content = segmentation_content(report)
    content["card"] = segmentation_card(report, content)
    values: dict[str, Any] = {name: getattr(report, name) for name in PLAIN}
    values |= {name: plain_records(getattr(report, name)) for name in FRAMES}
    values["gallery"] = [{"name": case.name, "caption": case.caption, "group": case.group} for case in report.gallery]
    text = ReportText(
        format="meddiff segmentation report", title=report.title, headline=report.headline, phantom=report.phantom,
        methods=content["methods"], limitations=content["limitations"], provenance=report.provenance, values=values,
        tables=[content[name] for name in ("table", "counts", "differences_table", "worst", "uncertainty_table",
                                           "calibration_table", "soft_table", "raters_table")] + content["by_class"],
        card=content["card"],
    )  # fmt: skip
    return write_files(Path(folder), fill_in("segmentation.html.jinja", **content), text)


def segmentation_report(
    *,
    cases: pd.DataFrame,
    title: str,
    calibration: pd.DataFrame | None = None,
    detections: pd.DataFrame | None = None,
    gallery: Sequence[GalleryCase] = (),
    provenance: Mapping[str, Any] | None = None,
    baselines: Sequence[str] = (),
    methods: Sequence[CitedSentence] = (),
    phantom: bool = False,
    group_noun: str = "patient",
    resamples: int = 2000,
    confidence_level: float = 0.95,
    seed: int = 0,
) -> SegmentationReport:
    """What the page shows, computed from the long table of cases.

    Args:
        cases: model, case, patient, the columns of `meddiff.evaluation.case_scores`, and `uncertainty` where a model
            states it. Models are shown baselines first, then in the order of their first row.
        title: shown above the headline.
        calibration: rows of `Reliability.to_frame` of each model that has probabilities.
        detections: rows of `meddiff.evaluation.masks.detections.free_response` with model, case and patient.
        gallery: cases to show, under the headings that they name.
        provenance: recipe, data, versions, seeds; nested as it likes.
        baselines: which of the models are what the others are compared with.
        methods: sentences on models and training with the keys of the references that they rest on.
        phantom: whether the images were drawn by code.
        group_noun: what ``patient`` names: patient, lesion, image.
        resamples, confidence_level, seed: of the bootstrap.

    Raises:
        InputError: a table that is incomplete, a baseline that is not there, models scored on other cases.
    """
    models = distinct(cases, "model") if "model" in cases else []
    unknown = sorted(set(baselines) - set(models))
    if unknown:
        raise InputError(f"no cases of the baseline(s) {', '.join(unknown)}; there are {', '.join(map(str, models))}")
    keys = sorted({key for _, found in methods for key in found} - set(literature()))
    if keys:
        raise InputError(f"no references {', '.join(keys)}; there are {', '.join(literature())}")
    check_gallery(gallery)
    order = [*(name for name in models if name in baselines), *(name for name in models if name not in baselines)]
    cases = pd.concat([rows_where(cases, cases["model"] == name) for name in order]) if order else cases
    settings: Any = {"resamples": resamples, "confidence_level": confidence_level, "seed": seed}
    found = summary(cases, **settings)
    reference = _best(found, baselines)
    others = [name for name in order if name != reference]
    compared = reference and others
    differences = paired_mask_differences(cases, others, reference, **settings) if compared else pd.DataFrame()
    bins = calibration if calibration is not None else pd.DataFrame()
    return SegmentationReport(
        title=title, headline=headline(found, differences, baselines, group_noun, confidence_level), phantom=phantom,
        baselines=tuple(baselines), reference=reference, group_noun=group_noun, cases=cases, summary=found,
        differences=differences, uncertainty=uncertainty_summary(cases, **settings), case_dice=case_dice(cases),
        calibration=bins, calibration_errors=calibration_errors(bins) if len(bins) else pd.DataFrame(),
        free_response=froc_table(detections if detections is not None else pd.DataFrame(), **settings),
        soft=soft_summary(cases, **settings), gallery=tuple(gallery), methods=tuple(methods),
        provenance=dict(provenance or {}), confidence_level=confidence_level, resamples=resamples,
    )  # fmt: skip


def headline(
    summary: pd.DataFrame, differences: pd.DataFrame, baselines: Sequence[str], group_noun: str, level: float
) -> str:
    """The result in one sentence: the first model that is no baseline, against the best baseline."""
    overall = overall_name(summary)
    dice = rows_where(summary, (summary["class_name"] == overall) & (summary["metric"] == "dice"))
    models = {str(row["model"]): row for row in plain_records(dice)}
    main = next((name for name in models if name not in baselines), "")
    row = models[main or next(iter(models))]
    of = "" if group_noun == "case" else f" of {words.counted(row['n_patients'], group_noun)}"
    on = f"on {words.counted(row['n_cases'], 'test case')}{of}"
    if not len(differences) or not main:
        span = words.interval(row["low"], row["high"])
        alone = "" if baselines else "; no baseline was scored beside it"
        return f"Mean Dice of {row['model']} is {words.number(row['mean'])} {span} {on}{alone}."
    chosen = (differences["model"] == main) & (differences["class_name"] == overall) & (differences["metric"] == "dice")
    change = plain_records(rows_where(differences, chosen))[0]
    against = change["against"]
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


def _best(summary: pd.DataFrame, baselines: Sequence[str]) -> str:
    """The baseline of highest mean Dice: a choice that can only work against what is compared with it."""
    if not baselines:
        return ""
    chosen = (summary["class_name"] == overall_name(summary)) & (summary["metric"] == "dice")
    means = {row["model"]: row["mean"] for row in plain_records(rows_where(summary, chosen))}
    return max(baselines, key=lambda name: means[name])
