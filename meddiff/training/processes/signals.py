"""Ctrl-C, the end of a cluster's job (SIGTERM) and a closed terminal (SIGHUP) stop a command alike.

The first signal unwinds the work, which saves what it has; a second one ends the process at once. Signals that a
process was started without (nohup, a job in the background of a shell) stay ignored.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from meddiff.training.processes.launchers import started

STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
Handler = Callable[[int, FrameType | None], None]


class Stopped(KeyboardInterrupt):
    """The process was asked to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        """Number of the signal."""


@contextmanager
def heeded(handler: Handler) -> Iterator[None]:
    """Take all signals that stop a command in one way; those that are ignored stay so."""
    if threading.current_thread() is not threading.main_thread():  # where Python takes no signals
        yield
        return
    before = {number: signal.getsignal(number) for number in STOPS}
    for number in STOPS:
        if before[number] not in (signal.SIG_IGN, None):
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, former in before.items():
            if former is not None:
                signal.signal(number, former)


def stop(number: int, frame: FrameType | None = None) -> None:
    """Raise Stopped, and let the next signal end the process without another word."""
    for other in STOPS:
        if signal.getsignal(other) is not signal.SIG_IGN:
            signal.signal(other, signal.SIG_DFL)
    raise Stopped(number)


@contextmanager
def stopped_between_steps(
    agreed: Callable[[bool], bool] = bool,
) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Wait with a signal until a step is done, for half a step cannot be saved; a second one stops at once.

    Yields a function that raises Stopped where there was one; it is given what is to be done before.

    ``agreed`` says, told whether this process was asked to stop, whether any was: all stop after the same step. Of a
    launcher's processes each may get a signal twice, of the system and passed on: a second one is the same.
    """
    asked: list[int] = []
    alone = started() is None

    def note(number: int, frame: FrameType | None) -> None:
        if asked and alone:
            stop(number)
        asked.append(number)

    def heed(before: Callable[[], object]) -> None:
        if agreed(bool(asked)):
            before()
            stop(asked[0] if asked else signal.SIGTERM)

    with heeded(note):
        yield heed
