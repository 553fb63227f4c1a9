"""Translation, stages 2 and 3: the diffusion model, and the regression beside it, trained alike and as long.

Where images are drawn by their masks, a U-Net learns to segment the real ones as long: it says which mask a drawn
picture shows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from meddiff import build
from meddiff.batches.batch import Batch
from meddiff.batches.images import Images
from meddiff.build.kind import Model, models_of
from meddiff.build.pair_models import augmentation, weights_of, with_holes
from meddiff.files.writing import write_atomically
from meddiff.images.views import grid_image, tile
from meddiff.jobs import weights
from meddiff.jobs.describe import learning, learning_of_others
from meddiff.jobs.looks import Look
from meddiff.jobs.splits import classes_drawn_by, plain
from meddiff.jobs.stage import Stage, need
from meddiff.jobs.train import Training, train_network, trained_by
from meddiff.recipe import to_dict
from meddiff.recipe.translate import TranslateRecipe
from meddiff.run import Run, digest
from meddiff.seeds import child_seed
from meddiff.tasks.label_map import LabelMap
from meddiff.tasks.translate import TranslateTask
from meddiff.training.state import State

SHOWN = 4
"""Validation images that are looked at while a network is trained."""


@dataclass(frozen=True)
class PairGrid(Look):
    """Draws what is known, what the network makes of it and what is true, of some validation images."""

    run: Run[TranslateRecipe]
    model: Model
    state: State

    def __call__(self, step: int) -> None:
        """Draw the grid of a step."""
        translator = self.model.ready(self.state.ema.network, self.state.fabric)
        images = plain(self.run, "val")
        tiles = []
        for number in np.linspace(0, len(images) - 1, min(SHOWN, len(images))).round().astype(int):
            batch = known_batch(self.run.recipe, images, int(number))
            known = translator.task.condition(batch).image[0]
            answer = translator.members(known, [child_seed(self.run.recipe.seed, "samples", int(number))])[0]
            parts = shown_parts(translator.task, known, answer, translator.task.wanted(batch.image)[0])
            tiles += [tile(one.numpy(), images.spacing_mm) for one in parts]
        stamp = "phantom" if self.run.folder.phantom.is_dir() else ""
        scale = max(1, 128 // max(tiles[0].shape[:2]))
        grid = grid_image(tiles, 3, scale, captions=["known", "answer", "truth"] * (len(tiles) // 3), stamp=stamp)
        write_atomically(self.path(step), lambda file: Image.fromarray(np.asarray(grid)).save(file, "PNG"))

    def path(self, step: int) -> Path:
        """Name the picture of a step."""
        return self.run.folder.samples / self.model.name / f"step_{step:08d}.png"

    def stands(self, step: int) -> bool:
        """Say whether the picture is there."""
        return self.path(step).is_file()


def known_batch(recipe: TranslateRecipe, images: Images, number: int) -> Batch:
    """Return one image as a batch, with the holes that it always has, where there are any."""
    seed = child_seed(recipe.seed, "hole", images.rows[number].row_id)
    return with_holes(images.batch([number]), recipe, torch.Generator().manual_seed(seed))


def shown_parts(task: TranslateTask, known: torch.Tensor, *images: torch.Tensor) -> list[torch.Tensor]:
    """Return images [C, *S] of what is known and others, each with the channels that can be looked at: 1 or 3."""
    known = task.seen(known) if isinstance(task, LabelMap) else known
    fewest = min(3 if len(one) >= 3 else 1 for one in (known, *images))
    return [one[:fewest] for one in (known, *images)]


def pair_network(name: str, run: Run[TranslateRecipe]) -> Training:
    """Set up the training of a network, by its name in tables."""
    recipe, images = run.recipe, plain(run, "train")
    model = build.new_model(recipe, name, images.shape[0], classes_drawn_by(run))
    facts = replace(model.facts, pixel_dtype=images.pixel_dtype, manifest_sha256=weights.manifest_hash(run))
    model, seed = replace(model, facts=facts), child_seed(recipe.seed, "training", "images")
    return Training(
        model,
        recipe.training,
        models_of(run.folder, name),
        images,
        lambda images, *process: build.shares(images, recipe.training, seed, 0.0, *process),
        augmentation(recipe),
        (lambda _: Look()) if model.of_images_alone else partial(PairGrid, run, model),
    )


def _inputs(run: Run[TranslateRecipe]) -> str:
    recipe = run.recipe
    parts = (recipe.volume, recipe.network, recipe.diffusion)
    shared = weights.pixel_settings(recipe), trained_by(run), recipe.seed, recipe.dimensions
    masks = [run.folder.mask_values, recipe.classes] if recipe.by_masks else []
    return digest(run.folder.manifest, *shared, of_known(recipe), *map(to_dict, parts), *masks)


def of_known(recipe: TranslateRecipe) -> dict[str, Any]:
    """Return the settings of what is known; those of masks where masks are: former versions had none."""
    return {
        name: value
        for name, value in to_dict(recipe.translation).items()
        if name != "condition_dropout" or recipe.by_masks
    }


def _check(run: Run[TranslateRecipe]) -> None:
    need(run, "train", "which the networks learn from")
    need(run, "val", "by which they are looked at meanwhile")
    images = plain(run, "train")
    build.new_model(run.recipe, build.DIFFUSION, images.shape[0], classes_drawn_by(run))  # settings that fit together


def _train(name: str, run: Run[TranslateRecipe]) -> list[Path]:
    train_network(run, partial(pair_network, name))
    files = models_of(run.folder, name)
    return [weights_of(run.folder, name).path, files.log]


def _train_others(run: Run[TranslateRecipe]) -> list[Path]:
    return [path for name in build.kind(run.recipe).others(run.recipe) for path in _train(name, run)]


DIFFUSION = Stage(
    "train", "training the diffusion model that is told the known image", _inputs, partial(_train, build.DIFFUSION),
    _check, learning,
)  # fmt: skip
COMPARED = Stage(
    "baselines", "training the same network as a regression, as long", _inputs, _train_others, asks=learning_of_others
)
