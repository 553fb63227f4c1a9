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

from meddiff import build
from meddiff.batches.images import Images
from meddiff.build.kind import models_of
from meddiff.ensemble.temperature import fit_temperature, sample_pixels
from meddiff.files.writing import write_text
from meddiff.formats.masks import IGNORED
from meddiff.images.intensity import to_model_range
from meddiff.inference.decision import fused
from meddiff.inference.likeness import MOST, Likeness
from meddiff.jobs.describe import Work
from meddiff.jobs.looks import validation_cases
from meddiff.jobs.progress import bar
from meddiff.jobs.splits import masked
from meddiff.jobs.stage import Stage
from meddiff.recipe import to_dict
from meddiff.recipe.segment import SegmentRecipe
from meddiff.run import Run, digest
from meddiff.seeds import child_seed
from meddiff.trained import TrainedModel, of_run
from meddiff.training import checkpoint

PIXELS_PER_CASE = 4000
"""Drawn from each validation case."""


def model_names(recipe: SegmentRecipe) -> list[str]:
    """Return the diffusion model and its baselines."""
    return [build.DIFFUSION, *recipe.baseline.names]


def answers_depend_on(run: Run[SegmentRecipe], names: Sequence[str] = ()) -> str:
    """Digest of the weights and settings that the answers of these models (all of the run) are a function of."""
    weights = [
        digest(path / checkpoint.INDEX)
        for name in names or model_names(run.recipe)
        if (path := checkpoint.latest(models_of(run.folder, name).best)) is not None
    ]
    return digest(
        run.folder.manifest, weights, to_dict(run.recipe.inference), run.recipe.validation.cases, run.recipe.seed
    )


def fitted_temperature(model: TrainedModel, run: Run[SegmentRecipe], name: str) -> float:
    """Fit the temperature of a model on pixels of the validation split, the same number from each case.

    What nobody judged is left out.
    """
    decision = replace(model.decision, temperature=1.0)
    images = masked(run, "val")
    chosen = validation_cases(run.recipe, len(images))
    show = bar(run.console, f"fitting the temperature of {name}", unit="cases")
    pairs = ((number, *images.pair(number)) for number in show(chosen, len(chosen)))
    labels, probabilities = [], []
    for some in model.batches(pairs, lambda pair: pair[1].shape):
        drawn = model.members([(image.numpy(), images.rows[number].row_id) for number, image, _ in some])
        for (number, _, truth), members in zip(some, drawn, strict=True):
            answer, judged = fused(members, decision), truth != IGNORED
            if not judged.all():
                truth, answer = truth[judged], answer[:, judged]
            if truth.size == 0:
                continue
            generator = np.random.default_rng(child_seed(run.recipe.seed, "temperature", number))
            chosen_pixels = sample_pixels(truth, answer, count=PIXELS_PER_CASE, generator=generator)
            labels.append(chosen_pixels[0])
            probabilities.append(chosen_pixels[1])
    return fit_temperature(np.concatenate(labels), np.concatenate(probabilities))


def _work(run: Run[SegmentRecipe]) -> list[Path]:
    temperatures = dict.fromkeys(model_names(run.recipe), 1.0)
    if run.recipe.inference.temperature:
        for name in temperatures:
            temperatures[name] = fitted_temperature(of_run(run, name), run, name)
    write_text(run.folder.temperatures, json.dumps(temperatures, indent=2))
    return [run.folder.temperatures, *note_likeness(run)]


def note_likeness(run: Run[SegmentRecipe]) -> list[Path]:
    """Write down what images of training are like, so that others can be compared with them; return the file.

    There is none where the training images are too few to tell.
    """
    train, held_out = masked(run, "train"), masked(run, "val")
    chosen = np.unique(np.linspace(0, len(train) - 1, MOST).round().astype(int))
    likeness = Likeness.fitted(
        [model_values(train, number) for number in chosen],
        [train.rows[number].group for number in chosen],
        (model_values(held_out, number) for number in range(min(MOST, len(held_out)))),
        [row.modality for row in train.rows],
    )
    if likeness is None:
        run.folder.likeness.unlink(missing_ok=True)
        return []
    write_text(run.folder.likeness, json.dumps(likeness.to_dict()))
    return [run.folder.likeness]


def model_values(images: Images, number: int) -> np.ndarray:
    """Return one whole image [C, *S] in [-1, 1]."""
    return to_model_range(np.asarray(images.prepared[number].image)).numpy()


def answering(run: Run[SegmentRecipe], cases: int) -> list[Work]:
    """List what it asks to segment so many cases."""
    recipe = run.recipe
    drawn = Work(recipe.network.name, called=cases * recipe.inference.members * recipe.inference.steps)
    return [drawn, *(Work(f"baseline {name}", called=cases) for name in recipe.baseline.names)]


STAGE = Stage("calibrate", "fitting a temperature to each model's probabilities", answers_depend_on, _work,
              asks=lambda run: answering(run, len(validation_cases(run.recipe, len(run.of("val"))))))  # fmt: skip
