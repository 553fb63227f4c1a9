"""Brain tumors of the BraTS challenges (Menze et al. 2015): several sequences of one head, and the tumor's parts.

One row per head; its sequences lie in files of one folder, named in the row as ``case_{t1,t1ce,t2,flair}.nii.gz``, and
become channels in this order, whatever their files are called: t1 (t1n), t1ce (t1c, t1gd), t2 (t2w), flair (t2f).
Labels keep the numbers that the challenge gave them: 1 necrosis, 2 edema, 4 enhancing (3 non-enhancing until 2016, and
enhancing from 2023), so masks have five classes. Heads that were scanned several times are one patient.
Folders named train, validation and test are kept as the split where there are at least two of them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from meddiff.errors import InputError, Problems
from meddiff.files.walk import Folder
from meddiff.formats.nifti import read_nifti_header
from meddiff.manifest.consistency import check_rows
from meddiff.manifest.row import ManifestRow
from meddiff.sources.folders.data_root import list_folders
from meddiff.sources.folders.image_folder import PARTS
from meddiff.sources.source import Source, real_row

SEQUENCES = {"t1": "t1", "t1n": "t1", "t1ce": "t1ce", "t1c": "t1ce", "t1gd": "t1ce", "t2": "t2", "t2w": "t2",
             "flair": "flair", "t2f": "flair"}  # fmt: skip
"""What files call a sequence -> what it is, in the order of the channels."""
_ORDER = tuple(dict.fromkeys(SEQUENCES.values()))
_NIFTI = r"\.nii(?:\.gz)?"
_IMAGE = re.compile(rf"(.+[_-]|)({'|'.join(SEQUENCES)})((?:_subtrMeanDivStd)?{_NIFTI})", re.IGNORECASE)
_LABEL = re.compile(rf"(.+[_-]|)(?:segm?|OTMultiClass){_NIFTI}", re.IGNORECASE)
# brats_tcia_pat100_0001 and BraTS-GLI-00005-001 end in the number of the scan
_SCAN = re.compile(r"(brats_.+_pat\d+)_\d+|(BraTS-[A-Z]+-\d+)-\d+", re.IGNORECASE)

HOW_TO_GET = (
    "Brain tumor MRI of the BraTS challenges (synapse.org, needs an account, so there is no download command). "
    "Recognized below --data-root at any depth: <case>_t1.nii.gz, <case>_t1ce.nii.gz, <case>_t2.nii.gz, "
    "<case>_flair.nii.gz with <case>_seg.nii.gz, also with the names of BraTS 2023 (<case>-t1n ...), and DeepMedic's "
    "copy of BraTS 2015 (Flair_subtrMeanDivStd.nii.gz, T1c_... with OTMultiClass.nii.gz)."
)


@dataclass(frozen=True)
class Case:
    """The files of one head."""

    name: str
    folder: Folder
    images: tuple[re.Match[str], ...]
    """In the order of the channels."""
    label: str | None

    @property
    def sequences(self) -> tuple[str, ...]:
        """The sequences that the folder holds."""
        return tuple(SEQUENCES[match[2].lower()] for match in self.images)

    @property
    def image_path(self) -> str:
        """All files in one cell, as ``ManifestRow.image_files`` reads it."""
        names = [match[0] for match in self.images]
        if len(names) == 1:
            return self.folder.join(names[0])
        before, after = self.images[0][1], self.images[0][3]
        if all((match[1], match[3]) == (before, after) for match in self.images):
            return self.folder.join(f"{before}{{{','.join(match[2] for match in self.images)}}}{after}")
        return self.folder.join(f"{{{','.join(names)}}}")


def brats_rows(root: Path) -> list[ManifestRow]:
    """Return one row per head, with its label where there is one (the challenge keeps those of its validation set).

    Raises:
        InputError: nothing was recognized, two files for one sequence, heads with different sequences, or a label
            that cannot be distinguished.
    """
    problems = Problems(root)
    cases = [case for folder in list_folders(root) for case in _cases(folder, problems)]
    problems.raise_if_any()
    if not cases:
        raise InputError(f"{root}: no sequences of brain tumors were recognized in it. {HOW_TO_GET}")
    _check_sequences(root, cases)
    rows = sorted((_row(root, case) for case in cases), key=lambda row: row.row_id)
    if len({row.split for row in rows} - {None}) < 2:
        rows = [replace(row, split=None) for row in rows]
    check_rows(rows, root)
    return rows


def _cases(folder: Folder, problems: Problems) -> list[Case]:
    groups: dict[str, list[re.Match[str]]] = {}
    for match in filter(None, map(_IMAGE.fullmatch, folder.names)):
        if match[1] or "_" in match[3]:  # a bare t2.nii.gz is any data set's
            groups.setdefault(match[1], []).append(match)
    labels = {match[1]: match[0] for match in filter(None, map(_LABEL.fullmatch, folder.names))}
    if len(groups) == len(labels) == 1:  # the label of a lone case may be named by another hand
        labels = dict.fromkeys(groups, next(iter(labels.values())))
    for before in sorted(set(labels) - set(groups)):
        cure = "Name label and images alike: <case>_seg.nii.gz with <case>_t1.nii.gz."
        problems.add("label without images", folder.join(labels[before]), cure)
    return [_case(folder, before, files, labels.get(before), problems=problems) for before, files in groups.items()]


def _case(folder: Folder, before: str, found: list[re.Match[str]], label: str | None, *, problems: Problems) -> Case:
    found.sort(key=lambda match: _ORDER.index(SEQUENCES[match[2].lower()]))
    case = Case(before.rstrip("_-") or PurePosixPath(folder.path).name, folder, tuple(found), label)
    for sequence in sorted({one for one in case.sequences if case.sequences.count(one) > 1}):
        names = " and ".join(match[0] for match in found if SEQUENCES[match[2].lower()] == sequence)
        problems.add("two files for one sequence", f"{folder.path}: {names}", "Keep one of them.")
    return case


def _check_sequences(root: Path, cases: Sequence[Case]) -> None:
    kinds: dict[tuple[str, ...], list[str]] = {}
    for case in cases:
        kinds.setdefault(case.sequences, []).append(case.name)
    if len(kinds) > 1:
        have = "; ".join(
            f"{', '.join(kind)}: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
            for kind, names in kinds.items()
        )
        raise InputError(f"{root}: the heads have different sequences ({have}). Add what is missing, or take them out.")


def _row(root: Path, case: Case) -> ManifestRow:
    spacing = read_nifti_header(root / case.folder.join(case.images[0][0])).spacing_mm
    scan = _SCAN.fullmatch(case.name)
    return real_row(
        root,
        case.name,
        case.image_path,
        dataset="brats",
        patient_id=case.name if scan is None else scan[1] or scan[2],
        mask_path=None if case.label is None else case.folder.join(case.label),
        split=next(
            (PARTS[part.lower()] for part in PurePosixPath(case.folder.path).parts if part.lower() in PARTS), None
        ),
        modality="MR",
        spacing_mm_0=spacing[0],
        spacing_mm_1=spacing[1],
        spacing_mm_2=spacing[2],
    )


BRATS = Source(
    name="brats",
    title="Brain tumor MRI volumes (BraTS)",
    modality="MR",
    channels=4,
    rows=brats_rows,
    how_to_get=HOW_TO_GET,
)
"""Four sequences (two in DeepMedic's copy) and the tumor's parts."""
