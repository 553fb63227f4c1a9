"""Segmentation, stage 4: every model on every test case, on the image's own grid; one row per case and class.

The temperature of each model is fitted on the validation split, where its best weights were chosen as well.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from rich.console import Console

from meddiff.data.writing import write_text
from meddiff.decision import fused
from meddiff.ensemble.temperature import fit_temperature, sample_pixels
from meddiff.pipelines.stages.manifest import need, rows_of
from meddiff.pipelines.stages.masks_judge import MARK, afresh, judge
from meddiff.pipelines.stages.progress import bar
from meddiff.pipelines.stages.stage import Stage
from meddiff.recipe import to_dict
from meddiff.run_folder import RunFolder, digest
from meddiff.seeds import child_seed
from meddiff.segment_recipe import SegmentRecipe
from meddiff.segmentation import assembly
from meddiff.segmentation.models import models_of
from meddiff.segmentation.trained import TrainedModel, of_run
from meddiff.training import checkpoint

PIXELS_PER_CASE = 4000
"""Drawn from each validation case for the temperature."""


def model_names(recipe: SegmentRecipe) -> list[str]:
    """The diffusion model and its baselines."""
    return [assembly.DIFFUSION, *recipe.baseline.names]


def fitted_temperature(model: TrainedModel, folder: RunFolder, console: Console) -> float:
    """Fitted on pixels of the validation split, the same number from each case."""
    recipe = model.recipe
    images = assembly.images(rows_of(recipe, folder, "val"), recipe)
    chosen = range(len(images))
    if recipe.validation.cases:
        chosen = np.linspace(0, len(images) - 1, min(recipe.validation.cases, len(images))).round().astype(int)
    labels, probabilities = [], []
    for number in bar(console, "fitting the temperature", unit="cases")(chosen, len(chosen)):
        image, truth = assembly.pair(images, int(number))
        answer = fused(model.members(image, images.rows[int(number)].row_id), model.decision)
        generator = np.random.default_rng(child_seed(recipe.seed, "temperature", int(number)))
        some = sample_pixels(truth, answer, count=PIXELS_PER_CASE, generator=generator)
        labels.append(some[0])
        probabilities.append(some[1])
    return fit_temperature(np.concatenate(labels), np.concatenate(probabilities))


def _inputs(recipe: SegmentRecipe, folder: RunFolder) -> str:
    weights = [
        digest(path / checkpoint.INDEX)
        for name in model_names(recipe)
        if (path := checkpoint.latest(models_of(folder, name).best)) is not None
    ]
    return digest(folder.manifest, weights, to_dict(recipe.inference), recipe.validation.cases, recipe.seed)


def _check(recipe: SegmentRecipe, folder: RunFolder) -> None:
    need(recipe, folder, "test", "on which the masks are judged")


def _run(recipe: SegmentRecipe, folder: RunFolder, console: Console) -> list[Path]:
    inputs = _inputs(recipe, folder)
    for name in model_names(recipe):
        if afresh(folder.masks / name, inputs) and recipe.inference.temperature:
            temperature = fitted_temperature(of_run(recipe, folder, name), folder, console)
            write_text(folder.masks / name / "temperature.json", json.dumps(temperature))
        write_text(folder.masks / name / MARK, inputs)
    models = {name: of_run(recipe, folder, name) for name in model_names(recipe)}
    written = judge(models, rows_of(recipe, folder, "test"), folder, console)
    write_text(folder.temperatures, json.dumps({name: model.temperature for name, model in models.items()}, indent=2))
    return [*written, folder.temperatures]


STAGE = Stage("evaluate", "segmenting and measuring every test case", _inputs, _run, _check)
