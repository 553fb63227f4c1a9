"""The DICOM series that lie in a folder. Headers only; pixels are read when a series is."""

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from meddiff.errors import InputError
from meddiff.files.bad import bad_file, check_file
from meddiff.formats.damage import damage_named
from meddiff.formats.dicom.dataset import read_dataset

if TYPE_CHECKING:
    from pydicom import Dataset

_DIRECTORIES = ("DICOMDIR",)
NO_IMAGES = {
    "1.2.840.10008.5.1.4.1.1.66.4": " (SEG), which says what was drawn on images. Give it as a mask",
    "1.2.840.10008.5.1.4.1.1.66.7": " (SEG), which says what was drawn on images. Give it as a mask",
    "1.2.840.10008.5.1.4.1.1.4.2": ", a spectrum for each voxel",
}
"""SOP classes that have rows and columns as images do, and what more is said of them: masks, label maps, spectra.

All others that are no images (reports, plans, contours, presentation states, PDF) have no rows.
"""
COMPUTED = ("1.2.840.10008.5.1.4.1.1.481.2", "1.2.840.10008.5.1.4.1.1.30")
"""SOP classes of what is computed from images, a dose and a parametric map. They are read where they are named."""
_READ_LATER = (
    "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "SeriesNumber",
    "SeriesDescription", "Modality", "RescaleType", "RescaleIntercept", "Units", "DoseUnits",
    "PhotometricInterpretation", "SOPClassUID", "PresentationLUTShape", "LossyImageCompression", "BurnedInAnnotation",
    "AnatomicalOrientationType",
)  # fmt: skip


@dataclass(frozen=True)
class Series:
    """The files that share a SeriesInstanceUID."""

    uid: str
    number: int | None
    description: str
    modality: str
    files: tuple[Path, ...]
    headers: "tuple[Dataset, ...]"
    """Header of each file, without pixels."""
    notes: tuple[str, ...] = ()
    disputed: tuple[str, ...] = ()
    """Files that claim to be one instance (SOPInstanceUID) but differ."""
    volume: str = ""
    """The one of several volumes that is meant; see stacking.arrange. Empty takes all."""

    @property
    def is_image(self) -> bool:
        """True where it was taken, and not computed from what was taken (a dose, a map)."""
        return str(self.headers[0].get("SOPClassUID", "")) not in COMPUTED

    @property
    def part(self) -> str:
        """Addition to a file name where one volume of it is meant."""
        return f"_{re.sub(r'[^a-zA-Z0-9.=-]+', '_', self.volume)}" if self.volume else ""

    @property
    def name(self) -> str:
        """Number and description, for messages and tables."""
        return " ".join([f"series {self.number}" if self.number is not None else "series", self.description]).strip()


@dataclass(frozen=True)
class Found:
    """The series that lie in a folder, and its other files."""

    series: tuple[Series, ...]
    others: tuple[Path, ...]
    """Files that are no DICOM images."""

    @property
    def images(self) -> tuple[Series, ...]:
        """All series but those that were computed from images."""
        return tuple(one for one in self.series if one.is_image)


def is_dicom(path: Path) -> bool:
    """Tell whether a file looks like DICOM: by its preamble, or without one by its first element."""
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError:
        return False
    return start[128:132] == b"DICM" or start[:4] in (b"\x02\0\0\0", b"\x02\0\1\0", b"\x08\0\0\0", b"\x08\0\1\0",
                                                      b"\x08\0\5\0", b"\x08\0\x08\0", b"\x08\0\x16\0")  # fmt: skip


def kind_of(path: Path) -> str:
    """Read the UID of what a DICOM file is (SOP class); "" for what is no DICOM file."""
    if not path.is_file() or not is_dicom(path):
        return ""
    import pydicom

    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"])
    except Exception:  # who reads it says what is damaged
        return ""
    return str(header.get("SOPClassUID", ""))


def read_header(path: Path) -> "Dataset":
    """Read all elements of a DICOM image but its pixels.

    Raises:
        InputError: no DICOM, damaged, or DICOM without an image (a report, a plan, a directory).
    """
    check_file(path)
    with damage_named(path):
        if not is_dicom(path):
            raise bad_file(path, "this is no DICOM file (neither the mark DICM nor a first element of DICOM)")
        header = read_dataset(path, pixels=False)
        kind = header.get("SOPClassUID")
        if "Rows" not in header or "Columns" not in header or str(kind) in NO_IMAGES:
            name = kind.name if kind else "DICOM of an unknown kind"
            raise bad_file(path, f"this is no image: {name}{NO_IMAGES.get(str(kind), '')}")
        for keyword in _READ_LATER:  # an element is decoded when it is first asked for, and remembered
            header.get(keyword)
        return header


def find_series(paths: Iterable[Path]) -> Found:
    """Sort files into series. Files that are no DICOM images are listed apart.

    Copies of one instance, the same to the byte, count once.
    """
    groups: dict[str, list[tuple[Path, Dataset]]] = {}
    others = []
    for path in paths:
        if path.name in _DIRECTORIES or not is_dicom(path):
            others.append(path)
            continue
        try:
            header = read_header(path)
        except InputError:
            others.append(path)
            continue
        groups.setdefault(str(header.get("SeriesInstanceUID", "")), []).append((path, header))
    series = [_series(uid, members) for uid, members in groups.items()]
    series.sort(key=lambda one: (one.number if one.number is not None else 1 << 40, str(one.files[0])))
    return Found(tuple(series), tuple(others))


def choose(series: Sequence[Series], wanted: str | int | None, where: object) -> Series:
    """Choose the one series that is meant: by UID, number or description; None where there is only one.

    Of several volumes in it (echoes, b-values, times), what stands behind a # names one: by its number, or by what
    tells it apart, as in 7#2, 7#EchoTime=2.3 or, where there is only one series, #2. Of a study with doses and maps
    that were computed from its images, None means the images.

    Raises:
        InputError: none or several fit, with a list of what there is.
    """
    if not series:
        raise InputError(f"{where}: no DICOM image was found. Name a folder that holds DICOM files.")
    fits, volume = _fitting(series, wanted), ""
    if not fits and "#" in str(wanted):
        name, _, volume = str(wanted).partition("#")
        fits = _fitting(series, name or None)
    if len(fits) == 1:
        return replace(fits[0], volume=volume)
    listed = "\n  ".join(f"{one.number}: {one.description or '(no description)'}, {len(one.files)} files, "
                         f"{one.files[0].parent.name}/, {one.uid}" for one in series)  # fmt: skip
    got = f"there are {len(series)} series" if wanted is None else f"{len(fits)} series are called {wanted!r}"
    raise InputError(f"{where}: {got}. Name one by its UID, number or description:\n  {listed}")


def _fitting(series: Sequence[Series], wanted: str | int | None) -> list[Series]:
    if wanted is None:
        return [one for one in series if one.is_image] or list(series)
    return [one for one in series
            if str(wanted) in (one.uid, str(one.number)) or one.description.lower() == str(wanted).lower()]  # fmt: skip


def _series(uid: str, members: list[tuple[Path, "Dataset"]]) -> Series:
    files, headers, notes, disputed = [], [], [], []
    seen: dict[str, Path] = {}
    for path, header in sorted(members, key=lambda member: str(member[0])):
        instance = str(header.get("SOPInstanceUID", "")) or str(path)
        if instance in seen:
            if _content(path) != _content(seen[instance]):
                disputed.append(" and ".join(_names_of_both(path, seen[instance])))
            else:
                copy, original = _names_of_both(path, seen[instance])
                notes.append(f"{copy} is a copy of {original} and was left out")
                continue
        seen.setdefault(instance, path)
        files.append(path)
        headers.append(header)
    first = headers[0]
    number = first.get("SeriesNumber")
    return Series(
        uid=uid,
        number=int(number) if str(number or "").strip().lstrip("-").isdigit() else None,
        description=str(first.get("SeriesDescription") or "").strip(),
        modality=str(first.get("Modality") or "").strip(),
        files=tuple(files),
        headers=tuple(headers),
        notes=tuple(notes),
        disputed=tuple(disputed),
    )


def _names_of_both(first: Path, second: Path) -> tuple[str, str]:
    """Return the names of two files, below the last folder that they share: copies are often called the same."""
    shared = os.path.commonpath([first.parent, second.parent])
    return first.relative_to(shared).as_posix(), second.relative_to(shared).as_posix()


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
