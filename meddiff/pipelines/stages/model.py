"""What stages need of the models: which weights stand in the run folder, how classifiers are trained."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from rich.console import Console

from meddiff import assembly
from meddiff.data import transforms
from meddiff.diffusion.denoiser import Denoiser
from meddiff.errors import InputError
from meddiff.networks.classifier import Classifier
from meddiff.networks.initialization import seeded
from meddiff.pipelines.stages.progress import bar
from meddiff.recipe import Recipe, to_dict
from meddiff.run_folder import RunFolder
from meddiff.seeds import child_seed
from meddiff.training import checkpoint
from meddiff.training.fabric import build_fabric, prepare
from meddiff.training.facts import Facts, schedule_digest


def facts(recipe: Recipe, folder: RunFolder, denoiser: Denoiser, class_names: list[str], pixel_dtype: str) -> Facts:
    """What the weights of this run are for."""
    return Facts(
        class_names=tuple(class_names),
        image_size=recipe.data.image_size,
        channels=assembly.channels(recipe),
        network=to_dict(recipe.network),
        schedule=recipe.diffusion.schedule,
        timesteps=recipe.diffusion.timesteps,
        schedule_digest=schedule_digest(denoiser.schedule),
        prediction=recipe.diffusion.prediction,
        pixel_dtype=pixel_dtype,
        manifest_sha256=hashlib.sha256(folder.manifest.read_bytes()).hexdigest(),
        recipe=to_dict(recipe),
    )


def new_denoiser(recipe: Recipe, class_names: list[str]) -> Denoiser:
    """The untrained denoiser; its weights are a function of the recipe alone."""
    with seeded(child_seed(recipe.seed, "denoiser", "weights")):
        return assembly.denoiser(recipe, channels=assembly.channels(recipe), num_classes=len(class_names))


def new_classifier(recipe: Recipe, class_names: Sequence[str], seed: int) -> Classifier:
    """The untrained (or pretrained) classifier; what is not loaded is a function of the recipe and this seed."""
    with seeded(child_seed(seed, "classifier", "weights")):
        return assembly.classifier(recipe, channels=assembly.channels(recipe), num_classes=len(class_names))


def trained(folder: RunFolder) -> checkpoint.Checkpoint:
    """The newest checkpoint of the run."""
    path = checkpoint.latest(folder.checkpoints)
    if path is None:
        raise InputError(f"there is no checkpoint in {folder.checkpoints}: run the training stage first")
    return checkpoint.read(path)


def load(recipe: Recipe, folder: RunFolder, class_names: list[str]) -> tuple[Denoiser, str, torch.device]:
    """The averaged denoiser ready to sample, the pixel type of its images, and the device it is on.

    Raises:
        InputError: no checkpoint, or one of another set-up, with the differences.
    """
    stored = trained(folder)
    denoiser = new_denoiser(recipe, class_names)
    checkpoint.check(stored, facts(recipe, folder, denoiser, class_names, stored.facts.pixel_dtype))
    checkpoint.load_weights(stored, denoiser.network)
    fabric = build_fabric(precision=recipe.training.precision)
    return prepare(denoiser, fabric).eval(), stored.facts.pixel_dtype, fabric.device


def classifier_settings(recipe: Recipe, arm: assembly.Arm, seed: int, console: Console | None = None) -> dict[str, Any]:
    """How a classifier of the study is trained: the recipe's settings, and what its arm adds."""
    augmentation = transforms.flip_rotate90 if arm.flips else None
    augmentation = transforms.classical_augmentation if arm.classical else augmentation
    return {
        "steps": recipe.classifier.steps,
        "batch_size": recipe.classifier.batch_size,
        "learning_rate": recipe.classifier.learning_rate,
        "weight_decay": recipe.classifier.weight_decay,
        "seed": seed,
        "class_balance": 1.0 if arm.balanced else 0.0,
        "augment": augmentation,
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "precision": recipe.training.precision,
        "progress": bar(console, "training the filter's classifier", unit="steps") if console else None,
    }
