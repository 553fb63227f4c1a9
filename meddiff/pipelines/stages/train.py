"""Stage 2: the denoiser. Stopped or killed, it goes on from the last checkpoint and ends with the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image
from rich.console import Console
from torch.optim import Optimizer

from meddiff import assembly
from meddiff.data import transforms
from meddiff.data.batch import Batch, LabeledImages, draw_indices
from meddiff.data.pixels import to_pixels
from meddiff.data.problems import Problems
from meddiff.data.writing import write_atomically
from meddiff.diffusion.denoiser import Denoiser
from meddiff.inference import generate
from meddiff.pictures import grid_image
from meddiff.pipelines.stages import model
from meddiff.pipelines.stages.manifest import class_names_of, need, rows_of
from meddiff.pipelines.stages.progress import bar
from meddiff.pipelines.stages.stage import Stage
from meddiff.pipelines.stages.training_run import NOT_WEIGHTS, TrainingRun
from meddiff.recipe import Recipe, to_dict
from meddiff.run_folder import RunFolder, digest
from meddiff.seeds import child_seed
from meddiff.training.ema import Ema
from meddiff.training.fabric import build_fabric, prepare
from meddiff.training.loop import build_optimizer
from meddiff.training.objective import Denoising

SAMPLES_PER_CLASS = 4


def _inputs(recipe: Recipe, folder: RunFolder) -> str:
    training = {name: value for name, value in to_dict(recipe.training).items() if name not in NOT_WEIGHTS}
    return digest(folder.manifest, to_dict(recipe.data), to_dict(recipe.network), to_dict(recipe.diffusion), training,
                  recipe.seed)  # fmt: skip


def _check(recipe: Recipe, folder: RunFolder) -> None:
    names = {row.label for row in need(recipe, folder, "train", "which the denoiser learns from")}
    others = [row for split in ("val", "test") for row in rows_of(recipe, folder, split) if row.label not in names]
    problems = Problems(folder.manifest)
    for label in sorted({row.label or "" for row in others}):
        count = sum(row.label == label for row in others)
        problems.add("class without a training image", f"{label!r} has {count} images, all of them in val and test",
                     "Put some of its patients into train, or leave the class out.")  # fmt: skip
    problems.raise_if_any()


def _run(recipe: Recipe, folder: RunFolder, console: Console) -> list[Path]:
    names = class_names_of(recipe, folder)
    rows = rows_of(recipe, folder, "train")
    assembly.images(rows, recipe, names, progress=bar(console, "decoding images", unit="images"))  # into the cache
    fabric = build_fabric(devices=recipe.training.devices, precision=recipe.training.precision)
    if recipe.training.devices > 1:
        fabric.launch(_train, recipe, folder, names)  # pyright: ignore[reportArgumentType]: Fabric passes them on
    else:
        _train(fabric, recipe, folder, names, console)
    return [model.trained(folder).path, folder.log]


def _train(fabric: Fabric, recipe: Recipe, folder: RunFolder, names: list[str], console: Console | None = None) -> None:
    """The work of one process."""
    console = console or Console(quiet=not fabric.is_global_zero)
    images = assembly.images(rows_of(recipe, folder, "train"), recipe, names)
    plain = model.new_denoiser(recipe, names)
    facts = model.facts(recipe, folder, plain, names, str(images.array.images.dtype))
    denoiser = prepare(plain, fabric, compiled=recipe.training.compile)
    settings = recipe.training
    optimizer = build_optimizer(plain.network, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay)
    optimizer = cast(Optimizer, fabric.setup_optimizers(optimizer))
    ema = Ema(plain.network, settings.ema_decay)

    def look(step: int) -> bool:
        if fabric.is_global_zero:
            draw_samples(prepare_plain(ema, plain, fabric), recipe, folder, names, fabric.device, step)
        return False

    run = TrainingRun(settings, folder.checkpoints, folder.log, fabric, plain.network, optimizer, ema, facts, look)
    first = run.resume()
    if first:
        console.print(f"going on from step {first}")
    objective = Denoising(denoiser, assembly.task(), recipe.diffusion.condition_dropout, recipe.diffusion.min_snr_gamma)
    batches = batches_of(images, recipe, fabric)
    run.follow(run.steps(objective, batches, first, seed=recipe.seed, augment=transforms.flip_rotate90), first, console)


def batches_of(images: LabeledImages, recipe: Recipe, fabric: Fabric):
    """(step, micro-batch) -> this process's share of the images of that step, a function of the seed alone."""
    size = recipe.training.batch_size
    per_step = size * recipe.training.accumulate * fabric.world_size

    def batch(step: int, micro: int) -> Batch:
        chosen = draw_indices(
            images.labels,
            batch_size=per_step,
            step=step,
            seed=child_seed(recipe.seed, "training", "images"),
            class_balance=recipe.training.class_balance,
        )
        start = (fabric.global_rank * recipe.training.accumulate + micro) * size
        return images.batch(chosen[start : start + size])

    return batch


def draw_samples(
    averaged: Denoiser, recipe: Recipe, folder: RunFolder, class_names: list[str], device: torch.device, step: int
) -> None:
    """A grid of samples of every class from the averaged weights, always of the same seeds."""
    labels = [label for label in range(len(class_names)) for _ in range(SAMPLES_PER_CLASS)]
    side, channels = recipe.data.image_size, assembly.channels(recipe)
    batches = generate(
        averaged,
        assembly.task(),
        assembly.sampling(recipe),
        labels=labels,
        seeds=[child_seed(recipe.seed, "samples", number) for number in range(len(labels))],
        shape=(channels, side, side),
        batch_size=len(labels),
        device=device,
    )
    grid = grid_image(
        [to_pixels(image.numpy()) for batch in batches for image in batch],
        SAMPLES_PER_CLASS,
        max(1, 128 // side),
        captions=[class_names[label] for label in labels],
        stamp="phantom" if folder.phantom.is_dir() else "",
    )
    path = folder.samples / f"step_{step:08d}.png"
    write_atomically(path, lambda file: Image.fromarray(np.asarray(grid)).save(file, "PNG"))


def prepare_plain(ema: Ema, denoiser: Denoiser, fabric: Fabric) -> Denoiser:
    """The averaged network as a denoiser, in the precision of the run."""
    return prepare(Denoiser(ema.network, denoiser.schedule, denoiser.prediction), fabric).eval()


STAGE = Stage("train", "training the class-conditional denoiser", _inputs, _run, _check)
