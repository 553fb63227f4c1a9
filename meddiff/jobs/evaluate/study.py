"""The work of ``evaluate augmentation``: a run's tables and report anew from its predictions, or two runs compared.

The folder of an augmentation run as other commands take it: its recipe and its tables.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import yaml
from rich.console import Console
from rich.table import Table

from meddiff.errors import InputError
from meddiff.evaluation.classifiers.runs import FinishedRun, compared_runs
from meddiff.files.tables import read_table, write_table
from meddiff.jobs.generate import report
from meddiff.jobs.generate.report import read_predictions, tables_of, write_tables
from meddiff.jobs.manifest import class_names_of, rows_of
from meddiff.recipe import Recipe, flat, from_dict
from meddiff.recipe.commands import EvaluateAugmentation
from meddiff.reports import words
from meddiff.run import RunFolder

AGAINST, AGAINST_TESTS = "against.csv", "against_tests.csv"
SHOWN = ("balanced_accuracy", "macro_auroc", "macro_auprc", "expected_calibration_error")


def run(settings: EvaluateAugmentation, console: Console | None = None) -> None:
    """Recompute, write and print; see the help of the command.

    Raises:
        InputError: a folder that is no finished run, runs on other test images or with other classes.
    """
    console = console or Console()
    recipe, opened = opened_run(settings.run)
    other = opened_run(settings.against) if settings.against else None
    if other and other[1].path.resolve() == opened.path.resolve():
        raise InputError(f"--against {settings.against} is the run itself: name another run on the same test images")
    with opened.opened():
        compared = _compared(recipe, opened, *other, console) if other else {}  # first: it may refuse
        if settings.tables_only:
            written = write_tables(tables_of(recipe, opened, class_names_of(recipe, opened)), opened)
        else:
            written = report.STAGE.run(recipe, opened, console)
        for path, table in compared.items():
            write_table(table, path)
    console.print(f"wrote {', '.join(path.name for path in [*written, *compared])} into {opened.path}", soft_wrap=True)


def _compared(
    recipe: Recipe, folder: RunFolder, other_recipe: Recipe, other: RunFolder, console: Console
) -> dict[Path, pd.DataFrame]:
    """Each arm minus the same arm of the other run, case by case: against.csv and against_tests.csv."""
    names, theirs = class_names_of(recipe, folder), class_names_of(other_recipe, other)
    if names != theirs:
        raise InputError(
            f"{folder.path} has the classes {', '.join(names)}, {other.path} has {', '.join(theirs)}: "
            "runs with other classes do not compare"
        )
    differences, tests = compared_runs(
        read_predictions(folder.predictions, names),
        read_predictions(other.predictions, names),
        names,
        resamples=recipe.evaluation.resamples,
        confidence_level=recipe.evaluation.confidence_level,
        seed=recipe.seed,
    )
    console.print(_shown(differences, other))
    tables = {folder.path / AGAINST: differences, folder.path / AGAINST_TESTS: tests}
    return {path: table.assign(against=str(other.path)) for path, table in tables.items()}


def _shown(differences: pd.DataFrame, other: RunFolder) -> Table:
    """This run minus the other, by arm, for the terminal."""
    table = Table(title=f"this run minus {other.path}, on the same test images and seeds [interval]")
    for name in ("arm", *(words.in_words(metric) for metric in SHOWN)):
        table.add_column(name)
    found = {(row["arm"], row["metric"]): row for row in differences.to_dict("records") if not row["class_name"]}
    for arm in dict.fromkeys(arm for arm, _ in found):
        rows = (found[arm, metric] for metric in SHOWN)
        table.add_row(arm, *(
            f"{words.number(row['difference'], signed=True)} {words.interval(row['low'], row['high'], signed=True)}"
            for row in rows
        ))  # fmt: skip
    return table


def opened_run(path: str) -> tuple[Recipe, RunFolder]:
    """A run folder whose classifiers are trained, and its recipe.

    Raises:
        InputError: no run folder of `augment` or `classify`, or one that is not finished.
    """
    folder = RunFolder(Path(path).expanduser())
    if not folder.recipe.is_file():
        raise InputError(f"{path} is no run folder: it has no recipe.yaml. Name that of an `augment` run")
    for needed in (folder.predictions, folder.validation_predictions, folder.attributes, folder.arms):
        if not needed.is_file():
            raise InputError(
                f"{needed} is missing: the run is not finished, or of a segmentation or an older version. Give the "
                "command that made the run once more; what is finished is used"
            )
    return from_dict(Recipe, yaml.safe_load(folder.recipe.read_text(encoding="utf-8"))), folder


def finished_run(path: str) -> FinishedRun:
    """The tables of a run that has its report; InputError for one that has not."""
    recipe, folder = opened_run(path)
    names = class_names_of(recipe, folder)
    return FinishedRun(
        name=str(path),
        settings=flat(recipe),
        phantom=any(row.source == "phantom" for row in rows_of(recipe, folder, "test")),
        predictions=read_predictions(folder.predictions, names),
        arms=read_table(folder.arms, ["arm", "n_real", "n_synthetic"]),
        scores=read_table(folder.scores, ["arm", "metric", "estimate", "low", "high"]),
        distances=read_table(folder.distances, ["comparison", "metric", "value", "features"]),
    )
