"""A segmentation as one HTML page that opens anywhere, and as JSON for programs: made from tables alone.

``report.html`` is self-contained like the one of `meddiff.report`. ``report.json`` holds everything but the pixels:

- ``format`` "meddiff segmentation report", ``format_version`` 1, ``title``, ``headline``, ``phantom``, ``baselines``,
  ``reference``, ``confidence_level``, ``resamples``
- ``summary``, ``differences``, ``uncertainty``, ``calibration``, ``calibration_errors``: lists with one object per row
- ``gallery``: name, caption, group; ``limitations``; ``provenance``

What is unknown or not finite is null. The rows of the cases are a table of their own (cases.csv).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from meddiff.data.writing import write_text
from meddiff.errors import InputError
from meddiff.evaluation.mask_calibration import calibration_errors, case_dice, uncertainty_summary
from meddiff.evaluation.mask_summary import paired_mask_differences, summary
from meddiff.evaluation.rows import distinct, rows_where
from meddiff.reporting import words
from meddiff.reporting.gallery import GalleryCase, check_gallery
from meddiff.reporting.plain import plain, plain_records
from meddiff.reporting.segmentation_content import CitedSentence, SegmentationReport
from meddiff.reporting.segmentation_methods import REFERENCES, limitations
from meddiff.reporting.segmentation_page import overall_name, render_segmentation

__all__ = ["GalleryCase", "segmentation_report", "write_pages", "write_segmentation_report"]

PLAIN = ("title", "headline", "phantom", "baselines", "reference", "confidence_level", "resamples", "provenance")
FRAMES = ("summary", "differences", "uncertainty", "calibration", "calibration_errors")


def write_segmentation_report(folder: Path, **content: Any) -> tuple[Path, Path]:
    """Write report.html and report.json into an existing folder; the arguments are those of `segmentation_report`."""
    return write_pages(folder, segmentation_report(**content))


def write_pages(folder: Path, report: SegmentationReport) -> tuple[Path, Path]:
    """Write report.html and report.json of a report that stands."""
    html = render_segmentation(report)
    values: dict[str, Any] = {"format": "meddiff segmentation report", "format_version": 1}
    values |= {name: getattr(report, name) for name in PLAIN}
    values |= {name: plain_records(getattr(report, name)) for name in FRAMES}
    values["gallery"] = [{"name": case.name, "caption": case.caption, "group": case.group} for case in report.gallery]
    values["limitations"] = limitations(report)
    text = json.dumps(plain(values), indent=1, ensure_ascii=False, allow_nan=False)
    page, table = Path(folder) / "report.html", Path(folder) / "report.json"
    write_text(page, html)
    write_text(table, text + "\n")
    return page, table


def segmentation_report(
    *,
    cases: pd.DataFrame,
    title: str,
    calibration: pd.DataFrame | None = None,
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
    keys = sorted({key for _, found in methods for key in found} - set(REFERENCES))
    if keys:
        raise InputError(f"no references {', '.join(keys)}; there are {', '.join(REFERENCES)}")
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
        gallery=tuple(gallery), methods=tuple(methods), provenance=dict(provenance or {}),
        confidence_level=confidence_level, resamples=resamples,
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
