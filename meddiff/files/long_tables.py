"""Long tables as CSV: one row per case, written whole or not at all; texts stay texts when they are read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from meddiff.errors import InputError
from meddiff.files.cells import SUSPECT, bare, is_number, shielded
from meddiff.files.writing import write_atomically

TEXTS = (
    "row_id", "nearest_row_id", "label", "predicted", "group", "arm", "class_name", "file", "reason",
    "model", "case", "patient", "empty", "failure", "unit", "name", "mask", "problem", "dicom_seg",
    "dicom_parametric_map", "note", "sha256", "made_by", "stale", "sex", "age_band", "skin_tone",
    "split", "attribute", "subgroup", "dataset", "site", "reference",
    "against", "augmentation", "comparison", "features", "kind", "metric", "sentence", "severity", "state", "strength",
    "study", "reader", "source", "test", "unlike_training", "warning", "why_unlike",
)  # fmt: skip
"""Columns that hold texts: a class may be called 007, and an image 12. All others hold numbers, or yes and no."""


YES_OR_NO = ("kept",)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as UTF-8 CSV without an index, atomically; InputError where the disk does not take it.

    No text in it is a formula for a spreadsheet (`cells.shielded`).
    """
    safe = _changed(table, shielded)
    write_atomically(path, lambda file: safe.to_csv(file, index=False, lineterminator="\n"))


def _changed(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Prepare the texts of a table, its header too; columns without a text to change stay as they are."""
    new = {}
    for name in table.select_dtypes(exclude="number").columns:
        old = list(table[name])
        cells = [change(cell) if isinstance(cell, str) and cell[:1] in SUSPECT else cell for cell in old]
        if cells != old:
            new[name] = pd.Series(cells, index=table.index, dtype=object)
    return table.assign(**new).rename(columns=lambda name: change(str(name)))


def read_table(
    path: Path, columns: Sequence[str], *, as_text: bool = False, filled: Sequence[str] = ()
) -> pd.DataFrame:
    """Read a table that ``write_table`` wrote. Only an empty cell is unknown: a class may be called NA or None.

    With ``as_text`` every cell is the text that stands in it, an empty one too. ``filled`` are those of the columns
    that hold a finite number in every line.

    Raises:
        InputError: the file is gone, is no table, lacks one of ``columns``, or holds a text where a number belongs.
    """
    try:
        kinds, unknown = (str, []) if as_text else (dict.fromkeys(TEXTS, str), [""])
        table = pd.read_csv(path, dtype=kinds, keep_default_na=False, na_values=unknown, compression=None)  # type: ignore[arg-type]
        table = _changed(table, bare)
    except (OSError, ValueError) as error:  # pandas' own errors and UnicodeDecodeError are ValueErrors
        raise damaged(path, " ".join(str(error).split())) from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise damaged(path, f"it has no column {', '.join(missing)}")
    if len(table) and not as_text:
        _check_numbers(table, path)
    for name in filled:
        if not np.isfinite(table[name].to_numpy(float)).all():
            raise damaged(path, f"column {name} lacks a number")
    return table


def _check_numbers(table: pd.DataFrame, path: Path) -> None:
    for name in [name for name in YES_OR_NO if name in table.columns and table[name].dtype != bool]:
        raise damaged(path, f"column {name} holds more than True and False")
    for name in [name for name in table.select_dtypes(exclude=["number", "bool"]).columns if name not in TEXTS]:
        cells = [str(cell) for cell in table[name].dropna()]
        odd = next((cell for cell in cells if not is_number(cell)), max(cells, key=len, default="nothing"))
        raise damaged(path, f"column {name} holds {odd[:40]!r}, no number")


def damaged(path: Path, why: str) -> InputError:
    """Return the refusal of a table that is not as it was written."""
    return InputError(f"{path} is damaged or was changed ({why}). Delete it: the same command makes it again.")
