"""The training curve: the loss over the steps on a logarithmic axis, as points in percent of the plot."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from meddiff.reporting import words
from meddiff.reporting.forest import nice_ticks
from meddiff.reporting.interactive import Figure, line, lines_figure
from meddiff.reporting.tables import Records, Table, from_records

MOST_LISTED = 21


@dataclass(frozen=True)
class Curve:
    """A line over two axes in percent, y from the top; `faint` is the unsmoothed one."""

    line: str
    faint: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    summary: str
    figure: Figure
    numbers: Table | None


def curve(log: Records, most_points: int = 400) -> Curve | None:
    """The loss with its running median; None below two steps of finite positive loss.

    A step that was logged twice (a run that was killed and went on) counts with its last line.
    """
    by_step = {float(row["step"]): float(row["loss"]) for row in log if not words.is_missing(row["loss"])}
    points = sorted((step, loss) for step, loss in by_step.items() if math.isfinite(loss) and loss > 0)
    if len(points) < 2:
        return None
    step, loss = np.asarray(points).T[0], np.log10(np.asarray(points).T[1])
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
        return " ".join(f"{x_of(float(step[i])):.2f},{y_of(float(values[i])):.2f}" for i in kept)

    x_ticks = [(x_of(tick), words.number(tick, 0)) for tick in nice_ticks(step[0], step[-1], 4)]
    y_ticks = [(y_of(math.log10(tick)), f"{tick:.6g}") for tick in _log_ticks(low, high)]
    summary = (
        f"from {words.significant(10 ** smooth[0])} at step {words.number(step[0], 0)} "
        f"to {words.significant(10 ** smooth[-1])} at step {words.number(step[-1], 0)}"
    )
    logged, median = ([10 ** float(values[i]) for i in kept] for values in (loss, smooth))
    steps = [float(step[i]) for i in kept]
    figure = lines_figure(
        [line("loss", steps, logged, 0, emphasized=False, dots=False) | {"opacity": 0.35},
         line("running median", steps, median, 0, emphasized=True, dots=False)],
        titles=("step", "loss"), domains=((step[0], step[-1]), (low, high)), logarithmic_ticks=_log_ticks(low, high),
    )  # fmt: skip
    numbers = _numbers(step, loss, smooth)
    return Curve(path(smooth), path(loss), tuple(x_ticks), tuple(y_ticks), summary, figure, numbers)


def _numbers(step: np.ndarray, loss: np.ndarray, smooth: np.ndarray) -> Table | None:
    """Some of the points as numbers; loss and its median are given as logarithms."""
    listed = np.unique(np.linspace(0, len(step) - 1, MOST_LISTED).round().astype(int))
    rows = [
        {"step": words.number(step[i], 0), "loss": words.significant(10 ** float(loss[i])),
         "median": words.significant(10 ** float(smooth[i]))}
        for i in listed
    ]  # fmt: skip
    titles = {"median": "Running median"}
    return from_records(rows, "Numbers of the figure: loss of the diffusion model", titles=titles)


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 times powers of ten inside 10**[low, high]; linear round numbers where fewer than two of them fit."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    ticks = [m * 10.0**d for d in decades for m in (1, 2, 5) if low <= math.log10(m * 10.0**d) <= high]
    if len(ticks) > 7:
        ticks = [tick for tick in ticks if math.isclose(math.log10(tick) % 1, 0, abs_tol=1e-9)]
    return ticks if len(ticks) >= 2 else nice_ticks(10**low, 10**high, 4)
