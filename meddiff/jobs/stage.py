"""A stage of the main job: what it depends on, what it does; run only where its output does not stand already.

What several processes can do of it they `share`.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from lightning_fabric import Fabric

from meddiff.audit.changed import changed_files, note_contents, refuse_changed
from meddiff.errors import InputError
from meddiff.jobs.describe import Work, tell_plan
from meddiff.jobs.energy import EnergyMeter
from meddiff.jobs.progress import new_console
from meddiff.manifest.row import ManifestRow
from meddiff.recipe import AnyRecipe
from meddiff.run import Run
from meddiff.training.processes.together import together

AnyRun = Run[AnyRecipe]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Stage:
    """One step of a run."""

    name: str
    does: str
    """What the stage does, in words, for the line printed before it."""
    inputs: Callable[[Any], str]
    """Digest of the settings and files of a run that the outputs are a function of."""
    run: Callable[[Any], list[Path]]
    """Does the work of a run and returns what it wrote."""
    check: Callable[[Any], None] = lambda _run: None
    """Refuses settings and a manifest that the stage cannot work with, before the hours of the stages ahead of it."""
    asks: Callable[[Any], Sequence[Work]] = lambda _run: ()
    """The work that a run asks of its networks here, for the plan."""


def run_stages(stages: Sequence[Stage], run: AnyRun) -> None:
    """Run the stages in order, each one skipped where it is done; the record in the folder says what each cost.

    The first stage writes the manifest; then all others are asked whether they can work with it. No stage works with
    other images than those that the run was begun with.

    Raises:
        InputError: an image or mask has changed; what a stage refuses.
    """
    anew = bool(changed_files(run))
    if anew and run.folder.is_learned_from:
        refuse_changed(run)
    for number, stage in enumerate(stages, start=1):
        if number == 2:
            for later in stages[1:]:
                later.check(run)
            if not run.folder.is_learned_from:
                tell_plan([(one.name, one.does, one.asks(run)) for one in stages[1:]], run.recipe, run.console)
        inputs = stage.inputs(run)
        heading = f"{number}/{len(stages)} {stage.name}"
        if run.folder.is_done(stage.name, inputs) and not (number == 1 and anew):
            run.console.print(f"{heading}: done before, skipped", style="bold")
            continue
        run.console.print(f"{heading}: {stage.does}", style="bold", soft_wrap=True)
        if number > 1:
            refuse_changed(run)
        started = time.monotonic()
        with EnergyMeter() as energy:
            outputs = stage.run(run)
        if number == 1:
            note_contents(run)
        run.folder.finish(
            stage.name,
            stage.inputs(run),
            outputs,
            seconds=round(time.monotonic() - started, 1),
            peak_memory_mib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            peak_gpu_memory_mib=_peak_gpu_memory_mib(),
            cpu_energy_wh=energy.cpu_wh,
            gpu_energy_wh=energy.gpu_wh,
        )


def need(run: AnyRun, split: str, why: str) -> tuple[ManifestRow, ...]:
    """Return the rows of a split that a stage cannot do without.

    Raises:
        InputError: there are none.
    """
    rows = run.of(split)
    if not rows:
        raise InputError(
            f"{run.folder.manifest}: no image is in the {split} split, {why}. Every class needs images of at least "
            f"four patients; or mark some images as {split} in the split column of a manifest of your own (--manifest)"
        )
    return rows


def share(run: AnyRun, work: Callable[[Any, Fabric], None]) -> None:
    """Do ``work(run, fabric)`` in all processes of a run, of which the first one speaks.

    Raises:
        InputError: another process is lost; what a process raises.
    """
    settings = run.recipe.training
    together(
        partial(_speaking, run, work), devices=settings.devices, nodes=settings.nodes, precision=settings.precision
    )


def _speaking(run: AnyRun, work: Callable[[Any, Fabric], None], fabric: Fabric) -> None:
    """Do the work; a first process that was spawned for it has a console of its own."""
    if fabric.is_global_zero and multiprocessing.parent_process() is not None:
        run = replace(run, console=new_console())
    work(run, fabric)


def share_of(items: Sequence[Item], fabric: Fabric) -> Sequence[Item]:
    """Return what a process does of the items: every n-th of n processes."""
    return items[fabric.global_rank :: fabric.world_size]


def of_several(fabric: Fabric) -> str:
    """Say that a bar shows the share of one process."""
    return "" if fabric.world_size == 1 else f", 1 of {fabric.world_size} shares"


def _peak_gpu_memory_mib() -> int | None:
    import torch

    if not torch.cuda.is_available():
        return None
    peak = round(torch.cuda.max_memory_allocated() / 2**20)
    torch.cuda.reset_peak_memory_stats()
    return peak
