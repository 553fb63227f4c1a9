"""Reading a long table: some of its rows, its parts, and its columns as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd


def rows_where(table: pd.DataFrame, chosen: Any) -> pd.DataFrame:
    """Return the rows where ``chosen`` (one bool per row) is true."""
    return cast(pd.DataFrame, table.loc[np.asarray(chosen, bool)])


def parts(table: pd.DataFrame, keys: Sequence[str]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Return the rows by the values of some columns, in the order of their first appearance."""
    for values, rows in table.groupby(list(keys), sort=False):
        yield cast(tuple[Any, ...], values), rows


def numbers(table: pd.DataFrame, name: str) -> np.ndarray:
    """Return a column as float64."""
    return np.asarray(table[name], np.float64)


def texts(table: pd.DataFrame, name: str) -> np.ndarray:
    """Return a column as str."""
    return np.asarray(table[name].astype(str), dtype=str)


def distinct(table: pd.DataFrame, name: str) -> list[Any]:
    """Return the values of a column, each once, in the order of their first appearance."""
    return list(dict.fromkeys(table[name]))
