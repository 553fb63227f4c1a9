"""Lines over two axes and histograms, placed in percent of the plot so that the page can draw them at any width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meddiff.reporting import words
from meddiff.reporting.forest import nice_ticks
from meddiff.reporting.interactive import Figure, histogram_figure, line, lines_figure, told
from meddiff.reporting.tables import Table, from_records

MOST_POINTS = 300  # of a line that is drawn
MOST_LISTED = 21  # of a line whose numbers are listed


@dataclass(frozen=True)
class Series:
    """Points of one line in data units; ``dots`` draws them as well as the line."""

    label: str
    x: np.ndarray
    y: np.ndarray
    emphasized: bool = False
    dots: bool = False


@dataclass(frozen=True)
class Line:
    """One line in percent, y from the top; `kind` numbers its dashes among the lines that are not emphasized."""

    label: str
    kind: int
    emphasized: bool
    points: str
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Plot:
    """Lines over two axes; `diagonal` draws the line y = x under them."""

    title: str
    x_title: str
    y_title: str
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    diagonal: bool
    summary: str
    figure: Figure
    numbers: Table | None


@dataclass(frozen=True)
class Histogram:
    """Bars in percent of the plot's width and height: x, width, height, whether it counts failures, and its text."""

    title: str
    bars: tuple[tuple[float, float, float, bool, str], ...]
    median: float
    x_ticks: tuple[tuple[float, str], ...]
    note: str
    figure: Figure
    numbers: Table | None


def lines_plot(
    title: str,
    series: Sequence[Series],
    *,
    x_title: str,
    y_title: str,
    x_domain: tuple[float, float],
    y_domain: tuple[float, float] | None = None,
    diagonal: bool = False,
    summary: str = "",
) -> Plot:
    """Place lines on common axes; the y axis begins at 0 and covers the largest value where no domain is given."""
    top = max((float(entry.y.max()) for entry in series if len(entry.y)), default=1.0)
    low, high = y_domain or (0.0, 1.08 * top or 1.0)
    series = [entry for entry in series if len(entry.x)]
    plain = iter(range(len(series)))
    kinds = [0 if entry.emphasized else next(plain) for entry in series]
    lines = tuple(_line(entry, kind, x_domain, (low, high)) for entry, kind in zip(series, kinds, strict=True))
    figure = lines_figure(
        [line(entry.label, entry.x.tolist(), entry.y.tolist(), kind, emphasized=entry.emphasized, dots=entry.dots)
         for entry, kind in zip(series, kinds, strict=True)],
        titles=(x_title, y_title), domains=(x_domain, (low, high)), diagonal=diagonal,
    )  # fmt: skip
    x_ticks = tuple((_place(tick, x_domain), f"{tick:.3g}") for tick in nice_ticks(*x_domain, 5))
    y_ticks = tuple((100 - _place(tick, (low, high)), f"{tick:.3g}") for tick in nice_ticks(low, high, 4))
    numbers = _numbers(title, series, x_title, y_title)
    return Plot(title, x_title, y_title, lines, x_ticks, y_ticks, diagonal, summary or title, figure, numbers)


def dice_histogram(title: str, values: np.ndarray, *, failed_below: float, bins: int = 20) -> Histogram:
    """How many cases have which Dice, over [0, 1]; the tallest bar fills the height."""
    edges = np.linspace(0, 1, bins + 1)
    places = np.clip(np.floor(values * bins + 1e-9).astype(int), 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    tallest = max(int(counts.max()), 1)
    bars = tuple(
        (100 * float(low), 100 / bins, 100 * int(count) / tallest, bool(high <= failed_below + 1e-9),
         f"{words.counted(int(count), 'case')} from {low:.2f} to {high:.2f}")
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    )  # fmt: skip
    filled = [(low, high, int(count)) for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True) if count]
    numbers = from_records(
        [{"from": f"{low:.2f}", "to": f"{high:.2f}", "n_cases": count} for low, high, count in filled],
        f"Dice of the cases of {title}", titles={"n_cases": "Cases"},
    )  # fmt: skip
    failed, median = int((values < failed_below).sum()), float(np.median(values))
    note = f"median {median:.3f}; {failed} of {words.counted(len(values), 'case')} under {failed_below:g}"
    ticks = tuple((100 * tick, f"{tick:.1f}") for tick in nice_ticks(0, 1, 5))
    figure = histogram_figure(
        [(low, high - low, count, bool(high <= failed_below + 1e-9),
          told(words.counted(count, "case"), f"Dice from {low:.2f} to {high:.2f}")) for low, high, count in filled],
        median,
    )  # fmt: skip
    return Histogram(title, bars, 100 * median, ticks, note, figure, numbers)


def _numbers(title: str, series: Sequence[Series], x_title: str, y_title: str) -> Table | None:
    """What the lines show, in at most MOST_LISTED rows of each."""
    rows = [
        {"line": entry.label, "x": words.significant(entry.x[at]), "y": words.significant(entry.y[at])}
        for entry in series
        for at in np.unique(np.linspace(0, len(entry.x) - 1, MOST_LISTED).round().astype(int))
    ]
    return from_records(rows, f"Numbers of the figure: {title}", titles={"x": x_title, "y": y_title})


def _line(entry: Series, kind: int, x_domain: tuple[float, float], y_domain: tuple[float, float]) -> Line:
    kept = np.unique(np.linspace(0, len(entry.x) - 1, MOST_POINTS).round().astype(int))
    placed = [(_place(float(entry.x[i]), x_domain), 100 - _place(float(entry.y[i]), y_domain)) for i in kept]
    points = " ".join(f"{x:.2f},{y:.2f}" for x, y in placed)
    return Line(entry.label, kind % 4, entry.emphasized, points, tuple(placed) if entry.dots else ())


def _place(value: float, domain: tuple[float, float]) -> float:
    return round((value - domain[0]) / (domain[1] - domain[0]) * 100, 3)
