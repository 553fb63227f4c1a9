"""Several masks of one image, as data sets name their files: pieces of one class, or one class each.

``a_mask.png`` and ``a_mask_1.png`` are pieces of one class (two lesions of BUSI); ``a_attribute_globules.png`` and
``a_mask_cup.png`` hold one class each (ISIC 2018, task 2). In a folder of masks, ``masks/a_liver.nii.gz``,
``masks/a/liver.nii.gz`` and ``masks/liver/a.nii.gz`` hold the liver of ``a``. What each is called stands in the cell of
the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from meddiff.errors import InputError
from meddiff.manifest.row import ManifestRow, in_one_cell, masks_named

ONE_CLASS = "foreground"
"""The name of the class of pieces."""
MASK_FOLDERS = ("annotation", "annotations", "groundtruth", "ground_truth", "gt", "label", "labels", "labelstr", "mask",
                "masks", "seg", "segmentation", "segmentations")  # fmt: skip
IMAGE_FOLDERS = ("image", "images", "imagestr", "img", "imgs", "photos", "pictures", "scans")
"""What folders of masks, and of their images beside them, are called, in small letters."""
_MASK = re.compile(r"(.+)_(mask|segmentation|lesion|attribute)(?:_(.+))?", re.IGNORECASE)
_WORD = "annotation|attribute|ground_?truth|gt|labels?|lesion|masks?|seg|segmentation"
_NO_CLASS = re.compile(rf"(?:^(?:{_WORD})(?:[_-]|$))|(?:(?:^|[_-])(?:{_WORD})$)", re.IGNORECASE)


def image_of_mask(stem: str) -> tuple[str, str] | None:
    """Read the image that a file without suffix is a mask of off its name, and its class or number; None for others."""
    match = _MASK.fullmatch(stem)
    return (match[1], match[3] or "") if match else None


def owner_of(place: str, stem: str, images: Mapping[str, Collection[str]]) -> tuple[str, str, str] | None:
    """Find the image of a file that lies among masks.

    Args:
        place: its folder, without the one that says that these are masks.
        stem: its name without suffix.
        images: the names of images without suffix, by such folders.

    Returns:
        Folder and name of the image, and the mask's class: empty for one of all classes, a number for a piece. None
        where it is of no image.
    """
    here = images.get(place, ())
    for end in (len(stem), *(at.start() for at in reversed([*re.finditer("[_-]", stem)]))):
        if stem[:end] in here and not (rest := stem[end + 1 :]).isdigit():  # a_2 may be the mask of another image
            return place, stem[:end], _class_in(rest)
    above, _, last = place.rpartition("/")
    if last and last in images.get(above, ()):
        return above, last, _class_in(stem)
    if last and (owner := owner_of(above, stem, {above: images.get(above, ())})) and not owner[2]:
        return above, owner[1], last
    return None


def split_off(path: str, names: Collection[str]) -> tuple[str, bool]:
    """Return a folder's path without the first part that has one of the names, and whether it had one."""
    parts = path.split("/")
    at = next((at for at, part in enumerate(parts) if part.lower() in names), None)
    return (path, False) if at is None else ("/".join((*parts[:at], *parts[at + 1 :])), True)


def _class_in(words: str) -> str:
    """Return what a name says beside that it is a mask."""
    return _NO_CLASS.sub("", _NO_CLASS.sub("", words))


def mask_cell(masks: Mapping[str, str]) -> str | None:
    """Write the masks of one image, path -> class or number, as one cell; None where there is none.

    Raises:
        InputError: masks of one class each beside one of all classes.
    """
    masks = {path: re.sub(r"[;=./\\]", "_", name) for path, name in sorted(masks.items())}
    named = {path: name for path, name in masks.items() if name and not name.isdigit()}
    if not named:
        return in_one_cell((path, ONE_CLASS if len(masks) > 1 else "") for path in masks) or None
    if others := sorted(set(masks) - set(named)):
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
