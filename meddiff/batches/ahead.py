"""Batches brought to the device in the order of training, on a GPU each made while the one before is learned from."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from meddiff.batches.batch import Batch

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
    waiting: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(1, "batches") as pool:
        for number in numbers:
            waiting.append(pool.submit(_pinned, batches, number, device))
            if len(waiting) > WAITING:
                yield waiting.popleft().result().to(device)
        while waiting:
            yield waiting.popleft().result().to(device)


def _pinned(batches: Batches, number: tuple[int, int], device: torch.device) -> Batch:
    """Make a batch in memory that a GPU can read while the processor does something else."""
    batch = batches(*number)
    return batch.each(torch.Tensor.pin_memory) if device.type == "cuda" and batch.image.device.type == "cpu" else batch
