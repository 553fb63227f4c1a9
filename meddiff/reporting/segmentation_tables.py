"""The tables of a segmentation's report: metrics of the models, what was empty or failed, the worst cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from meddiff.evaluation.masks.cases import METRICS
from meddiff.evaluation.masks.summary import LOW_DICE, finite_distances
from meddiff.evaluation.rows import distinct, rows_where
from meddiff.reporting import tables, words
from meddiff.reporting.segmentation_content import SegmentationReport
from meddiff.reporting.tables import Formats, Table

BRIEF = ("dice", "iou", "hausdorff95", "nsd", "boundary_iou", "lesion_f1")  # as far as a screen reaches
WORST = 20
AS_IT_IS = {"metric": str}  # column titles that are words already


def metric_table(summary: pd.DataFrame, class_name: str, *, brief: bool) -> Table | None:
    """Means with intervals: a line per model and a column per metric most asked for, or a line for each of all."""
    rows = [
        row | {"metric": _titled(row), "name": row["metric"], "estimate": row["mean"]}
        for row in tables.records(rows_where(summary, summary["class_name"] == class_name))
        if not brief or row["metric"] in BRIEF
    ]
    if brief:
        rows.sort(key=lambda row: BRIEF.index(row["name"]))
    caption = f"{class_name or 'All classes'}: means over the cases" + ("" if brief else ", every metric")
    down, across = ("model", "metric") if brief else ("metric", "model")
    return tables.crossed(rows, caption, down=down, across=across, value="estimate", formats=AS_IT_IS)


def counts_table(summary: pd.DataFrame, class_name: str, group_noun: str) -> Table | None:
    """A line per model: cases, median Dice, failures, and what was empty; ``group_noun`` is what patients are here."""
    chosen = (summary["class_name"] == class_name) & (summary["metric"] == "dice")
    rows = [
        {"model": row["model"], "cases": row["n_cases"], "patients": row["n_patients"],
         "estimate": row["median"], "share": row["share_below"], "missed": row["n_missed"],
         "alarms": row["n_false_alarms"], "empty": row["n_both_empty"], "absent": row["n_failures"]}
        for row in tables.records(rows_where(summary, chosen))
    ]  # fmt: skip
    titles = {"patients": f"{group_noun.capitalize()}s", "estimate": "Median Dice",
              "share": f"Dice under {LOW_DICE:g}", "missed": "Missed",
              "alarms": "False alarms", "empty": "Rightly empty", "absent": "No prediction"}  # fmt: skip
    once = "" if class_name else "; empty masks are counted class by class"
    drop = ("patients",) if group_noun == "case" else ()
    return tables.from_records(rows, f"Cases, and how they failed{once}", drop=drop, titles=titles)


def worst_table(report: SegmentationReport) -> Table | None:
    """The cases in which the first model that is no baseline does worst, beside the baseline."""
    models = [name for name in distinct(report.cases, "model") if name not in report.baselines]
    main = models[0] if models else report.reference
    dice = {name: _per_case(report.cases, name) for name in (main, report.reference) if name}
    mine = dice[main].sort_values("dice", kind="stable").head(WORST)
    rows = []
    for row in tables.records(mine.reset_index(drop=True)):
        line: dict[str, Any] = {"case": row["case"]}
        if report.group_noun != "case":
            line["patient"] = row["patient"]
        line[main] = row["dice"]
        if report.reference and report.reference != main:
            other = dict(zip(dice[report.reference]["case"], dice[report.reference]["dice"], strict=True))
            line[report.reference] = other.get(row["case"], np.nan)
        line["hausdorff95"] = row["hausdorff95"]
        if not words.is_missing(row.get("uncertainty")):
            line["uncertainty"] = row["uncertainty"]
        line["what"] = row["failure"] or _EMPTY[row["empty"]]
        rows.append(line)
    unit = distinct(report.cases, "unit")[0]
    titles = {"patient": report.group_noun.capitalize(), "hausdorff95": f"HD95, {unit}", "what": "Failure",
              main: f"Dice, {main}",
              report.reference: f"Dice, {report.reference}"}  # fmt: skip
    formats: Formats = dict.fromkeys((main, report.reference, "uncertainty"), words.number)
    return tables.from_records(rows, f"The {len(rows)} lowest Dice of {main}", titles=titles, formats=formats)


def calibration_table(errors: pd.DataFrame) -> Table | None:
    """Calibration errors in percent points, so that small numbers can be read."""
    rows = [
        {"model": row["model"], "ece": 100 * row["ece"], "classwise": 100 * row["classwise_ece"],
         "pixels": row["n_pixels"]}
        for row in tables.records(errors)
    ]  # fmt: skip
    formats: Formats = dict.fromkeys(("ece", "classwise"), words.number)
    titles = {"ece": "ECE of the called class, %", "classwise": "Class-wise ECE, %"}
    return tables.from_records(
        rows, "Expected calibration error over all pixels of the test images", titles=titles, formats=formats
    )


def soft_table(soft: pd.DataFrame) -> Table | None:
    """Likelihood and Brier score of the models side by side."""
    return _soft(soft, {"nll": "Negative log likelihood, nats", "brier": "Brier score"},
                 "What the probabilities are worth, means over the cases; less is better")  # fmt: skip


def raters_table(soft: pd.DataFrame) -> Table | None:
    """Distance of each model's members to several raters, class by class."""
    return _soft(soft, {"ged": "Energy distance"}, "Distance of the members to the raters' masks; less is better")


def _soft(soft: pd.DataFrame, titles: dict[str, str], caption: str) -> Table | None:
    rows = [
        row | {"metric": f"{titles[row['metric']]} {row['class_name']}".strip(), "estimate": row["mean"]}
        for row in tables.records(soft)
        if row["metric"] in titles
    ]
    return tables.crossed(rows, caption, down="model", across="metric", value="estimate", formats=AS_IT_IS)


_EMPTY = {"": "", "truth": "false alarm", "prediction": "missed", "both": "rightly empty"}


def _titled(row: dict[str, Any]) -> str:
    return METRICS[row["metric"]].short + (f", {row['unit']}" if row["unit"] else "")


def _per_case(cases: pd.DataFrame, model: str) -> pd.DataFrame:
    """One row per case: means over the classes, and of the class with the lowest Dice what failed."""
    rows = finite_distances(rows_where(cases, cases["model"] == model))
    means: Any = rows.groupby("case")[["dice", "hausdorff95"]].mean()
    worst = rows.sort_values("dice", kind="stable").drop_duplicates("case").sort_values("case")
    return worst.assign(dice=np.asarray(means["dice"]), hausdorff95=np.asarray(means["hausdorff95"]))
