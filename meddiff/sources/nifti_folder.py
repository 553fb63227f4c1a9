"""Volumes of one's own: NIfTI files in a folder ``images``, with masks of the same name in a folder ``masks``.

Where there is no such folder every NIfTI file is an image. A table labels.csv tells what files cannot: class, patient,
age, sex, site, split. Without it each volume counts as one patient's.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from meddiff.data.image_io.nifti_header import read_nifti_header
from meddiff.data.manifest import ManifestRow, check_rows
from meddiff.data.problems import Problems
from meddiff.errors import InputError
from meddiff.sources.listing import Folder, list_folders
from meddiff.sources.source import Source, real_row
from meddiff.sources.tables import known, number, read_table

IMAGES = ("images", "imagesTr")
MASKS = ("masks", "labels", "labelsTr")
MASK_ENDINGS = ("", "_mask", "_seg", "_label")
_SUFFIXES = (".nii.gz", ".nii")
_TABLE = "labels.csv"
_SPLITS = ("train", "val", "test")

HOW_TO_GET = (
    "Any NIfTI volumes below --data-root: images/<case>.nii.gz with masks/<case>.nii.gz (also labels/, and "
    "<case>_mask, <case>_seg, <case>_label), or NIfTI files alone. A labels.csv beside them may tell more: its column "
    "case names the file without suffix, further columns are label, patient, age, sex, site and split (train, val, "
    "test)."
)


def nifti_folder_rows(root: Path) -> list[ManifestRow]:
    """One row per volume.

    Raises:
        InputError: no volume, masks without image, some images with and others without mask, two volumes of one
            name, or a table with unknown cases or unreadable cells.
    """
    folders = list_folders(root)
    images = [folder for folder in folders if PurePosixPath(folder.path).name in IMAGES]
    masks = _masks(folders) if images else {}
    problems = Problems(root)
    rows = []
    for folder in images or folders:
        for name in filter(_is_volume, folder.names):
            case = _stem(name)
            above = folder.path.rpartition("/")[0] if images else ""
            mask = next((masks.pop((above, case + end)) for end in MASK_ENDINGS if (above, case + end) in masks), None)
            rows.append(_row(root, case, folder.join(name), mask))
    if not rows:
        raise InputError(f"{root}: no NIfTI volumes were found in it. {HOW_TO_GET}")
    for mask in masks.values():
        problems.add("mask without image", mask, "Name it as its image, or take it out.")
    bare = [row.image_path for row in rows if row.mask_path is None]
    for image in bare if len(bare) < len(rows) else []:
        problems.add("image without mask", image, "Name its mask as the image, or take it out.")
    problems.raise_if_any()
    check_rows(rows, root)
    rows = sorted(_told(root, folders, rows), key=lambda row: row.row_id)
    check_rows(rows, root)  # a table may put one patient into two splits
    return rows


def _is_volume(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES)


def _stem(name: str) -> str:
    return next(name[: -len(suffix)] for suffix in _SUFFIXES if name.lower().endswith(suffix))


def _masks(folders: list[Folder]) -> dict[tuple[str, str], str]:
    """(folder above, name without suffix) -> path of the mask."""
    return {
        (folder.path.rpartition("/")[0], _stem(name)): folder.join(name)
        for folder in folders
        if PurePosixPath(folder.path).name in MASKS
        for name in folder.names
        if _is_volume(name)
    }


def _row(root: Path, case: str, image: str, mask: str | None) -> ManifestRow:
    spacing = read_nifti_header(root / image).spacing_mm
    return real_row(
        root,
        case,
        image,
        dataset="nifti_folder",
        mask_path=mask,
        spacing_mm_0=spacing[0],
        spacing_mm_1=spacing[1],
        spacing_mm_2=spacing[2],
    )


def _told(root: Path, folders: list[Folder], rows: list[ManifestRow]) -> list[ManifestRow]:
    """The rows with what the tables say."""
    by_case = {row.row_id: row for row in rows}
    problems = Problems(root)
    for folder in folders:
        if _TABLE not in folder.names:
            continue
        table = read_table(root / folder.join(_TABLE))
        table.require("case")
        for line, cells in table.records:
            case = _stem(cells["case"]) if _is_volume(cells["case"]) else cells["case"]
            if case not in by_case:
                cure = "Name the file without its suffix, or take the line out."
                problems.add("unknown case", f"{table.path.name}: line {line}: {cells['case']!r}", cure)
                continue
            try:
                by_case[case] = replace(by_case[case], **_cells(cells))
            except ValueError as error:
                problems.add("unreadable cell", f"{table.path.name}: line {line}: {error}", "Correct it or empty it.")
    problems.raise_if_any()
    return list(by_case.values())


def _cells(cells: Mapping[str, str]) -> dict[str, str | float | None]:
    try:
        age = number(cells.get("age"))
    except ValueError:
        raise ValueError(f"{cells['age']!r} is no age") from None
    split = known(cells.get("split"))
    if split is not None and split not in _SPLITS:
        raise ValueError(f"{split!r} is no split, these are {', '.join(_SPLITS)}")
    told = {name: known(cells.get(name)) for name in ("label", "sex", "site")}
    return told | {"patient_id": known(cells.get("patient")), "age_years": age, "split": split}


NIFTI_FOLDER = Source(
    name="nifti_folder",
    title="NIfTI volumes in a folder",
    modality="",
    channels=1,
    rows=nifti_folder_rows,
    how_to_get=HOW_TO_GET,
)
"""Volumes of one's own."""
