"""Looks, now and then, while a network is trained: samples, or the Dice of validation cases.

A look is part of what a killed training goes on with: it is done again where it was lost, and what it has written fits
the checkpoint that training goes on from.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from meddiff import build
from meddiff.batches.images import Images
from meddiff.batches.latents import pixels_of
from meddiff.build.kind import Model, ModelFolder
from meddiff.diffusion.condition import Condition
from meddiff.files.long_tables import damaged, read_table, write_table
from meddiff.files.writing import write_atomically
from meddiff.formats.masks import IGNORED
from meddiff.images.views import grid_image, tile
from meddiff.inference.sampling import generate
from meddiff.jobs import weights
from meddiff.jobs.splits import masked
from meddiff.metrics.masks.overlap import Overlap, overlap
from meddiff.recipe import Recipe, SegmentRecipe
from meddiff.run import Run
from meddiff.seeds import child_seed
from meddiff.training import checkpoint
from meddiff.training.state import State

SAMPLES_PER_CLASS = 4
VALIDATION_COLUMNS = ("step", "dice")


class Look:
    """A look, taken every ``training.sample_every`` steps and after the last one, in one process; here at nothing."""

    def __call__(self, step: int) -> None:
        """Look at the averaged weights as they are after a step."""

    def stands(self, step: int) -> bool:
        """Say whether all that the look at a step writes is there."""
        return True

    def ends(self, step: int) -> bool:
        """Say whether training ends here, by the looks up to a step."""
        return False

    def saved(self, step: int) -> None:
        """Remove what was only needed to go on from a checkpoint before that of a step, which stands now."""


@dataclass(frozen=True)
class Grid(Look):
    """A look that leaves a picture of its step."""

    run: Run[Any]

    def path(self, step: int) -> Path:
        """Name the picture of a step."""
        return self.run.folder.samples / f"step_{step:08d}.png"

    def stands(self, step: int) -> bool:
        """Say whether the picture is there."""
        return self.path(step).is_file()


@dataclass(frozen=True)
class SampleGrid(Grid):
    """Draws a grid of samples of every class, always of the same seeds; guidance by a classifier begins later."""

    run: Run[Recipe]
    model: Model
    images: Images
    state: State

    def __call__(self, step: int) -> None:
        """Draw the grid of a step."""
        recipe, images = self.run.recipe, self.images
        labels = [label for label in range(len(images.class_names)) for _ in range(SAMPLES_PER_CLASS)]
        task = weights.drawing_task(self.run, images)
        batches = generate(
            self.model.ready(self.state.ema.network, self.state.fabric),
            task,
            build.sampling(recipe),
            told=Condition(label=torch.tensor(labels)),
            seeds=[child_seed(recipe.seed, "samples", number) for number in range(len(labels))],
            shape=(task.channels, *images.shape[1:]),
            batch_size=min(len(labels), recipe.synthesis.batch_size),
            device=self.state.fabric.device,
        )
        shown = (image[: pixels_of(images).shape[0]].numpy() for batch in batches for image in batch)
        tiles = [tile(image, images.spacing_mm) for image in shown]
        grid = grid_image(
            tiles,
            SAMPLES_PER_CLASS,
            max(1, 128 // max(tiles[0].shape[:2])),
            captions=[images.class_names[label] for label in labels],
            stamp="phantom" if self.run.folder.phantom.is_dir() else "",
        )
        write_atomically(self.path(step), lambda file: Image.fromarray(np.asarray(grid)).save(file, "PNG"))


@dataclass(frozen=True)
class Validation(Look):
    """Segments validation cases with the averaged weights, and keeps the best weights.

    New best weights are written beside those before, which go when no checkpoint is left to go on with them.
    """

    run: Run[SegmentRecipe]
    model: Model
    files: ModelFolder
    state: State

    def __call__(self, step: int) -> None:
        """Measure the Dice; keep the weights if it is the best so far."""
        before, dice = self.measured(step - 1), round(self.dice(), 6)
        if dice > max(before["dice"].to_numpy(float), default=-1.0):
            checkpoint.save(self.files.best, step, self.state, facts=self.model.facts, final=True)
        table = pd.concat([before, pd.DataFrame([{"step": step, "dice": dice}])], ignore_index=True)
        write_table(table, self.files.validation)
        newest = checkpoint.latest(self.files.checkpoints)
        self.saved(checkpoint.read(newest).step if newest else 0)

    def measured(self, step: float) -> pd.DataFrame:
        """Read the Dice of the looks up to a step; none where the best weights among them are gone."""
        nothing = pd.DataFrame(columns=list(VALIDATION_COLUMNS))
        if not self.files.validation.is_file():
            return nothing
        table = read_table(self.files.validation, VALIDATION_COLUMNS)
        table = table.loc[table["step"] <= step]
        return table if len(table) and checkpoint.at(self.files.best, best_step(table)) else nothing

    def stands(self, step: int) -> bool:
        """Say whether the Dice was written and the best weights are there, and none of a later look."""
        table, newest = self.measured(step), checkpoint.latest(self.files.best)
        return step in set(table["step"]) and newest == checkpoint.at(self.files.best, best_step(table))

    def ends(self, step: int) -> bool:
        """Say whether the last ``patience`` looks up to a step have all been no better than one before."""
        dice, patience = self.measured(step)["dice"].to_numpy(float), self.run.recipe.validation.patience
        return bool(patience) and len(dice) > patience and int(dice.argmax()) < len(dice) - patience

    def saved(self, step: int) -> None:
        """Remove weights that are neither the best now nor were it at a step, whose checkpoint stands now."""
        tables = [table for table in (self.measured(step), self.measured(math.inf)) if len(table)]
        needed = {checkpoint.at(self.files.best, best_step(table)) for table in tables}
        for path in self.files.best.glob("*") if needed else ():
            if path not in needed:
                shutil.rmtree(path)

    def dice(self) -> float:
        """Average the Dice of the foreground classes that some validation case holds, on the network's own grid."""
        segmenter = self.model.ready(self.state.ema.network, self.state.fabric)
        recipe, images = self.run.recipe, masked(self.run, "val")
        classes = range(1, len(self.model.facts.class_names))
        count, counted = recipe.validation.members, []
        pairs = ((number, *images.pair(number)) for number in validation_cases(recipe, len(images)))
        for some in segmenter.batches(pairs, lambda pair: pair[1].shape, count):
            seeds = [[child_seed(recipe.seed, "validation", number, m) for m in range(count)] for number, *_ in some]
            drawn = segmenter.members_of(torch.stack([image for _, image, _ in some]), seeds)
            for (_, _, truth), members in zip(some, drawn, strict=True):
                called, judged = members.mean(0).argmax(0).numpy(), truth != IGNORED
                truth, called = truth[judged], called[judged]
                counted.append([overlap(truth == index, called == index) for index in classes])
        return mean_dice(counted)


def mean_dice(counted: Sequence[Sequence[Overlap]]) -> float:
    """Average over the cases the mean Dice of each case's classes.

    A class that no case holds is not measured: else weights that leave it out score 1 in it, and were chosen for that.
    Where no case holds any class all are measured, by what is wrongly called one.
    """
    held = [any(one.truth for one in of_class) for of_class in zip(*counted, strict=True)]
    measured = held if any(held) else [True] * len(held)
    return float(np.mean([
        np.mean([one.dice for one, counts in zip(case, measured, strict=True) if counts]) for case in counted
    ]))  # fmt: skip


def validation_cases(recipe: SegmentRecipe, count: int) -> list[int]:
    """Choose which of ``count`` validation cases are looked at: ``validation.cases``, evenly spread; 0 is all."""
    wanted = min(recipe.validation.cases or count, count)
    return np.linspace(0, count - 1, wanted).round().astype(int).tolist()


def best_step_in(file: Path) -> int:
    """Read the first step with the best Dice from validation.csv.

    Raises:
        InputError: it is damaged, or names no step.
    """
    table = read_table(file, VALIDATION_COLUMNS, filled=VALIDATION_COLUMNS)
    if not len(table):
        raise damaged(file, "it has no line")
    return best_step(table)


def best_step(validation: pd.DataFrame) -> int:
    """Return the first step with the best Dice."""
    return int(validation["step"].to_numpy()[validation["dice"].to_numpy().argmax()])
