"""The step of a training as one launch: forward, backward, clipping and optimizer replayed as one CUDA graph.

A network is thousands of small kernels, and a processor launches them slower than a large GPU works through them: of
the 130 ms of a step of 26.6 M weights on an H200 the GPU worked 42. A graph is launched once. It repeats what was
recorded with the memory that was recorded, so what changes from step to step lies in tensors: the images and all that
is drawn for them are copied into the recorded ones, the learning rate is a tensor of the optimizer (`training.state`).
The weight average, whose decay is a number, stays outside: it is one launch anyway.

The first steps of each shape of batch are done plainly: libraries choose their kernels in them, which none may do
while it is recorded. What cannot be recorded is launched plainly for ever, and one sentence says why.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from meddiff.batches.batch import Batch
from meddiff.training.objectives import Objective
from meddiff.training.optimization import Optimization
from meddiff.training.state import State

_logger = logging.getLogger(__name__)
Micro = tuple[Batch, tuple[Tensor, ...]]
"""A micro-batch, and what was drawn for its samples."""
Outcome = tuple[Tensor, Tensor]
"""The mean loss of a step and the norm of its gradient before clipping, both 0-dimensional."""
WARM_UP = 3
"""Steps that are done plainly before one is recorded."""


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
        recorder: function -> what repeats all that it launched, and returns what it returned.
        aside: opens the stream that steps are tried on before one is recorded.
    """

    def __init__(
        self,
        plain: Step,
        recorder: Callable[[Callable[[], Outcome]], Callable[[], Outcome]],
        aside: Callable[[], AbstractContextManager] = nullcontext,
    ) -> None:
        self._plain, self._recorder, self._aside = plain, recorder, aside
        self._tried: Counter[tuple] = Counter()
        self._recorded: dict[tuple, tuple[list[Tensor], Callable[[], Outcome]]] = {}
        self._refused = False

    def __call__(self, micros: Iterable[Micro]) -> Outcome:
        """Do the step."""
        if self._refused:
            return self._plain(micros)
        micros = list(micros)
        key = tuple(
            (batch.ignores, *((part.shape, part.dtype) for part in _tensors(batch, draws))) for batch, draws in micros
        )
        if key not in self._recorded:
            self._tried[key] += 1
            if self._tried[key] <= WARM_UP:
                with self._aside():
                    return self._plain(micros)
            try:
                self._record(key, micros)
            except RuntimeError as error:
                self._refused = True
                _logger.warning("plain launches, because this step cannot be recorded: %s", str(error).split("\n")[0])
                return self._plain(micros)
        held, replay = self._recorded[key]
        for part, new in zip(held, (part for micro in micros for part in _tensors(*micro)), strict=True):
            part.copy_(new)
        loss, norm = replay()
        return loss.clone(), norm.clone()

    def _record(self, key: tuple, micros: Sequence[Micro]) -> None:
        """Record the step on copies of the micro-batches, which later ones are copied into."""
        own = [(batch.each(torch.clone), tuple(map(torch.clone, draws))) for batch, draws in micros]
        replay = self._recorder(lambda: self._plain(own))
        self._recorded[key] = [part for micro in own for part in _tensors(*micro)], replay


def record(step: Callable[[], Outcome]) -> Callable[[], Outcome]:
    """Record all that a function launches on the GPU, which is not done yet, as a graph.

    Other threads may go on making batches meanwhile.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        outcome = step()

    def replay() -> Outcome:
        graph.replay()
        return outcome

    return replay


def beside(device: torch.device) -> Callable[[], AbstractContextManager]:
    """Return what opens a stream beside the one in use, which waits for it afterwards."""

    @contextmanager
    def aside() -> Iterator[None]:
        current, other = torch.cuda.current_stream(device), torch.cuda.Stream(device)
        other.wait_stream(current)
        with torch.cuda.stream(other):
            yield
        current.wait_stream(other)

    return aside


def _tensors(batch: Batch, draws: tuple[Tensor, ...]) -> list[Tensor]:
    """List all tensors of a micro-batch."""
    return [*batch.tensors, *draws]
