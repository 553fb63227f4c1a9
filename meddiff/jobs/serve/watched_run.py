"""The page of `meddiff watch`, a run while it goes on: how far it is, its losses, samples and validation.

Everything is read from the run's folder, again each time: the run does not know that it is watched.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from meddiff.build.kind import models_of
from meddiff.errors import InputError
from meddiff.files.long_tables import read_table
from meddiff.files.printable import printable
from meddiff.jobs.job import JOBS
from meddiff.jobs.looks import VALIDATION_COLUMNS
from meddiff.jobs.serve.local_server import Body, Reply, of_json
from meddiff.jobs.serve.sites import page
from meddiff.jobs.training_run import LOG_COLUMNS
from meddiff.recipe import AnyRecipe, from_dict
from meddiff.reports import figures, words
from meddiff.reports.figures import Figure, Series
from meddiff.reports.study import loss_curve
from meddiff.reports.tabular import records
from meddiff.run import RunFolder, headline_of, kind_of, settings_in, state_of

SAMPLES = 8
"""Sheets of samples that are shown, the latest first."""


class RunSite:
    """Shows one run."""

    def __init__(self, place: str) -> None:
        self._folder = RunFolder(Path(place).expanduser())
        self._pages = page("watch", f"Watch {printable(self._folder.path.resolve().name)}", {"place": place})

    def get(self, path: str) -> Reply | None:
        """Return the page, what there is to say now (``state``), a sheet of samples, or the report."""
        if path in self._pages:
            return self._pages[path]
        if path == "state":
            return Reply(of_json(state_now(self._folder)), "application/json")
        if path == "report.html" and self._folder.report_html.is_file():
            return Reply(self._folder.report_html.read_bytes(), "text/html; charset=utf-8")
        sheet = next((file for file in _sheets(self._folder) if f"samples/{file.name}" == path), None)
        return None if sheet is None else Reply(sheet.read_bytes(), "image/png")

    def post(self, path: str, body: Body) -> Reply | None:
        """Take nothing."""


def state_now(folder: RunFolder) -> dict[str, Any]:
    """Return all that is shown of a run at the moment."""
    if not folder.recipe.is_file():
        return {"state": f"There is no run in {folder.path} yet: this page waits for it.", "ended": False}
    try:
        kind = kind_of(settings := settings_in(folder))
        recipe = from_dict(kind, settings)
        state, record = state_of(folder), folder.record()
    except InputError as error:
        return {"state": f"It cannot be read: {error}", "ended": False}
    networks = {"": folder, **{path.name: models_of(folder, path.name) for path in sorted(folder.models.glob("*"))}}
    logs = {name: log for name, files in networks.items() if len(log := _table(files.log, LOG_COLUMNS))}
    return {
        "state": f"{state[0].upper()}{state[1:]}.",
        "ended": state == "finished",
        "does": f"It {printable(kind.DOES)}; data set {printable(recipe.dataset)}, preset {printable(recipe.preset)}."
        + " Its images are drawn by code: nothing here says anything about patients." * folder.phantom.is_dir(),
        "headline": headline_of(folder),
        "report": folder.report_html.is_file(),
        "stages": [_stage(stage.name, stage.does, record) for stage in JOBS[kind].stages],
        "networks": [_network(name, log, folder, recipe) for name, log in logs.items()],
        "samples": [file.name for file in _sheets(folder)],
    }


def _stage(name: str, does: str, record: dict[str, dict[str, Any]]) -> dict[str, str]:
    took = f"took {words.duration(record[name].get('seconds'))}" if name in record else ""
    return {"name": name, "does": does, "took": took}


def _network(name: str, log: pd.DataFrame, folder: RunFolder, recipe: AnyRecipe) -> dict[str, Any]:
    """Say how far a network's training is, with its curves."""
    step, rate = int(log["step"].iloc[-1]), float(np.median(log["images_per_second"].to_numpy(float)[-5:]))
    own = getattr(getattr(recipe, "baseline", None), "steps", None) if name != "diffusion" else None
    steps = (own or recipe.training.steps) if name else recipe.training.steps
    left = max(0, steps - step) * recipe.training.batch_size * recipe.training.accumulate / rate if rate > 0 else None
    file = (models_of(folder, name) if name else folder).log
    age = words.duration(max(0.0, time.time() - file.stat().st_mtime))
    loss = loss_curve(records(log))  # whose title is that of a page of one network
    curves = [
        loss and replace(loss, title="Loss over optimizer steps"),
        _validation(_table(models_of(folder, name).validation, VALIDATION_COLUMNS)),
    ]
    return {
        "name": name or "diffusion",
        "step": step,
        "steps": steps,
        "line": f"loss {words.significant(log['loss'].iloc[-1])} at step {words.number(step, 0)} of "
        f"{words.number(steps, 0)}, {words.significant(rate)} images per second"
        + (f", about {words.duration(left)} left" if left else "") + f"; last line {age} ago",
        "figures": [_drawn(curve) for curve in curves if curve],
    }  # fmt: skip


def _validation(table: pd.DataFrame) -> Figure | None:
    """Draw the Dice of the validation cases over the steps; None below two looks."""
    if len(table) < 2:
        return None
    step, dice = (table[name].to_numpy(float) for name in VALIDATION_COLUMNS)
    best = int(dice.argmax())
    return figures.lines(
        "Dice of the validation cases", [Series("Dice", step, dice, emphasized=True, dots=True)],
        axes=("step", "Dice"), x_domain=(step[0], step[-1]),
        aside=f"best {words.number(dice[best])} at step {words.number(step[best], 0)}",
    )  # fmt: skip


def _drawn(figure: Figure) -> dict[str, str]:
    """Return the parts of a figure of lines, each as a piece of a page; names in it are escaped."""
    return {
        "title": figure.title, "aside": figure.aside, "plot": str(figures.draw(figure, figure.strips[0])),
        "axis": str(figures.draw_axis(figure)),
    }  # fmt: skip


def _table(file: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a table; an empty one where there is none, or none that can be read."""
    try:
        return read_table(file, columns) if file.is_file() else pd.DataFrame(columns=list(columns))
    except InputError:
        return pd.DataFrame(columns=list(columns))


def _sheets(folder: RunFolder) -> list[Path]:
    """List the last sheets of samples, the latest first."""
    return sorted(folder.samples.glob("step_*.png"), reverse=True)[:SAMPLES]
