"""data_manifest.csv: the only door for data. One line is one image, real, synthetic or phantom.

A manifest is checked whole when it is read: every mistake comes with file, line number and cure, so that nothing
downstream has to ask whether ids are unique, files exist or a patient sits in two splits. A run never changes the
user's file. Blanks around cells are dropped ('p1 ' and 'p1' are one patient); an empty cell is None.
"""

import csv
import os
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

from meddiff.errors import InputError, Problems
from meddiff.files.bad import exists
from meddiff.files.cells import bare, shielded
from meddiff.files.writing import write_text
from meddiff.manifest.consistency import check_rows
from meddiff.manifest.row import (
    COLUMNS,
    OPTIONAL_COLUMNS,
    REQUIRED_COLUMNS,
    ManifestRow,
    in_one_cell,
    on_disk,
    parse_row,
)

Manifest = list[ManifestRow]
_MOST_COLUMNS = 200  # each unknown one is compared with all known names


def read_manifest(
    path: str | Path, *, root: str | Path | None = None, check_files: bool = True, check_together: bool = True
) -> Manifest:
    """Read the rows of a manifest, checked.

    Args:
        path: a CSV file in UTF-8, with or without a byte order mark, with Unix or Windows line ends.
        root: the folder that its paths are relative to; None is the folder of the CSV.
        check_files: whether every image and mask must exist.
        check_together: whether the rows must keep to check_rows; an audit names what does not.

    Raises:
        InputError: with file, line number and cure, for all that check_rows refuses, unknown or missing columns,
            bad numbers, paths that leave the root and files that do not exist.
    """
    path = Path(path)
    root = path.parent if root is None else Path(root)
    header, records = _read_cells(path)
    _check_header(header, path)
    _check_widths(header, records, path)
    problems = Problems(path)
    parsed = {
        line: parse_row(dict(zip(header, cells, strict=True)), line, root, problems=problems) for line, cells in records
    }
    problems.raise_if_any()
    if not parsed:
        raise InputError(f"{path}: the manifest has no rows. Write one line per image below the header.")
    rows = [row for row in parsed.values() if row is not None]
    if check_together:
        check_rows(rows, path, lines=list(parsed))
    if check_files:
        _check_files(rows, list(parsed), path)
    return rows


def write_manifest(rows: Sequence[ManifestRow], path: str | Path, *, root: str | Path | None = None) -> None:
    """Write rows as CSV, under a temporary name first, then renamed.

    Paths are written relative to ``root``; None is the rows' own root, which must then be one and the same.
    Read it back with ``read_manifest(path, root=root)``: the root is needed there unless it is the CSV's folder.

    Raises:
        InputError: a file that lies outside the root, rows with several roots, all that check_rows refuses, a disk
            that is full or may not be written to.
    """
    path = Path(path)
    check_rows(rows, path)
    if root is None and len({row.root for row in rows}) > 1:
        names = ", ".join(sorted({str(row.root) for row in rows})[:3])
        raise InputError(f"{path}: the rows have several roots ({names}). Name the folder that holds them all as root.")
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [*COLUMNS, *(name for name in OPTIONAL_COLUMNS if any(getattr(row, name) for row in rows))]
    writer.writerow(columns)
    for row in rows:
        moved = _rebased(row, row.root if root is None else Path(root), path)
        values = ("" if (value := getattr(moved, name)) is None else value for name in columns)
        writer.writerow([shielded(value) if isinstance(value, str) else value for value in values])
    write_text(path, text.getvalue())


def _read_cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read the header and (line number, cells) of every record that is not blank."""
    excel = "Save the table as 'CSV UTF-8'."
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            records = [(reader.line_num, [bare(cell.strip()) for cell in cells]) for cells in reader]
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file. Name an existing data_manifest.csv.") from None
    except OSError as error:
        raise InputError(f"{path}: the file cannot be read ({error.strerror}). Name a readable CSV file.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8 text. {excel}") from None
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: not a CSV file ({error}). {excel}") from None
    records = [(line, cells) for line, cells in records if any(cells)]
    if not records:
        raise InputError(f"{path}: the file is empty. Its first line must name the columns: {', '.join(COLUMNS)}.")
    if any("\0" in cell for cell in records[0][1]):
        raise InputError(f"{path}: line 1: not UTF-8 text. {excel}")
    return records[0][1], records[1:]


def _check_header(header: Sequence[str], path: Path) -> None:
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise InputError(f"{path}: line 1: the cells are not separated by commas. Save the table as 'CSV UTF-8'.")
    if len(header) > _MOST_COLUMNS:
        raise InputError(f"{path}: line 1 names {len(header)} columns. The known columns are {', '.join(COLUMNS)}.")
    problems, known = Problems(path), (*COLUMNS, *OPTIONAL_COLUMNS)
    for name in header:
        if name not in known:
            near = get_close_matches(name.lower(), known, n=1, cutoff=0.5)
            meant = f", did you mean {near[0]!r}?" if near else ""
            cure = f"Rename or remove it. The known columns are {', '.join(known)}."
            problems.add("unknown column", f"line 1: {name!r}{meant}", cure)
    for name in dict.fromkeys(name for name in header if header.count(name) > 1):
        problems.add("column named twice", f"line 1: {name!r}", "Keep one of them.")
    for name in REQUIRED_COLUMNS:
        if name not in header:
            cure = f"Add it: {', '.join(REQUIRED_COLUMNS)} must be there, other columns may be left out."
            problems.add("missing column", f"line 1: {name!r}", cure)
    problems.raise_if_any()


def _check_widths(header: Sequence[str], records: Sequence[tuple[int, list[str]]], path: Path) -> None:
    problems = Problems(path)
    for line, cells in records:
        if len(cells) != len(header):
            cure = "Write one cell per column; put text that holds a comma in double quotes."
            problems.add("wrong number of cells", f"line {line} has {len(cells)}, the header {len(header)}", cure)
    problems.raise_if_any()


def _check_files(rows: Sequence[ManifestRow], lines: Sequence[int], path: Path) -> None:
    problems = Problems(path)
    for row, line in zip(rows, lines, strict=True):
        files = [(row.image_path, file) for file in row.image_files]
        files += [(row.mask_path, part.path) for part in row.mask_parts]
        for name, file in files:
            if not exists(on_disk(file)):
                slash = " (write / between folders, not \\)" if "\\" in str(name) else ""
                slash += " (of several masks say which class each is: a.png=disc;b.png=cup)" if ";" in file.name else ""
                cure = "Correct the path, or name the folder that paths are relative to with --data-root."
                problems.add("file does not exist", f"line {line}: {file}{slash}", cure)
    problems.raise_if_any()


def _rebased(row: ManifestRow, root: Path, where: Path) -> ManifestRow:
    """Return the row with its paths relative to another root."""

    def moved(file: Path) -> str:
        if not lexical(file).is_relative_to(top):
            cure = "Name a root folder that holds all files of the rows."
            raise InputError(f"{where}: {file} of row {row.row_id!r} lies outside {root}. {cure}")
        return lexical(file).relative_to(top).as_posix()

    top = lexical(root)
    masks = in_one_cell((moved(part.path), part.name) for part in row.mask_parts)
    return replace(row, root=root, image_path=moved(row.image_file), mask_path=masks or None)


def lexical(path: Path) -> Path:
    """Return the absolute path without '..'; symbolic links stay, because a link below the root is the user's will."""
    return Path(os.path.normpath(path.absolute()))
