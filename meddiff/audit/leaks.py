"""Ties between rows that lie in several splits all the same: a patient, a lesion, a file.

`read_manifest` refuses such a table; the audit names all of it at once, also for a split that the folders of a data
set make (`Training/`, `Testing/`), and which no manifest states.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from meddiff.audit.finding import Finding, images_of
from meddiff.manifest.consistency import shared_things
from meddiff.manifest.row import ManifestRow

FOLDERS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
    "testing": "test",
}  # fmt: skip
NAMES = {"patient_id": "patient or group", "lesion_id": "lesion", "image_path": "file"}


def split_of(row: ManifestRow) -> str | None:
    """Return the row's split, else that of the folders above its image, by their usual names; None if there is none."""
    if row.split is not None:
        return row.split
    parts = PurePosixPath(row.image_path).parts[:-1]
    return next((FOLDERS[part.lower()] for part in parts if part.lower() in FOLDERS), None)


def leaks(rows: Sequence[ManifestRow], splits: Sequence[str | None]) -> list[Finding]:
    """List the patients, lesions and files that lie in several splits, and the ids that are repeated."""
    findings = []
    for column, name in NAMES.items():
        places: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            thing = shared_things(row).get(column)
            if thing is not None and splits[place] is not None:
                places.setdefault(thing, []).append(place)
        for thing, where in places.items():
            parts = sorted({str(splits[place]) for place in where})
            if len(parts) > 1:
                shown = PurePosixPath(thing).name if column == "image_path" else thing
                says = f"{name} {shown!r} has images in {' and '.join(parts)}: one split must hold all of them"
                files = images_of(rows[place] for place in where)
                findings.append(Finding("group across splits", files, says, "serious"))
    return findings + _same_ids(rows)


def _same_ids(rows: Sequence[ManifestRow]) -> list[Finding]:
    by_id: dict[str, list[ManifestRow]] = {}
    for row in rows:
        by_id.setdefault(row.row_id, []).append(row)
    return [
        Finding("row_id repeated", images_of(same), f"{len(same)} rows are called {name!r}", "serious")
        for name, same in by_id.items()
        if len(same) > 1
    ]
