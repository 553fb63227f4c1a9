"""Training of an autoencoder, by the one training loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from meddiff import build
from meddiff.batches.images import Images
from meddiff.build.kind import Model, models_of
from meddiff.build.latent_models import AUTOENCODER, weights_of
from meddiff.files.writing import write_atomically
from meddiff.images.views import grid_image, tile
from meddiff.inference.image_autoencoder import ImageAutoencoder
from meddiff.jobs import weights
from meddiff.jobs.describe import Work, images_per_step
from meddiff.jobs.looks import Grid
from meddiff.jobs.splits import plain
from meddiff.jobs.stage import Stage, need
from meddiff.jobs.train import Training, train_network, trained_by
from meddiff.recipe import to_dict
from meddiff.recipe.autoencode import AutoencodeRecipe
from meddiff.run import Run, digest
from meddiff.seeds import child_seed
from meddiff.training.state import State

SHOWN = 6
"""Validation images that are looked at while the network is trained."""


@dataclass(frozen=True)
class ReconstructionGrid(Grid):
    """Shows some validation images beside what their codes keep of them."""

    run: Run[AutoencodeRecipe]
    model: Model
    state: State

    def __call__(self, step: int) -> None:
        """Draw the grid of a step."""
        autoencoder = self.model.ready(self.state.ema.network, self.state.fabric)
        images = plain(self.run, "val")
        pairs = reconstructed(autoencoder, images, evenly(len(images), SHOWN))
        tiles = [tile(one.numpy(), images.spacing_mm) for pair in pairs for one in pair]
        grid = grid_image(
            tiles, 2, max(1, 128 // max(tiles[0].shape[:2])), captions=["image", "reconstruction"] * len(pairs),
            stamp="phantom" if self.run.folder.phantom.is_dir() else "",
        )  # fmt: skip
        write_atomically(self.path(step), lambda file: Image.fromarray(np.asarray(grid)).save(file, "PNG"))


def evenly(count: int, wanted: int) -> list[int]:
    """Choose positions of so many of ``count`` images, evenly."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).round().astype(int)).tolist()


def reconstructed(
    autoencoder: ImageAutoencoder, images: Images, positions: Sequence[int]
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return images [C, *S] at these positions, each with its reconstruction."""
    image = images.batch(positions).image
    return list(zip(image, autoencoder.decode(autoencoder.encode(image)), strict=True))


def autoencoder_network(run: Run[AutoencodeRecipe]) -> Training:
    """Set up the training of the autoencoder."""
    recipe, images = run.recipe, plain(run, "train")
    model = build.new_model(recipe, AUTOENCODER, images.shape[0], ())
    facts = replace(model.facts, pixel_dtype=images.pixel_dtype, manifest_sha256=weights.manifest_hash(run))
    model, seed = replace(model, facts=facts), child_seed(recipe.seed, "training", "images")
    return Training(
        model,
        recipe.training,
        models_of(run.folder, AUTOENCODER),
        images,
        lambda images, *process: build.shares(images, recipe.training, seed, 0.0, *process),
        build.augmentation(recipe),
        partial(ReconstructionGrid, run, model),
    )


def _inputs(run: Run[AutoencodeRecipe]) -> str:
    recipe = run.recipe
    parts = (recipe.autoencoder, recipe.losses, recipe.volume)
    shared = weights.pixel_settings(recipe), trained_by(run), recipe.seed, recipe.dimensions
    return digest(run.folder.manifest, *shared, *map(to_dict, parts))


def _check(run: Run[AutoencodeRecipe]) -> None:
    need(run, "train", "which the autoencoder learns from")
    need(run, "val", "by which it is looked at meanwhile")
    build.new_model(run.recipe, AUTOENCODER, plain(run, "train").shape[0], ())  # settings that fit together


def _train(run: Run[AutoencodeRecipe]) -> list[Path]:
    train_network(run, autoencoder_network)
    return [weights_of(run.folder).path, models_of(run.folder, AUTOENCODER).log]


def _asks(run: Run[AutoencodeRecipe]) -> list[Work]:
    return [Work(AUTOENCODER, learned=run.recipe.training.steps * images_per_step(run.recipe))]


STAGE = Stage("train", "training the autoencoder", _inputs, _train, _check, _asks)
