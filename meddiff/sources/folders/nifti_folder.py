"""Volumes of one's own: NIfTI files in a folder ``images``, with masks of the same name in a folder ``masks``.

Where there is no such folder every NIfTI file is an image. A table labels.csv tells what files cannot: class, patient,
age, sex, site, split. Without it each volume counts as one patient's.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath

from meddiff.errors import InputError, Problems
from meddiff.files.walk import Folder
from meddiff.formats.find import channel_cases
from meddiff.formats.nifti import read_nifti_header
from meddiff.manifest.consistency import check_rows
from meddiff.manifest.row import ManifestRow, spelled_out
from meddiff.sources.folders import case_table
from meddiff.sources.folders.case_table import labeled_by_tables
from meddiff.sources.folders.data_root import list_folders
from meddiff.sources.source import Source, real_row

IMAGES = ("images", "imagesTr")
MASKS = ("masks", "labels", "labelsTr")
MASK_ENDINGS = ("", "_mask", "_seg", "_label")
_SUFFIXES = (".nii.gz", ".nii")

HOW_TO_GET = (
    "Any NIfTI volumes below --data-root: images/<case>.nii.gz with masks/<case>.nii.gz (also labels/, and "
    f"<case>_mask, <case>_seg, <case>_label), or NIfTI files alone. A {case_table.NAME} beside them may tell more: its "
    f"column case names the file without suffix, further columns are {case_table.COLUMNS}."
)


def nifti_folder_rows(root: Path) -> list[ManifestRow]:
    """Return one row per volume.

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
        above = folder.path.rpartition("/")[0] if images else ""
        for case, name in _cases(folder, {case for place, case in masks if place == above}):
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
    rows = _named_by_folder(rows)
    check_rows(rows, root)
    ids = {row.row_id for row in rows}
    rows = labeled_by_tables(
        root,
        folders,
        rows,
        lambda _, cell: list({_stem(cell) if _is_volume(cell) else cell} & ids),
        key="case",
        cure="Name the file without its suffix, or take the line out.",
    )
    rows.sort(key=lambda row: row.row_id)
    check_rows(rows, root)  # a table may put one patient into two splits
    return rows


def _is_volume(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES)


def _stem(name: str) -> str:
    return next(name[: -len(suffix)] for suffix in _SUFFIXES if name.lower().endswith(suffix))


def _cases(folder: Folder, masked: set[str]) -> list[tuple[str, str]]:
    """List the cases of a folder with their files: NAME_0000, NAME_0001 ... are the channels of one (nnU-Net).

    A single channel is called as its mask is.
    """
    stems = [(_stem(name), name) for name in folder.names if _is_volume(name)]
    channels = channel_cases(stem for stem, _ in stems)
    parts = {stem: case for case, some in channels.items() for stem in some}
    cases: dict[str, list[str]] = {case: [] for case in channels}
    single = []
    for stem, name in stems:
        bare = stem.removesuffix("_0000")
        if stem in parts:
            cases[parts[stem]].append(name)
        else:
            single.append((bare if bare in masked else stem, name))
    return sorted([*single, *((case, _several(case, names)) for case, names in cases.items())])


def _several(case: str, names: list[str]) -> str:
    """Return spell several files as one path of a manifest: ``case_{0000,0001}.nii.gz``."""
    ends = {name[len(case) + 5 :] for name in names}
    if len(ends) > 1:
        raise InputError(f"{', '.join(names)}: the channels of one case end alike; pack all of them, or none")
    return f"{case}_{{{','.join(name[len(case) + 1 : len(case) + 5] for name in names)}}}{ends.pop()}"


def _named_by_folder(rows: list[ManifestRow]) -> list[ManifestRow]:
    """Put the folder's name before those of volumes that several folders have, as in ``01/t1.nii.gz`` and ``02``."""
    counts = Counter(row.row_id for row in rows)
    return [
        replace(row, row_id=_stem(row.image_path).replace("/", "_")) if counts[row.row_id] > 1 else row for row in rows
    ]


def _masks(folders: list[Folder]) -> dict[tuple[str, str], str]:
    """Return (folder above, name without suffix) -> path of the mask."""
    return {
        (folder.path.rpartition("/")[0], _stem(name)): folder.join(name)
        for folder in folders
        if PurePosixPath(folder.path).name in MASKS
        for name in folder.names
        if _is_volume(name)
    }


def _row(root: Path, case: str, image: str, mask: str | None) -> ManifestRow:
    spacing = read_nifti_header(root / spelled_out(image)[0]).spacing_mm
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


NIFTI_FOLDER = Source(
    name="nifti_folder",
    title="NIfTI volumes in a folder",
    modality="",
    channels=1,
    rows=nifti_folder_rows,
    how_to_get=HOW_TO_GET,
)
"""Volumes of one's own."""
