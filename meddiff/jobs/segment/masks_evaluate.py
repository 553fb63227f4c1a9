"""Segmentation, stage 5: every model on every test case, on the image's own grid; one row per case and class."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from meddiff.files.writing import write_text
from meddiff.jobs.manifest import need, rows_of
from meddiff.jobs.segment.calibrate import answers_depend_on, model_names
from meddiff.jobs.segment.evaluate import MARK, afresh, judge
from meddiff.jobs.stage import Stage
from meddiff.recipe.segment import SegmentRecipe
from meddiff.run import RunFolder, digest
from meddiff.trained import of_run


def _inputs(recipe: SegmentRecipe, folder: RunFolder) -> str:
    return digest(answers_depend_on(recipe, folder), folder.temperatures)


def _check(recipe: SegmentRecipe, folder: RunFolder) -> None:
    need(recipe, folder, "test", "on which the masks are judged")


def _run(recipe: SegmentRecipe, folder: RunFolder, console: Console) -> list[Path]:
    models = {name: of_run(recipe, folder, name) for name in model_names(recipe)}
    for name, model in models.items():
        inputs = digest(answers_depend_on(recipe, folder, [name]), model.temperature)
        afresh(folder.masks / name, inputs)
        write_text(folder.masks / name / MARK, inputs)
    return judge(models, rows_of(recipe, folder, "test"), folder, console)


STAGE = Stage("evaluate", "segmenting and measuring every test case", _inputs, _run, _check)
