"""Many launches as one: what a function launches on a GPU is recorded as a CUDA graph and replayed.

A network is thousands of small kernels, and a processor launches them slower than a large GPU works through them. A
graph is launched once. It repeats what was recorded with the memory that was recorded: what changes from call to call
lies in the tensors that are given, which are copied into the recorded ones.

The first calls of each shape are done plainly: libraries choose their kernels in them, which none may do while it is
recorded. What cannot be recorded is launched plainly for ever, and one sentence says why.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

_logger = logging.getLogger(__name__)
Recorder = Callable[[Callable[[], Any]], Callable[[], Any]]
"""function -> what repeats all that it launched, and returns what it returned"""
WARM_UP = 3
"""Calls of each shape that are done plainly before one is recorded."""


class Replay:
    """A function of tensors, recorded once for each shape of what it is given.

    Args:
        function: takes and returns tensors, also within tuples, dictionaries and data classes.
        what: it is called in the sentence that says why it cannot be recorded.
        recorder: of the device.
        aside: opens the stream that calls are tried on before one is recorded.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        what: str,
        recorder: Recorder,
        aside: Callable[[], AbstractContextManager] = nullcontext,
    ) -> None:
        self._function, self._what, self._recorder, self._aside = function, what, recorder, aside
        self._tried: Counter[tuple] = Counter()
        self._recorded: dict[tuple, tuple[list[Tensor], Callable[[], Any]]] = {}
        self._refused = False

    def __call__(self, *given: Any) -> Any:
        """Return ``function(*given)``."""
        if self._refused:
            return self._function(*given)
        tensors, form = _taken_apart(given)
        key = torch.is_inference_mode_enabled(), form
        if key not in self._recorded:
            self._tried[key] += 1
            if self._tried[key] <= WARM_UP:
                with self._aside():
                    return self._function(*given)
            try:
                own = each(given, torch.clone)
                self._recorded[key] = _taken_apart(own)[0], self._recorder(lambda: self._function(*own))
            except RuntimeError as error:
                self._refused = True
                reason = str(error).strip().split("\n")[0]
                _logger.warning("plain launches, because %s cannot be recorded: %s", self._what, reason)
                return self._function(*given)
        held, replay = self._recorded[key]
        for part, new in zip(held, tensors, strict=True):
            part.copy_(new)
        return each(replay(), torch.clone)


class ReplayedNetwork(nn.Module):
    """A network in use, not in training, each of whose calls is one launch."""

    def __init__(self, network: nn.Module, device: torch.device, recorder: Recorder | None = None) -> None:
        super().__init__()
        self.plain = network
        on_gpu = beside(device) if recorder is None else nullcontext
        self._replay = Replay(network, "the network", recorder or record, on_gpu)
        if encode := getattr(network, "encode", None):
            self.encode = encode

    def forward(self, *given: Any) -> Any:
        """Return the network's output; plainly where a gradient is asked for, which no graph gives."""
        if any(isinstance(part, Tensor) and part.requires_grad for part in given):
            return self.plain(*given)
        return self._replay(*given)


def record(function: Callable[[], Any]) -> Callable[[], Any]:
    """Record all that a function launches on the GPU, which is not done yet, as a graph.

    Other threads may go on making batches meanwhile.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        outcome = function()

    def replay() -> Any:
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


def each(given: Any, change: Callable[[Tensor], Any]) -> Any:
    """Return what is given with every tensor changed, those in tuples, dictionaries and data classes too."""
    if isinstance(given, Tensor):
        return change(given)
    if isinstance(given, tuple):
        parts = (each(part, change) for part in given)
        return type(given)(*parts) if hasattr(given, "_fields") else tuple(parts)
    if isinstance(given, Mapping):
        return {name: each(part, change) for name, part in given.items()}
    if is_dataclass(given) and not isinstance(given, type):
        return replace(given, **{part.name: each(getattr(given, part.name), change) for part in fields(given)})
    return given


def _taken_apart(given: Any) -> tuple[list[Tensor], str]:
    """Return the tensors of what is given, in a fixed order, and a description of it all but their values."""
    tensors: list[Tensor] = []

    def note(part: Tensor) -> Any:
        tensors.append(part)
        return part.dtype, *part.shape

    return tensors, repr(each(given, note))
