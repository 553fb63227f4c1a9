"""Which images can be used: every file is read once, before the split and before any hour of work is lost to it.

Files that cannot be read stop the run, all of them counted; or, where ``data.on_bad_file`` is skip, they are listed in
the terminal, in skipped.csv and in the report, and the split is made of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pandas as pd
from rich.console import Console

from meddiff.cache.pictures import refuse
from meddiff.files.tables import read_table, write_table
from meddiff.jobs.progress import bar
from meddiff.manifest.manifest_row import ManifestRow
from meddiff.manifest.split import SPLITS
from meddiff.run import RunFolder

Unusable = Callable[..., Iterable[tuple[ManifestRow, str]]]
"""(rows, progress=bar) -> those of them that cannot be used, with the reason"""
COLUMNS = ("row_id", "file", "reason")
SHOWN = 10


def without_bad_files(
    rows: list[ManifestRow],
    split: Callable[[list[ManifestRow]], list[ManifestRow]],
    unusable: Unusable,
    on_bad_file: str,
    folder: RunFolder,
    console: Console,
) -> list[ManifestRow]:
    """The rows with a split, without those whose files cannot be used.

    The images are decoded into the cache split by split, as the later stages will ask for them.

    Raises:
        InputError: files that cannot be used, where they are not to be skipped; or nothing else is left.
    """
    bad: dict[str, tuple[ManifestRow, str]] = {}
    while True:
        chosen = split([row for row in rows if row.row_id not in bad])
        found = {row.row_id: (row, reason) for row, reason in _unusable(chosen, unusable, console)}
        if not found:
            break
        bad |= found
        if on_bad_file == "stop" or len(bad) == len(rows):
            refuse([reason for _, reason in bad.values()], len(rows))
    _list(list(bad.values()), folder, console)
    return chosen


def skipped_files(folder: RunFolder) -> pd.DataFrame:
    """What was left out, as listed in skipped.csv."""
    return read_table(folder.skipped, COLUMNS) if folder.skipped.is_file() else pd.DataFrame(columns=list(COLUMNS))


def _unusable(rows: list[ManifestRow], unusable: Unusable, console: Console) -> Iterable[tuple[ManifestRow, str]]:
    return [
        found
        for name in SPLITS
        if (own := [row for row in rows if row.split == name])
        for found in unusable(own, progress=bar(console, f"reading {name} images", unit="images"))
    ]


def _list(bad: list[tuple[ManifestRow, str]], folder: RunFolder, console: Console) -> None:
    folder.skipped.unlink(missing_ok=True)
    if not bad:
        return
    lines = [(row.row_id, str(row.image_file), reason) for row, reason in bad]
    write_table(pd.DataFrame(lines, columns=list(COLUMNS)), folder.skipped)
    count = f"{len(bad)} images cannot be used and are" if len(bad) > 1 else "1 image cannot be used and is"
    console.print(f"{count} left out, listed in {folder.skipped}:", soft_wrap=True)
    for _, _, reason in lines[:SHOWN]:
        console.print(f"  {reason}", soft_wrap=True)
