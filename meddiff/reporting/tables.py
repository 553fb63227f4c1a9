"""Data frames as tables of text cells that the page can sort.

A `Table` knows nothing of HTML: each cell has its text, a muted detail (an interval), and the value to sort by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from meddiff.reporting import words

Format = Callable[[Any], str]


@dataclass(frozen=True)
class Cell:
    """One cell: what is read, what stands small beside it, and what it is sorted by."""

    text: str
    detail: str = ""
    sort: float | str = ""


@dataclass(frozen=True)
class Column:
    """A column's title and whether it holds numbers (aligned to the right)."""

    title: str
    numeric: bool


@dataclass(frozen=True)
class Table:
    """A caption, columns and rows of cells; the first column heads its row."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: tuple[Cell, ...] = ()


FORMATS: dict[str, Format] = {
    "arm": words.arm_title,
    "reference": words.arm_title,
    "metric": words.in_words,
    "features": words.in_words,
    "stage": words.in_words,
    "seconds": words.duration,
    "peak_memory_mib": words.memory,
    "value": words.significant,
    "median_distance": words.significant,
    "threshold": words.significant,
    "p_value": words.significant,
    "share_below_threshold": lambda share: words.ABSENT if words.is_missing(share) else f"{100 * share:.1f}%",
}
TITLES = {
    "class_name": "Class",
    "n_real": "Real images",
    "n_synthetic": "Synthetic images",
    "n_images": "Images",
    "n_groups": "Patients",
    "n_seeds": "Seeds",
    "n": "Images",
    "dimension": "Feature dimensions",
    "peak_memory_mib": "Peak memory",
    "seconds": "Time",
    "dropped_confidence": "Dropped: label not confirmed",
    "dropped_copy": "Dropped: near-copy",
    "p_value": "p",
}
SPREADS = {"low", "high"}


def from_frame(frame: pd.DataFrame, caption: str, *, drop: Sequence[str] = ()) -> Table:
    """One row per row; `low` and `high` become the bracket of the first estimate-like column before them."""
    frame = frame.reset_index() if frame.index.name else frame
    names = [str(name) for name in frame.columns if name not in drop and name not in SPREADS]
    carrier = next((name for name in ("estimate", "difference", "value") if name in names), None)
    rows = []
    for record in frame.to_dict("records"):
        spread = (record.get("low"), record.get("high"))
        rows.append(tuple(_cell(name, record[name], spread if name == carrier else None) for name in names))
    columns = tuple(
        Column(TITLES.get(name) or words.in_words(name), bool(pd.api.types.is_numeric_dtype(frame[name])))
        for name in names
    )
    return Table(caption, columns, tuple(rows))


def _cell(name: str, value: Any, spread: tuple[Any, Any] | None) -> Cell:
    missing = words.is_missing(value)
    signed = name == "difference"
    if name in ("estimate", "difference"):
        text = words.number(value, 3, signed)
    else:
        text = words.ABSENT if missing else FORMATS.get(name, words.plain)(value)
    detail = ""
    if spread is not None:
        digits = 3 if name != "value" else max(0, len(text.partition(".")[2]))
        detail = words.interval(*spread, digits=digits, signed=signed)
    sort = "" if missing else float(value) if pd.api.types.is_number(value) else text
    return Cell(text, detail, sort)


def crossed(frame: pd.DataFrame, caption: str, *, rows: str, columns: str) -> Table:
    """Estimates with intervals, one row per value of `rows` and one column per value of `columns`, in their order."""
    row_names, column_names = list(dict.fromkeys(frame[rows])), list(dict.fromkeys(frame[columns]))
    found = {(record[rows], record[columns]): record for record in frame.to_dict("records")}
    heading = FORMATS.get(columns, str)
    lines = []
    for row in row_names:
        cells = [Cell(FORMATS.get(rows, str)(row), sort=str(row))]
        for column in column_names:
            record = found.get((row, column), {"estimate": None, "low": None, "high": None})
            cells.append(_cell("estimate", record["estimate"], (record["low"], record["high"])))
        lines.append(tuple(cells))
    titles = [Column(TITLES.get(rows) or words.in_words(rows), False)]
    return Table(caption, (*titles, *(Column(heading(name), True) for name in column_names)), tuple(lines))


def from_pairs(pairs: dict[str, Sequence[str]], caption: str, titles: Sequence[str]) -> Table:
    """A dictionary as rows: its key, then the texts of its value."""
    rows = tuple(tuple(Cell(text, sort=text) for text in (key, *texts)) for key, texts in pairs.items())
    return Table(caption, tuple(Column(title, False) for title in titles), rows)
