"""Long tables as CSV: one row per case, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from meddiff.data.writing import write_atomically


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as UTF-8 CSV without an index, atomically; InputError where the disk does not take it."""
    write_atomically(path, lambda file: table.to_csv(file, index=False, lineterminator="\n"))
