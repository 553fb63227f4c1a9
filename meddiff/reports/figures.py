"""Figures as data, and the one function that draws them.

A figure is one or several strips over a common axis: a forest has a strip per row, with its name before and its numbers
behind it; lines and histograms have one that is tall. Everything is placed in percent of the strip, so lines stay
crisp, dots stay round and letters keep their size on a phone and on a wide screen alike. Each mark carries what is to
be said of it as a ``<title>``: a pointer shows it without any script, and page.js takes it to the keyboard.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from markupsafe import Markup

from meddiff.reports import words
from meddiff.reports.tabular import Table, from_records

Color = Literal["plain", "accent", "confidence", "copy"]
"""A color of the page's style by its use, in light and in dark."""
Ticks = tuple[tuple[float, str], ...]
MARGIN = 4.0  # percent left free at each end of a row, room for half a tick label
ROW, PLOT, LOW = 26, 240, 110  # CSS pixels that a strip is high
MOST_POINTS = 300  # of a line that is drawn
MOST_MARKS = 40  # of a line that can be pointed at
MOST_LISTED = 21  # of a line whose numbers are listed


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval, to be placed on an axis."""

    label: str
    estimate: float
    low: float
    high: float
    emphasized: bool = False
    patients: int | None = None
    """How many it is of, where that is known."""


@dataclass(frozen=True)
class Series:
    """Points of one line in data units; ``dots`` draws them as well as the line, ``faint`` is in the background."""

    label: str
    x: np.ndarray
    y: np.ndarray
    emphasized: bool = False
    dots: bool = False
    faint: bool = False


@dataclass(frozen=True)
class Share:
    """A part of a stacked bar, in percent of the whole bar."""

    percent: float
    text: str
    color: Color


@dataclass(frozen=True)
class Dot:
    """A mark with a whisker from ``low`` to ``high``, in percent; None where undefined.

    A quiet one hides until it is asked.
    """

    text: str
    color: Color
    x: float | None
    y: float = 50.0
    low: float | None = None
    high: float | None = None
    radius: float = 4.5
    quiet: bool = False


@dataclass(frozen=True)
class Bar:
    """A mark that fills a box, in percent from the left and the top."""

    text: str
    color: Color
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Line:
    """Points in percent, y from the top; ``kind`` numbers the dashes among the lines of one color."""

    color: Color
    kind: int
    points: tuple[tuple[float, float], ...]
    faint: bool = False


@dataclass(frozen=True)
class Strip:
    """One row of a figure, or all of it; the texts stand before and behind."""

    shapes: tuple[Dot | Bar | Line, ...]
    label: str = ""
    text: str = ""
    detail: str = ""
    color: Color = "plain"


@dataclass(frozen=True)
class Key:
    """The meaning of a color or a line; ``shape`` is dot, box, line, ramp or a color of CSS."""

    label: str
    shape: str
    color: Color | Literal["faint"] = "plain"
    kind: int = 0


@dataclass(frozen=True)
class Figure:
    """Strips over an axis."""

    title: str
    strips: tuple[Strip, ...]
    x_ticks: Ticks
    y_ticks: Ticks = ()
    reference: float | None = None
    """Where a dashed upright line stands."""
    diagonal: bool = False
    """Whether y = x is drawn under the lines."""
    height: int = ROW
    aside: str = ""
    keys: tuple[Key, ...] = ()
    numbers: Table | None = None
    """What the marks say, where the strips do not say it themselves."""

    @property
    def rows(self) -> bool:
        """True for a figure made of rows with names and numbers."""
        return self.height == ROW


def forest(
    title: str,
    intervals: Sequence[Interval],
    bounds: tuple[float, float] = (-math.inf, math.inf),
    *,
    reference: float | None = None,
    domain: tuple[float, float] | None = None,
    signed: bool = False,
) -> Figure:
    """Place intervals on a common axis that covers them, the reference and a little more, inside `bounds`."""
    low, high = domain or _domain(intervals, bounds, reference)

    def place(value: float | None) -> float | None:
        if value is None or not math.isfinite(value):
            return None
        return round(MARGIN + (value - low) / (high - low) * (100 - 2 * MARGIN), 3)

    def strip(entry: Interval) -> Strip:
        text = words.number(entry.estimate, 3, signed)
        bounds = {"low": entry.low, "high": entry.high, "n_patients": entry.patients}
        detail = words.interval_of(bounds, 3, signed)
        color: Color = "accent" if entry.emphasized else "plain"
        dot = Dot(f"{entry.label}: {text} {detail}".strip(), color, place(entry.estimate), low=place(entry.low),
                  high=place(entry.high))  # fmt: skip
        return Strip((dot,), entry.label, text, detail, color)

    ticks = nice_ticks(low, high)
    labels = _labels(ticks, signed)
    placed = tuple((place(tick) or 0.0, label) for tick, label in zip(ticks, labels, strict=True))
    return Figure(title, tuple(map(strip, intervals)), placed, reference=place(reference))


def bars(title: str, rows: Sequence[tuple[str, str, Sequence[Share]]], keys: Sequence[Key]) -> Figure:
    """Return stacked bars of percents: name, number and parts of each row."""
    strips, scale = [], 1 - 2 * MARGIN / 100
    for label, text, shares in rows:
        starts = MARGIN + scale * np.cumsum([0.0, *(share.percent for share in shares)])
        boxes = (Bar(share.text, share.color, float(start), 23.0, scale * share.percent, 54.0)
                 for share, start in zip(shares, starts, strict=False) if share.percent)  # fmt: skip
        strips.append(Strip(tuple(boxes), label, text))
    ticks = tuple((MARGIN + scale * percent, f"{percent}%") for percent in range(0, 101, 20))
    return Figure(title, tuple(strips), ticks, keys=tuple(keys))


def lines(
    title: str,
    series: Sequence[Series],
    *,
    axes: tuple[str, str],
    x_domain: tuple[float, float],
    y_domain: tuple[float, float] | None = None,
    logarithmic: bool = False,
    diagonal: bool = False,
    aside: str = "",
) -> Figure:
    """Place lines on common axes, whose names are those of x and y.

    The y axis begins at 0 and covers the largest value where no domain is given. A logarithmic axis covers the values,
    which must be positive, and a little more on both sides.
    """
    series = [entry for entry in series if len(entry.x)]
    scale = np.log10 if logarithmic else np.asarray
    low, high = y_domain or _heights([scale(entry.y) for entry in series], logarithmic)
    plain = iter(range(len(series)))
    kinds = [0 if entry.emphasized or entry.faint else next(plain) % 4 for entry in series]
    drawn, marks = [], []
    for entry, kind in zip(series, kinds, strict=True):
        x = _places(np.asarray(entry.x, float), x_domain)
        y = 100 - _places(np.asarray(scale(entry.y), float), (low, high))
        points = tuple((float(x[at]), float(y[at])) for at in _some(len(x), MOST_POINTS))
        drawn.append(Line("accent" if entry.emphasized else "plain", kind, points, entry.faint))
        marks += _dots(entry, x, y, axes)
    ticks = _log_ticks(low, high) if logarithmic else nice_ticks(low, high, 4)
    texts = [f"{tick:.6g}" for tick in ticks] if logarithmic else _labels(ticks)
    heights = 100 - _places(np.asarray(scale(np.asarray(ticks, float))), (low, high))
    across = nice_ticks(*x_domain, 5)
    return Figure(
        title, (Strip((*drawn, *marks)),),
        tuple(zip(_places(np.asarray(across, float), x_domain).tolist(), _labels(across), strict=True)),
        tuple(zip(heights.tolist(), texts, strict=True)), diagonal=diagonal, height=PLOT,
        aside=aside or f"{axes[1]} over {axes[0]}",
        keys=tuple(Key(entry.label, "line", "faint" if entry.faint else "accent" if entry.emphasized else "plain", kind)
                   for entry, kind in zip(series, kinds, strict=True)),
        numbers=_numbers(title, series, axes),
    )  # fmt: skip


def histogram(title: str, values: np.ndarray, *, failed_below: float, bins: int = 20) -> Figure:
    """Draw how many cases have which Dice, over [0, 1]; the tallest bar fills the height, the median is dashed."""
    edges = np.linspace(0, 1, bins + 1)
    places = np.clip(np.floor(values * bins + 1e-9).astype(int), 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    filled = [(float(edges[at]), float(edges[at + 1]), int(counts[at])) for at in np.flatnonzero(counts)]
    boxes = tuple(
        Bar(f"{words.counted(count, 'case')}: Dice from {low:.2f} to {high:.2f}",
            "copy" if high <= failed_below + 1e-9 else "accent", 100 * low + 0.2, 100 - 100 * count / counts.max(),
            100 / bins - 0.4, 100 * count / counts.max())
        for low, high, count in filled
    )  # fmt: skip
    rows = [{"from": f"{low:.2f}", "to": f"{high:.2f}", "n_cases": count} for low, high, count in filled]
    failed, median = int((values < failed_below).sum()), float(np.median(values))
    note = f"median {median:.3f}; {failed} of {words.counted(len(values), 'case')} under {failed_below:g}"
    ticks = nice_ticks(0, 1, 5)
    return Figure(
        title, (Strip(boxes),), tuple(zip([100 * tick for tick in ticks], _labels(ticks), strict=True)),
        ((100.0, ""),), reference=100 * median, height=LOW, aside=note,
        numbers=from_records(rows, f"Dice of the cases of {title}", titles={"n_cases": "Cases"}),
    )  # fmt: skip


def nice_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """List at most `most` + 1 round numbers (steps of 1, 2 or 5 times a power of ten) inside [low, high]."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def draw(figure: Figure, strip: Strip) -> Markup:
    """Draw a strip as SVG: the grid, the reference, then its shapes in their order."""
    if figure.rows:
        parts = [_rule("grid", f"{x}%", "0", f"{x}%", "100%") for x, _ in figure.x_ticks]
    else:
        parts = [_rule("grid", "0", f"{y:.2f}%", "100%", f"{y:.2f}%") for y, _ in figure.y_ticks]
        parts += [_text(y, text) for y, text in figure.y_ticks]
    if figure.reference is not None:
        parts.append(_rule("reference", f"{figure.reference}%", "0", f"{figure.reference}%", "100%"))
    if figure.diagonal:
        parts.append(_rule("reference", "0", "100%", "100%", "0"))
    parts += [_shape(shape) for shape in strip.shapes]
    return Markup('<svg width="100%" height="{}" role="group">{}</svg>').format(figure.height, Markup("").join(parts))


def draw_axis(figure: Figure) -> Markup:
    """Draw the numbers below the strips."""
    texts = (Markup('<text x="{:.2f}%" y="13" text-anchor="middle">{}</text>').format(*tick) for tick in figure.x_ticks)
    return Markup('<svg width="100%" height="18" aria-hidden="true">{}</svg>').format(Markup("").join(texts))


def _rule(name: str, x1: str, y1: str, x2: str, y2: str) -> Markup:
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(name, x1, y1, x2, y2)


def _text(y: float, text: str) -> Markup:
    return Markup('<text x="-8" y="{:.2f}%" dy="4" text-anchor="end" aria-hidden="true">{}</text>').format(y, text)


def _shape(shape: Dot | Bar | Line) -> Markup:
    if isinstance(shape, Line):
        points = " ".join(f"{x:.2f},{y:.2f}" for x, y in shape.points if math.isfinite(y))
        name = f"line {'faint' if shape.faint else shape.color} dash-{shape.kind}"
        return Markup(
            '<svg width="100%" height="100%" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">'
            '<polyline class="{}" points="{}"/></svg>'
        ).format(name, points)
    if isinstance(shape, Bar):
        inside = Markup('<rect x="{:.2f}%" y="{:.2f}%" width="{:.2f}%" height="{:.2f}%"/>').format(
            shape.x, shape.y, shape.width, shape.height)  # fmt: skip
        return _mark(shape.color, shape.text, inside)
    if shape.x is None:
        return Markup("")
    whisker = ""
    if shape.low is not None and shape.high is not None:
        whisker = _rule("whisker", f"{shape.low}%", f"{shape.y}%", f"{shape.high}%", f"{shape.y}%")
    circle = Markup('{}<circle cx="{}%" cy="{}%" r="{}"/>').format(whisker, shape.x, shape.y, shape.radius)
    return _mark(f"{shape.color} quiet" if shape.quiet else shape.color, shape.text, circle)


def _mark(name: str, text: str, inside: Markup) -> Markup:
    return Markup('<g class="mark {}"><title>{}</title>{}</g>').format(name, text, inside)


def _domain(intervals: Sequence[Interval], bounds: tuple[float, float], reference: float | None) -> tuple[float, float]:
    """Span all finite values, six percent wider on both sides, cut to the bounds, never empty."""
    values = [v for entry in intervals for v in (entry.estimate, entry.low, entry.high)]
    values = [v for v in (*values, reference) if v is not None and math.isfinite(v)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = 0.06 * (high - low) or 0.05
    low, high = max(low - room, bounds[0]), min(high + room, bounds[1])
    return (low, high) if high - low > 1e-9 else (low - 0.05, low + 0.05)


def _heights(values: Sequence[np.ndarray], logarithmic: bool) -> tuple[float, float]:
    """Span the values of all lines: from 0, or where the axis is logarithmic from the smallest."""
    low, high = min((float(y.min()) for y in values), default=0.0), max((float(y.max()) for y in values), default=1.0)
    room = max(0.05 * (high - low), 0.02)
    return (low - room, high + room) if logarithmic else (0.0, 1.08 * high or 1.0)


def _places(values: np.ndarray, domain: tuple[float, float]) -> np.ndarray:
    return ((values - domain[0]) / (domain[1] - domain[0]) * 100).round(3)


def _some(length: int, most: int) -> np.ndarray:
    """Choose at most ``most`` positions, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, length - 1, most).round().astype(int))


def _labels(ticks: Sequence[float], signed: bool = False) -> list[str]:
    """Write numbers with the decimals that their step needs."""
    digits = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9)) if len(ticks) > 1 else 2
    return [words.number(tick, digits, signed and abs(tick) > 1e-12) for tick in ticks]


def _log_ticks(low: float, high: float) -> list[float]:
    """List 1, 2, 5 times powers of ten inside 10**[low, high]; linear round numbers where fewer than two fit."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    ticks = [m * 10.0**d for d in decades for m in (1, 2, 5) if low <= math.log10(m * 10.0**d) <= high]
    if len(ticks) > 7:
        ticks = [tick for tick in ticks if math.isclose(math.log10(tick) % 1, 0, abs_tol=1e-9)]
    return ticks if len(ticks) >= 2 else nice_ticks(10**low, 10**high, 4)


def _dots(entry: Series, x: np.ndarray, y: np.ndarray, axes: tuple[str, str]) -> list[Dot]:
    """Mark points of a line that can be pointed at: all where they are drawn, some of a long line."""
    color: Color = "accent" if entry.emphasized else "plain"
    chosen = () if entry.faint else _some(len(x), len(x) if entry.dots else MOST_MARKS)
    return [
        Dot(f"{entry.label}: {axes[0]} {words.significant(entry.x[at])}, {axes[1]} {words.significant(entry.y[at])}",
            color, float(x[at]), float(y[at]), radius=3.5, quiet=not entry.dots)
        for at in chosen if math.isfinite(y[at])
    ]  # fmt: skip


def _numbers(title: str, series: Sequence[Series], axes: tuple[str, str]) -> Table | None:
    """List what the lines show, in at most MOST_LISTED rows of each."""
    rows = [
        {"line": entry.label, "x": words.significant(entry.x[at]), "y": words.significant(entry.y[at])}
        for entry in series
        for at in _some(len(entry.x), MOST_LISTED)
    ]
    return from_records(rows, f"Numbers of the figure: {title}", titles={"x": axes[0], "y": axes[1]})
