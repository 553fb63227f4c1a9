"""Stage 2: the denoiser. Stopped or killed, it goes on from the last checkpoint and ends with the same weights."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import cast

import numpy as np
import pandas as pd
from lightning_fabric import Fabric
from PIL import Image
from rich.console import Console
from torch.optim import Optimizer

from meddiff import assembly
from meddiff.data import transforms
from meddiff.data.batch import Batch, LabeledImages, draw_indices
from meddiff.data.pixels import to_pixels
from meddiff.data.problems import Problems
from meddiff.data.tables import read_table, write_table
from meddiff.data.writing import write_atomically
from meddiff.diffusion.denoiser import Denoiser
from meddiff.errors import InputError
from meddiff.inference import generate
from meddiff.pictures import grid_image
from meddiff.pipelines.stages import model
from meddiff.pipelines.stages.manifest import class_names_of, need, rows_of
from meddiff.pipelines.stages.progress import bar, progress
from meddiff.pipelines.stages.stage import Stage
from meddiff.recipe import Recipe, to_dict
from meddiff.run_folder import RunFolder, digest
from meddiff.seeds import child_seed
from meddiff.training import checkpoint
from meddiff.training.ema import Ema
from meddiff.training.fabric import build_fabric, prepare
from meddiff.training.facts import Facts
from meddiff.training.loop import TrainStep, build_optimizer, train
from meddiff.training.objective import Denoising

SAMPLES_PER_CLASS = 4
LOG_COLUMNS = ("step", "loss", "gradient_norm", "learning_rate", "images_per_second")
NOT_WEIGHTS = ("log_every", "checkpoint_every", "sample_every")
"""Settings of training that the weights do not depend on."""


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
    run = Training(recipe, folder, fabric, plain, optimizer, Ema(plain.network, settings.ema_decay), facts, names)
    first = run.resume()
    if first:
        console.print(f"going on from step {first}")
    steps = train(
        Denoising(denoiser, assembly.task(), recipe.diffusion.condition_dropout, recipe.diffusion.min_snr_gamma),
        batches_of(images, recipe, fabric),
        optimizer=optimizer,
        ema=run.ema,
        fabric=fabric,
        seed=recipe.seed,
        first_step=first,
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        warmup_steps=settings.warmup_steps,
        accumulate=settings.accumulate,
        clip_norm=settings.clip_norm,
        augment=transforms.flip_rotate90,
        checkpoints=folder.checkpoints,
    )
    with interrupted_between_steps() as asked_to_stop, progress(console, unit="steps") as shown:
        task = shown.add_task("training", total=settings.steps, completed=first, note="")
        for step in steps:
            if note := run.after(step):
                shown.update(task, note=note)
            shown.update(task, completed=step.step)
            if asked_to_stop():
                run.save(step.step)
                raise KeyboardInterrupt
    run.write_log()


@contextmanager
def interrupted_between_steps() -> Iterator[Callable[[], bool]]:
    """Ctrl-C is heeded when a step is done, for half a step cannot be saved; a second Ctrl-C stops at once.

    Yields a function that says whether there was one.
    """
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if asked:
            signal.default_int_handler(number, frame)
        asked.append(number)

    if threading.current_thread() is not threading.main_thread():  # where Python takes no signals
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


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


@dataclass
class Training:
    """What is kept of a training while it goes on: log lines, checkpoints, sample grids."""

    recipe: Recipe
    folder: RunFolder
    fabric: Fabric
    denoiser: Denoiser
    optimizer: Optimizer
    ema: Ema
    facts: Facts
    class_names: list[str]
    lines: list[dict] = field(default_factory=list)
    since: tuple[float, int] = (0.0, 0)
    """When the last log line was written, and after which step."""

    def resume(self) -> int:
        """Put the newest checkpoint back; the number of steps it has behind it, 0 where there is none.

        Raises:
            InputError: a checkpoint of another set-up, with the differences.
        """
        path = checkpoint.latest(self.folder.checkpoints)
        first = 0
        if path is not None:
            stored = checkpoint.read(path)
            checkpoint.check(stored, self.facts, resuming=True)
            first = checkpoint.resume(stored, network=self.denoiser.network, ema=self.ema, optimizer=self.optimizer)
            if first > self.recipe.training.steps:
                raise InputError(
                    f"{path} has {first} steps behind it, training.steps is {self.recipe.training.steps}: weights "
                    f"cannot be untrained. Ask for {first} or more, or name another run folder with --out"
                )
            if self.folder.log.is_file():
                log = read_table(self.folder.log, LOG_COLUMNS)
                self.lines = [row.to_dict() for _, row in log[log["step"] <= first].iterrows()]
        self.since = time.monotonic(), first
        return first

    def after(self, step: TrainStep) -> str | None:
        """Log, save and draw where it is time to; returns what the progress bar should say, if anything new."""
        settings, last = self.recipe.training, step.step == self.recipe.training.steps
        note = self.log(step) if step.step % settings.log_every == 0 or last else None
        if step.step % settings.checkpoint_every == 0 or last:
            self.save(step.step, final=last)
        if step.step % settings.sample_every == 0 or last:
            self.draw(step.step)
        return note

    def log(self, step: TrainStep) -> str:
        """One line of log.csv."""
        now, (before, step_before) = time.monotonic(), self.since
        settings = self.recipe.training
        images = (step.step - step_before) * settings.batch_size * settings.accumulate * self.fabric.world_size
        self.lines.append(
            {
                "step": step.step,
                "loss": round(step.loss.item(), 6),
                "gradient_norm": round(step.gradient_norm.item(), 6),
                "learning_rate": step.learning_rate,
                "images_per_second": round(images / max(now - before, 1e-9), 2),
            }
        )
        self.since = now, step.step
        self.write_log()
        return f"loss {self.lines[-1]['loss']:.4f}"

    def write_log(self) -> None:
        """log.csv with the lines there are."""
        if self.fabric.is_global_zero:
            write_table(pd.DataFrame(self.lines, columns=list(LOG_COLUMNS)), self.folder.log)

    def save(self, step: int, *, final: bool = False) -> None:
        """A checkpoint from which training can go on."""
        if self.fabric.is_global_zero:
            checkpoint.save(
                self.folder.checkpoints,
                step,
                network=self.denoiser.network,
                ema=self.ema,
                optimizer=self.optimizer,
                facts=self.facts,
                final=final,
            )

    def draw(self, step: int) -> None:
        """A grid of samples of every class from the averaged weights, always of the same seeds."""
        if not self.fabric.is_global_zero:
            return
        labels = [label for label in range(len(self.class_names)) for _ in range(SAMPLES_PER_CLASS)]
        side, channels = self.recipe.data.image_size, assembly.channels(self.recipe)
        averaged = prepare_plain(self.ema, self.denoiser, self.fabric)
        batches = generate(
            averaged,
            assembly.task(),
            assembly.sampling(self.recipe),
            labels=labels,
            seeds=[child_seed(self.recipe.seed, "samples", number) for number in range(len(labels))],
            shape=(channels, side, side),
            batch_size=len(labels),
            device=self.fabric.device,
        )
        tiles = [to_pixels(image.numpy()) for batch in batches for image in batch]
        stamp = "phantom" if (self.folder.phantom).is_dir() else ""
        grid = grid_image(
            tiles,
            SAMPLES_PER_CLASS,
            max(1, 128 // side),
            captions=[self.class_names[label] for label in labels],
            stamp=stamp,
        )
        path = self.folder.samples / f"step_{step:08d}.png"
        write_atomically(path, lambda file: Image.fromarray(np.asarray(grid)).save(file, "PNG"))


def prepare_plain(ema: Ema, denoiser: Denoiser, fabric: Fabric) -> Denoiser:
    """The averaged network as a denoiser, in the precision of the run."""
    return prepare(Denoiser(ema.network, denoiser.schedule, denoiser.prediction), fabric).eval()


STAGE = Stage("train", "training the class-conditional denoiser", _inputs, _run, _check)
