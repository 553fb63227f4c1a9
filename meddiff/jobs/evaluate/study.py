"""The work of ``evaluate augmentation``: a run's tables and report anew from its predictions, or two runs compared.

The folder of an augmentation run as other commands take it: its recipe and its tables.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from meddiff.errors import InputError
from meddiff.evaluation.classifiers.runs import FinishedRun, compared_runs
from meddiff.files.long_tables import read_table, write_table
from meddiff.jobs.generate import report
from meddiff.jobs.generate.report import read_predictions, tables_of, write_tables
from meddiff.jobs.progress import new_console
from meddiff.jobs.run_facts import resampling_of
from meddiff.recipe import Recipe, flat
from meddiff.recipe.commands import EvaluateAugmentation
from meddiff.reports import words
from meddiff.run import Run, RunFolder, recipe_in

AGAINST, AGAINST_TESTS = "against.csv", "against_tests.csv"
SHOWN = ("balanced_accuracy", "macro_auroc", "macro_auprc", "expected_calibration_error")


def run(settings: EvaluateAugmentation, console: Console | None = None) -> None:
    """Recompute, write and print; see the help of the command.

    Raises:
        InputError: a folder that is no finished run, runs on other test images or with other classes.
    """
    run = opened_run(settings.run, console or new_console(markup=True, emoji=True))
    other = opened_run(settings.against, run.console) if settings.against else None
    if other and other.folder.path.resolve() == run.folder.path.resolve():
        raise InputError(f"--against {settings.against} is the run itself: name another run on the same test images")
    with run.folder.opened():
        compared = _compared(run, other) if other else {}  # first: it may refuse
        written = write_tables(tables_of(run), run.folder) if settings.tables_only else report.STAGE.run(run)
        for path, table in compared.items():
            write_table(table, path)
    names = ", ".join(path.name for path in [*written, *compared])
    run.console.print(f"wrote {names} into {run.folder.path}", soft_wrap=True)


def _compared(run: Run[Recipe], other: Run[Recipe]) -> dict[Path, pd.DataFrame]:
    """Return each arm minus the same arm of the other run, case by case: against.csv and against_tests.csv."""
    ours, theirs = run.folder, other.folder
    if run.classes != other.classes:
        raise InputError(
            f"{ours.path} has the classes {', '.join(run.classes)}, {theirs.path} has {', '.join(other.classes)}: "
            "runs with other classes do not compare"
        )
    differences, tests = compared_runs(
        read_predictions(ours.predictions, run.classes),
        read_predictions(theirs.predictions, run.classes),
        list(run.classes),
        resampling=resampling_of(run.recipe),
    )
    run.console.print(_shown(differences, theirs))
    tables = {ours.path / AGAINST: differences, ours.path / AGAINST_TESTS: tests}
    return {path: table.assign(against=str(theirs.path)) for path, table in tables.items()}


def _shown(differences: pd.DataFrame, other: RunFolder) -> Table:
    """Show this run minus the other, by arm, for the terminal."""
    table = Table(title=f"this run minus {other.path}, on the same test images and seeds [interval]")
    for name in ("arm", *(words.in_words(metric) for metric in SHOWN)):
        table.add_column(name)
    cells = {(row["arm"], row["metric"]): row for row in differences.to_dict("records") if not row["class_name"]}
    for arm in dict.fromkeys(arm for arm, _ in cells):
        rows = (cells[arm, metric] for metric in SHOWN)
        table.add_row(arm, *(
            f"{words.number(row['difference'], signed=True)} {words.interval_of(row, signed=True)}" for row in rows
        ))  # fmt: skip
    return table


def opened_run(path: str, console: Console) -> Run[Recipe]:
    """Open a run whose classifiers are trained.

    Raises:
        InputError: no run folder of `augment` or `classify`, or one that is not finished.
    """
    folder = RunFolder(Path(path).expanduser())
    recipe = recipe_in(folder, Recipe)
    for needed in (folder.predictions, folder.validation_predictions, folder.attributes, folder.arms):
        if not needed.is_file():
            raise InputError(
                f"{needed} is missing: the run is not finished, or of an older version. Give the "
                "command that made the run once more; what is finished is used"
            )
    return Run(recipe, folder, console)


def finished_run(path: str) -> FinishedRun:
    """Return the tables of a run that has its report; InputError for one that has not."""
    run = opened_run(path, new_console(quiet=True))
    folder = run.folder
    return FinishedRun(
        name=str(path),
        settings=flat(run.recipe),
        phantom=any(row.source == "phantom" for row in run.of("test")),
        predictions=read_predictions(folder.predictions, run.classes),
        arms=read_table(folder.arms, ["arm", "n_real", "n_synthetic"]),
        scores=read_table(folder.scores, ["arm", "metric", "estimate", "low", "high"]),
        distances=read_table(folder.distances, ["comparison", "metric", "value", "features"]),
    )
