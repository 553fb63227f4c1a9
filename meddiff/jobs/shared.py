"""Work on a run that its processes share: see `training.processes`."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from lightning_fabric import Fabric

from meddiff.jobs.progress import new_console
from meddiff.jobs.stage import AnyRun
from meddiff.training.processes import together

Item = TypeVar("Item")


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
