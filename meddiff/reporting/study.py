"""The arms of a study side by side: interval plots and tables from the scores and their paired differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from meddiff.reporting import tables, words
from meddiff.reporting.forest import Forest, Interval, forest
from meddiff.reporting.tables import Records, Table

HEADLINE_METRICS = ("balanced_accuracy", "macro_auroc")
PAGE_METRICS = ("balanced_accuracy", "macro_auroc", "macro_auprc", "expected_calibration_error", "brier_score")
CLASS_METRICS = ("sensitivity", "auroc", "auprc", "sensitivity_at_90_specificity", "specificity_at_that_90")
CHANGED_CLASS_METRICS = ("sensitivity", "auroc")
"""What the page shows in tables, over all classes and by class; report.json has every metric."""


@dataclass(frozen=True)
class StudySection:
    """What the page shows of the study; `arms_table` is None where no classifier was trained."""

    reference: str
    arms: list[Forest]
    arms_table: Table | None
    changes: list[Forest]
    changes_table: Table | None
    class_changes: list[Table]
    classes: list[Forest]
    class_tables: list[Table]
    notes: list[str]


def study_section(scores: pd.DataFrame, differences: pd.DataFrame, group_noun: str = "patient") -> StudySection:
    """Plots of the headline metrics over all classes, tables, and the classes one by one.

    ``group_noun`` is what the groups of the test images are: patient, lesion, image.

    The arms of the ratio curve have a section of their own (`meddiff.reporting.study_tables`).
    """
    overall, per_class = _parted(_named(tables.records(scores)))
    changed, changed_by_class = _parted(_named(tables.records(differences)))
    reference = changed[0]["reference"] if changed else None
    hidden = ("reference", "class_name", "confidence_level", "n_images", "n_groups", "n_seeds", "warning")
    return StudySection(
        reference=words.arm_title(reference) if reference else "",
        arms=[_arms(rows, reference) for metric, rows in _by(overall, "metric").items() if metric in HEADLINE_METRICS],
        arms_table=tables.crossed(_shown(overall), f"All arms; {_counts(overall, group_noun)}", down="arm",
                                  across="metric", value="estimate"),
        changes=[_changes(rows) for metric, rows in _by(changed, "metric").items() if metric in HEADLINE_METRICS],
        changes_table=tables.from_records(_shown(changed), "Paired differences on the same test images", drop=hidden),
        class_changes=_class_tables([row for row in changed_by_class if row["metric"] in CHANGED_CLASS_METRICS],
                                    ": paired difference by class", "difference"),
        classes=[_one_class(name, rows) for name, rows in _by(
            [row for row in per_class if row["metric"] == "sensitivity"], "class_name").items()],
        class_tables=_class_tables([row for row in per_class if row["metric"] in CLASS_METRICS], " by class",
                                   "estimate"),
        notes=_notes([*overall, *per_class, *changed, *changed_by_class]),
    )  # fmt: skip


def is_overall(row: dict[str, Any]) -> bool:
    """Whether a row of scores is over all classes: it names none."""
    return words.is_missing(row.get("class_name")) or row["class_name"] == ""


def _named(rows: Records) -> Records:
    return [row for row in rows if not words.is_ratio(row["arm"])]


def _shown(rows: Records) -> Records:
    return [row for row in rows if row["metric"] in PAGE_METRICS]


def _parted(rows: Records) -> tuple[Records, Records]:
    return [row for row in rows if is_overall(row)], [row for row in rows if not is_overall(row)]


def _by(rows: Records, key: str) -> dict[Any, Records]:
    """Rows by the value of a column, in the order of their first appearance."""
    return {value: [row for row in rows if row[key] == value] for value in dict.fromkeys(row[key] for row in rows)}


def _interval(row: dict[str, Any], value: str) -> Interval:
    estimate, low, high = (float("nan") if words.is_missing(row[key]) else float(row[key])
                           for key in (value, "low", "high"))  # fmt: skip
    return Interval(words.arm_title(row["arm"]), estimate, low, high, words.uses_synthetic(row["arm"]))


def _arms(rows: Records, reference: str | None) -> Forest:
    line = next((row["estimate"] for row in rows if row["arm"] == reference), None)
    intervals = [_interval(row, "estimate") for row in rows]
    return forest(words.in_words(rows[0]["metric"]), intervals, (0.0, 1.0), reference=line)


def _changes(rows: Records) -> Forest:
    intervals = [_interval(row, "difference") for row in rows]
    return forest(words.in_words(rows[0]["metric"]), intervals, reference=0.0, signed=True)


def _one_class(name: str, rows: Records) -> Forest:
    intervals = [_interval(row, "estimate") for row in rows]
    return forest(f"{name} ({_count(rows, 'n_images', 'test image')})", intervals, domain=(0.0, 1.0))


def _class_tables(rows: Records, what: str, value: str) -> list[Table]:
    made = [tables.crossed(found, f"{words.in_words(metric)}{what}", down="class_name", across="arm", value=value)
            for metric, found in _by(rows, "metric").items()]  # fmt: skip
    return [table for table in made if table is not None]


def _count(rows: Records, key: str, noun: str) -> str:
    """``162 test images``, or ``3 to 5 seeds`` where the rows differ."""
    low, high = min(row[key] for row in rows), max(row[key] for row in rows)
    span = words.number(low, 0) if low == high else f"{words.number(low, 0)} to {words.number(high, 0)}"
    return f"{span} {noun}{'' if high == 1 else 's'}"


def _counts(overall: Records, group_noun: str) -> str:
    if not overall:
        return ""
    groups = "" if group_noun == "image" else f" of {_count(overall, 'n_groups', group_noun)}"
    return f"{_count(overall, 'n_images', 'test image')}{groups}, {_count(overall, 'n_seeds', 'seed')} per arm"


def _notes(rows: Records) -> list[str]:
    """The warnings of the scores, each once, with the classes (and the metrics, where not all) that it is about."""
    rows = [row for row in rows if row["metric"] in (*PAGE_METRICS, *CLASS_METRICS)]
    metrics = {name: {row["metric"] for row in found} for name, found in _by_class(rows).items()}
    about: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        for warning in "" if words.is_missing(row.get("warning")) else filter(None, row["warning"].split("; ")):
            about.setdefault(warning, []).append(row)
    return [f"{_told(_by_class(found), metrics)}: {warning}." for warning, found in about.items()]


def _by_class(rows: Records) -> dict[str, Records]:
    return _by([row | {"of": "All classes" if is_overall(row) else str(row["class_name"])} for row in rows], "of")


def _told(found: dict[str, Records], metrics: dict[str, set[str]]) -> str:
    """``mel, nv (Sensitivity, AUROC)``: classes, with the metrics where not all of a class are meant."""
    told = []
    for name, rows in found.items():
        meant = dict.fromkeys(row["metric"] for row in rows)
        told.append(name if set(meant) == metrics[name] else f"{name} ({', '.join(map(words.in_words, meant))})")
    return ", ".join(told)
