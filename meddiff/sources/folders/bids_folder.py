"""Brain Imaging Data Structure (Gorgolewski et al. 2016): subjects, sessions, suffixes as sequences, derived masks.

``sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz`` is the sequence T1w of a session; those of a session that lie on one grid
are channels of one row, where all sessions have the same. Otherwise each image is a row of its own, with its sequence
among the attributes. Of ``derivatives/`` files ending in _dseg or _mask are masks: one of all classes (_dseg), one per
class (label-tumor_mask), or one; brain masks (desc-brain) and masks in the space of a template are none.

participants.tsv and sub-01_sessions.tsv say age, sex, site and class (diagnosis, group); all else goes among the
attributes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from meddiff.errors import InputError, Problems
from meddiff.files.documents import read_json
from meddiff.files.walk import Folder
from meddiff.formats.nifti import NiftiHeader, read_nifti_header
from meddiff.manifest.consistency import check_rows
from meddiff.manifest.row import COLUMNS, ManifestRow, in_one_cell
from meddiff.sources.folders.data_root import list_folders
from meddiff.sources.published_tables import known, read_table
from meddiff.sources.source import Source, real_row

DATATYPES = {"anat": "MR", "pet": "PT", "ct": "CT"}
"""Folders of images, each with its modality; the others hold series in time and fields."""
DERIVATIVES = "derivatives"
_APART = (DERIVATIVES, "sourcedata", "code", "stimuli", "phenotype")
_NAME = re.compile(
    r"sub-([A-Za-z0-9]+)(?:_ses-([A-Za-z0-9]+))?_((?:[a-zA-Z]+-[A-Za-z0-9+]+_)*)([A-Za-z0-9]+)\.nii(?:\.gz)?"
)
_ORIGINAL = ("", "orig", "individual", "scanner", "T1w", "T2w", "FLAIR")
"""Spaces of masks that lie on an image of the subject."""
LABELS = ("label", "diagnosis", "group", "dx")
"""Columns of participants.tsv that are a class, the first that is there."""
_SEXES = {"m": "male", "f": "female", "male": "male", "female": "female", "man": "male", "woman": "female"}

HOW_TO_GET = (
    "Any data set in the Brain Imaging Data Structure (openneuro.org): sub-01/[ses-a/]anat/sub-01_[ses-a_]T1w.nii.gz "
    "below --data-root, masks as derivatives/<pipeline>/sub-01/[ses-a/]anat/sub-01_[ses-a_]label-tumor_mask.nii.gz, "
    "_dseg.nii.gz or _mask.nii.gz, participants.tsv for age, sex, site and class (diagnosis, group)."
)


@dataclass(frozen=True)
class File:
    """A file and what its name says."""

    path: str
    subject: str
    session: str
    entities: Mapping[str, str]
    suffix: str

    @property
    def scan(self) -> tuple[str, str, str]:
        """Subject, session and run."""
        return self.subject, self.session, self.entities.get("run", "")

    @property
    def sequence(self) -> str:
        """The name that it goes by among those of its scan, as its file spells it: ``ce-gad_T1w``."""
        kept = [f"{name}-{value}" for name, value in self.entities.items() if name != "run"]
        return "_".join([*kept, self.suffix])

    @property
    def is_mask(self) -> bool:
        """True where it marks something on an image of its subject."""
        is_brain = self.entities.get("desc", "").lower() in ("brain", "brainmask", "head")
        return self.suffix in ("mask", "dseg") and not is_brain and self.entities.get("space", "") in _ORIGINAL


def bids_rows(root: Path) -> list[ManifestRow]:
    """Return a row per scan, or per image where scans differ in their sequences or these in their grids.

    Raises:
        InputError: nothing was recognized, several masks of one image, masks on no image, a table with bad cells.
    """
    folders = list_folders(root)
    images = [file for folder in folders if _datatype(folder) for file in _files(folder)]
    if not images:
        raise InputError(f"{root}: no images of the Brain Imaging Data Structure were found in it. {HOW_TO_GET}")
    masks = [file for folder in folders if DERIVATIVES in folder.path.split("/") for file in _files(folder)]
    grids = {file.path: _grid(root, file) for file in images}
    of_scan = _by_scan([file for file in masks if file.is_mask])
    scans = _by_scan(images)
    alike = len({tuple(file.sequence for file in files) for files in scans.values()}) == 1
    alike = alike and all(len({grids[file.path] for file in files}) == 1 for files in scans.values())
    groups = list(scans.values()) if alike else [[file] for file in images]
    rows = [_row(root, files, grids[files[0].path], of_scan, alone=len(scans[files[0].scan]) == 1 or alike)
            for files in groups]  # fmt: skip
    used = {part.path for row in rows for part in row.mask_parts}
    problems = Problems(root)
    for mask in [mask for some in of_scan.values() for mask in some if root / mask.path not in used]:
        problems.add("mask without image", mask.path, "It lies on no image of its scan: take it out, or resample it.")
    problems.raise_if_any()
    marked = [row for row in rows if row.mask_path] or rows  # of a scan, masks say which of its images is meant
    rows = sorted((_described(root, folders, row) for row in marked), key=lambda row: row.row_id)
    check_rows(rows, root)
    return rows


def _datatype(folder: Folder) -> str | None:
    parts = folder.path.split("/")
    return None if any(part in _APART for part in parts) else DATATYPES.get(parts[-1])


def _files(folder: Folder) -> list[File]:
    return [
        File(folder.join(name), match[1], match[2] or "", _entities(match[3]), match[4])
        for name in folder.names if (match := _NAME.fullmatch(name))
    ]  # fmt: skip


def _entities(text: str) -> dict[str, str]:
    return dict(part.split("-", 1) for part in text.split("_") if part)  # pyright: ignore[reportReturnType]


def _by_scan(files: Sequence[File]) -> dict[tuple[str, str, str], list[File]]:
    scans = defaultdict(list)
    for file in sorted(files, key=lambda one: (one.sequence, one.path)):
        scans[file.scan].append(file)
    return dict(sorted(scans.items()))


def _grid(root: Path, file: File) -> NiftiHeader:
    return read_nifti_header(root / file.path)


def _row(
    root: Path, files: Sequence[File], grid: NiftiHeader, masks: Mapping[tuple[str, str, str], Sequence[File]], *,
    alone: bool,
) -> ManifestRow:  # fmt: skip
    """Return the row of images on one grid; ``alone`` it stands for all of its scan."""
    first, folder = files[0], files[0].path.rpartition("/")[0]
    subject, session, run = first.scan
    name = "_".join(f"{kind}-{value}" for kind, value in (("sub", subject), ("ses", session), ("run", run)) if value)
    image = first.path if len(files) == 1 else _in_one_path(files)
    own = [mask for mask in masks.get(first.scan, ()) if alone or _same_grid(_grid(root, mask), grid)]
    return real_row(
        root, name if alone else f"{name}_{first.sequence}", image,
        dataset=_about(root).get("Name", "") or "bids",
        license=_about(root).get("License", "") or None,
        patient_id=f"sub-{subject}",
        mask_path=_mask_cell(root, own),
        modality=DATATYPES[folder.rpartition("/")[2]],
        attributes=None if len(files) > 1 else f"sequence={first.sequence}",
        spacing_mm_0=grid.spacing_mm[0], spacing_mm_1=grid.spacing_mm[1], spacing_mm_2=grid.spacing_mm[2],
    )  # fmt: skip


def _in_one_path(files: Sequence[File]) -> str:
    """Write the sequences of a scan as one path: ``sub-01/anat/sub-01_{FLAIR,T1w}.nii.gz``."""
    paths = [file.path for file in files]
    subject, session, _ = files[0].scan
    name = f"sub-{subject}_" + (f"ses-{session}_" if session else "")
    before = paths[0][: paths[0].rindex(name) + len(name)]
    ends = {path[path.index(".nii") :] for path in paths}
    after = ends.pop() if len(ends) == 1 else ""
    return f"{before}{{{','.join(path[len(before) : len(path) - len(after)] for path in paths)}}}{after}"


def _same_grid(one: NiftiHeader, two: NiftiHeader) -> bool:
    near = all(a is None or b is None or abs(a - b) <= 0.01 * b
               for a, b in zip(one.spacing_mm, two.spacing_mm, strict=True))  # fmt: skip
    return one.shape == two.shape and near


def _mask_cell(root: Path, masks: Sequence[File]) -> str | None:
    """Write the masks of an image as one cell.

    Raises:
        InputError: several of all classes, or several of one.
    """
    labels = [mask.entities.get("label", "") for mask in masks]
    if len(masks) > 1 and (len(set(labels)) < len(masks) or "" in labels):
        raise InputError(f"{root}: {' and '.join(mask.path for mask in masks)} are masks of one image: keep one of "
                         "them, or write a data_manifest.csv")  # fmt: skip
    return in_one_cell((mask.path, label) for mask, label in zip(masks, labels, strict=True)) or None


def _about(root: Path) -> dict[str, Any]:
    path = root / "dataset_description.json"
    return read_json(path) if path.is_file() else {}


def _described(root: Path, folders: Sequence[Folder], row: ManifestRow) -> ManifestRow:
    """Return the row with what participants.tsv and the table of its subject's sessions say of it."""
    session = next((part for part in row.row_id.split("_") if part.startswith("ses-")), None)
    tables = [("participants.tsv", "participant_id", row.patient_id),
              (f"{row.patient_id}/{row.patient_id}_sessions.tsv", "session_id", session)]  # fmt: skip
    cells: dict[str, str] = {}
    for name, key, wanted in tables:
        if not (root / name).is_file():
            continue
        table = read_table(root / name)
        table.require(key)
        bare = str(wanted).removeprefix("sub-")
        cells |= next((of for _, of in table.records if of[key].removeprefix("sub-") == bare), {})
    filled = {name: value for name, cell in cells.items() if (value := known(cell)) and not name.endswith("_id")}
    return replace(row, **_columns(filled, row.attributes, root / "participants.tsv"))


def _columns(cells: dict[str, str], attributes: str | None, path: Path) -> dict[str, Any]:
    age = cells.pop("age", None)
    sex, label = cells.pop("sex", cells.pop("gender", "")), next((one for one in LABELS if one in cells), "")
    values: dict[str, Any] = {"sex": _SEXES.get(sex.lower()), "site": cells.pop("site", None)}
    values["label"] = cells.pop(label, None)
    try:
        values["age_years"] = None if age is None else float(age.rstrip("+"))
    except ValueError:
        raise InputError(f"{path}: the age {age!r} is no number: correct it, or write n/a") from None
    others = {re.sub(r"\W", "_", name): re.sub(r"[;=]", ",", value) for name, value in cells.items()}
    pairs = [attributes or "", *(f"{name}={value}" for name, value in others.items() if _is_name(name))]
    return values | {"attributes": ";".join(filter(None, pairs)) or None}


def _is_name(name: str) -> bool:
    return name not in COLUMNS and name != "sequence" and re.fullmatch(r"[A-Za-z_]\w*", name) is not None


BIDS = Source(
    name="bids",
    title="Images in the Brain Imaging Data Structure",
    modality="MR",
    channels=1,
    rows=bids_rows,
    how_to_get=HOW_TO_GET,
)
"""Subjects and sessions, their sequences as channels."""
