"""Training of a detection: the denoiser of healthy images and the autoencoder beside it, by the one training loop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from meddiff import build
from meddiff.batches.images import Images
from meddiff.build.anomaly_models import AUTOENCODER
from meddiff.build.kind import Model, models_of
from meddiff.errors import InputError
from meddiff.files.writing import write_atomically
from meddiff.images.views import grid_image, tile
from meddiff.jobs import weights
from meddiff.jobs.describe import learning, learning_of_others
from meddiff.jobs.detect.health import is_healthy
from meddiff.jobs.stage import Stage, need
from meddiff.jobs.train import Training, train_network
from meddiff.jobs.training_run import NOT_WEIGHTS
from meddiff.recipe import to_dict
from meddiff.recipe.detect import HEALTHY, DetectRecipe
from meddiff.reports.galleries import colored
from meddiff.run import Run, digest
from meddiff.seeds import child_seed
from meddiff.training.state import State

SHOWN = 6
"""Validation images that a look shows."""


def images_of(run: Run[DetectRecipe], split: str) -> Images:
    """Return the images of a split, without labels where the model knows no such label."""
    names = run.classes if split == "train" else ()
    return run.keep(("images", split), lambda: build.images(run.of(split), run.recipe, names))


@dataclass(frozen=True)
class MapGrid:
    """Shows validation images beside their pseudo-healthy images and maps, always the same ones."""

    run: Run[DetectRecipe]
    model: Model
    state: State

    def __call__(self, step: int) -> None:
        """Draw the grid of a step."""
        images = images_of(self.run, "val")
        at = np.unique(np.linspace(0, len(images) - 1, SHOWN).round().astype(int))
        names = [images.rows[position].row_id for position in at]
        shown = images.batch(at).image
        used = self.model.ready(self.state.ema.network, self.state.fabric)
        made = build.detector(self.run.recipe, self._name, used, self.run.classes)
        setting, maps = next(iter(made.tried(shown, names)))
        healthy = made.healed(shown, names, setting).image
        tiles, captions = [], []
        for number, position in enumerate(at):
            tiles += [tile(shown[number].numpy(), None), tile(healthy[number].numpy(), None),
                      colored(maps[number], float(maps.max()))]  # fmt: skip
            captions += [images.rows[position].label or "", "as a healthy one", "difference"]
        grid = grid_image(tiles, 3, max(1, 128 // max(tiles[0].shape[:2])), captions=captions,
                          stamp="phantom" if self.run.folder.phantom.is_dir() else "")  # fmt: skip
        write_atomically(self.path(step), lambda file: Image.fromarray(np.asarray(grid)).save(file, "PNG"))

    @property
    def _name(self) -> str:
        return AUTOENCODER if self.model.of_images_alone else self.run.recipe.detect.methods[0]

    def path(self, step: int) -> Path:
        """Name the picture of a step."""
        return self.run.folder.samples / f"{self.model.name}_step_{step:08d}.png"

    def stands(self, step: int) -> bool:
        """Say whether the picture is there."""
        return self.path(step).is_file()

    def ends(self, step: int) -> bool:
        """Return False: training goes through all its steps."""
        return False

    def saved(self, step: int) -> None:
        """Remove nothing: all pictures stay."""


def healthy_network(name: str, run: Run[DetectRecipe]) -> Training:
    """Set up the training of the denoiser, or of the autoencoder, by its name in tables."""
    recipe, images = run.recipe, images_of(run, "train")
    model = build.new_model(recipe, name, images.shape[0], images.class_names)
    facts = replace(model.facts, pixel_dtype=images.pixel_dtype, manifest_sha256=weights.manifest_hash(run))
    model, seed = replace(model, facts=facts), child_seed(recipe.seed, "training", "images")
    settings = recipe.training
    if name == AUTOENCODER:
        steps = build.kind(recipe).others(recipe)[name]
        settings = replace(settings, steps=steps, learning_rate=recipe.baseline.learning_rate)
    return Training(
        model,
        settings,
        models_of(run.folder, name),
        images,
        lambda images, *process: build.shares(images, settings, seed, settings.class_balance, *process),
        build.augmentation(recipe),
        partial(MapGrid, run, model),
    )


def _settings(run: Run[DetectRecipe]) -> list[Any]:
    """Return all settings that the weights of both networks depend on."""
    recipe = run.recipe
    training = {name: value for name, value in to_dict(recipe.training).items() if name not in NOT_WEIGHTS}
    return [weights.pixel_settings(recipe), to_dict(recipe.volume), training, recipe.detect.learns, recipe.seed]


def _denoiser_inputs(run: Run[DetectRecipe]) -> str:
    own = to_dict(run.recipe.network), to_dict(run.recipe.diffusion), run.recipe.octaves
    return digest(run.folder.manifest, *_settings(run), *own)


def _autoencoder_inputs(run: Run[DetectRecipe]) -> str:
    return digest(run.folder.manifest, *_settings(run), to_dict(run.recipe.baseline))


def _check(run: Run[DetectRecipe]) -> None:
    """Refuse what cannot be learned from, and a training set that holds what it must not.

    Raises:
        InputError: no images, or an anomalous one where healthy ones alone are learned.
    """
    rows = need(run, "train", "which the model of healthy images learns from")
    if run.recipe.detect.learns == "healthy" and (wrong := [row for row in rows if not is_healthy(row)]):
        raise InputError(
            f"{run.folder.manifest}: {wrong[0].row_id!r} is in the train split with the label {wrong[0].label!r}, and "
            f"images with the label {HEALTHY!r} alone are learned: delete the manifest, and it is made anew"
        )
    for split, why in (("val", "on which settings and thresholds are chosen"), ("test", "on which all is judged")):
        need(run, split, why)


def _work(name: str, run: Run[DetectRecipe]) -> list[Path]:
    train_network(run, partial(healthy_network, name))
    files = models_of(run.folder, name)
    return [files.checkpoints, files.log]


DENOISER = Stage("train", "training the denoiser of healthy images", _denoiser_inputs, partial(_work, build.DIFFUSION),
                 _check, learning)  # fmt: skip
BASELINE = Stage("autoencoder", "training the autoencoder it is compared with", _autoencoder_inputs,
                 partial(_work, AUTOENCODER), asks=learning_of_others)  # fmt: skip
