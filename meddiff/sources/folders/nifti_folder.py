"""Volumes of one's own: NIfTI files in a folder ``images``, with masks of the same name in a folder ``masks``.

Where there is no folder ``images`` every NIfTI file outside of masks is an image. A mask may be one file per class:
``masks/<case>_<class>``, ``masks/<case>/<class>``, ``masks/<class>/<case>``, or ``<case>/segmentations/<class>`` beside
the only volume of a folder. A table labels.csv tells what files cannot: class, patient,
age, sex, site, split. Without it each volume counts as one patient's.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from meddiff.errors import InputError, Problems
from meddiff.files.walk import Folder
from meddiff.formats.find import channel_cases
from meddiff.formats.nifti import read_nifti_header
from meddiff.manifest.consistency import check_rows
from meddiff.manifest.mask_cells import MASK_FOLDERS, all_in_one_way, mask_cell, owner_of, split_off
from meddiff.manifest.row import ManifestRow, spelled_out
from meddiff.sources.folders import case_table
from meddiff.sources.folders.case_table import labeled_by_tables
from meddiff.sources.folders.data_root import list_folders
from meddiff.sources.source import Source, real_row

IMAGES = ("images", "imagesTr")
_SUFFIXES = (".nii.gz", ".nii")

HOW_TO_GET = (
    "Any NIfTI volumes below --data-root: images/<case>.nii.gz with masks/<case>.nii.gz (also labels/, <case>_mask, "
    "<case>_seg, <case>_label, and a file per class as <case>_<class>), or NIfTI files alone. A "
    f"{case_table.NAME} beside them may tell more: its column case names the file without suffix, further columns are "
    f"{case_table.COLUMNS}."
)


def nifti_folder_rows(root: Path) -> list[ManifestRow]:
    """Return one row per volume.

    Raises:
        InputError: no volume, masks without image, some images with and others without mask, two volumes of one
            name, or a table with unknown cases or unreadable cells.
    """
    folders = list_folders(root)
    problems = Problems(root)
    rows = _paired(root, folders, problems)
    if not rows:
        raise InputError(f"{root}: no NIfTI volumes were found in it. {HOW_TO_GET}")
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


def _paired(root: Path, folders: Sequence[Folder], problems: Problems) -> list[ManifestRow]:
    """Return a row per volume, with its masks; those of no image are among the problems."""
    named = [folder for folder in folders if PurePosixPath(folder.path).name in IMAGES]
    masks = _masks(folders)
    inside = {path for _, _, path in masks}
    cases: dict[tuple[str, str], list[str]] = defaultdict(list)
    for folder in named or folders:
        place = folder.path.rpartition("/")[0] if named else folder.path
        volumes = [name for name in folder.names if folder.join(name) not in inside]
        for case, name in _cases(volumes, [stem for at, stem, _ in masks if at == place]):
            cases[place, case].append(folder.join(name))
    of_case: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for mask, owner in _owners(masks, cases, alone=not named) if cases else ():
        if owner is None:
            problems.add("mask without image", mask, "Name it as its image, or take it out.")
        else:
            of_case[owner[:2]][mask] = owner[2]
    return all_in_one_way([
        _row(root, case, image, mask_cell(of_case[place, case]))
        for (place, case), images in cases.items() for image in images
    ])  # fmt: skip


def _is_volume(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES)


def _stem(name: str) -> str:
    return next(name[: -len(suffix)] for suffix in _SUFFIXES if name.lower().endswith(suffix))


def _cases(names: Iterable[str], masks: Sequence[str]) -> list[tuple[str, str]]:
    """List the cases of a folder with their files: NAME_0000, NAME_0001 ... are the channels of one (nnU-Net).

    A single channel is called as its ``masks`` are.
    """
    stems = [(_stem(name), name) for name in names if _is_volume(name)]
    channels = channel_cases(stem for stem, _ in stems)
    parts = {stem: case for case, some in channels.items() for stem in some}
    cases: dict[str, list[str]] = {case: [] for case in channels}
    single = []
    for stem, name in stems:
        bare = stem.removesuffix("_0000")
        if stem in parts:
            cases[parts[stem]].append(name)
        else:
            masked = bare in masks or (stem not in masks and any(mask.startswith(f"{bare}_") for mask in masks))
            single.append((bare if masked else stem, name))
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


def _masks(folders: Sequence[Folder]) -> list[tuple[str, str, str]]:
    """List (folder without that of masks, name without suffix, path) of all volumes below a folder of masks."""
    masks = []
    for folder in folders:
        place, apart = split_off(folder.path, MASK_FOLDERS)
        masks += [(place, _stem(name), folder.join(name)) for name in folder.names if apart and _is_volume(name)]
    return masks


def _owners(
    masks: Iterable[tuple[str, str, str]], cases: Iterable[tuple[str, str]], *, alone: bool
) -> Iterator[tuple[str, tuple[str, str, str] | None]]:
    """Yield each mask with its image and class; all beside a lone volume are ``alone`` its classes."""
    names: dict[str, set[str]] = defaultdict(set)
    for place, case in cases:
        names[place].add(case)
    for place, stem, path in masks:
        owner = owner_of(place, stem, names)
        if owner is None and alone and len(names[place]) == 1:
            owner = place, next(iter(names[place])), stem
        yield path, owner


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
