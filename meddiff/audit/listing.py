"""Rows of a folder of pictures that nobody has described: images, their masks by name, splits and labels by folders.

A picture is a mask if its name says so (``a_mask.png``, ``a_segmentation.png``), or that of a folder above it (masks,
labels, GroundTruth ...); it belongs to the image whose name is what remains, as one of its classes where more than the
image's name remains (``masks/a_cup.png``, ``masks/a/cup.png``, ``masks/cup/a.png``). A folder below a split's folder
(``Training/glioma``) is a label, unless it is called images. Masks without an image are reported, not dropped.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from meddiff.audit.finding import Finding
from meddiff.audit.leaks import FOLDERS
from meddiff.errors import InputError
from meddiff.files.walk import files_below
from meddiff.formats.pictures import PICTURE_SUFFIXES, is_picture
from meddiff.manifest.mask_cells import all_in_one_way, mask_cell, owner_of
from meddiff.manifest.row import COLUMNS, ManifestRow

Mask = tuple[Path, str]
"""A mask, and the class that it holds: empty for all, a number for a piece."""

_MASK_NAME = re.compile(r"(.+)[_-](segmentation|seg|mask|labels?|gt|ground_?truth|lesion)([_-]\d+)?", re.IGNORECASE)
_MASK_FOLDER = re.compile(
    r"masks?|labels?|annotations?|.*(segmentations?|ground_?truth|_gt|_masks?)(_.*)?", re.IGNORECASE
)
_IMAGE_FOLDER = re.compile(r"images?|img|imgs|pictures|photos|input|.*_input", re.IGNORECASE)


def folder_rows(root: Path) -> tuple[list[ManifestRow], list[Finding]]:
    """List the rows of the pictures below a folder, and what could not be placed.

    Raises:
        InputError: no picture lies there.
    """
    paths = [file.relative_to(root) for file in files_below(root) if is_picture(file)]
    images = [path for path in paths if not _is_mask(path)]
    masks: dict[str, list[Mask]] = {}
    stems, folders = {path.stem for path in images}, {part for path in images for part in path.parts[:-1]}
    for path in paths:
        if _is_mask(path):
            case, name = _of_image(path, stems, folders)
            masks.setdefault(case, []).append((path, name))
    if not images:
        raise InputError(
            f"{root}: there are no images to audit in it ({sum(map(len, masks.values()))} masks; looked for "
            f"{', '.join(PICTURE_SUFFIXES)}). Name the folder that holds images and masks, or a manifest; volumes "
            "are audited as a data set (--dataset hippocampus_volumes) or as a manifest."
        )
    rows = all_in_one_way([_row(root, path, masks) for path in images])
    used = {part.path for row in rows for part in row.mask_parts}
    alone = [path.as_posix() for each in masks.values() for path, _ in each if root / path not in used]
    findings = []
    if alone:
        says = f"{len(alone)} masks have no image of their name, or another mask was taken for it"
        findings.append(Finding("mask without image", tuple(alone), says, "warning"))
    without = tuple(row.image_path for row in rows if row.mask_path is None)
    if len(without) < len(rows) and without:
        says = f"{len(without)} of {len(rows)} images have no mask of their name"
        findings.append(Finding("image without mask", without, says, "warning"))
    return rows, findings


def _is_mask(path: Path) -> bool:
    return _case(path) != path.stem or any(_MASK_FOLDER.fullmatch(part) for part in path.parts[:-1])


def _case(path: Path) -> str:
    """Return the name of the image that a mask of this name belongs to."""
    match = _MASK_NAME.fullmatch(path.stem)
    return match[1] if match else path.stem


def _of_image(path: Path, stems: Collection[str], folders: Collection[str]) -> tuple[str, str]:
    """Return the image that a mask is of, and its class or number; the mask's own name where there is no such image.

    ``folders`` are those that images lie in, which are no classes.
    """
    apart = path.parent.name not in folders and _of_a_class(path)
    match = _MASK_NAME.fullmatch(path.stem)
    if (case := match[1] if match else path.stem) in stems and not apart:
        return case, (match[3] or "").strip("_-") if match else ""
    place = path.parent.name if apart else ""
    owner = owner_of(place, path.stem, {"": stems})
    return (case, "") if owner is None else owner[1:]


def _of_a_class(path: Path) -> bool:
    """Tell whether a mask lies in a folder below that of masks."""
    return any(_MASK_FOLDER.fullmatch(part) for part in path.parts[:-2]) and not _MASK_FOLDER.fullmatch(path.parts[-2])


def _row(root: Path, path: Path, masks: dict[str, list[Mask]]) -> ManifestRow:
    """Make the row of an image; of several masks of its name it gets those whose folders are most like its own."""
    ours = set(path.parts[:-1])
    fitting = masks.get(path.stem, [])
    likest = max((len(ours & set(other.parts[:-1])) for other, _ in fitting), default=0)
    near = {other.as_posix(): name for other, name in fitting if len(ours & set(other.parts[:-1])) == likest}
    named = {other: name for other, name in near.items() if name and not name.isdigit()}
    pieces = near if any(near.values()) else dict([*near.items()][:1])
    mask = mask_cell(named or pieces)
    values = dict.fromkeys(COLUMNS) | {
        "row_id": path.as_posix(),
        "dataset": root.name or "folder",
        "image_path": path.as_posix(),
        "mask_path": mask,
        "label": _label(PurePosixPath(path.as_posix()).parts[:-1]),
        "source": "real",
    }
    return ManifestRow(**values, root=root)  # type: ignore[arg-type]


def _label(folders: tuple[str, ...]) -> str | None:
    for place, name in enumerate(folders[:-1]):
        below = folders[place + 1]
        if name.lower() in FOLDERS and not _IMAGE_FOLDER.fullmatch(below):
            return below
    return None
