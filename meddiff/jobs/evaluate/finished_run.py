"""The folder of an augmentation run as other commands take it: its recipe and its tables."""

from __future__ import annotations

from pathlib import Path

import yaml

from meddiff.errors import InputError
from meddiff.evaluation.classifiers.leaderboard import FinishedRun
from meddiff.files.tables import read_table
from meddiff.jobs.generate.study import read_predictions
from meddiff.jobs.manifest import class_names_of, rows_of
from meddiff.recipe import Recipe, flat, from_dict
from meddiff.run import RunFolder


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
