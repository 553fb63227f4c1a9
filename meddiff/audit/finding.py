"""Findings of an audit, each with its severity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from meddiff.manifest.row import ManifestRow

Severity = Literal["serious", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("serious", "warning", "note")
"""From what makes results wrong, over what a person should look at, to what is only worth knowing."""


@dataclass(frozen=True)
class Finding:
    """One thing that is odd about some files."""

    kind: str
    files: tuple[str, ...]
    """Paths as the manifest writes them, or below the folder that was asked about."""
    sentence: str
    severity: Severity


def images_of(rows: Iterable[ManifestRow]) -> tuple[str, ...]:
    """Return the names of the images of rows; of a slice with its number."""
    return tuple(
        row.image_path if row.slice_index is None else f"{row.image_path}[{row.slice_axis}:{row.slice_index}]"
        for row in rows
    )


def masks_of(rows: Iterable[ManifestRow]) -> tuple[str, ...]:
    """Return the names of the masks of rows."""
    rows = [row for row in rows if row.mask_path is not None]
    return tuple(
        str(row.mask_path) if row.slice_index is None else f"{row.mask_path}[{row.slice_axis}:{row.slice_index}]"
        for row in rows
    )
