"""Geometry of the report's figures: where a dot stands, in percent of the plot's width.

The page draws them as SVG whose horizontal positions are percentages, so lines stay crisp, dots stay round and
letters keep their size on a phone and on a wide screen alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from meddiff.reporting import words

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
    """Estimates with intervals over one axis; `reference` is the position of a dashed line."""

    title: str
    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...]
    reference: float | None


@dataclass(frozen=True)
class Curve:
    """A line over two axes in percent, y from the top; `faint` is the unsmoothed one."""

    line: str
    faint: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    summary: str


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

    ticks = nice_ticks(low, high, 4)
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
    return Forest(title, marks, placed, place(reference))


def _domain(intervals: Sequence[Interval], bounds: tuple[float, float], reference: float | None) -> tuple[float, float]:
    """The span of all finite values, five percent wider on both sides, cut to the bounds, never empty."""
    values = [v for entry in intervals for v in (entry.estimate, entry.low, entry.high)]
    values = [v for v in (*values, reference) if v is not None and math.isfinite(v)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = 0.06 * (high - low) or 0.05
    low, high = max(low - room, bounds[0]), min(high + room, bounds[1])
    return (low, high) if high - low > 1e-9 else (low - 0.05, low + 0.05)


def curve(log: pd.DataFrame, most_points: int = 400) -> Curve | None:
    """The training loss over the steps on a logarithmic axis, with a running median; None below two finite points."""
    points = log[np.isfinite(log["loss"]) & (log["loss"] > 0)].drop_duplicates("step", keep="last").sort_values("step")
    if len(points) < 2:
        return None
    step, loss = points["step"].to_numpy(float), np.log10(points["loss"].to_numpy(float))
    width = max(1, len(points) // 25)
    smooth = pd.Series(loss).rolling(2 * width + 1, center=True, min_periods=1).median().to_numpy()
    kept = np.unique(np.linspace(0, len(points) - 1, most_points).round().astype(int))
    low, high = float(loss.min()), float(loss.max())
    room = max(0.05 * (high - low), 0.02)
    low, high = low - room, high + room

    def x_of(value: float) -> float:
        return (value - step[0]) / (step[-1] - step[0]) * 100

    def y_of(value: float) -> float:
        return (high - value) / (high - low) * 100

    def path(values: np.ndarray) -> str:
        return " ".join(f"{x_of(step[i]):.2f},{y_of(values[i]):.2f}" for i in kept)

    x_ticks = [(x_of(tick), words.number(tick, 0)) for tick in nice_ticks(step[0], step[-1], 4)]
    y_ticks = [(y_of(math.log10(tick)), f"{tick:.6g}") for tick in _log_ticks(low, high)]
    summary = (
        f"from {words.significant(10 ** smooth[0])} at step {words.number(step[0], 0)} "
        f"to {words.significant(10 ** smooth[-1])} at step {words.number(step[-1], 0)}"
    )
    return Curve(path(smooth), path(loss), tuple(x_ticks), tuple(y_ticks), summary)


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 times powers of ten inside 10**[low, high]; linear round numbers where fewer than two of them fit."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    ticks = [m * 10.0**d for d in decades for m in (1, 2, 5) if low <= math.log10(m * 10.0**d) <= high]
    if len(ticks) > 7:
        ticks = [tick for tick in ticks if math.isclose(math.log10(tick) % 1, 0, abs_tol=1e-9)]
    return ticks if len(ticks) >= 2 else nice_ticks(10**low, 10**high, 4)
