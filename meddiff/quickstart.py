"""A diffusion model of one's own images in a few lines: read, build, train, draw.

    images = meddiff.read_images("photos", size=64)
    denoiser = meddiff.denoiser(like=images)
    for step in meddiff.train(denoiser, images, steps=1000):
        print(step.step, step.loss.item())
    pictures = meddiff.generate(denoiser, labels=["benign", "malignant"], seeds=[1, 2])

What a recipe can set beyond this (filter, classifiers, report, resuming) belongs to the commands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from meddiff import build
from meddiff.batches.images import Images, described_by
from meddiff.build.image_models import loss_weight
from meddiff.cache.store import default_folder
from meddiff.errors import InputError
from meddiff.inference import sampling
from meddiff.inference.sampling import ImageDenoiser
from meddiff.manifest.row import ManifestRow
from meddiff.manifest.table import read_manifest
from meddiff.recipe import Recipe
from meddiff.seeds import child_seed
from meddiff.sources.in_memory import rows_in_memory
from meddiff.tasks.generate import GenerateTask
from meddiff.training.fabric import build_fabric, prepare
from meddiff.training.loop import TrainStep, seeds_of
from meddiff.training.loop import train as training_steps
from meddiff.training.objectives import Denoising
from meddiff.training.optimization import Optimization
from meddiff.training.state import build_state
from meddiff.training.study_classifier import class_batches

USUAL = Recipe()
"""The settings of the commands where nothing else is said."""
UNLABELED = "unlabeled"
"""The class of images that have none."""


def read_images(
    place: str | Path | Sequence[Any], *, size: int = 64, channels: int = 3, attributes: Sequence[str] = ()
) -> Images:  # fmt: skip
    """Read pictures, decoded once into the user's cache.

    Args:
        place: a folder ``<class>/<image>``, a manifest.csv whose label column names the class, or a data set: of
            PyTorch, MONAI, TorchIO or Hugging Face (see `meddiff.sources.in_memory`).
        size: side of the square that each becomes, in pixels.
        channels: 3 for color, 1 for gray.
        attributes: what a denoiser is told of them beside the class: age_years, sex, site ..., as the manifest has it,
            or size and brightness.

    Raises:
        InputError: nothing there, or files that cannot be read; they are named.
    """
    folder = build.SOURCES["image_folder"]
    rows = _rows(place)
    recipe = Recipe(dataset=folder.name)
    recipe = replace(recipe, data=replace(recipe.data, image_size=size, channels=channels))
    named = [row if row.label is not None else replace(row, label=UNLABELED) for row in rows]
    return described_by(build.images(named, recipe, sorted({_label(row) for row in named})), attributes)


def _rows(place: str | Path | Sequence[Any]) -> list[ManifestRow]:
    if not isinstance(place, str | Path):
        return rows_in_memory(place, default_folder())
    place = Path(place).expanduser()
    return build.SOURCES["image_folder"].rows(place) if place.is_dir() else read_manifest(place)


def denoiser(
    network: str = USUAL.network.name,
    *,
    like: Images,
    schedule: str = USUAL.diffusion.schedule,
    prediction: str = USUAL.diffusion.prediction,
    channels: Sequence[int] = USUAL.network.channels,
    seed: int = 0,
) -> ImageDenoiser:
    """Build an untrained denoiser of images like these, told their class; its weights are a function of the seed.

    Args:
        network: name of a network.
        like: images that it will be trained on.
        schedule: name of a noise schedule.
        prediction: what the network outputs.
        channels: feature channels per level, from fine to coarse.
        seed: of the weights.

    Raises:
        InputError: an unknown name, with those there are; channels that the network cannot have.
    """
    recipe = Recipe(seed=seed)
    attended = min(recipe.network.attention_levels, len(channels) - 1)
    recipe = replace(
        recipe,
        network=replace(recipe.network, name=network, channels=tuple(channels), attention_levels=attended),
        diffusion=replace(recipe.diffusion, schedule=schedule, prediction=prediction),
    )
    sizes = {
        "num_classes": len(like.class_names),
        "attribute_features": like.described.attributes.width,
    }
    plain = build.new_denoiser(recipe, channels=like.shape[0], **sizes)
    return ImageDenoiser(
        plain, tuple(like.class_names), tuple(like.shape), build.sampling(recipe), like.described.attributes
    )  # fmt: skip


def train(
    model: ImageDenoiser,
    images: Images,
    *,
    steps: int = 1000,
    batch_size: int = 32,
    learning_rate: float = 2e-4,
    seed: int = 0,
) -> Iterator[TrainStep]:
    """Train a denoiser in place, one optimizer step per item; with the last one it has the average of its weights.

    Classes are drawn half balanced, and a tenth of the images is not told its class, as in the commands.

    Args:
        model: from `denoiser`.
        images: from `read_images`.
        steps: optimizer steps.
        batch_size: images per step.
        learning_rate: of AdamW, after a twentieth of the steps.
        seed: what all randomness is derived from.

    Raises:
        TrainingDiverged: a loss is not finite.
    """
    optimization = Optimization(steps, learning_rate, warmup_steps=steps // 20, clip_norm=USUAL.training.clip_norm)
    task, dropout = GenerateTask(model.shape[0]), USUAL.diffusion.condition_dropout
    state = build_state(
        model.denoiser.network.requires_grad_(True).train(),
        lambda fabric: Denoising(
            prepare(model.denoiser, fabric),
            task,
            dropout,
            loss_weight(USUAL.diffusion),
            attribute_dropout=USUAL.diffusion.attribute_dropout,
        ),
        build_fabric(),
        optimization,
        ema_decay=USUAL.training.ema_decay,
    )
    batches = class_batches(
        images, batch_size=batch_size, seed=child_seed(seed, "training", "images"),
        class_balance=USUAL.training.class_balance,
    )  # fmt: skip
    yield from training_steps(state, batches, optimization, seeds=seeds_of(seed))
    model.denoiser.network.load_state_dict(state.ema.state_dict())


def generate(
    model: ImageDenoiser,
    labels: Sequence[int | str | None],
    seeds: Sequence[int],
    *,
    told: Mapping[str, Any] | Sequence[Mapping[str, Any]] = (),
    sampler: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    batch_size: int = 64,
) -> Tensor:
    """Draw images.

    Args:
        model: from `denoiser`, trained, or of a run (`meddiff.load`).
        labels: class of each image, by its name or number; None leaves it to the data.
        seeds: one per image; the same seed and label give the same image.
        told: attributes of all images, as {"age_years": 70}, or of each; what is not told follows the data.
        sampler: name of a sampler; by default that of the model.
        steps: sampler steps.
        guidance: scale of classifier-free guidance; 1 is none.
        batch_size: images per network call.

    Returns:
        [N, C, *S] float32 in [-1, 1] on the CPU.

    Raises:
        InputError: a label, attribute or sampler that there is not; labels and seeds of different
            lengths; a model that segments.
    """
    _check(model, labels, seeds)
    if not labels:
        return torch.zeros(0, *model.shape)
    algorithm = None if sampler is None else build.pick("sampler", build.SAMPLERS, sampler)
    drawing = _changed(model.drawing, steps=steps, guidance=guidance, sampler=algorithm)
    fabric = build_fabric()
    batches = sampling.generate(
        prepare(model.denoiser.eval().requires_grad_(False), fabric), model.task, drawing,
        told=model.condition(labels, told),
        seeds=seeds,
        shape=model.shape,
        batch_size=min(batch_size, len(labels)),
        device=fabric.device,
    )  # fmt: skip
    return torch.cat(list(batches))


def _check(model: object, labels: Sequence[int | str | None], seeds: Sequence[int]) -> None:
    if not isinstance(model, ImageDenoiser):
        raise InputError(f"{model!r} draws no images: give a denoiser, or load the run folder of {Recipe.MADE_BY}")
    if len(labels) != len(seeds):
        raise InputError(f"{len(labels)} labels and {len(seeds)} seeds: give one of each for every image")


def _changed(drawing: sampling.Sampling, **asked: object) -> sampling.Sampling:
    """Return it with what was asked for; what is None stays."""
    return replace(drawing, **{name: value for name, value in asked.items() if value is not None})


def _label(row: ManifestRow) -> str:
    return row.label or UNLABELED
