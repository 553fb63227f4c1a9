"""The content of a segmentation's report -> one HTML string; everything that the template shows is worked out here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from meddiff.evaluation.masks.cases import METRICS
from meddiff.evaluation.masks.summary import LOW_DICE
from meddiff.evaluation.rows import distinct, numbers, parts, rows_where
from meddiff.images.views import png_data_uri
from meddiff.metrics.masks.uncertainty import risk_coverage
from meddiff.reporting import tables, words
from meddiff.reporting.bibliography import cited
from meddiff.reporting.forest import Forest, Interval, forest
from meddiff.reporting.frame import Picture
from meddiff.reporting.gallery import OUTLINES, GalleryCase, tiles
from meddiff.reporting.plain import flat
from meddiff.reporting.plot import Plot, Series, dice_histogram, lines_plot
from meddiff.reporting.segmentation_content import SegmentationReport
from meddiff.reporting.segmentation_methods import limitations, sentences
from meddiff.reporting.segmentation_tables import (
    calibration_table,
    counts_table,
    metric_table,
    raters_table,
    soft_table,
    worst_table,
)
from meddiff.reporting.tables import Formats, Table

SECTIONS = (
    ("models", "Models side by side"),
    ("differences", "Paired differences"),
    ("cases", "Case by case"),
    ("gallery", "Gallery"),
    ("uncertainty", "Uncertainty"),
    ("calibration", "Calibration"),
    ("detection", "Detection"),
    ("classes", "By class"),
    ("methods", "Methods"),
    ("limitations", "Limitations"),
    ("provenance", "Provenance"),
)
FEWEST_PIXELS = 50  # in a bin for it to be drawn: fewer, and its dot is chance
MOST_INVENTED = 8  # lesions per image: the last point of LUNA16's curve (Setio et al. 2017)
TILE = 224  # CSS pixels at most


@dataclass(frozen=True)
class ShownCase:
    """A case of the gallery as pictures."""

    name: str
    caption: str
    tiles: tuple[tuple[str, Picture], ...]


def segmentation_content(report: SegmentationReport) -> dict[str, Any]:
    """What segmentation.html.jinja shows, by its names there."""
    classes = [name for name in distinct(report.summary, "class_name") if name]
    overall = overall_name(report.summary)
    maps = [case.uncertainty for case in report.gallery if case.uncertainty is not None]
    largest = max((float(values.max()) for values in maps), default=0.0)
    told = {name: [value] for name, value in flat(report.provenance).items()}
    return {
        "sections": SECTIONS,
        "report": report,
        "level": f"{100 * report.confidence_level:g}% ",
        "low_dice": f"{LOW_DICE:g}",
        "forests": _forests(report, overall, ("dice", "nsd")),
        "table": metric_table(report.summary, overall, brief=True),
        "every_metric": metric_table(report.summary, overall, brief=False),
        "counts": counts_table(report.summary, overall, report.group_noun),
        "notes": _notes(report.summary),
        "changes": _changes(report, overall),
        "differences_table": _differences_table(report.differences),
        "histograms": _histograms(report),
        "worst": worst_table(report),
        "gallery": _gallery(report, largest),
        "largest": words.significant(largest) if largest else "",
        "legend": [(name, f"rgb{OUTLINES[index % len(OUTLINES)]}") for index, name in enumerate(classes)],
        "coverage": _coverage(report),
        "uncertainty_table": _uncertainty_table(report.uncertainty),
        "reliability": _reliability(report),
        "calibration_table": calibration_table(report.calibration_errors),
        "soft_table": soft_table(report.soft),
        "raters_table": raters_table(report.soft),
        "free_response": _free_response(report),
        "by_class": [metric_table(report.summary, name, brief=True) for name in classes] if len(classes) > 1 else [],
        "methods": cited(sentences(report)),
        "limitations": limitations(report),
        "provenance_table": tables.from_settings(told, "Settings, data, machine and versions", ("What", "Value")),
    }


def overall_name(table: pd.DataFrame) -> str:
    """The class name of the rows over all classes: "" where there are several, else the only class."""
    names = distinct(table, "class_name")
    return "" if "" in names else names[0]


def _forests(report: SegmentationReport, class_name: str, metrics: tuple[str, ...]) -> list[Forest]:
    found = []
    for metric in metrics:
        chosen = (report.summary["metric"] == metric) & (report.summary["class_name"] == class_name)
        rows = tables.records(rows_where(report.summary, chosen))
        line = next((row["mean"] for row in rows if row["model"] == report.reference), None)
        intervals = [_interval(row, "mean", row["model"] not in report.baselines) for row in rows]
        found.append(forest(f"{METRICS[metric].title}, mean over the cases", intervals, (0.0, 1.0), reference=line))
    return found


def _interval(row: dict[str, Any], value: str, emphasized: bool) -> Interval:
    estimate, low, high = (
        float("nan") if words.is_missing(row[key]) else float(row[key]) for key in (value, "low", "high")
    )
    return Interval(str(row["model"]), estimate, low, high, emphasized)


def _changes(report: SegmentationReport, class_name: str) -> Forest | None:
    if not len(report.differences):
        return None
    rows = tables.records(rows_where(report.differences, report.differences["class_name"] == class_name))
    intervals = [_interval(row, "difference", row["model"] not in report.baselines)
                 for row in rows if row["metric"] == "dice"]  # fmt: skip
    return forest("Difference in mean Dice", intervals, reference=0.0, signed=True)


def _differences_table(differences: pd.DataFrame) -> Table | None:
    rows = [
        {"model": row["model"], "class_name": row["class_name"] or "All classes",
         "what": METRICS[row["metric"]].title, "difference": row["difference"], "low": row["low"],
         "high": row["high"], "p_value": row["p_value"], "p_holm": row["p_holm"],
         "cases": row["n_cases"]}
        for row in tables.records(differences)
    ]  # fmt: skip
    return tables.from_records(rows, "Paired differences on the same cases", titles={"what": "Metric"})


def _histograms(report: SegmentationReport) -> list[Any]:
    found = []
    for (model,), rows in parts(report.cases, ["model"]):
        dice = rows.groupby("case", sort=False)["dice"].mean()
        found.append(dice_histogram(str(model), np.asarray(dice, float), failed_below=LOW_DICE))
    return found


def _gallery(report: SegmentationReport, largest: float) -> list[tuple[str, list[ShownCase]]]:
    """The cases under their headings, in the order they were given."""
    groups = dict.fromkeys(case.group for case in report.gallery)
    return [
        (group, [_shown(case, largest, report.phantom) for case in report.gallery if case.group == group])
        for group in groups
    ]


def _shown(case: GalleryCase, largest: float, phantom: bool) -> ShownCase:
    prefix = "Phantom: " if phantom else ""
    made = []
    for title, image in tiles(case, largest):
        height, width = image.shape[:2]
        scale = TILE / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        alt = f"{prefix}{title.lower()} of case {case.name}"
        made.append((title, Picture(png_data_uri(image, largest_side=max(height, width)), alt, *size, False)))
    return ShownCase(case.name, case.caption, tuple(made))


def _coverage(report: SegmentationReport) -> Plot | None:
    series = []
    for (model,), rows in parts(report.case_dice, ["model"]) if len(report.case_dice) else ():
        coverage, risk = risk_coverage(1 - numbers(rows, "dice"), -numbers(rows, "uncertainty"))
        series.append(Series(str(model), coverage, risk, model not in report.baselines))
    if not series:
        return None
    return lines_plot(
        "Risk and coverage", series, x_title="share of cases kept, the surest first", y_title="mean 1 \u2212 Dice",
        x_domain=(0.0, 1.0), summary="Mean of one minus Dice over the share of cases kept, the surest first",
    )  # fmt: skip


def _uncertainty_table(uncertainty: pd.DataFrame) -> Table | None:
    rows = [
        {"model": row["model"], "estimate": row["auroc"], "low": row["low"], "high": row["high"],
         "failed": f"{row['n_failed']} of {row['n_cases']}", "area": row["aurc"], "best": row["aurc_best"],
         "random": row["aurc_random"]}
        for row in tables.records(uncertainty)
    ]  # fmt: skip
    formats: Formats = dict.fromkeys(("area", "best", "random"), words.number)
    titles = {"estimate": "AUROC of failure", "failed": "Failed cases", "area": "Area under risk-coverage",
              "best": "The best order's", "random": "A random order's"}  # fmt: skip
    return tables.from_records(
        rows, "How well the uncertainty of a case finds the failures", titles=titles, formats=formats
    )


def _reliability(report: SegmentationReport) -> list[Plot]:
    """For each foreground class: how often it was there, over the probability that was stated for it."""
    if not len(report.calibration):
        return []
    found = []
    for name in [name for name in distinct(report.calibration, "class_name") if name][1:5]:
        series = []
        chosen = rows_where(report.calibration, report.calibration["class_name"] == name)
        for (model,), rows in parts(chosen, ["model"]):
            rows = rows_where(rows, numbers(rows, "count") >= FEWEST_PIXELS)
            count = numbers(rows, "count")
            stated, happened = numbers(rows, "stated") / count, numbers(rows, "happened") / count
            series.append(Series(str(model), stated, happened, model not in report.baselines, dots=True))
        found.append(
            lines_plot(
                str(name), series, x_title="stated probability", y_title="how often it was true", x_domain=(0.0, 1.0),
                y_domain=(0.0, 1.0), diagonal=True, summary=f"Observed frequency over stated probability of {name}",
            )
        )  # fmt: skip
    return found


def _free_response(report: SegmentationReport) -> list[Plot]:
    """For each class: the share of its lesions that is found, over how many are invented per image."""
    found = []
    for (name,), curves in parts(report.free_response, ["class_name"]) if len(report.free_response) else ():
        near, series = rows_where(curves, numbers(curves, "invented_per_image") <= MOST_INVENTED), []
        for (model,), rows in parts(near, ["model"]):
            invented, shares = numbers(rows, "invented_per_image"), numbers(rows, "sensitivity")
            series.append(Series(str(model), invented, shares, model not in report.baselines, dots=True))
        furthest = max((float(entry.x.max()) for entry in series), default=0.0)
        if all(np.isnan(entry.y).all() for entry in series):
            continue
        found.append(
            lines_plot(
                str(name), series, x_title="lesions invented per image", y_title="share of lesions found",
                x_domain=(0.0, 1.05 * furthest or 1.0), y_domain=(0.0, 1.0),
                summary=f"Share of the lesions of {name} that is found, over lesions invented per image",
            )
        )  # fmt: skip
    return found


def _notes(summary: pd.DataFrame) -> list[str]:
    """The warnings of the summary, each once for each model."""
    found: dict[str, list[str]] = {}
    for row in tables.records(summary):
        if row["warning"] and row["metric"] == "dice":
            found.setdefault(row["warning"], []).append(str(row["model"]))
    return [f"{', '.join(dict.fromkeys(models))}: {warning}." for warning, models in found.items()]
