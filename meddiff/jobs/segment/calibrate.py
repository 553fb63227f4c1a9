"""Segmentation, stage 4: one temperature per model, so that its probabilities mean what they say.

It is fitted on the validation split, where the best weights were chosen as well, on the answers that the settings of
inference give.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from meddiff import build
from meddiff.build import segmentation
from meddiff.build.models import models_of
from meddiff.ensemble.temperature import fit_temperature, sample_pixels
from meddiff.files.writing import write_text
from meddiff.inference.decision import fused
from meddiff.jobs.manifest import rows_of
from meddiff.jobs.masks_manifest import validation_cases
from meddiff.jobs.progress import bar
from meddiff.jobs.stage import Stage
from meddiff.recipe import to_dict
from meddiff.recipe.segment import SegmentRecipe
from meddiff.run import RunFolder, digest
from meddiff.seeds import child_seed
from meddiff.trained import TrainedModel, of_run
from meddiff.training import checkpoint

PIXELS_PER_CASE = 4000
"""Drawn from each validation case."""


def model_names(recipe: SegmentRecipe) -> list[str]:
    """The diffusion model and its baselines."""
    return [build.DIFFUSION, *recipe.baseline.names]


def answers_depend_on(recipe: SegmentRecipe, folder: RunFolder, names: Sequence[str] = ()) -> str:
    """Digest of the weights and settings that the answers of these models (all of the run) are a function of."""
    weights = [
        digest(path / checkpoint.INDEX)
        for name in names or model_names(recipe)
        if (path := checkpoint.latest(models_of(folder, name).best)) is not None
    ]
    return digest(folder.manifest, weights, to_dict(recipe.inference), recipe.validation.cases, recipe.seed)


def fitted_temperature(model: TrainedModel, folder: RunFolder, console: Console) -> float:
    """Fitted on pixels of the validation split, the same number from each case."""
    recipe, decision = model.recipe, replace(model.decision, temperature=1.0)
    images = segmentation.images(rows_of(recipe, folder, "val"), recipe)
    chosen = validation_cases(recipe, len(images))
    labels, probabilities = [], []
    for number in bar(console, "fitting the temperature", unit="cases")(chosen, len(chosen)):
        image, truth = images.pair(number)
        answer = fused(model.members(image, images.rows[number].row_id), decision)
        generator = np.random.default_rng(child_seed(recipe.seed, "temperature", number))
        some = sample_pixels(truth, answer, count=PIXELS_PER_CASE, generator=generator)
        labels.append(some[0])
        probabilities.append(some[1])
    return fit_temperature(np.concatenate(labels), np.concatenate(probabilities))


def _run(recipe: SegmentRecipe, folder: RunFolder, console: Console) -> list[Path]:
    temperatures = dict.fromkeys(model_names(recipe), 1.0)
    if recipe.inference.temperature:
        for name in temperatures:
            temperatures[name] = fitted_temperature(of_run(recipe, folder, name), folder, console)
    write_text(folder.temperatures, json.dumps(temperatures, indent=2))
    return [folder.temperatures]


STAGE = Stage("calibrate", "fitting a temperature to each model's probabilities", answers_depend_on, _run)
