"""Tables as publishers and spreadsheets write them: commas, semicolons or tabs, a byte order mark, any line end.

Column names are compared in lower case. Every record keeps its line number, so that a mistake can be named.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from meddiff.errors import InputError, Problems

# what publishers write for "not known"
_UNKNOWN = ("", "unknown", "na", "n/a", "nan", "none")


@dataclass(frozen=True)
class Table:
    """A table in memory."""

    path: Path
    columns: tuple[str, ...]  # lower case
    records: tuple[tuple[int, dict[str, str]], ...]  # line number, cell by column

    def first_of(self, *names: str) -> str | None:
        """Return the first of these columns that the table has."""
        return next((name for name in names if name in self.columns), None)

    def require(self, *names: str) -> None:
        """Refuse a table that lacks one of these columns."""
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise InputError(
                f"{self.path}: line 1: missing column {', '.join(map(repr, missing))}. It has "
                f"{', '.join(self.columns)}. Take the table as its publisher distributes it, or rename its columns."
            )


def read_header(path: Path) -> tuple[str, ...]:
    """Read the column names in lower case, read without the rest of the file; () where it is no table at all."""
    try:
        with path.open("rb") as file:
            line = file.readline(65536)
    except OSError as error:
        raise InputError(f"{path}: the file cannot be read ({error.strerror}).") from None
    text = line.decode("utf-8-sig", errors="replace").strip()
    return _names(next(csv.reader([text], delimiter=_delimiter(text)), [])) if "\0" not in text else ()


def read_table(path: Path, *, columns: Sequence[str] | None = None) -> Table:
    """Read a table with a header line, or with ``columns`` as its names where the publisher wrote no header.

    Raises:
        InputError: not UTF-8, not a table, an empty file, lines of unequal length, a column named twice.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: the file cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8. Save the table as 'CSV UTF-8'.") from None
    reader = csv.reader(StringIO(text, newline=""), delimiter=_delimiter(text.partition("\n")[0]))
    try:
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: not a table ({error}). Save it as 'CSV UTF-8'.") from None
    lines = [(line, cells) for line, cells in lines if any(cells)]
    if not lines:
        raise InputError(f"{path}: the table is empty. Download it again.")
    header = _names(lines.pop(0)[1]) if columns is None else tuple(columns)
    _check_shape(path, header, lines)
    return Table(path, header, tuple((line, dict(zip(header, cells, strict=True))) for line, cells in lines))


def known(cell: str | None) -> str | None:
    """Return the cell, or None where it says that the value is not known."""
    return None if cell is None or cell.lower() in _UNKNOWN else cell


def number(cell: str | None) -> float | None:
    """Return the cell as a number, None where it is not known; ValueError where it is neither."""
    return None if known(cell) is None else float(cell or "")


def _names(cells: Sequence[str]) -> tuple[str, ...]:
    return tuple(cell.strip().lower() for cell in cells)


def _delimiter(line: str) -> str:
    return max(",", ";", "\t", key=line.count)


def _check_shape(path: Path, header: Sequence[str], lines: Sequence[tuple[int, list[str]]]) -> None:
    problems = Problems(path)
    for name in sorted({name for name in header if name and header.count(name) > 1}):
        problems.add("column named twice", repr(name), "Keep one of them.")
    for line, cells in lines:
        if len(cells) != len(header):
            problems.add(
                "wrong number of cells",
                f"line {line} has {len(cells)}, the table has {len(header)} columns",
                "Write one cell per column; the file may have been cut off, then download it again.",
            )
    problems.raise_if_any()
