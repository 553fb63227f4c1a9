"""The step of a training as one launch: forward, backward, clipping and optimizer replayed as one CUDA graph.

Of the 130 ms of a step of 26.6 M weights on an H200 the GPU worked 42: the rest it waited to be told (see
`networks.replay`). What changes from step to step lies in tensors: the images and all that is drawn for them, and the
learning rate, which is a tensor of the optimizer (`training.state`). The weight average, whose decay is a number, stays
outside: it is one launch anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from meddiff.batches.batch import Batch
from meddiff.networks.replay import Recorder, Replay, beside, record
from meddiff.training.objectives import Objective
from meddiff.training.optimization import Optimization
from meddiff.training.state import State

_logger = logging.getLogger(__name__)
Micro = tuple[Batch, tuple[Tensor, ...]]
"""A micro-batch, and what was drawn for its samples."""
Outcome = tuple[Tensor, Tensor]
"""The mean loss of a step and the norm of its gradient before clipping, both 0-dimensional."""


class Step(Protocol):
    """A step of training, which changes the weights."""

    def __call__(self, micros: Iterable[Micro]) -> Outcome:
        """Do the step on equal micro-batches that count as one batch."""
        ...


def build_step(state: State, optimization: Optimization) -> Step:
    """Build the step of a training: a graph where there can be one, else plain launches."""
    plain = PlainStep(state, optimization)
    if state.fabric.device.type != "cuda":
        return plain
    if reason := why_plain(state):
        _logger.warning("plain launches, %s", reason)
        return plain
    return GraphedStep(plain, record, beside(state.fabric.device))


def why_plain(state: State) -> str:
    """Explain why the steps of a training cannot be one graph; empty where they can."""
    if state.fabric.world_size > 1:
        return "because several processes share a step"
    if state.objective.history is not None:
        return state.objective.history.why_plain
    if state.objective.draws_inside:
        return "because the network drops features, and a graph would drop the same ones at every step"
    return ""


def with_draws(
    objective: Objective, batches: Iterable[Batch], count: int, generator: torch.Generator
) -> Iterator[Micro]:
    """Yield each of ``count`` equal micro-batches with what is drawn for its samples.

    It is drawn for the whole step at once, so that many small micro-batches are told the same as one large one.
    """
    draws = None
    for micro, batch in enumerate(batches):
        size = len(batch.image)
        draws = draws or objective.draw(batch, count, generator)
        yield batch, tuple(part[micro * size : (micro + 1) * size] for part in draws)


@dataclass(frozen=True)
class PlainStep:
    """A step whose kernels are launched one by one."""

    state: State
    optimization: Optimization

    def __call__(self, micros: Iterable[Micro]) -> Outcome:
        """Do the step."""
        weights = self.state.objective.network.parameters()
        try:
            loss = self.accumulate(micros)
            norm = torch.nn.utils.clip_grad_norm_(weights, self.optimization.clip_norm)
            self.state.optimizer.step()
        finally:  # also where a recording has failed
            self.state.optimizer.zero_grad(set_to_none=True)
        return loss, norm

    def accumulate(self, micros: Iterable[Micro]) -> Tensor:
        """Add the gradient of the mean loss over equal micro-batches; returns that loss."""
        objective, fabric, count = self.state.objective, self.state.fabric, self.optimization.accumulate
        total = torch.zeros((), device=fabric.device)
        for micro, (batch, draws) in enumerate(micros):
            with fabric.no_backward_sync(objective.network, enabled=micro < count - 1):  # type: ignore[arg-type]
                loss = objective.loss(batch, draws).mean() / count
                fabric.backward(loss)
            total += loss.detach()
        return total


class GraphedStep:
    """A step that is recorded once for each shape of its batches, and replayed from then on.

    Args:
        plain: the step.
        recorder: of the device, see `replay.Replay`.
        aside: opens the stream that steps are tried on before one is recorded.
    """

    def __init__(
        self, plain: Step, recorder: Recorder, aside: Callable[[], AbstractContextManager] = nullcontext
    ) -> None:
        self._replay = Replay(plain, "this step", recorder, aside)

    def __call__(self, micros: Iterable[Micro]) -> Outcome:
        """Do the step."""
        return self._replay(tuple(micros))
