"""Records (one dictionary per row) as tables of text cells that the page can sort.

A `Table` knows nothing of HTML: each cell has its text, a muted detail (an interval), and the value to sort by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from meddiff.reports import words

Records = list[dict[str, Any]]
Formats = Mapping[str, Callable[[Any], str]]
NONE: Mapping[str, Any] = MappingProxyType({})


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
    """A caption, columns and rows of cells; the first column heads its row, `total` is the last line."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: tuple[Cell, ...] = ()


FORMATS: Formats = {
    "metric": words.in_words,
    "stage": words.in_words,
    "estimate": words.number,
    "reference_estimate": words.number,
    "difference": lambda value: words.number(value, 3, signed=True),
    "seconds": words.duration,
    "peak_memory_mib": words.memory,
    "cpu_energy_wh": words.significant,
    "gpu_energy_wh": words.significant,
    "value": words.significant,
    "probability": words.percent,
    "p_value": words.p_value,
    "p_holm": words.p_value,
}
TITLES = {
    "class_name": "Class",
    "estimate": "This arm",
    "reference_estimate": "Reference",
    "probability": "Resamples in which it is better",
    "n_real": "Images, real",
    "n_synthetic": "Images, other",
    "n": "Images",
    "peak_memory_mib": "Peak memory",
    "seconds": "Time",
    "cpu_energy_wh": "Processor, Wh",
    "gpu_energy_wh": "GPU, Wh",
    "dropped_confidence": "Dropped: label not confirmed",
    "dropped_copy": "Dropped: near-copy",
    "p_value": "p",
    "p_holm": "p, Holm",
    "ratio": "Synthetic per real",
    "subgroup": "Group",
    "n_seeds": "Seeds",
}
CARRIERS = ("difference", "value", "estimate")  # whose bracket `low` and `high` are: the first that a row has


def records(frame: pd.DataFrame) -> Records:
    """List the rows of a frame as dictionaries; a named index becomes the first column."""
    rows = (frame.reset_index() if frame.index.name else frame).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def plain(value: Any) -> Any:
    """Turn nested containers and numpy scalars into what JSON knows; what is unknown or not finite becomes None."""
    if isinstance(value, pd.DataFrame):
        value = records(value)
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, np.ndarray)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if words.is_missing(value) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn ``{"a": {"b": 1}}`` into ``{"a.b": 1}``."""
    entries: dict[str, Any] = {}
    for key, value in nested.items():
        entries |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return entries


def from_records(
    rows: Records, caption: str, *, drop: Sequence[str] = (), titles: Mapping[str, str] = NONE, formats: Formats = NONE
) -> Table | None:
    """Make one line per record, `low` and `high` as the bracket of their estimate; None for no records.

    ``titles`` and ``formats`` are for the columns of this table alone, before those of TITLES and FORMATS.
    """
    if not rows:
        return None
    names = [name for name in rows[0] if name not in (*drop, "low", "high")]
    carrier = next((name for name in CARRIERS if name in names), "")
    columns = tuple(
        Column(titles.get(name) or TITLES.get(name) or words.in_words(name), all(_is_number(row[name]) for row in rows))
        for name in names
    )
    lines = tuple(tuple(_cell(name, row, bracket=name == carrier, formats=formats) for name in names) for row in rows)
    return Table(caption, columns, lines)


def findings_table(findings: pd.DataFrame) -> Table | None:
    """Show what the audit found; None for nothing."""
    caption = "What the audit of the images found: results may be wrong by it"
    titles = {"kind": "What", "sentence": "In words", "n_files": "Files", "files": "Which"}
    return from_records(records(findings), caption, titles=titles)


def crossed(
    rows: Records, caption: str, *, down: str, across: str, value: str, formats: Formats = NONE
) -> Table | None:
    """Show a value with its interval, a line for each of `down` and a column for each of `across`, in their order."""
    if not rows:
        return None
    at = {(row[down], row[across]): row for row in rows}
    lines = []
    for entry in dict.fromkeys(row[down] for row in rows):
        head = Cell((formats.get(down) or FORMATS.get(down, str))(entry), sort=str(entry))
        across_it = (at.get((entry, name), {}) for name in dict.fromkeys(row[across] for row in rows))
        lines.append((head, *(_cell(value, row, bracket=True) for row in across_it)))
    titles = [
        (formats.get(across) or FORMATS.get(across, str))(name) for name in dict.fromkeys(row[across] for row in rows)
    ]
    first = Column(TITLES.get(down) or words.in_words(down), False)
    return Table(caption, (first, *(Column(title, True) for title in titles)), tuple(lines))


def from_settings(settings: Mapping[str, Sequence[Any]], caption: str, titles: Sequence[str]) -> Table | None:
    """List a dictionary: the key, then its values as one would type them; None for an empty one."""
    if not settings:
        return None
    texts = [(name, *(words.setting(value) for value in values)) for name, values in settings.items()]
    rows = tuple(tuple(Cell(text, sort=text) for text in line) for line in texts)
    return Table(caption, tuple(Column(title, False) for title in titles), rows)


def settings_table(
    settings: Mapping[str, Any], caption: str, titles: Sequence[str] = ("What", "Value")
) -> Table | None:
    """List nested settings by their dotted names; None for none."""
    return from_settings({name: [value] for name, value in flat(settings).items()}, caption, titles)


def _is_number(value: Any) -> bool:
    return words.is_missing(value) or (pd.api.types.is_number(value) and not pd.api.types.is_bool(value))


def _cell(name: str, row: dict[str, Any], *, bracket: bool, formats: Formats = NONE) -> Cell:
    value = row.get(name)
    if words.is_missing(value) or value == "":
        return Cell(words.ABSENT)
    share = words.percent if name.startswith("share") else words.plain
    text = (formats.get(name) or FORMATS.get(name, share))(value)
    detail = ""
    if bracket:
        decimals = len(text.partition(".")[2]) if name == "value" else 3
        detail = words.interval_of(row, decimals, signed=name == "difference")
    return Cell(text, detail, float(str(value)) if _is_number(value) else text)
