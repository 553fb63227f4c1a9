"""Stage 2: the denoiser. Stopped or killed, it goes on from the last checkpoint and ends with the same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image
from rich.console import Console

from meddiff import build
from meddiff.batches.images import Images
from meddiff.build.models import denoising, optimization
from meddiff.diffusion.denoiser import Denoiser
from meddiff.errors import InputError, Problems
from meddiff.files.writing import write_atomically
from meddiff.images.views import grid_image, tile
from meddiff.inference.sampling import generate
from meddiff.jobs import weights
from meddiff.jobs.manifest import need, rows_of
from meddiff.jobs.progress import bar
from meddiff.jobs.stage import Stage
from meddiff.jobs.training_run import NOT_WEIGHTS, TrainingRun
from meddiff.recipe import Recipe, to_dict
from meddiff.run import RunFolder, digest
from meddiff.seeds import child_seed
from meddiff.training.ema import Ema
from meddiff.training.fabric import build_fabric, prepare
from meddiff.training.objectives import Objective
from meddiff.training.state import build_state

SAMPLES_PER_CLASS = 4


def _inputs(recipe: Recipe, folder: RunFolder) -> str:
    training = {name: value for name, value in to_dict(recipe.training).items() if name not in NOT_WEIGHTS}
    settings = weights.data_settings(recipe), to_dict(recipe.network), to_dict(recipe.diffusion), training
    return digest(folder.manifest, *settings, recipe.seed)


def _check(recipe: Recipe, folder: RunFolder) -> None:
    names = {row.label for row in need(recipe, folder, "train", "which the denoiser learns from")}
    others = [row for split in ("val", "test") for row in rows_of(recipe, folder, split) if row.label not in names]
    problems = Problems(folder.manifest)
    for label in sorted({row.label or "" for row in others}):
        count = sum(row.label == label for row in others)
        problems.add("class without a training image", f"{label!r} has {count} images, all of them in val and test",
                     "Put some of its patients into train, or leave the class out.")  # fmt: skip
    problems.raise_if_any()
    images = weights.training_images(recipe, folder)
    if len(images.shape) == 3 and images.shape[0] > 1 and images.pixel_dtype == "uint16":
        raise InputError(
            "some of the images have 16 bits, which are kept, and PNG files hold 16 bits in gray alone: train on gray "
            "images with --data.channels 1"
        )
    weights.facts(
        recipe, folder, weights.new_denoiser(recipe, images), images
    )  # settings and volumes that fit together


def _run(recipe: Recipe, folder: RunFolder, console: Console) -> list[Path]:
    images = weights.training_images(recipe, folder, progress=bar(console, "decoding images", unit="images"))
    if images.clipped:
        what, size = "volumes" if recipe.dimensions == 3 else "slices", " x ".join(map(str, images.shape[1:]))
        console.print(f"{images.clipped} of {len(images)} {what} are larger than {size} voxels and cut to their middle")
    fabric = build_fabric(devices=recipe.training.devices, precision=recipe.training.precision)
    if recipe.training.devices > 1:
        fabric.launch(_train, recipe, folder)  # pyright: ignore[reportArgumentType]: Fabric passes them on
    else:
        _train(fabric, recipe, folder, console)
    return [weights.trained(folder).path, folder.log]


def _train(fabric: Fabric, recipe: Recipe, folder: RunFolder, console: Console | None = None) -> None:
    """The work of one process."""
    console = console or Console(quiet=not fabric.is_global_zero)
    images = weights.training_images(recipe, folder)
    plain = weights.new_denoiser(recipe, images)
    facts = weights.facts(recipe, folder, plain, images)
    settings = recipe.training
    task = build.task(recipe, channels=facts.channels, num_classes=len(facts.class_names))

    def objective(fabric: Fabric) -> Objective:
        denoiser = prepare(plain, fabric, compiled=settings.compile)
        return denoising(recipe, denoiser, task)

    state = build_state(plain.network, objective, fabric, optimization(settings), ema_decay=settings.ema_decay)

    def look(step: int) -> bool:
        if fabric.is_global_zero:
            draw_samples(prepare_plain(state.ema, plain, fabric), recipe, folder, images, fabric.device, step)
        return False

    run = TrainingRun(settings, folder.checkpoints, folder.log, fabric, plain.network, state, facts, look)
    first = run.resume()
    if first:
        console.print(f"going on from step {first}")
    batches, turns = batches_of(images, recipe, fabric), build.augmentation(recipe)
    run.follow(run.steps(batches, first, seed=recipe.seed, augment=turns), first, console)


def batches_of(images: Images, recipe: Recipe, fabric: Fabric):
    """(step, micro-batch) -> this process's share of the images of that step, a function of the seed alone."""
    seed, balance = child_seed(recipe.seed, "training", "images"), recipe.training.class_balance
    return build.shares(
        images, recipe.training, seed=seed, class_balance=balance, rank=fabric.global_rank, ranks=fabric.world_size
    )


def draw_samples(
    averaged: Denoiser, recipe: Recipe, folder: RunFolder, images: Images, device: torch.device, step: int
) -> None:
    """A grid of samples of every class from the averaged weights, always of the same seeds."""
    labels = [label for label in range(len(images.class_names)) for _ in range(SAMPLES_PER_CLASS)]
    batches = generate(
        averaged,
        build.task(recipe, channels=images.shape[0], num_classes=len(images.class_names)),
        build.sampling(recipe),
        labels=labels,
        seeds=[child_seed(recipe.seed, "samples", number) for number in range(len(labels))],
        shape=images.shape,
        batch_size=min(len(labels), recipe.synthesis.batch_size),
        device=device,
    )
    tiles = [tile(image.numpy(), images.spacing_mm) for batch in batches for image in batch]
    grid = grid_image(
        tiles,
        SAMPLES_PER_CLASS,
        max(1, 128 // max(tiles[0].shape[:2])),
        captions=[images.class_names[label] for label in labels],
        stamp="phantom" if folder.phantom.is_dir() else "",
    )
    path = folder.samples / f"step_{step:08d}.png"
    write_atomically(path, lambda file: Image.fromarray(np.asarray(grid)).save(file, "PNG"))


def prepare_plain(ema: Ema, denoiser: Denoiser, fabric: Fabric) -> Denoiser:
    """The averaged network as a denoiser, in the precision of the run."""
    return prepare(Denoiser(ema.network, denoiser.schedule, denoiser.prediction), fabric).eval()


STAGE = Stage("train", "training the class-conditional denoiser", _inputs, _run, _check)
