"""The audit of a study before it is trained on: ``inspect --audit``. The checks are those of `meddiff.data.audit`."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from meddiff.data.audit.finding import Finding
from meddiff.data.row import ManifestRow

SHOWN_FILES = 4
SHOWN_PER_KIND = 12
STYLES = {"serious": "bold red", "warning": "yellow", "note": "dim"}


@dataclass(frozen=True)
class Audit:
    """What to audit."""

    path: str
    """A manifest (.csv), or a folder or zip archive of images and masks."""
    dataset: str = ""
    """Reads the folder as this data set; empty pairs plain files by their names."""
    out: str = ""
    """A CSV to write, one line per finding and file; empty for none."""


def run(settings: Audit, console: Console | None = None) -> int:
    """Print the findings; returns how many are serious.

    Raises:
        InputError: nothing is there to audit, a manifest that cannot be parsed, an unknown data set.
    """
    from meddiff.data.audit import audit
    from meddiff.data.unpack import unpacked
    from meddiff.pipelines.stages.progress import bar

    console = console or Console()
    path = Path(settings.path).expanduser()
    with unpacked(path) as place:
        rows, found = rows_of(place, settings.dataset)
        began = time.perf_counter()
        found = found + audit(rows, progress=bar(console, "auditing", unit="image"))
    seconds = time.perf_counter() - began
    if found:
        console.print(_table(found, str(path)))
    serious = sum(one.severity == "serious" for one in found)
    masks = sum(row.mask_path is not None for row in rows)
    console.print(
        f"{len(rows)} images, {masks} with masks, in {seconds:.1f} s ({len(rows) / seconds:.0f} images per second): "
        f"{serious} serious findings, {len(found) - serious} others"
    )
    if settings.out:
        _write(found, Path(settings.out).expanduser())
        console.print(f"wrote {settings.out}")
    return serious


def rows_of(path: Path, dataset: str) -> tuple[list[ManifestRow], list[Finding]]:
    """The rows that are audited, and what was odd in finding them.

    Raises:
        InputError: as `run`.
    """
    from meddiff.data.audit.listing import folder_rows
    from meddiff.data.manifest import read_manifest
    from meddiff.errors import InputError

    if dataset and path.is_dir():
        from meddiff import assembly

        return assembly.source(dataset).rows(path), []
    if dataset:
        raise InputError(f"{path} is no folder: --dataset says how to read one. Leave it out for a manifest.")
    if path.is_dir():
        return folder_rows(path)
    if path.suffix.lower() != ".csv":
        raise InputError(f"{path}: name a manifest (.csv), or a folder of images and masks, to audit")
    return read_manifest(path, check_files=False, check_together=False), []


def _table(found: Sequence[Finding], title: str) -> Table:
    table = Table(title=escape(title))
    for name in ("severity", "kind", "what", "files"):
        table.add_column(name, overflow="fold")
    kinds: dict[tuple[str, str], int] = {}
    for one in found:
        key = (one.severity, one.kind)
        kinds[key] = kinds.get(key, 0) + 1
        if kinds[key] <= SHOWN_PER_KIND:
            more = [f"and {len(one.files) - SHOWN_FILES} more"] if len(one.files) > SHOWN_FILES else []
            files = "\n".join([*one.files[:SHOWN_FILES], *more])
            table.add_row(one.severity, one.kind, escape(one.sentence), escape(files), style=STYLES[one.severity])
    for (severity, kind), count in kinds.items():
        if count > SHOWN_PER_KIND:
            told = f"{count - SHOWN_PER_KIND} more of this kind: --out names them all"
            table.add_row(severity, kind, told, "", style=STYLES[severity])
    return table


def _write(found: Sequence[Finding], path: Path) -> None:
    from meddiff.data.writing import write_text

    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["finding", "severity", "kind", "file", "sentence"])
    for number, one in enumerate(found, start=1):
        for file in one.files or ("",):
            writer.writerow([number, one.severity, one.kind, file, one.sentence])
    write_text(path, text.getvalue())
