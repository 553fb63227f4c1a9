"""The work of ``evaluate leaderboard``: finished runs on the same test images as one CSV, the best arm first."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from meddiff.errors import InputError
from meddiff.evaluation.classifiers.runs import leaderboard
from meddiff.files.long_tables import write_table
from meddiff.files.writing import in_plain_words
from meddiff.jobs.evaluate.study import finished_run
from meddiff.jobs.progress import new_console
from meddiff.recipe.commands import Leaderboard
from meddiff.reports import words

SHOWN = ("balanced_accuracy", "macro_auroc")


def run(settings: Leaderboard, console: Console | None = None) -> pd.DataFrame:
    """Read, compare, write and print.

    Raises:
        InputError: a run twice, one that is not finished, or runs with other test images than the first.
    """
    console = console or new_console(markup=True, emoji=True)
    paths = [Path(path).expanduser().resolve() for path in settings.runs]
    for path, typed in zip(paths, settings.runs, strict=True):
        if paths.count(path) > 1:
            raise InputError(f"{typed} is named twice: name each run folder once")
    table = leaderboard([finished_run(path) for path in settings.runs])
    with in_plain_words(Path(settings.out), option="--out"):
        write_table(table, Path(settings.out))
    _show(table, console)
    console.print(f"{words.counted(len(table), 'row')} in {settings.out}", soft_wrap=True)
    return table


def _show(table: pd.DataFrame, console: Console) -> None:
    first = table.iloc[0]
    on = f"{words.counted(int(first['n_images']), 'test image')} (hash {first['test_images']})"
    shown = Table(title=f"{on}, mean over seeds and interval")
    for name in ("run", "arm", "seeds", "synthetic", *(words.in_words(metric) for metric in SHOWN)):
        shown.add_column(name, overflow="fold")
    for row in table.to_dict("records"):
        bounds = {name: words.interval_of(row, prefix=f"{name}_") for name in SHOWN}
        scores = (f"{words.number(row[name])} {bounds[name]}" for name in SHOWN)
        shown.add_row(row["run"], row["arm"], words.plain(row["n_seeds"]), words.plain(row["n_synthetic"]), *scores)
    console.print(shown)
