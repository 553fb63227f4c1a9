"""What stands beside the scores of a study: what arms were trained on, the ratio curve, classical tests, subgroups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from meddiff.reporting import tables, words
from meddiff.reporting.content import AugmentationReport
from meddiff.reporting.forest import Forest, Interval, forest
from meddiff.reporting.study import is_overall
from meddiff.reporting.tables import Records, Table

CURVE_METRICS = ("balanced_accuracy", "macro_auroc", "macro_auprc", "expected_calibration_error")
HEADLINE = "balanced_accuracy"
FOCUS = "real_synthetic"  # the arm whose gain is shown group by group
HIDDEN = ("n_images", "n_groups", "n_seeds", "reference", "class_name")


@dataclass(frozen=True)
class BesideScores:
    """Tables and figures that are None or empty where the run has none."""

    trained_table: Table | None
    curve: list[Forest]
    curve_table: Table | None
    gains_table: Table | None
    tests_table: Table | None
    subgroup_tables: list[Table]
    subgroup_notes: list[str]

    @property
    def tables(self) -> list[Table | None]:
        """All of them, in the order of the page."""
        return [self.trained_table, self.tests_table, self.curve_table, self.gains_table, *self.subgroup_tables]


def beside_scores(report: AugmentationReport) -> BesideScores:
    """From the tables `arms`, `tests`, `curve` and `subgroups` of a report."""
    points = [row | {"ratio": _point(row)} for row in tables.records(report.curve)]
    groups = tables.records(report.subgroups)
    trained = tables.records(report.arms)
    tests = [row for row in tables.records(report.tests) if is_overall(row)]
    against = f" against {words.arm_title(tests[0]['reference'])}" if tests else ""
    return BesideScores(
        trained_table=tables.from_records(trained, "What each arm was trained on",
                                          titles={"n_synthetic": "Images, synthetic"}),
        curve=[_forest(points, metric) for metric in CURVE_METRICS[:2] if points],
        curve_table=tables.crossed([row for row in points if row["metric"] in CURVE_METRICS],
                                   "Synthetic images per real one", down="ratio", across="metric", value="estimate"),
        tests_table=tables.from_records(tests, f"Classical tests{against}, mean over seeds, by {report.group_noun}",
                                        drop=HIDDEN),
        gains_table=tables.crossed(_against_real(points), "The same minus real images alone", down="ratio",
                                   across="metric", value="difference"),
        subgroup_tables=[*_by_attribute(groups), *_gains(groups)],
        subgroup_notes=list(dict.fromkeys(
            f"{words.in_words(row['attribute'])} {row['subgroup']}: {row['warning']}."
            for row in groups if row["metric"] == HEADLINE and not words.is_missing(row["warning"]) and row["warning"]
        )),
    )  # fmt: skip


def _point(row: dict[str, Any]) -> str:
    """``2 (1,126 synthetic)``; where the filter kept fewer than asked for, also the ratio that was reached."""
    reached = row["ratio_reached"]
    fell_short = f"{words.significant(reached, 2)} reached, " if reached < 0.95 * row["ratio"] else ""
    return f"{row['ratio']:g} ({fell_short}{words.number(row['n_synthetic'], 0)} synthetic)"


def _against_real(points: Records) -> Records:
    return [
        row | {"low": row["difference_low"], "high": row["difference_high"]}
        for row in points if row["metric"] in CURVE_METRICS and row["arm"] != "real"
    ]  # fmt: skip


def _forest(points: Records, metric: str) -> Forest:
    rows = [row for row in points if row["metric"] == metric]
    intervals = [
        Interval(row["ratio"], row["estimate"], row["low"], row["high"], words.uses_synthetic(row["arm"]))
        for row in rows
    ]
    title = f"{words.in_words(metric)} by synthetic images per real one"
    return forest(title, intervals, (0.0, 1.0), reference=rows[0]["estimate"])


def _by_attribute(groups: Records) -> list[Table]:
    """Balanced accuracy of every arm but the ratios in every group, a table for each attribute."""
    named = [row for row in groups if not words.is_ratio(row["arm"])]
    shown = [row | {"subgroup": _counted(row)} for row in named if row["metric"] == HEADLINE]
    made = []
    for attribute in dict.fromkeys(row["attribute"] for row in shown):
        rows = [row for row in shown if row["attribute"] == attribute]
        caption = f"{words.in_words(HEADLINE)} by {words.in_words(attribute).lower()}"
        made.append(tables.crossed(rows, caption, down="subgroup", across="arm", value="estimate"))
    return [table for table in made if table is not None]


def _gains(groups: Records) -> list[Table]:
    """For whom the synthetic images helped."""
    rows = [
        row | {"subgroup": f"{words.in_words(row['attribute'])}: {_counted(row)}",
               "low": row["difference_low"], "high": row["difference_high"]}
        for row in groups if row["arm"] == FOCUS
    ]  # fmt: skip
    if not rows:
        return []
    caption = f"{words.arm_title(FOCUS)} minus {words.arm_title(rows[0]['reference'])} in each group"
    table = tables.crossed(rows, caption, down="subgroup", across="metric", value="difference")
    return [table] if table else []


def _counted(row: dict[str, Any]) -> str:
    return f"{row['subgroup']} ({words.number(row['n_images'], 0)})"
