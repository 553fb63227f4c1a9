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

from meddiff.data.image_io.dicom import stack_series
from meddiff.data.image_io.dicom_files import Series, find_series
from meddiff.data.manifest import ManifestRow
from meddiff.data.problems import Problems
from meddiff.errors import InputError
from meddiff.sources.listing import list_folders
from meddiff.sources.source import Source, real_row

HOW_TO_GET = (
    "Any DICOM series below --data-root, each in a folder of its own (the files may have any name), or in one file "
    "(enhanced multi-frame). Files that are no DICOM images are passed over."
)


def dicom_folder_rows(root: Path) -> list[ManifestRow]:
    """One row per series.

    Raises:
        InputError: no series was found, or several share a folder.
    """
    folders = list_folders(root)
    found = find_series([root / folder.join(name) for folder in folders for name in folder.names])
    series = sorted(found.series, key=lambda one: str(one.files[0]))
    if not series:
        raise InputError(f"{root}: no DICOM series was found in it. {HOW_TO_GET}")
    places = _places(root, series)
    patients: dict[str, str] = {}
    rows = []
    for number, (one, place) in enumerate(zip(series, places, strict=True), start=1):
        patient = patients.setdefault(_patient(one), f"patient_{len(patients) + 1:04d}")
        rows.append(_row(root, f"series_{number:05d}", one, place, patient=patient))
    return rows


def _patient(series: Series) -> str:
    """What tells patients apart; it stays in here."""
    header = series.headers[0]
    known = (f"{keyword} {header.get(keyword)}" for keyword in ("PatientID", "PatientName", "StudyInstanceUID")
             if str(header.get(keyword) or "").strip())  # fmt: skip
    return next(known, f"folder {series.files[0].parent}")


def _places(root: Path, series: Sequence[Series]) -> list[Path]:
    """For each series the one file that it is, or the folder that holds it and no other.

    A folder is read with all below it, so that two series that share one would be mixed.
    """
    problems = Problems(root)
    places = [one.files[0] if len(one.files) == 1 else _common_folder(one.files) for one in series]
    for one, place in zip(series, places, strict=True):
        strangers = [other for other in series if other is not one and place.is_dir()
                     and any(file.is_relative_to(place) for file in other.files)]  # fmt: skip
        if strangers:
            where = place.relative_to(root).as_posix()
            detail = f"{len(one.files)} files of one series ({one.files[0].name} ...) lie below {where}/, where " + (
                f"{len(strangers)} other series lie too"
            )
            problems.add("series that share a folder", detail, "Put the files of each into a folder of its own.")
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
