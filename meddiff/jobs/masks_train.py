"""Segmentation, stages 2 and 3: the diffusion model and its deterministic baselines, by one and the same trainer.

While training goes on the averaged weights segment validation cases as they will be used (sampler, steps), and those
with the best Dice are kept. They are what every later stage uses.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from lightning_fabric import Fabric
from rich.console import Console

from meddiff import build
from meddiff.build import segmentation
from meddiff.build.models import Model, ModelFolder, models_of, new_model, optimization
from meddiff.files.tables import read_table, write_table
from meddiff.jobs.manifest import rows_of
from meddiff.jobs.masks_manifest import train_images, validation_cases
from meddiff.jobs.stage import Stage
from meddiff.jobs.training_run import NOT_WEIGHTS, TrainingRun
from meddiff.metrics.masks.overlap import overlap
from meddiff.recipe import TrainingRecipe, to_dict
from meddiff.recipe.segment import SegmentRecipe
from meddiff.run import RunFolder, digest
from meddiff.seeds import child_seed
from meddiff.training import checkpoint
from meddiff.training.fabric import build_fabric
from meddiff.training.state import State, build_state

VALIDATION_COLUMNS = ("step", "dice")


def settings_of(recipe: SegmentRecipe, name: str) -> TrainingRecipe:
    """How a network is trained; a baseline's number of steps may be its own."""
    own = recipe.baseline.steps
    return replace(recipe.training, steps=own) if own and name != build.DIFFUSION else recipe.training


def fit(recipe: SegmentRecipe, folder: RunFolder, name: str, console: Console) -> list[Path]:
    """Train one network, or go on with it."""
    images, class_names = train_images(recipe, folder)
    fabric = build_fabric(precision=recipe.training.precision)
    model = new_model(recipe, name, images.shape[0], class_names)
    sha256 = hashlib.sha256(folder.manifest.read_bytes()).hexdigest()
    model = replace(model, facts=replace(model.facts, pixel_dtype=images.pixel_dtype, manifest_sha256=sha256))
    files, settings = models_of(folder, name), settings_of(recipe, name)
    state = build_state(model.network, model.objective, fabric, optimization(settings), ema_decay=settings.ema_decay)
    validation = Validation(recipe, folder, files, model, state, fabric)
    run = TrainingRun(
        settings, files.checkpoints, files.log, fabric, model.network, state, model.facts, validation.look
    )
    first = run.resume()
    if first:
        console.print(f"going on from step {first}")
    batches = segmentation.batches(images, recipe, seed=child_seed(recipe.seed, "training", "images"))
    if not validation.ended(first):
        steps = run.steps(batches, first, seed=recipe.seed, augment=build.augmentation(recipe))
        run.follow(steps, first, console, f"training {name}")
    return [files.best, files.validation]


@dataclass
class Validation:
    """Segments validation cases with the averaged weights, and keeps the best weights."""

    recipe: SegmentRecipe
    folder: RunFolder
    files: ModelFolder
    model: Model
    state: State
    fabric: Fabric

    def look(self, step: int) -> bool:
        """Measure the Dice, keep the weights if it is the best so far; whether patience is at its end."""
        done = self.done(step - 1)
        dice = round(self.dice(), 6)
        table = pd.concat([done, pd.DataFrame([{"step": step, "dice": dice}])], ignore_index=True)
        if dice > max(done["dice"].to_numpy(float), default=-1.0):
            shutil.rmtree(self.files.best, ignore_errors=True)
            checkpoint.save(
                self.files.best, step, network=self.model.network, ema=self.state.ema,
                optimizer=self.state.optimizer, facts=self.model.facts, final=True,
            )  # fmt: skip
        write_table(table, self.files.validation)
        return self.ended(step)

    def done(self, step: int) -> pd.DataFrame:
        """What was measured up to ``step``."""
        if not self.files.validation.is_file():
            return pd.DataFrame(columns=list(VALIDATION_COLUMNS))
        table = read_table(self.files.validation, VALIDATION_COLUMNS)
        return table.loc[table["step"] <= step]

    def ended(self, step: int) -> bool:
        """Whether the last ``patience`` looks up to ``step`` have all been no better than one before."""
        dice, patience = self.done(step)["dice"].to_numpy(float), self.recipe.validation.patience
        return bool(patience) and len(dice) > patience and int(dice.argmax()) < len(dice) - patience

    def dice(self) -> float:
        """Mean Dice of the foreground classes over the validation cases, on the network's own grid."""
        segmenter = self.model.ready(self.state.ema.network, self.fabric)
        images = segmentation.images(rows_of(self.recipe, self.folder, "val"), self.recipe)
        settings = self.recipe.validation
        found = []
        for number in validation_cases(self.recipe, len(images)):
            image, truth = images.pair(number)
            seeds = [child_seed(self.recipe.seed, "validation", number, m) for m in range(settings.members)]
            called = segmenter.members(image, seeds).mean(0).argmax(0).numpy()
            classes = range(1, len(self.model.facts.class_names))
            found.append(np.mean([overlap(truth == index, called == index).dice for index in classes]))
        return float(np.mean(found))


def _inputs_of(name: str | None, recipe: SegmentRecipe, folder: RunFolder) -> str:
    training = {key: value for key, value in to_dict(recipe.training).items() if key not in NOT_WEIGHTS}
    shared = folder.manifest, to_dict(recipe.data), to_dict(recipe.volume), training, to_dict(recipe.mask), recipe.seed
    own = to_dict(recipe.baseline) if name is None else (to_dict(recipe.network), to_dict(recipe.diffusion))
    return digest(*shared, own, to_dict(recipe.validation), recipe.classes, recipe.dimensions)


def _run_diffusion(recipe: SegmentRecipe, folder: RunFolder, console: Console) -> list[Path]:
    return fit(recipe, folder, build.DIFFUSION, console)


def _run_baselines(recipe: SegmentRecipe, folder: RunFolder, console: Console) -> list[Path]:
    return [path for name in recipe.baseline.names for path in fit(recipe, folder, name, console)]


DIFFUSION_STAGE = Stage("train", "training the denoiser of masks", partial(_inputs_of, build.DIFFUSION), _run_diffusion)
BASELINE_STAGE = Stage(
    "baselines", "training the deterministic networks it is compared with", partial(_inputs_of, None), _run_baselines
)
