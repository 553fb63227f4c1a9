"""ManifestRow: one image and all that is known of it; and how the cells of a CSV line become one.

What is wrong with a cell is noted with its line and its cure.
"""

import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from meddiff.errors import Problems

SERIES = "#series"
"""A path that ends so means the whole DICOM series of that file, of all in its folder."""
_OF_CLASS = re.compile(r"([^;]*[^;\s])\s*=\s*([^;=./\\]+)")
_NAME = re.compile(r"[A-Za-z_]\w*")
_PLAIN = re.compile(r"[^/\\:{}]+(/[^/\\:{}]+)*")
_SEVERAL = re.compile(r"([^{}]*)\{([^{},]+(?:,[^{},]+)+)\}([^{}]*)")


@dataclass(frozen=True)
class MaskPart:
    """One of the files of a mask."""

    path: Path
    name: str = ""
    """The class that it holds and no other; empty for a file of all classes."""


@dataclass(frozen=True)
class ManifestRow:
    """One line of data_manifest.csv. Unknown is None (an empty cell), never 1.0 and never 999."""

    row_id: str
    dataset: str
    patient_id: str | None
    lesion_id: str | None
    split: str | None  # train, val, test
    image_path: str  # relative to root, with / between folders
    mask_path: str | None  # or a file per class, as disc.png=disc;cup.png=cup
    slice_axis: int | None  # 0, 1, 2: the array axis of a volume that slice_index counts along
    slice_index: int | None
    modality: str | None  # dermoscopy, MR, CT ...
    label: str | None
    spacing_mm_0: float | None  # in the order of the array axes; empty for photographs
    spacing_mm_1: float | None
    spacing_mm_2: float | None
    age_years: float | None
    sex: str | None
    site: str | None
    source: str  # real, synthetic, phantom
    seed: int | None
    generator: str | None  # what drew a synthetic image: checkpoint hash, sampler, steps, guidance
    license: str | None
    sha256: str | None  # of the image file, lower case
    root: Path = Path()  # not a column: the folder that the paths are relative to
    attributes: str | None = None  # what else describes it: scanner=Aera;field_tesla=1.5

    @property
    def image_file(self) -> Path:
        """Path of the image; ``#series`` at its end is part of the name, see `volumes.load_volume`."""
        return self.root / self.image_path

    @property
    def image_name(self) -> str:
        """The same as a text, which takes a tenth of the time: a million rows are compared by it."""
        plain = self.root.parts and is_plain(self.image_path)
        return f"{self.root}/{self.image_path}" if plain and os.sep == "/" else str(self.image_file)

    @property
    def image_files(self) -> tuple[Path, ...]:
        """Paths of the sequences: ``case_{t1,flair}.nii.gz`` names two files on one grid, in this order."""
        return tuple(self.root / path for path in spelled_out(self.image_path))

    @property
    def mask_file(self) -> Path | None:
        """Path of the mask, None where the row has none; of several files all that the cell says, for messages."""
        return None if self.mask_path is None else self.root / self.mask_path

    @property
    def mask_parts(self) -> tuple[MaskPart, ...]:
        """Files of the mask, each with the class that it holds where there is one for each; none without mask."""
        named = () if self.mask_path is None else masks_named(self.mask_path)
        return tuple(MaskPart(self.root / path, name) for path, name in named)

    @property
    def described(self) -> dict[str, str]:
        """Values in ``attributes``, by name."""
        return dict(pairs_in(self.attributes or ""))

    @property
    def group(self) -> str:
        """The group that a split must not cut: the patient, else the lesion, else the row itself."""
        return self.patient_id or self.lesion_id or self.row_id


def blank_row(row_id: str, image_path: str, folder: Path) -> ManifestRow:
    """Make the row of a file of which nothing is known but where it lies."""
    known = {"row_id": row_id, "dataset": folder.name, "image_path": image_path, "source": "real", "root": folder}
    return ManifestRow(**dict.fromkeys(COLUMNS) | known)  # pyright: ignore[reportArgumentType]


def is_plain(text: str) -> bool:
    """Say whether a path is as it is always written: relative, / between its folders, no part beginning with a dot."""
    return _PLAIN.fullmatch(text) is not None and not text.startswith(".") and "/." not in text


def spelled_out(text: str) -> tuple[str, ...]:
    """Return the paths that one cell names: ``{t1,flair}.nii`` names two."""
    match = _SEVERAL.fullmatch(text)
    if match is None:
        return (text,)
    before, names, after = match.groups()
    return tuple(f"{before}{name}{after}" for name in names.split(","))


def masks_named(text: str) -> tuple[tuple[str, str], ...]:
    """Return the mask files that one cell names: ``disc.png=disc;cup.png=cup`` names two with their class."""
    parts = [_OF_CLASS.fullmatch(part.strip()) for part in text.split(";") if part.strip()]
    named = tuple((part[1], part[2].strip()) for part in parts if part)
    return named if named and len(named) == len(parts) else ((text, ""),)


def in_one_cell(named: Iterable[tuple[str, str]]) -> str:
    """Write mask files with their classes as one cell."""
    return ";".join(f"{path}={name}" if name else path for path, name in named)


def pairs_in(text: str) -> list[tuple[str, str]]:
    """Return what one cell says of an image: ``scanner=Aera;field_tesla=1.5``.

    Raises:
        ValueError: a part that is no ``name=value``, or a name that stands twice.
    """
    pairs = [part.partition("=") for part in text.split(";") if part.strip()]
    names = [name.strip() for name, _, _ in pairs]
    if not all(_NAME.fullmatch(name) and value.strip() for name, (_, _, value) in zip(names, pairs, strict=True)):
        raise ValueError("each part is a name, = and a value")
    if len(set(names)) < len(names):
        raise ValueError("a name stands twice")
    return [(name, value.strip()) for name, (_, _, value) in zip(names, pairs, strict=True)]


def on_disk(path: Path) -> Path:
    """Return the file or folder that a path names, without ``#series``."""
    return path.with_name(path.name.removesuffix(SERIES)) if path.name else path  # . and / have no name


OPTIONAL_COLUMNS = ("attributes",)
"""Columns that a manifest is written with where some row fills them in."""
COLUMNS = tuple(entry.name for entry in fields(ManifestRow) if entry.name not in ("root", *OPTIONAL_COLUMNS))
REQUIRED_COLUMNS = ("row_id", "dataset", "image_path", "source")


CHOICES = {"split": ("train", "val", "test"), "source": ("real", "synthetic", "phantom")}
# column: (type, smallest, largest). 999 mm is what other programs write for "unknown".
NUMBERS: dict[str, tuple[type, float, float]] = {
    "slice_axis": (int, 0, 2),
    "slice_index": (int, 0, math.inf),
    "spacing_mm_0": (float, 1e-6, 998),
    "spacing_mm_1": (float, 1e-6, 998),
    "spacing_mm_2": (float, 1e-6, 998),
    "age_years": (float, 0, 130),
    "seed": (int, 0, 2**63 - 1),
}


def parse_row(cells: dict[str, str], line: int, root: Path, *, problems: Problems) -> ManifestRow | None:
    """Parse one CSV line as a row.

    Args:
        cells: column name to text without blanks around it; an empty text is None in the row.
        line: line number, for the messages.
        root: the folder that paths are relative to.
        problems: where mistakes are noted.

    Returns:
        The row, or None where a cell is wrong.
    """
    values: dict[str, Any] = dict.fromkeys(COLUMNS) | {name: cell or None for name, cell in cells.items()}
    before = len(problems)
    for name in REQUIRED_COLUMNS:
        if values[name] is None:
            problems.add("empty cell", f"line {line}: {name}", f"Fill in {', '.join(REQUIRED_COLUMNS)}.")
    for name, allowed in CHOICES.items():
        if values[name] is not None and values[name] not in allowed:
            problems.add(f"bad {name}", f"line {line}: {values[name]!r}", f"Write one of {', '.join(allowed)}.")
    for name in NUMBERS:
        values[name] = _number(name, values[name], line, problems=problems)
    values["image_path"] = _path_inside(root, values["image_path"], f"line {line}: image_path", problems=problems)
    if values["mask_path"] is not None:
        parts = masks_named(values["mask_path"])
        inside = [_path_inside(root, path, f"line {line}: mask_path", problems=problems) for path, _ in parts]
        values["mask_path"] = in_one_cell((str(path), name) for path, (_, name) in zip(inside, parts, strict=True))
    _check_attributes(values.get("attributes"), line, problems=problems)
    digest = (values["sha256"] or "").lower()
    if digest and (len(digest) != 64 or not set(digest) <= set("0123456789abcdef")):
        problems.add("bad sha256", f"line {line}: {digest!r}", "Write the 64 hexadecimal digits, or leave it empty.")
    values["sha256"] = digest or None
    return ManifestRow(**values, root=root) if len(problems) == before else None


def _check_attributes(text: str | None, line: int, *, problems: Problems) -> None:
    try:
        names = [name for name, _ in pairs_in(text or "")]
    except ValueError as error:
        cure = f"Write such as scanner=Aera;field_tesla=1.5: {error}."
        problems.add("bad attributes", f"line {line}: {text!r}", cure)
        return
    if own := [name for name in names if name in COLUMNS]:
        problems.add("bad attributes", f"line {line}: {own[0]!r} is a column", f"Write it into the column {own[0]}.")


def _number(name: str, text: str | None, line: int, *, problems: Problems) -> float | int | None:
    if text is None:
        return None
    kind, smallest, largest = NUMBERS[name]
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if smallest <= value <= largest:
        return value
    what = "a whole number" if kind is int else "a number"
    limits = f"from {smallest:g} up" if largest > 1e9 else f"from {smallest:g} to {largest:g}"
    problems.add(f"bad {name}", f"line {line}: {text!r}", f"Write {what} {limits}, or leave the cell empty if unknown.")
    return None


def _path_inside(root: Path, text: str | None, what: str, *, problems: Problems) -> str | None:
    """Find the path relative to the root, by its letters alone: a symbolic link below the root is the user's will."""
    if text is None or is_plain(text):
        return text
    top = Path(os.path.normpath(root.absolute()))
    several = [PureWindowsPath(path) for path in spelled_out(text)]  # knows both \\ and / and drive letters
    if any(".." in windows.parts for windows in several):
        cure = f"Write paths below {root} without '..', or name a higher folder with --data-root."
        problems.add("path climbs out of the root", f"{what} {text!r}", cure)
    elif Path(text).is_absolute() and Path(text).is_relative_to(top):
        return Path(text).relative_to(top).as_posix()
    elif any(windows.drive or windows.root for windows in several):
        cure = f"Write paths relative to {root}, or name the folder that holds them with --data-root."
        problems.add("absolute path outside the root", f"{what} {text!r}", cure)
    return PurePosixPath(text).as_posix()
