"""Which images are meant by a folder or a manifest: manifest rows in either case, with whom each image is of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from meddiff.errors import InputError
from meddiff.formats import read_picture
from meddiff.formats.open import files_below
from meddiff.formats.pictures import PICTURE_SUFFIXES, header_size, is_picture
from meddiff.manifest.manifest_row import COLUMNS, ManifestRow
from meddiff.manifest.table import read_manifest

SPLITS = ("train", "val", "test")
LARGEST_SIDE = 256
"""Images are compared at no more pixels per side than this unless told."""


def list_images(path: str, *, groups: str = "", labels: str = "", option: str = "--real") -> list[ManifestRow]:
    """The images below a folder, or of a manifest; ``manifest.csv:test`` are those of one split.

    Of a manifest that holds both, ``--synthetic`` takes the synthetic rows and every other option the others.

    Args:
        path: as typed.
        groups: regular expression for what of a name (the path below the folder, or the row's id) is its patient;
            without it a manifest's patient or lesion counts, and each picture of a folder is one.
        labels: the same for what it shows; without it a manifest's label counts, and pictures of a folder have none.
        option: the one that names it.

    Raises:
        InputError: nothing there, a name without a match, a manifest with mistakes.
    """
    split = path.rpartition(":")[2] if ".csv:" in path.lower() else ""
    place = Path(path.removesuffix(f":{split}") if split else path).expanduser()
    if not place.exists():
        raise InputError(f"{option} {path}: there is no such folder or manifest")
    rows = _of_folder(place, option) if place.is_dir() else _of_manifest(place, split, option)
    return renamed(rows, groups, labels)


def renamed(rows: Sequence[ManifestRow], groups: str, labels: str) -> list[ManifestRow]:
    """The rows with the patient and the label that two regular expressions find in their row_id, where given.

    Raises:
        InputError: no regular expression, or a name without a match.
    """
    if groups:
        pattern = _compiled(groups, "--groups")
        rows = [replace(row, patient_id=_found(pattern, row.row_id, "--groups"), lesion_id=None) for row in rows]
    if labels:
        pattern = _compiled(labels, "--labels")
        rows = [replace(row, label=_found(pattern, row.row_id, "--labels")) for row in rows]
    return list(rows)


def common_side(rows: Sequence[ManifestRow], largest: int = LARGEST_SIDE) -> int:
    """The shortest side of all the images: at this size none is enlarged, and none has detail that another lacks."""
    sides: dict[tuple[Path, int | None], int] = {}
    for row in rows:
        key = (row.image_file, row.slice_axis)
        if key not in sides:
            size = None if row.slice_index is not None else header_size(row.image_file)
            size = size or read_picture(row.image_file, axis=row.slice_axis, index=row.slice_index).size
            sides[key] = min(size)
    return min([largest, *sides.values()])


def _of_folder(folder: Path, option: str) -> list[ManifestRow]:
    files = [file for file in files_below(folder) if is_picture(file)]
    if not files:
        raise InputError(
            f"{option} {folder}: there is no picture in it ({', '.join(PICTURE_SUFFIXES)}). For slices of volumes "
            "give a manifest with slice_axis and slice_index; for whole volumes give them to --real too"
        )
    names = [file.relative_to(folder).as_posix() for file in files]
    return [blank_row(name, name, folder) for name in names]


def blank_row(row_id: str, image_path: str, folder: Path) -> ManifestRow:
    """The row of a file of which nothing is known but where it lies."""
    known = {"row_id": row_id, "dataset": folder.name, "image_path": image_path, "source": "real", "root": folder}
    return ManifestRow(**dict.fromkeys(COLUMNS) | known)  # pyright: ignore[reportArgumentType]


def _of_manifest(path: Path, split: str, option: str) -> list[ManifestRow]:
    if split and split not in SPLITS:
        raise InputError(f"{option} {path}:{split}: a split is one of {', '.join(SPLITS)}")
    rows = read_manifest(path)
    synthetic = [row for row in rows if row.source == "synthetic"]
    if len(synthetic) < len(rows):
        rows = [row for row in rows if (row.source == "synthetic") == (option == "--synthetic" and bool(synthetic))]
    rows = [row for row in rows if not split or row.split == split]
    if not rows:
        raise InputError(f"{option} {path}{':' if split else ''}{split}: no row is left")
    return rows


def _compiled(pattern: str, option: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InputError(f"{option} {pattern!r} is no regular expression: {error}") from error


def _found(pattern: re.Pattern[str], name: str, option: str) -> str:
    found = pattern.search(name)
    if found is None:
        raise InputError(f"{option} {pattern.pattern!r} is not found in the name {name!r}: write one that all have")
    return found.group(1 if pattern.groups else 0)
