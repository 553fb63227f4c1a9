"""contents.csv: the SHA-256 of every image and mask that a run was begun with; no stage goes on with others.

A file whose size and times are those that were noted is taken to be the same, so that a large data set is hashed once.
Files that were added beside those of a series do not matter; a file that is gone is missed by the stage that reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from meddiff.errors import InputError
from meddiff.files.bad import is_file
from meddiff.files.content import sha256_of
from meddiff.files.long_tables import read_table, write_table
from meddiff.formats.open import files_of
from meddiff.manifest.row import ManifestRow
from meddiff.run import Run

COLUMNS = ("file", "state", "sha256")
SHOWN = 5


def note_contents(run: Run) -> None:
    """Write down what the files of the run's manifest hold."""
    files = dict.fromkeys(_files(run.rows))
    lines = [(file.relative_to(run.root).as_posix(), _state(file), sha256_of(file)) for file in files]
    write_table(pd.DataFrame(lines, columns=list(COLUMNS)), run.folder.contents)


def changed_files(run: Run) -> list[str]:
    """List the files that hold something else than when the run was begun; none where nothing was noted."""
    if not run.folder.contents.is_file():
        return []
    table = read_table(run.folder.contents, COLUMNS, as_text=True)
    return [
        line["file"]
        for line in table.to_dict("records")
        if is_file(file := run.root / line["file"])
        and _state(file) != line["state"]
        and sha256_of(file) != line["sha256"]
    ]


def refuse_changed(run: Run) -> None:
    """Stop where an image or mask is not the one that the run was begun with.

    Raises:
        InputError: which.
    """
    if files := changed_files(run):
        more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
        raise InputError(
            f"{len(files)} of the files that {run.folder.path} was begun with have changed: {', '.join(files[:SHOWN])}"
            f"{more}. What was learned and measured is of the others: put them back, or begin another run with --out"
        )


def _files(rows: Sequence[ManifestRow]) -> Iterator[Path]:
    for row in rows:
        for path in (*row.image_files, *(part.path for part in row.mask_parts)):
            yield from (file for file in files_of(path) if file.is_file())


def _state(file: Path) -> str:
    state = file.stat()
    return f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino}"
