"""A recipe -> denoiser, task, sampler, augmentation, classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Generator

from meddiff.batches import turns
from meddiff.batches.batch import Batch
from meddiff.batches.cuts import random_flips
from meddiff.build.tables import NETWORKS, PREDICTIONS, SAMPLERS, SCHEDULES, TASKS, pick
from meddiff.diffusion.denoiser import Denoiser
from meddiff.errors import InputError
from meddiff.inference.sampling import Sampling
from meddiff.networks.classifier import Classifier, build_classifier
from meddiff.recipe import Recipe, of_volumes
from meddiff.recipe.segment import SegmentRecipe
from meddiff.tasks.task import Task


def denoiser(recipe: Recipe, *, channels: int, num_classes: int) -> Denoiser:
    """The untrained denoiser: network, schedule and prediction."""
    network = pick("network.name", NETWORKS, recipe.network.name)(
        channels,
        channels,
        channels=recipe.network.channels,
        residual_blocks=recipe.network.residual_blocks,
        attention_levels=recipe.network.attention_levels,
        head_channels=recipe.network.head_channels,
        num_classes=num_classes,
        patch_size=recipe.network.patch_size,
        spatial_dims=recipe.dimensions,
    )
    return Denoiser(
        network,
        pick("diffusion.schedule", SCHEDULES, recipe.diffusion.schedule)(recipe.diffusion.timesteps),
        pick("diffusion.prediction", PREDICTIONS, recipe.diffusion.prediction),
    )


def task(name: str = "generate") -> Task:
    """What diffusion is used for."""
    return pick("task", TASKS, name)()


def augmentation(recipe: Recipe | SegmentRecipe) -> Callable[[Batch, Generator], Batch] | None:
    """Random turns of a training batch; none for volumes and their slices unless asked for: left is not right there.

    Raises:
        InputError: the symmetries of the square, asked for of volumes; a mirror that no sagittal slice has.
    """
    pictures = not of_volumes(recipe)
    wanted = recipe.training.augment
    wanted = ("square" if pictures else "none") if wanted == "auto" else wanted
    if wanted == "square" and not pictures:
        raise InputError("training.augment square turns pictures; for volumes and their slices use mirror or none")
    if wanted == "mirror" and recipe.data.slice_axis == "sagittal":
        raise InputError("training.augment mirror changes left and right, and a sagittal slice has neither: use none")
    upright = recipe.dimensions == 2 and (pictures or isinstance(recipe, Recipe))  # as LabeledSlices turns them
    left_right = partial(random_flips, axes=(1,) if upright else (0,))
    return {"square": turns.flip_rotate90, "mirror": left_right, "none": None}[wanted]


def sampling(recipe: Recipe) -> Sampling:
    """Sampler, steps and guidance."""
    sampler = pick("synthesis.sampler", SAMPLERS, recipe.synthesis.sampler)
    return Sampling(sampler, recipe.synthesis.steps, recipe.synthesis.guidance, recipe.synthesis.spacing)


def classifier(recipe: Recipe, *, shape: Sequence[int], num_classes: int) -> Classifier:
    """An untrained (or pretrained) classifier of the study, for images of the shape (C, *S)."""
    return build_classifier(
        recipe.classifier.network,
        in_channels=shape[0],
        num_classes=num_classes,
        image_size=min(shape[1:]),
        spatial_dims=recipe.dimensions,
        width=recipe.classifier.width,
        weights=recipe.classifier.weights,
    )
