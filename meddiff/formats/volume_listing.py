"""Which volumes are meant by a folder (NIfTI, NRRD, MetaImage, DICOM series) or a manifest, each as a manifest row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from meddiff.errors import InputError
from meddiff.formats.find import blank_row, list_images, renamed
from meddiff.formats.inputs import find_inputs
from meddiff.formats.open import files_below, load_volume, reader_of
from meddiff.formats.pictures import is_picture
from meddiff.formats.volume import Volume
from meddiff.manifest.manifest_row import ManifestRow


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
    return VolumeCase(row, tuple(_files(row.image_file)), lambda: load_volume(row.image_file))


def _files(place: Path) -> Sequence[Path]:
    return files_below(place) if place.is_dir() else [place]


def _is_volume(row: ManifestRow) -> bool:
    return row.slice_index is None and (row.image_file.is_dir() or reader_of(row.image_file) is not None)
