"""Inputs that share the calls of a network: read on another thread while it works on those before them.

A bad input spoils no other, and what is made of one does not depend on which others share its call.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from meddiff.batches.ahead import made_ahead
from meddiff.errors import InputError
from meddiff.jobs.apply.ledger import Ledger, Line, Task
from meddiff.jobs.apply.work import Maker, outcome

WAITING = 8
"""Inputs that are read before their turn: as many as share a call."""


@dataclass(frozen=True)
class Read:
    """An input whose turn comes."""

    task: Task
    content: Any
    """What was read of it, None where nothing was, or the InputError that came of it."""
    seconds: float


class Batched(Maker):
    """A command's way from images to their outputs, several at a time."""

    def read(self, task: Task) -> Any:
        """Read an input that can share a call; None for others, which are read when their turn comes.

        Raises:
            InputError: it cannot be read.
        """
        raise NotImplementedError

    def batches(self, inputs: Iterable[Read]) -> Iterator[list[Read]]:
        """Gather inputs that share a call, as they come."""
        raise NotImplementedError

    def answer(self, contents: Sequence[Any]) -> Sequence[Any]:
        """Ask the network about what was read of inputs that share a call."""
        raise NotImplementedError

    def write(self, task: Task, ledger: Ledger, content: Any, answer: Any) -> Line:
        """Write the outputs of an input, and return its line; content and answer are None where nothing was read.

        Raises:
            InputError: nothing can be made of it.
        """
        raise NotImplementedError

    def each(self, tasks: Sequence[Task], ledger: Ledger) -> Generator[tuple[Task, Line | InputError]]:
        """Yield the line of each input, or what is wrong with it, in their order."""

        def read(task: Task) -> Read:
            began = time.monotonic()
            ledger.start(task)
            try:
                content = self.read(task)
            except InputError as error:
                content = error
            return Read(task, content, time.monotonic() - began)

        def is_alone(one: Read) -> bool:
            return one.content is None or isinstance(one.content, InputError)

        with closing(made_ahead(read, tasks, waiting=WAITING)) as inputs:
            for alone, some in groupby(inputs, is_alone):
                for batch in ([one] for one in some) if alone else self.batches(some):
                    yield from self._made(batch, ledger)

    def _made(self, batch: Sequence[Read], ledger: Ledger) -> Iterator[tuple[Task, Line | InputError]]:
        began, contents = time.monotonic(), [one.content for one in batch]
        if isinstance(contents[0], InputError):
            yield batch[0].task, contents[0]
            return
        answers = [None] if contents[0] is None else self.answer(contents)
        share = (time.monotonic() - began) / len(batch)
        for one, answer in zip(batch, answers, strict=True):
            since = time.monotonic() - one.seconds - share
            yield one.task, outcome(lambda one=one, answer=answer: self.write(
                one.task, ledger, one.content, answer), since)  # fmt: skip
