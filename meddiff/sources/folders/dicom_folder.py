"""DICOM series below a folder as whole volumes, one row each, without a word about the patient.

Rows end up in tables and reports that are passed on, so names, numbers, birth dates and UIDs stay in the files:
patients and series are numbered in the order of their paths. (A hash of a hospital's number would be undone by hashing
all numbers.) The numbers hold for this folder alone and shift when series are added. Paths are what they are: rename
folders that bear a patient's name before the rows leave the house.

Headers are read and no pixels. A series that is no volume (a localizer) gets a row as well: reading it says why it is
none, and ``--data.on_bad_file skip`` goes on without it.
"""

from collections.abc import Sequence
from pathlib import Path

from meddiff.errors import InputError, Problems
from meddiff.files.walk import Folder
from meddiff.formats.dicom.series import Series, find_series
from meddiff.formats.dicom.stack import stack_series
from meddiff.manifest.consistency import check_rows
from meddiff.manifest.row import SERIES, ManifestRow
from meddiff.sources.folders import case_table
from meddiff.sources.folders.case_table import labeled_by_tables
from meddiff.sources.folders.data_root import list_folders
from meddiff.sources.source import Source, real_row

HOW_TO_GET = (
    "Any DICOM series below --data-root: the files may have any name, a series may share its folder with others or be "
    f"one file (enhanced multi-frame). Files that are no DICOM images are passed over. A {case_table.NAME} may tell "
    "more: its column path names a folder or file relative to the table, and means all series in it; further columns "
    f"are {case_table.COLUMNS}."
)


def dicom_folder_rows(root: Path) -> list[ManifestRow]:
    """Return one row per series.

    Raises:
        InputError: no series was found, one is spread over folders that others lie in too, or a table that errs.
    """
    folders = list_folders(root)
    series = sorted(_series_below(root, folders), key=lambda one: str(one.files[0]))
    if not series:
        raise InputError(f"{root}: no DICOM series was found in it. {HOW_TO_GET}")
    places = _places(root, series)
    patients: dict[str, str] = {}
    rows = []
    for number, (one, place) in enumerate(zip(series, places, strict=True), start=1):
        patient = patients.setdefault(_patient(one), f"patient_{len(patients) + 1:04d}")
        rows.append(_row(root, f"series_{number:05d}", one, place, patient=patient))

    def meant(folder: Folder, cell: str) -> list[str]:
        named = root / folder.join(cell)
        return [row.row_id for row, one in zip(rows, series, strict=True) if one.files[0].is_relative_to(named)]

    rows = labeled_by_tables(root, folders, rows, meant, key="path", cure="Name a folder or file that holds a series.")
    check_rows(rows, root)
    return rows


def _series_below(root: Path, folders: Sequence[Folder]) -> list[Series]:
    """Return the series, each of one folder, unless several folders hold different slices of it.

    Folders with the same slices are copies (of another compression, say), each a series of its own.
    """
    parts: dict[str, list[Series]] = {}
    for folder in folders:
        for one in find_series([root / folder.join(name) for name in folder.names]).images:
            parts.setdefault(one.uid or str(one.files[0]), []).append(one)
    all_series: list[Series] = []
    for some in parts.values():
        slices = [place for one in some for place in _slices(one)]
        whole = len(some) > 1 and len(set(slices)) == len(slices)
        all_series += find_series([file for one in some for file in one.files]).series if whole else some
    return all_series


def _slices(series: Series) -> set[str]:
    """List where its slices lie; of what states no position, its instances."""
    return {str(header.get("ImagePositionPatient") or header.get("SOPInstanceUID")) for header in series.headers}


def _patient(series: Series) -> str:
    """Return what tells patients apart; it stays in here."""
    header = series.headers[0]
    known = (f"{keyword} {header.get(keyword)}" for keyword in ("PatientID", "PatientName", "StudyInstanceUID")
             if str(header.get(keyword) or "").strip())  # fmt: skip
    return next(known, f"folder {series.files[0].parent}")


def _places(root: Path, series: Sequence[Series]) -> list[Path]:
    """Name for each series the one file that it is, the folder that holds it and no other, or one of its files#series.

    A folder is read with all below it, so that two series that share one would be mixed.
    """
    problems = Problems(root)
    places = []
    for one in series:
        place = one.files[0] if len(one.files) == 1 else _common_folder(one.files)
        strangers = [other for other in series if other is not one and place.is_dir()
                     and any(file.is_relative_to(place) for file in other.files)]  # fmt: skip
        if strangers and len({file.parent for file in one.files}) == 1:
            place = one.files[0].with_name(one.files[0].name + SERIES)
        elif strangers:
            where = place.relative_to(root).as_posix()
            detail = f"{len(one.files)} files of one series ({one.files[0].name} ...) lie in several folders below " + (
                f"{where}/, where {len(strangers)} other series lie too"
            )
            problems.add("series spread among others", detail, "Put the files of each into a folder of its own.")
        places.append(place)
    problems.raise_if_any()
    return places


def _common_folder(files: Sequence[Path]) -> Path:
    folder = files[0].parent
    while not all(file.is_relative_to(folder) for file in files):
        folder = folder.parent
    return folder


def _row(root: Path, row_id: str, series: Series, place: Path, *, patient: str) -> ManifestRow:
    spacing: tuple[float | None, float | None, float | None] = (None, None, None)
    try:
        stack = stack_series(series)
    except InputError:
        pass  # reading it says why; here only its spacing stays unknown
    else:
        i, j, k = (sum(float(cell) ** 2 for cell in stack.affine[:3, axis]) ** 0.5 for axis in range(3))
        spacing = (i, j, k if len(stack.volumes[0]) > 1 else None)
    return real_row(
        root,
        row_id,
        place.relative_to(root).as_posix(),
        dataset="dicom_folder",
        patient_id=patient,
        modality=series.modality or None,
        spacing_mm_0=spacing[0],
        spacing_mm_1=spacing[1],
        spacing_mm_2=spacing[2],
    )


DICOM_FOLDER = Source(
    name="dicom_folder",
    title="DICOM series in folders",
    modality="",
    channels=1,
    rows=dicom_folder_rows,
    how_to_get=HOW_TO_GET,
)
"""Series of one's own."""
