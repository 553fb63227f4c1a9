"""Rules for a set of rows as a whole: unique ids, nothing in two splits, synthetic images in train alone.

Leakage is an error and not a warning. Published: HAM10000 accuracy falls from 1.000 to 0.934 and ISIC 2018 balanced
accuracy from 76 to 68.5 once the images of one lesion are no longer spread over training and test.
"""

from collections.abc import Sequence

from meddiff.errors import Problems
from meddiff.manifest.row import ManifestRow


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
    numbers = range(1, len(rows) + 1) if lines is None else lines
    at = [f"{'row' if lines is None else 'line'} {number}" for number in numbers]
    first: dict[str, str] = {}
    for row, place in zip(rows, at, strict=True):
        if row.row_id in first:
            detail = f"{place}: {row.row_id!r} is already on {first[row.row_id]}"
            problems.add("duplicate row_id", detail, "Give every row an id of its own.")
        first.setdefault(row.row_id, place)
        if row.source == "synthetic" and row.split not in (None, "train"):
            cure = "Synthetic images may train a model, never judge it: set their split to train."
            problems.add("synthetic image outside train", f"{place}: {row.row_id!r} is in {row.split}", cure)
        if (row.slice_axis is None) != (row.slice_index is None):
            given = "slice_index" if row.slice_axis is None else "slice_axis"
            cure = "Give slice_axis and slice_index for a slice of a volume, neither for a plain image."
            problems.add("half a slice", f"{place}: {row.row_id!r} has only {given}", cure)
    _check_leaks(rows, at, problems=problems)
    problems.raise_if_any()


def shared_things(row: ManifestRow) -> dict[str, str]:
    """List what ties a row to others: column name -> patient, lesion, image file that it must not be parted from.

    Ids count as the same person in the whole manifest, also across data sets: a wrong alarm is cured by renaming, a
    missed leak is never noticed. Two slices of one volume share its file.
    """
    things = {"patient_id": row.patient_id, "lesion_id": row.lesion_id, "image_path": row.image_name}
    return {column: name for column, name in things.items() if name is not None}


def _check_leaks(rows: Sequence[ManifestRow], at: Sequence[str], *, problems: Problems) -> None:
    seen: dict[str, dict[str, dict[str, str]]] = {"patient_id": {}, "lesion_id": {}, "image_path": {}}
    for row, place in zip(rows, at, strict=True):
        for column, name in shared_things(row).items() if row.split is not None else ():
            seen[column].setdefault(name, {}).setdefault(row.split, place)
    cure = (
        "What a model has trained on cannot judge it: put all its rows into one split, or empty their split cells to "
        "have them drawn. If these are different ones of the same name, rename them."
    )
    for column, names in seen.items():
        for name, places in names.items():
            if len(places) > 1:
                where = " and ".join(f"{split} ({place})" for split, place in places.items())
                problems.add(f"one {column} in several splits", f"{name!r} is in {where}", cure)
