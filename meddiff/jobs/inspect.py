"""Entries of `inspect`: each series and volume is read in its turn, with what is odd about it; pictures are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from meddiff.errors import InputError
from meddiff.formats.find import Found
from meddiff.formats.pictures import DAMAGE, DEEP_MODES, header
from meddiff.formats.volume import Volume
from meddiff.manifest.row import ManifestRow

MOST_CLASSES = 50
"""Pictures in more folders than that lie in those of patients, say, and not of classes."""
COLORS = {"1": "black and white", "L": "gray", "P": "with a palette", "CMYK": "CMYK"}
"""What Pillow's color modes are called; deep ones are gray of more than 8 bits, those with an A transparent."""


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


@dataclass(frozen=True)
class PictureFacts:
    """The headers of pictures, counted."""

    sizes: tuple[tuple[int, int], ...]
    """Height and width of each that can be read."""
    colors: Counter[str]
    """In words."""
    unreadable: tuple[Path, ...]

    @classmethod
    def of(cls, files: Iterable[Path]) -> PictureFacts:
        """Read the headers; pixels may be damaged behind one that is whole, which is what an audit finds."""
        sizes, colors, unreadable = [], Counter[str](), []
        for file in files:
            try:
                size, mode = header(file)
            except DAMAGE:
                unreadable.append(file)
            else:
                sizes.append(size)
                deep = "gray of more than 8 bits" if mode in DEEP_MODES else None
                colors[deep or COLORS.get(mode) or ("transparent" if "A" in mode else "in color")] += 1
        return cls(tuple(sizes), colors, tuple(unreadable))

    @property
    def size(self) -> str:
        """The height and width of all: ``450 x 600``, or from where to where they reach: ``194..1280 x 178..1061``."""
        if not self.sizes:
            return ""
        height, width = (_span(sides) for sides in zip(*self.sizes, strict=True))
        return f"{height} x {width} pixels (height x width)"


def _span(sides: tuple[int, ...]) -> str:
    low, high = min(sides), max(sides)
    return str(low) if low == high else f"{low}..{high}"


def classes_of(images: Iterable[ManifestRow]) -> Counter[str]:
    """Count images by the folder that says their class, or, where that is unknown, by the one they lie in."""
    labels, folders = Counter[str](), Counter[str]()
    for row in images:
        labels.update([row.label] if row.label else ())
        folders.update([PurePosixPath(row.image_path).parent.name])
    return labels or (folders if 1 < len(folders) <= MOST_CLASSES else Counter())


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
