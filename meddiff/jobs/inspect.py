"""Entries of `inspect`: each series and volume is read in its turn, with what is odd about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meddiff.errors import InputError
from meddiff.formats.find import Found
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


def entries_of(volumes: Sequence[Found], top: Path) -> Iterator[Entry]:
    """Read volumes and series one by one; each is let go when the next is asked for, so memory does not grow."""
    for one in sorted(volumes, key=lambda one: one.kind != "series"):
        name, kind, files = _named(one, top)
        try:
            volume = one.read()
        except InputError as error:
            yield Entry(name, kind, files, None, (str(error),))
        else:
            yield Entry(name, kind, files, volume, volume.notes + _odd_values(volume))


def _named(one: Found, top: Path) -> tuple[str, str, int]:
    """Give the name, the kind and how many files it has."""
    if one.series is None:
        suffixes = one.path.suffixes
        kind = "".join(suffixes[-2:] if one.path.suffix == ".gz" else suffixes[-1:])
        return one.path.relative_to(top).as_posix(), kind, 1
    place = (one.path if len(one.files) == 1 else one.path.parent).relative_to(top).as_posix()
    return f"{place}: {one.series.name}" if place != "." else one.series.name, "DICOM", len(one.files)


def _odd_values(volume: Volume) -> tuple[str, ...]:
    array = volume.array
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return (f"{np.count_nonzero(~np.isfinite(array))} values are not finite numbers",)
    return ("all values are the same",) if array.min() == array.max() else ()
