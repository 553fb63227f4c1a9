"""labels.csv: what the files of one's own volumes cannot tell. Class, patient, age, sex, site and split of a case."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from meddiff.errors import Problems
from meddiff.files.walk import Folder
from meddiff.manifest.row import ManifestRow
from meddiff.sources.published_tables import known, number, read_table

NAME = "labels.csv"
COLUMNS = "label, patient, age, sex, site and split (train, val, test)"
_SPLITS = ("train", "val", "test")


def labeled_by_tables(
    root: Path,
    folders: Sequence[Folder],
    rows: Sequence[ManifestRow],
    cases: Callable[[Folder, str], list[str]],
    *,
    key: str,
    cure: str,
) -> list[ManifestRow]:
    """Return the rows with what every labels.csv below the root says of them, in the same order.

    Args:
        root: the data set's folder.
        folders: it and all below it.
        rows: what the files say.
        cases: the folder of a table and a cell of its ``key`` column -> the ids of the rows that are meant.
        key: the column that names cases.
        cure: what to write there, for a cell that means no row.

    Raises:
        InputError: a table without the key, cells that mean no row, or an age or split that is none.
    """
    by_id = {row.row_id: row for row in rows}
    problems = Problems(root)
    for folder in folders:
        if NAME not in folder.names:
            continue
        table = read_table(root / folder.join(NAME))
        table.require(key)
        for line, cells in table.records:
            meant = cases(folder, cells[key])
            if not meant:
                problems.add(f"unknown {key}", f"{folder.join(NAME)}: line {line}: {cells[key]!r}", cure)
            try:
                known_of_case = _cells(cells)
            except ValueError as error:
                problems.add("unreadable cell", f"{folder.join(NAME)}: line {line}: {error}", "Correct it or empty it.")
            else:
                by_id |= {row_id: replace(by_id[row_id], **known_of_case) for row_id in meant}
    problems.raise_if_any()
    return list(by_id.values())


def _cells(cells: Mapping[str, str]) -> dict[str, str | float | None]:
    """Return the columns that the table has and fills, under the manifest's names."""
    try:
        age = number(cells.get("age"))
    except ValueError:
        raise ValueError(f"{cells['age']!r} is no age") from None
    split = known(cells.get("split"))
    if split is not None and split not in _SPLITS:
        raise ValueError(f"{split!r} is no split, these are {', '.join(_SPLITS)}")
    cells_filled = {name: known(cells.get(name)) for name in ("label", "sex", "site")}
    cells_filled |= {"patient_id": known(cells.get("patient")), "age_years": age, "split": split}
    return {name: value for name, value in cells_filled.items() if value is not None}
