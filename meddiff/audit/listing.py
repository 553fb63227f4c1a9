"""Rows of a folder of pictures that nobody has described: images, their masks by name, splits and labels by folders.

A picture is a mask if its name says so (``a_mask.png``, ``a_segmentation.png``), or that of a folder above it (masks,
labels, GroundTruth ...); it belongs to the image whose name is what remains. A folder below a split's folder
(``Training/glioma``) is a label, unless it is called images. Masks without an image are reported, not dropped.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from meddiff.audit.finding import Finding
from meddiff.audit.leaks import FOLDERS
from meddiff.errors import InputError
from meddiff.files.walk import files_below
from meddiff.formats.pictures import PICTURE_SUFFIXES, is_picture
from meddiff.manifest.row import COLUMNS, ManifestRow

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
    masks: dict[str, list[Path]] = {}
    for path in paths:
        if _is_mask(path):
            masks.setdefault(_case(path), []).append(path)
    if not images:
        raise InputError(
            f"{root}: there are no images to audit in it ({sum(map(len, masks.values()))} masks; looked for "
            f"{', '.join(PICTURE_SUFFIXES)}). Name the folder that holds images and masks, or a manifest; volumes "
            "are audited as a data set (--dataset hippocampus_volumes) or as a manifest."
        )
    rows = [_row(root, path, masks) for path in images]
    used = {row.mask_path for row in rows}
    alone = [path.as_posix() for each in masks.values() for path in each if path.as_posix() not in used]
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


def _row(root: Path, path: Path, masks: dict[str, list[Path]]) -> ManifestRow:
    """Make the row of an image; of several masks of its name it gets the one whose folders are most like its own."""
    ours = path.parts[:-1]
    fitting = masks.get(path.stem, [])
    mask = max(fitting, key=lambda other: len(set(ours) & set(other.parts[:-1])), default=None)
    values = dict.fromkeys(COLUMNS) | {
        "row_id": path.as_posix(),
        "dataset": root.name or "folder",
        "image_path": path.as_posix(),
        "mask_path": mask and mask.as_posix(),
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
