"""Several masks of one image, as data sets name their files: pieces of one class, or one class each.

``a_mask.png`` and ``a_mask_1.png`` are pieces of one class (two lesions of BUSI); ``a_attribute_globules.png`` and
``a_mask_cup.png`` hold one class each (ISIC 2018, task 2). What each is called stands in the cell of the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from meddiff.errors import InputError
from meddiff.manifest.row import ManifestRow, in_one_cell, masks_named

ONE_CLASS = "foreground"
"""The name of the class of pieces."""
_MASK = re.compile(r"(.+)_(mask|segmentation|lesion|attribute)(?:_(.+))?", re.IGNORECASE)


def image_of_mask(stem: str) -> str | None:
    """Name the image that a file without suffix is a mask of, by its name; None for what is no mask's name."""
    match = _MASK.fullmatch(stem)
    return match[1] if match else None


def mask_cell(paths: Iterable[str]) -> str | None:
    """Write the masks of one image as one cell; None where there is none.

    Raises:
        InputError: masks of one class each beside one of all classes.
    """
    endings = {path: (match[3] or "") if (match := _MASK.fullmatch(PurePosixPath(path).stem)) else ""
               for path in sorted(paths)}  # fmt: skip
    named = {path: ending for path, ending in endings.items() if ending and not ending.isdigit()}
    if not named:
        return in_one_cell((path, ONE_CLASS if len(endings) > 1 else "") for path in endings) or None
    if others := sorted(set(endings) - set(named)):
        raise InputError(
            f"{others[0]} and {next(iter(named))} are masks of one image: is the first of all classes, or of one as "
            "the others? Take one of them out, or write a data_manifest.csv with mask_path FILE=CLASS;FILE=CLASS"
        )
    return in_one_cell(named.items())


def all_in_one_way(rows: Sequence[ManifestRow]) -> list[ManifestRow]:
    """Name the class of single masks too, where some images of the set have several pieces."""
    names = {name for row in rows if row.mask_path for _, name in masks_named(row.mask_path)}
    if names != {"", ONE_CLASS}:
        return list(rows)
    return [
        replace(row, mask_path=in_one_cell((path, ONE_CLASS) for path, _ in masks_named(row.mask_path)))
        if row.mask_path else row
        for row in rows
    ]  # fmt: skip
