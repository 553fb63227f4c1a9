"""One look for every progress bar: what, how far, how fast, how long still."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.text import Text

from meddiff.files.printable import WRITTEN_OUT

Item = TypeVar("Item")


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


def progress(console: Console, *, unit: str) -> Progress:
    """Return a progress bar that also leaves one line where the output is not a terminal."""
    return Progress(
        TextColumn("  {task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        RateColumn(unit),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )


def bar(console: Console, description: str, *, unit: str) -> Callable[[Iterable[Item], int], Iterator[Item]]:
    """Return a wrapper of iterables, ``for item in wrapper(items, total)``, that shows how far they have come."""

    def wrap(items: Iterable[Item], total: int) -> Iterator[Item]:
        with progress(console, unit=unit) as shown:
            task = shown.add_task(description, total=total, note="")
            for item in items:
                yield item
                shown.advance(task)

    return wrap
