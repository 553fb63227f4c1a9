"""What there is to segment at a path: pictures, volumes and DICOM series, each read only when its turn comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from meddiff.errors import InputError
from meddiff.formats.dicom.series import Series, choose, find_series
from meddiff.formats.dicom.volume import read_series
from meddiff.formats.open import files_below, is_volume, load_volume, reader_of
from meddiff.formats.pictures import PICTURE_SUFFIXES, check_file, is_picture
from meddiff.formats.volume import Volume


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
