"""What lies at a path: pictures, volumes and DICOM series, below a folder or in a manifest, each read in its turn."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from meddiff.errors import InputError
from meddiff.files.bad import check_file
from meddiff.formats import read_picture
from meddiff.formats.dicom.series import Series, choose, find_series
from meddiff.formats.dicom.volume import read_series
from meddiff.formats.open import files_below, is_volume, load_volume, reader_of
from meddiff.formats.pictures import PICTURE_SUFFIXES, header_size, is_picture
from meddiff.formats.volume import Volume
from meddiff.manifest.row import COLUMNS, ManifestRow
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


@dataclass(frozen=True)
class Input:
    """One picture, volume or series."""

    name: str
    """What its outputs are called: the path below what was asked for, without suffix."""
    path: Path
    """The picture or volume file, or the first file of the series."""
    volume: Callable[[], Volume] | None
    """Reads it; None for a picture, which is read from its path."""
    series: Series | None = None
    """Of DICOM, the files that it comes from."""


def find_inputs(path: str | Path, *, series: str | int | None = None) -> list[Input]:
    """What lies at a path, in the order of names.

    Args:
        path: one file, or a folder with all below it.
        series: of several DICOM series, the UID, number or description of the one that is meant; None takes all.

    Raises:
        InputError: there is nothing, nothing that can be segmented, no such series, or two of one name.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        check_file(path)
    files, top = (files_below(path), path) if path.is_dir() else ([path], path.parent)
    found = [_file(file, top) for file in files if is_picture(file) or is_volume(file)]
    dicom = find_series(file for file in files if not is_picture(file) and reader_of(file) is None).series
    if series is not None:
        dicom = (choose(dicom, series, path),)
    for number, one in enumerate(dicom, start=1):
        name = f"series_{one.number if one.number is not None else number}"
        found.append(Input(name, one.files[0], lambda one=one: read_series(one), one))
    if not found:
        raise InputError(
            f"{path}: there is nothing to segment in it. Name a picture ({', '.join(PICTURE_SUFFIXES)}), a volume "
            "(NIfTI, NRRD, MetaImage), a DICOM series, or a folder of them."
        )
    return _told_apart(sorted(found, key=lambda one: one.name), path)


def _file(file: Path, top: Path) -> Input:
    below = file.relative_to(top)
    name = below.with_name(below.name.split(".")[0] if is_volume(file) else below.stem).as_posix()
    return Input(name, file, None if is_picture(file) else lambda: load_volume(file))


def _told_apart(found: list[Input], path: Path) -> list[Input]:
    """The inputs; those of one name (a.png and a.jpg, two series numbered 1) are numbered in their order."""
    seen: dict[str, int] = {}
    named = []
    for one in found:
        seen[one.name] = seen.get(one.name, 0) + 1
        named.append(one if seen[one.name] == 1 else replace(one, name=f"{one.name}_{seen[one.name]}"))
    if len({one.name for one in named}) < len(named):
        raise InputError(f"{path}: two files would be given one name in the output. Segment them in two runs.")
    return named


@dataclass(frozen=True)
class Entry:
    """One series or file."""

    name: str
    """Relative to what was inspected; of a series the folder, number and description."""
    kind: str
    """DICOM, or the suffix."""
    files: int
    volume: Volume | None
    """None where it cannot be read."""
    problems: tuple[str, ...]
    """Why it cannot be read, or what is odd about it."""


def look(path: Path) -> tuple[Iterator[Entry], int, list[Path]]:
    """Entries one by one, how many there will be, and the files that are none of them.

    A volume is let go when the next entry is asked for, so memory does not grow with their number.

    Raises:
        InputError: there is nothing at this path.
    """
    if path.is_dir():
        files = files_below(path)
    else:
        check_file(path)
        files = [path]
    top = path if path.is_dir() else path.parent
    volumes = [file for file in files if is_volume(file)]
    found = find_series(file for file in files if reader_of(file) is None)
    entries = (entry for part in (_series(found.series, top), _files(volumes, top)) for entry in part)
    return entries, len(found.series) + len(volumes), list(found.others)


def _series(series: tuple[Series, ...], top: Path) -> Iterator[Entry]:
    for one in series:
        file = one.files[0]
        place = (file if len(one.files) == 1 else file.parent).relative_to(top).as_posix()
        name = f"{place}: {one.name}" if place != "." else one.name
        try:
            volume = read_series(one)
        except InputError as error:
            yield Entry(name, "DICOM", len(one.files), None, (str(error),))
        else:
            yield Entry(name, "DICOM", len(one.files), volume, volume.notes + _odd_values(volume))


def _files(files: list[Path], top: Path) -> Iterator[Entry]:
    for file in files:
        name = file.relative_to(top).as_posix()
        kind = "".join(file.suffixes[-2:] if file.suffix == ".gz" else [file.suffix])
        try:
            volume = load_volume(file)
        except InputError as error:
            yield Entry(name, kind, 1, None, (str(error),))
        else:
            yield Entry(name, kind, 1, volume, volume.notes + _odd_values(volume))


def _odd_values(volume: Volume) -> tuple[str, ...]:
    array = volume.array
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return (f"{np.count_nonzero(~np.isfinite(array))} values are not finite numbers",)
    return ("all values are the same",) if array.min() == array.max() else ()


@dataclass(frozen=True)
class VolumeCase:
    """One volume, read when its turn comes."""

    row: ManifestRow
    files: tuple[Path, ...]
    """All that it is made of: the slices of a DICOM series."""
    read: Callable[[], Volume]


def holds_volumes(path: str, *, option: str = "--real") -> bool:
    """Whether a folder has no pictures, or a manifest names volumes instead of slices of them.

    Raises:
        InputError: as `list_images`, of a manifest.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        return not any(is_picture(file) for file in files_below(place)) and bool(files_below(place))
    return any(_is_volume(row) for row in list_images(path, option=option))


def list_volumes(path: str, *, groups: str = "", labels: str = "", option: str = "--real") -> list[VolumeCase]:
    """The volumes below a folder, or of a manifest; arguments as of `list_images`.

    Raises:
        InputError: nothing there, pictures among the volumes, rows of several sequences.
    """
    place = Path(path).expanduser()
    if not place.is_dir():
        rows = list_images(path, groups=groups, labels=labels, option=option)
        return [_of_row(row, option, path) for row in rows]
    found = find_inputs(place)
    rows = [blank_row(one.name, one.path.relative_to(place).as_posix(), place) for one in found]
    return [
        VolumeCase(row, one.series.files if one.series else (one.path,), one.volume)
        for row, one in zip(renamed(rows, groups, labels), found, strict=True)
        if one.volume is not None
    ]


def _of_row(row: ManifestRow, option: str, path: str) -> VolumeCase:
    if len(row.image_files) > 1:
        raise InputError(
            f"{option} {path}: row {row.row_id!r} names several sequences; volumes are compared one by one"
        )
    if not _is_volume(row):
        raise InputError(f"{option} {path}: row {row.row_id!r} is a picture or a slice, other rows are volumes")
    return VolumeCase(row, tuple(_files_at(row.image_file)), lambda: load_volume(row.image_file))


def _files_at(place: Path) -> Sequence[Path]:
    return files_below(place) if place.is_dir() else [place]


def _is_volume(row: ManifestRow) -> bool:
    return row.slice_index is None and (row.image_file.is_dir() or reader_of(row.image_file) is not None)


# what macOS puts into archives beside every real file
_RUBBISH = ("__MACOSX",)


@dataclass(frozen=True)
class Folder:
    """One folder and the names of its files, hidden ones left out."""

    path: str  # relative to the root, with / between folders; "" is the root itself
    names: tuple[str, ...]

    def join(self, name: str) -> str:
        """The path of one of its files, relative to the root."""
        return f"{self.path}/{name}" if self.path else name


def list_folders(root: Path) -> list[Folder]:
    """Every folder below ``root``, the root first, sorted. Symbolic links are followed, each folder once.

    Raises:
        InputError: there is no such folder, it is a file, or a part of it may not be read.
    """
    if not root.exists():
        raise InputError(f"{root}: there is no such folder. Name the folder that holds the images with --data-root.")
    if not root.is_dir():
        unpack = " Unpack it first and name the folder." if root.suffix.lower() in (".zip", ".rar", ".gz") else ""
        raise InputError(f"{root} is a file; --data-root takes the folder that holds the images.{unpack}")
    return sorted(_walk(root), key=lambda folder: folder.path)


def _walk(root: Path) -> Iterator[Folder]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}. Name a folder that you may read.")

    seen: set[str] = set()
    for folder, children, names in os.walk(root, followlinks=True, onerror=refuse):
        children[:] = sorted(name for name in children if not name.startswith(".") and name not in _RUBBISH)
        real = os.path.realpath(folder)
        if real in seen:  # a link back to where we came from
            children.clear()
            continue
        seen.add(real)
        path = Path(folder).relative_to(root).as_posix()
        yield Folder("" if path == "." else path, tuple(sorted(name for name in names if not name.startswith("."))))
