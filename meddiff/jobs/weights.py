"""What stages need of the models: which weights stand in the run folder, how classifiers are trained."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from rich.console import Console

from meddiff import build
from meddiff.batches import turns
from meddiff.batches.images import Images
from meddiff.batches.turns import classical_volume_augmentation
from meddiff.diffusion.denoiser import Denoiser
from meddiff.errors import InputError
from meddiff.jobs.manifest import class_names_of, rows_of
from meddiff.jobs.progress import bar
from meddiff.networks.classifier import Classifier
from meddiff.networks.initialization import seeded
from meddiff.recipe import Recipe, of_volumes, to_dict
from meddiff.run import RunFolder
from meddiff.seeds import child_seed
from meddiff.training import checkpoint
from meddiff.training import classifier as training
from meddiff.training.fabric import build_fabric, prepare
from meddiff.training.facts import Facts, schedule_digest
from meddiff.training.loop import Augment
from meddiff.training.optimization import Optimization


def facts(recipe: Recipe, folder: RunFolder, denoiser: Denoiser, images: Images) -> Facts:
    """What the weights of this run are for."""
    volumes = {"volume_size": images.shape[1:], "spacing_mm": images.spacing_mm} if recipe.dimensions == 3 else {}
    return Facts(
        class_names=images.class_names,
        image_size=min(images.shape[1:]),
        channels=images.shape[0],
        network=to_dict(recipe.network) | volumes,
        schedule=recipe.diffusion.schedule,
        timesteps=recipe.diffusion.timesteps,
        schedule_digest=schedule_digest(denoiser.schedule),
        prediction=recipe.diffusion.prediction,
        pixel_dtype=images.pixel_dtype,
        manifest_sha256=hashlib.sha256(folder.manifest.read_bytes()).hexdigest(),
        recipe=to_dict(recipe),
    )


def data_settings(recipe: Recipe) -> list[Any]:
    """All settings that decide how files become arrays."""
    return [to_dict(recipe.data), recipe.dimensions, to_dict(recipe.volume) if of_volumes(recipe) else None]


def training_settings(recipe: Recipe) -> dict[str, Any]:
    """The settings that decide how one classifier is trained, whatever arms and seeds there are beside it."""
    beside = ("arms", "ratios", "seeds", "classical")
    return {name: value for name, value in to_dict(recipe.classifier).items() if name not in beside}


def training_images(recipe: Recipe, folder: RunFolder, *, progress: Callable | None = None) -> Images:
    """The images of the train split, from the cache; their labels are the classes of the run."""
    return build.images(rows_of(recipe, folder, "train"), recipe, class_names_of(recipe, folder), progress=progress)


def new_denoiser(recipe: Recipe, images: Images) -> Denoiser:
    """The untrained denoiser of images like these; its weights are a function of the recipe alone."""
    return build.new_denoiser(recipe, channels=images.shape[0], num_classes=len(images.class_names))


def new_classifier(recipe: Recipe, images: Images, seed: int) -> Classifier:
    """The untrained (or pretrained) classifier of images like these; what is not loaded is a function of the seed."""
    with seeded(child_seed(seed, "classifier", "weights")):
        return build.classifier(recipe, shape=images.shape, num_classes=len(images.class_names))


def trained(folder: RunFolder) -> checkpoint.Checkpoint:
    """The newest checkpoint of the run."""
    path = checkpoint.latest(folder.checkpoints)
    if path is None:
        raise InputError(f"there is no checkpoint in {folder.checkpoints}: run the training stage first")
    return checkpoint.read(path)


def load(recipe: Recipe, folder: RunFolder, images: Images) -> tuple[Denoiser, torch.device]:
    """The averaged denoiser ready to sample, and the device it is on.

    Raises:
        InputError: no checkpoint, or one of another set-up, with the differences.
    """
    stored = trained(folder)
    denoiser = new_denoiser(recipe, images)
    checkpoint.check(stored, facts(recipe, folder, denoiser, images))
    checkpoint.load_weights(stored, denoiser.network)
    fabric = build_fabric(precision=recipe.training.precision)
    return prepare(denoiser, fabric).eval(), fabric.device


def train_classifier(
    recipe: Recipe, arm: build.Arm, images: Images, seed: int, console: Console | None = None, *,
    strength: str = "strong",
) -> Classifier:  # fmt: skip
    """Train a classifier of an arm on these images; it is in evaluation mode then, and a function of the seed.

    ``strength`` is that of the classical augmentation of pictures; ``console`` shows a progress bar.
    """
    settings = recipe.classifier
    return training.train_classifier(
        new_classifier(recipe, images, seed),
        training.class_batches(
            images, batch_size=settings.batch_size, seed=seed, class_balance=1.0 if arm.balanced else 0.0
        ),
        Optimization(settings.steps, settings.learning_rate, settings.weight_decay, decay="cosine_from_first"),
        seed=seed,
        augment=augmentation_of(recipe, arm, strength),
        precision=recipe.training.precision,
        progress=bar(console, "training the filter's classifier", unit="steps") if console else None,
    )


def augmentation_of(recipe: Recipe, arm: build.Arm, strength: str) -> Augment | None:
    """What turns and changes the training images of an arm; None where nothing does."""
    if arm.classical and recipe.dimensions == 2:
        return partial(turns.classical_augmentation, strength=build.CLASSICAL[strength])
    if arm.classical:
        return classical_volume_augmentation
    if not arm.flips:
        return None
    return build.augmentation(recipe) if of_volumes(recipe) else turns.flip_rotate90
