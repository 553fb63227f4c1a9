"""Interval ("forest") plots: where a dot and its whisker stand, in percent of the plot's width.

The page draws them as SVG whose horizontal positions are percentages, so lines stay crisp, dots stay round and
letters keep their size on a phone and on a wide screen alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from meddiff.reporting import words
from meddiff.reporting.interactive import Figure, intervals_figure, told

MARGIN = 4.0  # percent left free at each end, room for half a tick label


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval, to be placed on an axis."""

    label: str
    estimate: float
    low: float
    high: float
    emphasized: bool = False


@dataclass(frozen=True)
class Mark:
    """One row of a forest plot: text, and positions in percent (None where undefined)."""

    label: str
    text: str
    detail: str
    emphasized: bool
    estimate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Forest:
    """Estimates with intervals over one axis; `reference` is the position of a dashed line, `figure` is for plotly."""

    title: str
    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...]
    reference: float | None
    figure: Figure


def nice_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most `most` + 1 round numbers (steps of 1, 2 or 5 times a power of ten) inside [low, high]."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def forest(
    title: str,
    intervals: Sequence[Interval],
    bounds: tuple[float, float] = (-math.inf, math.inf),
    *,
    reference: float | None = None,
    domain: tuple[float, float] | None = None,
    signed: bool = False,
) -> Forest:
    """Places intervals on a common axis that covers them, the reference and a little more, inside `bounds`."""
    low, high = domain or _domain(intervals, bounds, reference)

    def place(value: float | None) -> float | None:
        if value is None or not math.isfinite(value):
            return None
        return round(MARGIN + (value - low) / (high - low) * (100 - 2 * MARGIN), 3)

    ticks = nice_ticks(low, high)
    digits = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9)) if len(ticks) > 1 else 2
    marks = tuple(
        Mark(
            entry.label,
            words.number(entry.estimate, 3, signed),
            words.interval(entry.low, entry.high, 3, signed),
            entry.emphasized,
            *(place(value) for value in (entry.estimate, entry.low, entry.high)),
        )
        for entry in intervals
    )
    placed = tuple((place(tick) or 0.0, words.number(tick, digits, signed and abs(tick) > 1e-12)) for tick in ticks)
    rows = [
        (entry.estimate, entry.low, entry.high, entry.emphasized, told(entry.label, f"{mark.text} {mark.detail}"))
        for entry, mark in zip(intervals, marks, strict=True)
    ]
    room = MARGIN / (100 - 2 * MARGIN) * (high - low)
    figure = intervals_figure(rows, (low - room, high + room), reference=reference)
    return Forest(title, marks, placed, place(reference), figure)


def _domain(intervals: Sequence[Interval], bounds: tuple[float, float], reference: float | None) -> tuple[float, float]:
    """The span of all finite values, five percent wider on both sides, cut to the bounds, never empty."""
    values = [v for entry in intervals for v in (entry.estimate, entry.low, entry.high)]
    values = [v for v in (*values, reference) if v is not None and math.isfinite(v)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = 0.06 * (high - low) or 0.05
    low, high = max(low - room, bounds[0]), min(high + room, bounds[1])
    return (low, high) if high - low > 1e-9 else (low - 0.05, low + 0.05)
