"""The arms of a study beside one another: scores, differences, classes, the ratio curve, subgroups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from meddiff.reports import figures, tabular, words
from meddiff.reports.figures import Figure, Interval, Key
from meddiff.reports.report import Folded, Legend, Note, Panels, Part, Section, present
from meddiff.reports.results import StudyResults
from meddiff.reports.study_methods import is_overall
from meddiff.reports.tabular import Records, Table

HEADLINE = "balanced_accuracy"
HEADLINE_METRICS = (HEADLINE, "macro_auroc")
PAGE_METRICS = (*HEADLINE_METRICS, "macro_auprc", "expected_calibration_error", "brier_score")
CURVE_METRICS = (*HEADLINE_METRICS, "macro_auprc", "expected_calibration_error")
CLASS_METRICS = ("sensitivity", "auroc", "auprc", "sensitivity_at_90_specificity", "specificity_at_that_90")
CHANGED_CLASS_METRICS = ("sensitivity", "auroc")
"""What the page shows over all classes and by class; report.json has every metric."""
FOCUS = "real_synthetic"  # the arm whose gain is shown group by group
HIDDEN = ("reference", "class_name", "confidence_level", "n_images", "n_groups", "n_seeds", "warning")


def arms(results: StudyResults) -> Section:
    """Show the headline metrics of the arms side by side."""
    level = results.recipe.get("evaluation", {}).get("confidence_level")
    reference = results.arm(results.reference).title if results.reference else ""
    rows = [row for row in results.named(results.scores) if is_overall(row)]
    forests = [_arms_forest(results, lines) for metric, lines in _by(rows, "metric").items()
               if metric in HEADLINE_METRICS]  # fmt: skip
    line = f" The dashed line is the best arm without synthetic images: {reference}." if reference else ""
    text = (
        "Each arm trains the same classifier for the same number of optimizer steps; only the images it is shown "
        f"differ. Brackets are {f'{100 * level:g}% ' if level else ''}intervals.{line}"
    )
    legend = Legend((Key("without synthetic images", "dot"), Key("with them", "dot", "accent")))
    return Section(
        "arms", "Arms side by side", (text, legend, *forests) if rows else (), "No classifier was trained in this run.",
        values={"scores": results.scores, "arms": results.arms},
    )  # fmt: skip


def numbers(results: StudyResults) -> Section:
    """List every arm with its scores and what it was trained on."""
    trained = tabular.from_records(tabular.records(results.arms), "What each arm was trained on",
                                  titles={"n_synthetic": "Images, synthetic"}, formats=results.formats)  # fmt: skip
    return Section("numbers", "The arms in numbers", present(arms_table(results), trained),
                   "No scores were computed in this run.", "In numbers")  # fmt: skip


def differences(results: StudyResults) -> Section:
    """Compare each arm with the reference on the same test images."""
    rows = [row for row in results.named(results.differences) if is_overall(row)]
    forests = [_changes_forest(results, lines) for metric, lines in _by(rows, "metric").items()
               if metric in HEADLINE_METRICS]  # fmt: skip
    table, tests = changes_table(results), tests_table(results)
    parts: list[Part | None] = [
        f"Each arm minus {results.arm(results.reference).title} on the same test images. An interval that covers zero "
        "leaves open which is better.",
        *forests,
        table and Folded("Every metric", (table,), open=len(table.rows) < 16),
        tests and Folded("Classical tests", (
            "The tests ask whether these classifiers differ on other patients; the intervals above also ask about "
            "other trainings.", tests)),
        *_first_shown(_class_tables(results, results.differences, CHANGED_CLASS_METRICS, ": paired difference by class",
                                    "difference")),
    ]  # fmt: skip
    return Section("differences", "Paired differences", present(*parts) if table else (),
                   "No arms were compared in this run.",
                   values={"differences": results.differences, "tests": results.tests})  # fmt: skip


def classes(results: StudyResults) -> Section:
    """Show the classes one by one."""
    rows = [row for row in results.named(results.scores) if not is_overall(row) and row["metric"] == "sensitivity"]
    forests = tuple(_class_forest(results, name, lines) for name, lines in _by(rows, "class_name").items())
    text = "Sensitivity: the share of a class's test images that the classifier names right."
    made = class_tables(results)
    parts = (text, Panels(forests)) if forests else ()
    return Section(
        "classes", "By class", (*parts, *_first_shown(made), *map(Note, warnings_of(results))) if made else (),
        "No metric was computed by class in this run.",
    )  # fmt: skip


def ratio(results: StudyResults) -> Section:
    """Show the scores over the number of synthetic images per real one."""
    points = _points(results)
    forests = [_curve_forest(results, points, metric) for metric in HEADLINE_METRICS if points]
    shown = [row for row in points if row["metric"] in CURVE_METRICS]
    gains = [row | {"low": row["difference_low"], "high": row["difference_high"]} for row in shown
             if row["arm"] != "real"]  # fmt: skip
    parts = present(
        "Every point trains for the same number of optimizer steps. The dashed line is real images alone.",
        *forests,
        tabular.crossed(shown, "Synthetic images per real one", down="ratio", across="metric",
                       value="estimate"),
        tabular.crossed(gains, "The same minus real images alone", down="ratio", across="metric",
                       value="difference"),
    )  # fmt: skip
    return Section("ratio", "Synthetic images per real one", parts if points else (),
                   "No ratios were asked for in this run (classifier.ratios).", "Synthetic per real",
                   {"curve": results.curve})  # fmt: skip


def subgroups(results: StudyResults) -> Section:
    """Fold a table for each attribute by which the test images can be grouped, and one of the gains."""
    rows = [row | {"group": f"{row['subgroup']} ({words.number(row['n_images'], 0)})"}
            for row in results.named(results.subgroups)]  # fmt: skip
    headline = [row for row in rows if row["metric"] == HEADLINE]
    folds: list[Part] = []
    for attribute, lines in _by(headline, "attribute").items():
        caption = f"{words.in_words(HEADLINE)} by {words.in_words(attribute).lower()}"
        table = tabular.crossed(lines, caption, down="group", across="arm", value="estimate", formats=results.formats)
        title = f"{words.in_words(attribute)}, {words.counted(len(table.rows), 'group')}" if table else ""
        folds += present(table and Folded(title, (table,)))
    gains = [row | {"group": f"{words.in_words(row['attribute'])}: {row['group']}", "low": row["difference_low"],
                    "high": row["difference_high"]} for row in rows if row["arm"] == FOCUS]  # fmt: skip
    if gains:
        caption = f"{results.arm(FOCUS).title} minus {results.arm(gains[0]['reference']).title} in each group"
        folds += present(tabular.crossed(gains, caption, down="group", across="metric", value="difference"))
        folds[-1] = Folded("For whom synthetic images helped", (folds[-1],))
    notes = dict.fromkeys(
        f"{words.in_words(row['attribute'])} {row['subgroup']}: {row['warning']}."
        for row in headline if not words.is_missing(row["warning"]) and row["warning"]
    )  # fmt: skip
    warned = Folded("Warnings, group by group", tuple(map(Note, notes)), printed=False) if notes else None
    text = (
        "In parentheses the number of test images. Skin tone is an estimate from the skin around the lesion in the "
        "picture: it follows light and camera too."
    )
    return Section("subgroups", "Subgroups", present(text, *folds, warned) if folds else (),
                   "Nothing is known by which the test images could be grouped.",
                   values={"subgroups": results.subgroups})  # fmt: skip


def arms_table(results: StudyResults) -> Table | None:
    """List the metrics over all classes of every arm."""
    rows = [row for row in results.named(results.scores) if is_overall(row)]
    shown = [row for row in rows if row["metric"] in PAGE_METRICS]
    return tabular.crossed(shown, f"All arms; {_counts(rows, results.group_noun)}", down="arm", across="metric",
                          value="estimate", formats=results.formats)  # fmt: skip


def changes_table(results: StudyResults) -> Table | None:
    """List the differences over all classes of every arm."""
    rows = [row for row in results.named(results.differences) if is_overall(row) and row["metric"] in PAGE_METRICS]
    return tabular.from_records(
        rows, "Paired differences on the same test images", drop=HIDDEN, formats=results.formats
    )


def class_tables(results: StudyResults) -> list[Table]:
    """List the metrics by class, a table for each."""
    return _class_tables(results, results.scores, CLASS_METRICS, " by class", "estimate")


def tests_table(results: StudyResults) -> Table | None:
    """List the classical tests of the arms over all classes."""
    rows = [row for row in tabular.records(results.tests) if is_overall(row)]
    against = f" against {results.arm(rows[0]['reference']).title}" if rows else ""
    return tabular.from_records(rows, f"Classical tests{against}, mean over seeds, by {results.group_noun}",
                               drop=HIDDEN, formats=results.formats)  # fmt: skip


def warnings_of(results: StudyResults) -> list[str]:
    """List the warnings of the scores, each once, with the classes (and the metrics, where not all) it is about."""
    rows = [row | {"of": "All classes" if is_overall(row) else str(row["class_name"])}
            for frame in (results.scores, results.differences) for row in results.named(frame)
            if row["metric"] in (*PAGE_METRICS, *CLASS_METRICS)]  # fmt: skip
    metrics = {name: {row["metric"] for row in lines} for name, lines in _by(rows, "of").items()}
    about: dict[str, Records] = {}
    for row in sorted(rows, key=lambda row: row["of"] != "All classes"):
        for warning in "" if words.is_missing(row.get("warning")) else filter(None, row["warning"].split("; ")):
            about.setdefault(warning, []).append(row)
    return [f"{_meant(_by(lines, 'of'), metrics)}: {warning}." for warning, lines in about.items()]


def _meant(about: dict[str, Records], metrics: dict[str, set[str]]) -> str:
    """Name classes, with the metrics where not all of a class are meant: ``mel, nv (Sensitivity, AUROC)``."""
    names = []
    for name, rows in about.items():
        meant = dict.fromkeys(row["metric"] for row in rows)
        names.append(name if set(meant) == metrics[name] else f"{name} ({', '.join(map(words.in_words, meant))})")
    return ", ".join(names)


def _by(rows: Records, key: str) -> dict[Any, Records]:
    """Group rows by the value of a column, in the order of their first appearance."""
    return {value: [row for row in rows if row[key] == value] for value in dict.fromkeys(row[key] for row in rows)}


def _interval(results: StudyResults, row: dict[str, Any], value: str, label: str = "") -> Interval:
    estimate, low, high = (float("nan") if words.is_missing(row[key]) else float(row[key])
                           for key in (value, "low", "high"))  # fmt: skip
    arm = results.arm(row["arm"])
    return Interval(label or arm.title, estimate, low, high, arm.synthetic, words.patients_in(row))


def _arms_forest(results: StudyResults, rows: Records) -> Figure:
    line = next((row["estimate"] for row in rows if row["arm"] == results.reference), None)
    intervals = [_interval(results, row, "estimate") for row in rows]
    return figures.forest(words.in_words(rows[0]["metric"]), intervals, (0.0, 1.0), reference=line)


def _changes_forest(results: StudyResults, rows: Records) -> Figure:
    intervals = [_interval(results, row, "difference") for row in rows]
    return figures.forest(words.in_words(rows[0]["metric"]), intervals, reference=0.0, signed=True)


def _class_forest(results: StudyResults, name: str, rows: Records) -> Figure:
    intervals = [_interval(results, row, "estimate") for row in rows]
    return figures.forest(f"{name} ({_count(rows, 'n_images', 'test image')})", intervals, domain=(0.0, 1.0))


def _curve_forest(results: StudyResults, points: Records, metric: str) -> Figure:
    rows = [row for row in points if row["metric"] == metric]
    intervals = [_interval(results, row, "estimate", row["ratio"]) for row in rows]
    title = f"{words.in_words(metric)} by synthetic images per real one"
    return figures.forest(title, intervals, (0.0, 1.0), reference=rows[0]["estimate"])


def _points(results: StudyResults) -> Records:
    """Name the points of the curve: ``2 (1,126 synthetic)``; where fewer were kept than asked for, also what was."""
    rows = tabular.records(results.curve)
    for row in rows:
        short = row["ratio_reached"] < 0.95 * row["ratio"]
        reached = f"{words.significant(row['ratio_reached'], 2)} reached, " if short else ""
        row["ratio"] = f"{row['ratio']:g} ({reached}{words.number(row['n_synthetic'], 0)} synthetic)"
    return rows


def _class_tables(
    results: StudyResults, frame: pd.DataFrame, metrics: Sequence[str], what: str, value: str
) -> list[Table]:
    rows = [row for row in results.named(frame) if not is_overall(row) and row["metric"] in metrics]
    made = (tabular.crossed(lines, f"{words.in_words(metric)}{what}", down="class_name", across="arm", value=value,
                           formats=results.formats) for metric, lines in _by(rows, "metric").items())  # fmt: skip
    return [table for table in made if table is not None]


def _first_shown(made: Sequence[Table]) -> tuple[Part, ...]:
    """Keep one table in sight, those of other metrics at hand."""
    more = (Folded("Other metrics by class", tuple(made[1:]), printed=False),) if len(made) > 1 else ()
    return (*made[:1], *more)


def _count(rows: Records, key: str, noun: str) -> str:
    """Write ``162 test images``, or ``3 to 5 seeds`` where the rows differ."""
    low, high = min(row[key] for row in rows), max(row[key] for row in rows)
    span = words.number(low, 0) if low == high else f"{words.number(low, 0)} to {words.number(high, 0)}"
    return f"{span} {noun}{'' if high == 1 else 's'}"


def _counts(overall: Records, group_noun: str) -> str:
    if not overall:
        return ""
    groups = "" if group_noun == "image" else f" of {_count(overall, 'n_groups', group_noun)}"
    return f"{_count(overall, 'n_images', 'test image')}{groups}, {_count(overall, 'n_seeds', 'seed')} per arm"
