"""The things that lie at a path: pictures, volumes, DICOM series and all else, each read in its turn."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from meddiff.files.bad import check_file
from meddiff.files.walk import files_below
from meddiff.formats.dicom.series import Series, find_series
from meddiff.formats.dicom.stack import read_series
from meddiff.formats.open import files_of, is_volume, load_volume, reader_of, stem_of
from meddiff.formats.pictures import is_picture
from meddiff.formats.volume import Volume

Kind = Literal["picture", "volume", "channels", "series", "other"]
MOST_CHANNELS = 8
"""Longer rows of numbered volumes are no channels of one case."""
_CHANNEL = re.compile(r"(.+)_(\d{4})")


@dataclass(frozen=True, eq=False)
class Found:
    """One picture, volume or series, or the channels of a case; or a file that is none of them."""

    name: str
    """Its path below what was asked for, without suffix; of a series the folder and its number."""
    path: Path
    """The file; of a series the first one."""
    kind: Kind
    files: tuple[Path, ...]
    """All that it is read from."""
    series: Series | None = None

    @property
    def stem(self) -> str:
        """The last part of its name, which does not depend on the folder that was asked for."""
        return self.name.rpartition("/")[2]

    @property
    def names(self) -> tuple[str, str, str]:
        """Its name, and longer ones for where another is called so: with suffix or series, and what nothing shares."""
        own = _short_hash(self.series.uid) if self.series else self.path.name.removeprefix(stem_of(self.path.name))
        place = _short_hash(f"{self.name} {self.path.name}")
        return self.name, f"{self.name}-{own}" if self.series else f"{self.name}{own}", f"{self.name}-{place}"

    def of_series(self, series: Series) -> Found:
        """Make of a series what is the same but for the volume in it that is meant; nothing of all else."""
        return self if self.series is None else replace(self, name=f"{self.name}{series.part}", series=series)

    def read(self) -> Volume:
        """Read a volume or series; a picture is read from its path.

        Raises:
            InputError: it cannot be read.
        """
        return load_volume(self.path) if self.series is None else read_series(self.series)


def find(path: str | Path) -> list[Found]:
    """List what lies at a path, sorted by name: a file, or a folder with all below it.

    Names are not unique: a.png and a.jpg are both called a. The voxels that belong to a header are part of it.

    Raises:
        InputError: there is nothing, or a folder that may not be read.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        check_file(path)
    files, top = (files_below(path), path) if path.is_dir() else ([path], path.parent)
    named = [_file(file, top) for file in files if is_picture(file) or is_volume(file)]
    rest = find_series(file for file in files if not is_picture(file) and reader_of(file) is None)
    named += [_series(one, top) for one in rest.series]
    others = [Found(file.relative_to(top).as_posix(), file, "other", (file,)) for file in rest.others]
    return sorted(named, key=lambda one: (one.name, str(one.path))) + others


def names_of(images: Sequence[Found], taken: Collection[str] = ()) -> list[str]:
    """Name each, so that no two share a name, nor have one of those that are ``taken``.

    All that would share a name get a longer one, so that none depends on their order. Capitals make no difference:
    some disks know none.
    """
    used, names = {_folded(name) for name in taken}, {}
    for length in range(3):
        left = [one for one in images if one not in names]
        counts = Counter(_folded(one.names[length]) for one in left)
        for one in left:
            name = one.names[length]
            if counts[_folded(name)] == 1 and _folded(name) not in used:
                names[one] = name
        used |= {_folded(name) for name in names.values()}
    return [names.get(one) or f"{one.names[2]}-{number}" for number, one in enumerate(images)]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _short_hash(text: str) -> str:
    """Return eight digits that stand for a text which is not to be written."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def channel_cases(names: Iterable[str]) -> dict[str, list[str]]:
    """Find the cases of several channels among names, as nnU-Net numbers them: CASE_0000, CASE_0001 ..."""
    cases: dict[str, list[str]] = {}
    for name in sorted(names):
        if match := _CHANNEL.fullmatch(name):
            cases.setdefault(match[1], []).append(name)
    numbered = {case: [f"{case}_{number:04d}" for number in range(len(some))] for case, some in cases.items()}
    return {case: some for case, some in cases.items() if 1 < len(some) <= MOST_CHANNELS and some == numbered[case]}


def join_channels(images: Sequence[Found]) -> list[Found]:
    """Make one of the volumes that are channels of one case (see `channel_cases`); all others stay as they are."""
    volumes = {one.name: one for one in images if one.kind == "volume" and len(one.files) == 1}
    cases = channel_cases(volumes)
    parts = {name for some in cases.values() for name in some}
    joined = [
        Found(case, volumes[some[0]].path, "channels", tuple(volumes[name].path for name in some))
        for case, some in cases.items()
    ]
    others = [one for one in images if one.kind != "volume" or one.name not in parts]
    return sorted([*others, *joined], key=lambda one: (one.name, str(one.path)))


def _file(file: Path, top: Path) -> Found:
    name = file.relative_to(top).with_name(stem_of(file.name)).as_posix()
    if is_picture(file):
        return Found(name, file, "picture", (file,))
    return Found(name, file, "volume", tuple(files_of(file)))


def _series(series: Series, top: Path) -> Found:
    folder = Path(os.path.commonpath([file.parent for file in series.files]))
    name = "series" if series.number is None else f"series_{series.number}"
    return Found((folder.relative_to(top) / name).as_posix(), series.files[0], "series", series.files, series)
