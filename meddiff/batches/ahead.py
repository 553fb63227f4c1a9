"""Batches brought to the device in the order of training, on a GPU each made while the one before is learned from.

Also whatever else is made on another thread before it is asked for: the next images of a folder.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

import torch

from meddiff.batches.batch import Batch

Item = TypeVar("Item")
Made = TypeVar("Made")
Batches = Callable[[int, int], Batch]
"""(number of steps done before, micro-batch) -> Batch, the same one whenever it is asked for"""
WAITING = 2
"""Batches that are made before they are asked for."""


def ahead(
    batches: Batches, numbers: Iterable[tuple[int, int]], device: torch.device, *, threaded: bool | None = None
) -> Generator[Batch]:
    """Yield the batches of these steps and micro-batches, in their order, on the device.

    Args:
        batches: makes each.
        numbers: what it is asked for.
        device: where they are wanted.
        threaded: whether they are made ahead on another thread, in memory that a GPU reads by itself; None does so for
            a GPU, since threads of a CPU would take its cores from the network.
    """
    if not (device.type == "cuda" if threaded is None else threaded):
        for number in numbers:
            yield batches(*number).to(device)
        return
    with closing(made_ahead(lambda number: _pinned(batches, number, device), numbers)) as made:
        yield from (batch.to(device) for batch in made)


def made_ahead(make: Callable[[Item], Made], items: Iterable[Item], *, waiting: int = WAITING) -> Generator[Made]:
    """Yield what is made of each item, in their order, on another thread while the one before is used.

    Args:
        make: makes it; what it raises comes where its item's turn is.
        items: asked for as they are needed.
        waiting: how many are made before they are asked for.
    """
    begun: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(1, "ahead") as pool:
        try:
            for item in items:
                begun.append(pool.submit(make, item))
                if len(begun) > waiting:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for one in begun:
                one.cancel()


def _pinned(batches: Batches, number: tuple[int, int], device: torch.device) -> Batch:
    """Make a batch in memory that a GPU can read while the processor does something else."""
    batch = batches(*number)
    return batch.each(torch.Tensor.pin_memory) if device.type == "cuda" and batch.image.device.type == "cpu" else batch
