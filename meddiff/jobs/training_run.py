"""A training while it goes on: its log, its checkpoints, what is looked at now and then, how it stops and resumes.

The same for whatever is trained: a denoiser of images, of masks, or a network that names classes at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd
from lightning_fabric import Fabric
from rich.console import Console

from meddiff.batches.ahead import Batches
from meddiff.build.models import optimization
from meddiff.errors import InputError
from meddiff.files.long_tables import read_table, write_table
from meddiff.jobs.looks import Look
from meddiff.jobs.progress import progress
from meddiff.recipe import TrainingRecipe
from meddiff.training import checkpoint
from meddiff.training.divergence import denoiser_diverged
from meddiff.training.facts import Facts
from meddiff.training.loop import Augment, TrainStep, seeds_of, train
from meddiff.training.processes.signals import stopped_between_steps
from meddiff.training.processes.together import any_of
from meddiff.training.state import State

LOG_COLUMNS = ("step", "loss", "gradient_norm", "learning_rate", "images_per_second")
NOT_WEIGHTS = ("log_every", "checkpoint_every", "sample_every")
"""Settings of training that the weights do not depend on."""


@dataclass
class TrainingLog:
    """The log of a training, one line now and then."""

    file: Path
    images_per_step: int
    written: bool
    """By this process; of several the first writes."""
    lines: list[dict] = field(default_factory=list)
    since: tuple[float, int] = (0.0, 0)
    """The time of the last line, and the step it was written after."""

    def go_on(self, first: int) -> None:
        """Take the lines up to a step from the file, and count the time from now."""
        if first and self.file.is_file():
            log = read_table(self.file, LOG_COLUMNS)
            self.lines = log[log["step"] <= first].to_dict(orient="records")  # pyright: ignore[reportCallIssue]
        self.since = time.monotonic(), first

    def note(self, step: TrainStep) -> str:
        """Write a line, and return the part of it that a progress bar shows."""
        now, (before, step_before) = time.monotonic(), self.since
        images = (step.step - step_before) * self.images_per_step
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
        self.write()
        return f"loss {self.lines[-1]['loss']:.4f}"

    def write(self) -> None:
        """Write the lines there are."""
        if self.written:
            write_table(pd.DataFrame(self.lines, columns=list(LOG_COLUMNS)), self.file)


@dataclass
class TrainingRun:
    """A training that goes on: its settings, its state, and where it leaves what."""

    settings: TrainingRecipe
    checkpoints: Path
    log: TrainingLog
    fabric: Fabric
    state: State
    facts: Facts
    look: Look

    def go(self, batches: Batches, console: Console, *, seed: int, augment: Augment | None, description: str) -> None:
        """Train, from the newest checkpoint where there is one, to the last step or until a look ends it.

        Raises:
            InputError: a checkpoint of another set-up, with the differences.
            Stopped: by a signal, after a checkpoint of the step at hand.
        """
        first, ended = self.resume()
        if first:
            console.print(f"going on from step {first}")
        if not ended:
            self.follow(self.steps(batches, first, seed=seed, augment=augment), first, console, description)

    def resume(self) -> tuple[int, bool]:
        """Put the newest checkpoint back, and do again what its process was killed in.

        Returns:
            The number of steps it has behind it, 0 where there is none, and whether training ended there.

        Raises:
            InputError: a checkpoint of another set-up, with the differences.
        """
        path = checkpoint.latest(self.checkpoints)
        if path is None:
            self.log.go_on(0)
            return 0, False
        stored = checkpoint.read(path)
        checkpoint.check(stored, self.facts, resuming=True)
        first = checkpoint.resume(stored, self.state)
        if first > self.settings.steps:
            raise InputError(
                f"{path} has {first} steps behind it, training.steps is {self.settings.steps}: weights "
                f"cannot be untrained. Ask for {first} or more, or name another run folder with --out"
            )
        ended = self._is_due(first) and self._seen(first, again=False)
        if ended and not stored.final:
            self.save(first, final=True)
        if self.fabric.is_global_zero:
            checkpoint.tidy(self.checkpoints)
            self.look.saved(first)
        self.log.go_on(first)
        return first, ended

    def steps(self, batches: Batches, first: int, *, seed: int, augment: Augment | None) -> Iterator[TrainStep]:
        """Train from step ``first`` on, by the settings of this run; see `training.loop.train`."""
        return train(
            self.state, batches, optimization(self.settings), first_step=first, augment=augment,
            seeds=seeds_of(seed, self.fabric.global_rank),
            diverged=lambda step: denoiser_diverged(step, checkpoint.latest(self.checkpoints)),
        )  # fmt: skip

    def follow(self, steps: Iterator[TrainStep], first: int, console: Console, description: str) -> None:
        """Go through the steps, with a progress bar, until they or the patience of ``look`` end.

        Raises:
            Stopped: by a signal, after a checkpoint of the step at hand.
        """
        with stopped_between_steps(partial(any_of, self.fabric)) as heed, progress(console, unit="steps") as shown:
            task = shown.add_task(description, total=self.settings.steps, completed=first, note="")
            for step in steps:
                note, ended = self.after(step)
                shown.update(task, completed=step.step)
                if note:
                    shown.update(task, note=note)
                if ended:
                    break
                heed(partial(self._stop, step.step))
        self.log.write()

    def _stop(self, step: int) -> None:
        """Save the step at which somebody stops the training, unless that is done."""
        if step % self.settings.checkpoint_every:
            self.save(step, stopped=True)

    def after(self, step: TrainStep) -> tuple[str | None, bool]:
        """Log, save and look where it is time to.

        Returns:
            What the progress bar should say, if anything new, and whether training ends here.
        """
        last = step.step == self.settings.steps
        note = self.log.note(step) if step.step % self.settings.log_every == 0 or last else None
        if step.step % self.settings.checkpoint_every == 0 or last:
            self.save(step.step, final=last)
        ended = self._is_due(step.step) and self._seen(step.step)
        if ended and not last:
            self.save(step.step, final=True)
        return note, ended

    def _is_due(self, step: int) -> bool:
        """Say whether it is time for a look."""
        return step % self.settings.sample_every == 0 or step == self.settings.steps

    def _seen(self, step: int, *, again: bool = True) -> bool:
        """Look, or see to it that the look of a step stands; all processes hear from one whether training ends."""
        ended = False
        if self.fabric.is_global_zero:
            if again or not self.look.stands(step):
                self.look(step)
            ended = self.look.ends(step)
        return self.fabric.broadcast(ended)

    def save(self, step: int, *, final: bool = False, stopped: bool = False) -> None:
        """Save a checkpoint from which training can go on."""
        if self.fabric.is_global_zero:
            checkpoint.save(self.checkpoints, step, self.state, facts=self.facts, final=final, stopped=stopped)
            self.look.saved(step)
