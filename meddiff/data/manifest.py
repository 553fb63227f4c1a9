"""data_manifest.csv: the only door for data. One line is one image, real, synthetic or phantom.

A manifest is checked whole when it is read: every mistake comes with file, line number and cure, so that nothing
downstream has to ask whether ids are unique, files exist or a patient sits in two splits. A run never changes the
user's file. Cells are stripped of blanks around them; an empty cell is None.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from io import StringIO
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from meddiff.data.problems import Problems
from meddiff.data.writing import write_atomically
from meddiff.errors import InputError

SPLITS = ("train", "val", "test")
SOURCES = ("real", "synthetic", "phantom")


@dataclass(frozen=True)
class ManifestRow:
    """One image and all that is known of it. Unknown is None (an empty cell), never 1.0 and never 999."""

    row_id: str
    dataset: str
    patient_id: str | None
    lesion_id: str | None
    split: str | None  # train, val, test
    image_path: str  # relative to root, with / between folders
    mask_path: str | None
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
    sha256: str | None
    root: Path = Path()  # not a column: the folder that the paths are relative to

    @property
    def image_file(self) -> Path:
        """Where the image lies."""
        return self.root / self.image_path

    @property
    def mask_file(self) -> Path | None:
        """Where the mask lies, None where the row has none."""
        return None if self.mask_path is None else self.root / self.mask_path

    @property
    def group(self) -> str:
        """What a split must not cut: the patient, else the lesion, else the row itself."""
        return self.patient_id or self.lesion_id or self.row_id


Manifest = list[ManifestRow]

COLUMNS = tuple(entry.name for entry in fields(ManifestRow) if entry.name != "root")
REQUIRED = ("row_id", "dataset", "image_path", "source")
# column: (type, smallest, largest)
NUMBERS: dict[str, tuple[type, float, float]] = {
    "slice_axis": (int, 0, 2),
    "slice_index": (int, 0, math.inf),
    "spacing_mm_0": (float, 1e-6, 998),  # 999 is what other programs write for "unknown"
    "spacing_mm_1": (float, 1e-6, 998),
    "spacing_mm_2": (float, 1e-6, 998),
    "age_years": (float, 0, 130),
    "seed": (int, 0, 2**63 - 1),
}
CHOICES = {"split": SPLITS, "source": SOURCES}


def read_manifest(path: str | Path, *, root: str | Path | None = None, check_files: bool = True) -> Manifest:
    """The rows of a manifest, checked.

    Args:
        path: a CSV file in UTF-8, with or without a byte order mark, with Unix or Windows line ends.
        root: the folder that its paths are relative to; None is the folder of the CSV.
        check_files: whether every image and mask must exist.

    Raises:
        InputError: with file, line number and cure, for all that check_rows refuses, unknown or missing columns,
            bad numbers, paths that leave the root and files that do not exist.
    """
    path = Path(path)
    root = path.parent if root is None else Path(root)
    header, records = _read_cells(path)
    _check_header(header, path)
    problems, rows, lines = Problems(path), [], []
    for line, cells in records:
        row = _parse(dict(zip(header, cells, strict=True)), line, root, problems)
        if row is not None:
            rows.append(row)
            lines.append(line)
    problems.raise_if_any()
    if not rows:
        raise InputError(f"{path}: the manifest has no rows. Write one line per image below the header.")
    check_rows(rows, path, lines=lines)
    if check_files:
        _check_files(rows, lines, path)
    return rows


def write_manifest(rows: Sequence[ManifestRow], path: str | Path, *, root: str | Path | None = None) -> None:
    """Write rows as CSV, under a temporary name first, then renamed.

    Paths are written relative to ``root``; None is the rows' own root, which must then be one and the same.
    Read it back with ``read_manifest(path, root=root)``: the root is needed there unless it is the CSV's folder.

    Raises:
        InputError: a file that lies outside the root, rows with several roots, or all that check_rows refuses.
    """
    path = Path(path)
    check_rows(rows, path)
    if root is None and len({row.root for row in rows}) > 1:
        names = ", ".join(sorted({str(row.root) for row in rows})[:3])
        raise InputError(f"{path}: the rows have several roots ({names}). Name the folder that holds them all as root.")
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        row = _rebased(row, row.root if root is None else Path(root), path)
        writer.writerow(["" if (value := getattr(row, name)) is None else value for name in COLUMNS])
    write_atomically(path, lambda file: file.write(text.getvalue().encode()))


def check_rows(rows: Sequence[ManifestRow], where: object, *, lines: Sequence[int] | None = None) -> None:
    """Refuse rows that contradict each other.

    Row ids must be unique; no patient, lesion or image file may be in two splits; synthetic images may be in train
    only; a slice needs both axis and index.

    Args:
        rows: what to check.
        where: the file or stage that the message names.
        lines: the line number of each row, where they come from a file.

    Raises:
        InputError: all of it at once, with ids, line numbers and cures.
    """
    problems = Problems(where)
    at = [f"row {index}" for index in range(len(rows))] if lines is None else [f"line {line}" for line in lines]
    first: dict[str, str] = {}
    for row, place in zip(rows, at, strict=True):
        if row.row_id in first:
            problems.add("duplicate row_id", f"{place}: {row.row_id!r} is already on {first[row.row_id]}",
                         "Give every row an id of its own.")  # fmt: skip
        first.setdefault(row.row_id, place)
        if row.source == "synthetic" and row.split not in (None, "train"):
            problems.add("synthetic image outside train", f"{place}: {row.row_id!r} is in {row.split}",
                         "Synthetic images may train a model, never judge it: set split to train.")  # fmt: skip
        if (row.slice_axis is None) != (row.slice_index is None):
            problems.add("half a slice", f"{place}: {row.row_id!r} has one of slice_axis and slice_index",
                         "Give both for a slice of a volume, neither for a plain image.")  # fmt: skip
    for column in ("patient_id", "lesion_id", "image_path"):
        _check_leaks(rows, at, column, problems)
    problems.raise_if_any()


def _check_leaks(rows: Sequence[ManifestRow], at: Sequence[str], column: str, problems: Problems) -> None:
    seen: dict[str, dict[str, str]] = {}
    for row, place in zip(rows, at, strict=True):
        name = str(row.image_file) if column == "image_path" else getattr(row, column)
        if name is not None and row.split is not None:
            seen.setdefault(name, {}).setdefault(row.split, place)
    for name, places in seen.items():
        if len(places) > 1:
            where = ", ".join(f"{split} ({place})" for split, place in places.items())
            problems.add(f"{column} in more than one split", f"{name!r} is in {where}",
                         "What a model has trained on cannot judge it: keep all its rows in one split, or empty the "
                         "split column to have it drawn. If these are different ones, give them different ids."
                         )  # fmt: skip


def _read_cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header and (line number, cells) of every record that is not empty."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            records = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file. Name an existing data_manifest.csv.") from None
    except OSError as error:
        raise InputError(f"{path}: the file cannot be read ({error.strerror}). Name a readable CSV file.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8. Save the table as 'CSV UTF-8'.") from None
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV file ({error}). Save the table as 'CSV UTF-8'.") from None
    records = [(line, cells) for line, cells in records if any(cells)]
    if not records:
        raise InputError(f"{path}: the file is empty. Its first line must name the columns: {', '.join(COLUMNS)}.")
    width = len(records[0][1])
    problems = Problems(path)
    for line, cells in records:
        if len(cells) != width:
            problems.add("wrong number of cells", f"line {line} has {len(cells)} cells, the header has {width}",
                         "Write one cell per column; put text that holds a comma in double quotes.")  # fmt: skip
    problems.raise_if_any()
    return records[0][1], records[1:]


def _check_header(header: Sequence[str], path: Path) -> None:
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise InputError(f"{path}: line 1: the cells are not separated by commas. Save the table as 'CSV UTF-8'.")
    problems = Problems(path)
    for name in header:
        if name not in COLUMNS:
            near = get_close_matches(name, COLUMNS, n=1, cutoff=0.4)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            problems.add("unknown column", f"line 1: {name!r}{meant}",
                         f"Rename or remove it. The known columns are {', '.join(COLUMNS)}.")  # fmt: skip
        elif header.count(name) > 1:
            problems.add("column named twice", f"line 1: {name!r}", "Keep one of them.")
    for name in REQUIRED:
        if name not in header:
            problems.add("missing column", f"line 1: {name!r}",
                         f"Add it: {', '.join(REQUIRED)} must be there, other columns may be left out.")  # fmt: skip
    problems.raise_if_any()


def _parse(cells: dict[str, str], line: int, root: Path, problems: Problems) -> ManifestRow | None:
    """One record as a row; None where a cell is wrong, which is then noted."""
    values: dict[str, Any] = dict.fromkeys(COLUMNS) | {name: cell or None for name, cell in cells.items()}
    before = sum(map(len, problems.found.values()))
    for name in REQUIRED:
        if values[name] is None:
            problems.add("empty cell", f"line {line}: {name} is empty", f"Fill in {', '.join(REQUIRED)}.")
    for name, allowed in CHOICES.items():
        if values[name] is not None and values[name] not in allowed:
            problems.add(f"bad {name}", f"line {line}: {values[name]!r}", f"Write one of {', '.join(allowed)}.")
    for name in NUMBERS:
        values[name] = _number(name, values[name], line, problems)
    for name in ("image_path", "mask_path"):
        values[name] = _inside(name, values[name], line, root, problems)
    digest = values["sha256"]
    if digest is not None and (len(digest) != 64 or not set(digest.lower()) <= set("0123456789abcdef")):
        problems.add("bad sha256", f"line {line}: {digest!r}", "Write the 64 hexadecimal digits, or leave it empty.")
    values["sha256"] = digest and digest.lower()
    return None if sum(map(len, problems.found.values())) > before else ManifestRow(**values, root=root)


def _number(name: str, text: str | None, line: int, problems: Problems) -> float | int | None:
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


def _inside(name: str, text: str | None, line: int, root: Path, problems: Problems) -> str | None:
    """The path relative to the root. Judged by its letters alone: a symbolic link below the root is the user's will."""
    if text is None:
        return None
    windows = PureWindowsPath(text)
    if ".." in windows.parts:
        problems.add("path climbs out of the root", f"line {line}: {name} {text!r}",
                     f"Write paths below {root} without '..', or name a higher folder with --data-root.")  # fmt: skip
    elif Path(text).is_absolute() and Path(text).is_relative_to(root.absolute()):
        return Path(text).relative_to(root.absolute()).as_posix()
    elif windows.is_absolute() or windows.drive or windows.root:
        problems.add("absolute path outside the root", f"line {line}: {name} {text!r}",
                     f"Write paths relative to {root}, or name the folder that holds them with --data-root."
                     )  # fmt: skip
    return PurePosixPath(text).as_posix()


def _check_files(rows: Sequence[ManifestRow], lines: Sequence[int], path: Path) -> None:
    problems = Problems(path)
    for row, line in zip(rows, lines, strict=True):
        for file in (row.image_file, row.mask_file):
            # a DICOM series is a folder
            if file is not None and not file.exists():
                slash = " (write / between folders, not \\)" if "\\" in str(file.relative_to(row.root)) else ""
                problems.add("file does not exist", f"line {line}: {file}{slash}",
                             "Correct the path, or name the folder that paths are relative to with --data-root."
                             )  # fmt: skip
    problems.raise_if_any()


def _rebased(row: ManifestRow, root: Path, where: Path) -> ManifestRow:
    """The row with its paths relative to another root."""
    root = root.absolute()

    def moved(file: Path | None) -> str | None:
        if file is None:
            return None
        if ".." in file.parts or not file.absolute().is_relative_to(root):
            raise InputError(f"{where}: {file} of row {row.row_id!r} lies outside {root}. "
                             "Name a root folder that holds all files of the rows.")  # fmt: skip
        return file.absolute().relative_to(root).as_posix()

    return replace(row, image_path=moved(row.image_file), mask_path=moved(row.mask_file), root=root)
