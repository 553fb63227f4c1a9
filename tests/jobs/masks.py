"""A manifest of six small pictures with masks."""

from dataclasses import replace
from pathlib import Path

from meddiff.manifest.table import write_manifest
from tests.manifest.rows import draw_pictures

SPLITS = ("train", "train", "train", "val", "val", "test")


def write_manifest_of(place: Path, manifest: Path) -> None:
    """Draw the pictures into a folder where they are not there, and write their manifest."""
    rows = draw_pictures(place, len(SPLITS), shape=(8, 8), masks=True)
    write_manifest([replace(row, split=split) for row, split in zip(rows, SPLITS, strict=True)], manifest)
