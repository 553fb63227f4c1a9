"""The images of an option of ``evaluate images``: those below a folder, or the rows of a manifest.

``run/manifest.csv:test`` are the test images of a run, whose files lie where its recipe says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from meddiff.errors import InputError
from meddiff.files.walk import files_below
from meddiff.formats import read_picture
from meddiff.formats.find import find, join_channels, names_of
from meddiff.formats.open import files_of, load_volume, reader_of
from meddiff.formats.pictures import PICTURE_SUFFIXES, header_size, is_picture
from meddiff.formats.volume import Volume
from meddiff.manifest.row import ManifestRow, blank_row
from meddiff.manifest.split import SPLITS
from meddiff.manifest.table import read_manifest
from meddiff.run import RunFolder, root_of_manifest

LARGEST_SIDE = 256
"""Images are compared at no more pixels per side than this unless asked for."""


def list_images(path: str, *, groups: str = "", labels: str = "", option: str = "--real") -> list[ManifestRow]:
    """List the images below a folder, or of a manifest; ``manifest.csv:test`` are those of one split.

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
    """Give the rows the patient and the label that two regular expressions find in their row_id, where given.

    Raises:
        InputError: no regular expression, or a name without a match.
    """
    if groups:
        pattern = _compiled(groups, "--groups")
        rows = [replace(row, patient_id=_matched(pattern, row.row_id, "--groups"), lesion_id=None) for row in rows]
    if labels:
        pattern = _compiled(labels, "--labels")
        rows = [replace(row, label=_matched(pattern, row.row_id, "--labels")) for row in rows]
    return list(rows)


def common_side(rows: Sequence[ManifestRow], largest: int = LARGEST_SIDE) -> int:
    """Find the shortest side of all images: at this size none is enlarged, and none has detail that another lacks."""
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


def _of_manifest(path: Path, split: str, option: str) -> list[ManifestRow]:
    if split and split not in SPLITS:
        raise InputError(f"{option} {path}:{split}: a split is one of {', '.join(SPLITS)}")
    rows = read_manifest(path, root=root_of_manifest(path))
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


def _matched(pattern: re.Pattern[str], name: str, option: str) -> str:
    match = pattern.search(name)
    if match is None:
        raise InputError(f"{option} {pattern.pattern!r} is not found in the name {name!r}: write one that all have")
    return match.group(1 if pattern.groups else 0)


@dataclass(frozen=True)
class VolumeCase:
    """One volume, read when its turn comes."""

    row: ManifestRow
    files: tuple[Path, ...]
    """All that it is made of: the slices of a DICOM series."""
    read: Callable[[], Volume]


def holds_volumes(path: str, *, option: str = "--real") -> bool:
    """Tell whether a folder has no pictures, or a manifest names volumes instead of slices of them.

    Raises:
        InputError: as `list_images`, of a manifest; or the folder is that of a run.
    """
    place = Path(path).expanduser()
    if RunFolder(place).recipe.is_file():
        manifest = "synthetic_manifest.csv" if option == "--synthetic" else "manifest.csv:test"
        raise InputError(f"{option} {path} is a run folder, with images of all kinds: name its {manifest} instead")
    if place.is_dir():
        return not any(is_picture(file) for file in files_below(place)) and bool(files_below(place))
    return any(_is_volume(row) for row in list_images(path, option=option))


def list_volumes(path: str, *, groups: str = "", labels: str = "", option: str = "--real") -> list[VolumeCase]:
    """List the volumes below a folder, or of a manifest; arguments as of `list_images`.

    Raises:
        InputError: nothing there, pictures among the volumes, rows of several sequences.
    """
    place = Path(path).expanduser()
    if not place.is_dir():
        rows = list_images(path, groups=groups, labels=labels, option=option)
        return [_of_row(row, option, path) for row in rows]
    volumes = [one for one in join_channels(find(place)) if one.kind in ("volume", "series", "channels")]
    if several := [one.name for one in volumes if one.kind == "channels"]:
        raise InputError(
            f"{option} {path}: {several[0]!r} has several sequences (_0000, _0001 ...); volumes are compared one by one"
        )
    if not volumes:
        raise InputError(f"{option} {path}: there is no volume in it: NIfTI, NRRD, MetaImage, or a DICOM series")
    rows = [
        blank_row(name, one.path.relative_to(place).as_posix(), place)
        for name, one in zip(names_of(volumes), volumes, strict=True)
    ]
    return [
        VolumeCase(row, one.files, one.read) for row, one in zip(renamed(rows, groups, labels), volumes, strict=True)
    ]


def _of_row(row: ManifestRow, option: str, path: str) -> VolumeCase:
    if len(row.image_files) > 1:
        raise InputError(
            f"{option} {path}: row {row.row_id!r} names several sequences; volumes are compared one by one"
        )
    if not _is_volume(row):
        raise InputError(f"{option} {path}: row {row.row_id!r} is a picture or a slice, other rows are volumes")
    return VolumeCase(row, tuple(files_of(row.image_file)), lambda: load_volume(row.image_file))


def _is_volume(row: ManifestRow) -> bool:
    return row.slice_index is None and (row.image_file.is_dir() or reader_of(row.image_file) is not None)
