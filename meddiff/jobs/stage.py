"""A stage of the main job: what it depends on, what it does; run only where its output does not stand already."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from meddiff.jobs.energy import EnergyMeter
from meddiff.recipe import Recipe
from meddiff.recipe.segment import SegmentRecipe
from meddiff.run import RunFolder

AnyRecipe = Recipe | SegmentRecipe


@dataclass(frozen=True)
class Stage:
    """One step of a run."""

    name: str
    does: str
    """What the stage does, in words, for the line printed before it."""
    inputs: Callable[[Any, RunFolder], str]
    """Digest of the settings and files that the outputs are a function of."""
    run: Callable[[Any, RunFolder, Console], list[Path]]
    """Does the work and returns what it wrote."""
    check: Callable[[Any, RunFolder], None] = lambda _recipe, _folder: None
    """Refuses settings and a manifest that the stage cannot work with, before the hours of the stages ahead of it."""


def run_stages(stages: Sequence[Stage], recipe: AnyRecipe, folder: RunFolder, console: Console) -> None:
    """Run the stages in order, each one skipped where it is done; the record in the folder says what each cost.

    The first stage writes the manifest; then all others are asked whether they can work with it.
    """
    for number, stage in enumerate(stages, start=1):
        for later in stages[1:] if number == 2 else ():
            later.check(recipe, folder)
        inputs = stage.inputs(recipe, folder)
        heading = f"{number}/{len(stages)} {stage.name}"
        if folder.is_done(stage.name, inputs):
            console.print(f"{heading}: done before, skipped", style="bold")
            continue
        console.print(f"{heading}: {stage.does}", style="bold", soft_wrap=True)
        started = time.monotonic()
        with EnergyMeter() as energy:
            outputs = stage.run(recipe, folder, console)
        folder.finish(
            stage.name,
            stage.inputs(recipe, folder),
            outputs,
            seconds=round(time.monotonic() - started, 1),
            peak_memory_mib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            peak_gpu_memory_mib=_peak_gpu_memory_mib(),
            cpu_energy_wh=energy.cpu_wh,
            gpu_energy_wh=energy.gpu_wh,
        )


def _peak_gpu_memory_mib() -> int | None:
    import torch

    if not torch.cuda.is_available():
        return None
    peak = round(torch.cuda.max_memory_allocated() / 2**20)
    torch.cuda.reset_peak_memory_stats()
    return peak
