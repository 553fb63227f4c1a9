"""One look for every progress bar: what, how far, how fast, how long still; where nobody sees it move, in lines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.text import Text

from meddiff.files.printable import WRITTEN_OUT

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 30.0
"""Where the output is no terminal."""


class PlainConsole(Console):
    """A terminal that obeys nobody's names: control characters in what is printed are written out."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Render as rich does, and write out the control characters of all text; its own come as control segments."""
        segments = list(super().render(renderable, options))
        return iter([one if one.control else Segment(one.text.translate(WRITTEN_OUT), one.style) for one in segments])


def new_console(**how: Any) -> PlainConsole:
    """Return a terminal that prints a class called [bold] as it is: names are other people's, and no markup."""
    settings: dict[str, Any] = {"markup": False, "emoji": False, **how}
    return PlainConsole(**settings)


class RateColumn(ProgressColumn):
    """Items per second since the start, or per minute where they are fewer than one, with their unit."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        """Return ``12.3 images/s``."""
        speed = task.finished_speed or task.speed
        return Text(rate(speed, self.unit) if speed else "", style="progress.data.speed")


def rate(per_second: float, unit: str) -> str:
    """Say how fast: ``12.3 images/s``, or ``31.2 images/min``."""
    return f"{per_second:.1f} {unit}/s" if per_second >= 1 else f"{60 * per_second:.1f} {unit}/min"


class Shown(Progress):
    """A bar on a terminal; elsewhere (a file, a batch job's log) a plain line every 30 seconds, and one at the end."""

    def __init__(self, *columns: ProgressColumn, console: Console, unit: str, stays: bool = True) -> None:
        self.unit = unit
        self.stays = stays
        """Whether a line is left at the end."""
        self._is_bar = console.is_interactive or console.quiet
        super().__init__(*columns, console=console, transient=not (stays and self._is_bar))
        self._ended = threading.Event()
        self._speaker = threading.Thread(target=self._speak, daemon=True)

    def start(self) -> None:
        """Begin to show how far things have come."""
        if self._is_bar:
            super().start()
        else:
            self._speaker.start()

    def stop(self) -> None:
        """Leave one line, where one is to stay."""
        if self._is_bar:
            super().stop()
        elif not self._ended.is_set():
            self._ended.set()
            self._speaker.join()
            if self.stays:
                self._say()

    def _speak(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_LINES):
            self._say()

    def _say(self) -> None:
        for task in [one for one in self.tasks if one.visible]:
            self.console.print(in_a_line(task, self.unit), soft_wrap=True, markup=False, highlight=False)


def in_a_line(task: Task, unit: str) -> str:
    """Say how far a task has come: ``training: 120 of 300 steps, 2.4 steps/s, 1 min 15 s left, loss 0.0918``."""
    from meddiff.reports import words  # pandas takes a second: not for --help

    of = "" if task.total is None or task.finished else f" of {task.total:,.0f}"
    parts = [f"{task.completed:,.0f}{of} {unit}"]
    if speed := task.finished_speed or task.speed:
        parts.append(rate(speed, unit))
    if task.finished:
        parts.append(f"took {words.duration(task.finished_time)}")
    elif task.time_remaining is not None:
        parts.append(f"{words.duration(task.time_remaining)} left")
    return f"  {task.description}: {', '.join(filter(None, [*parts, task.fields.get('note')]))}"


def progress(console: Console, *, unit: str, stays: bool = True) -> Progress:
    """Return a progress bar; one that stays leaves a line."""
    return Shown(
        TextColumn("  {task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        RateColumn(unit),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        unit=unit,
        stays=stays,
    )


def bar(
    console: Console, description: str, *, unit: str, stays: bool = True
) -> Callable[[Iterable[Item], int], Iterator[Item]]:
    """Return a wrapper of iterables, ``for item in wrapper(items, total)``, that shows how far they have come."""

    def wrap(items: Iterable[Item], total: int) -> Iterator[Item]:
        with progress(console, unit=unit, stays=stays) as shown:
            task = shown.add_task(description, total=total, note="")
            for item in items:
                yield item
                shown.advance(task)

    return wrap
