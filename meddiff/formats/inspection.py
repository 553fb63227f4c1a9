"""What lies at a path: every DICOM series and volume file, read to the last voxel, with what is odd about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meddiff.errors import InputError
from meddiff.formats.dicom.series import Series, find_series
from meddiff.formats.dicom.volume import read_series
from meddiff.formats.open import files_below, is_volume, load_volume, reader_of
from meddiff.formats.pictures import check_file
from meddiff.formats.volume import Volume


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
