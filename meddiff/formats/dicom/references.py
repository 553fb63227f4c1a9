"""The source of a DICOM Segmentation or Parametric Map: the frames behind its slices, the headers that it repeats.

Geometry is that of the frames: a series may round its orientations differently from file to file, programs leave out
elements that the standard wants, and the slice thickness of a scanner is not the distance of its slices.
"""

import math
import re
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import meddiff
from meddiff.errors import InputError
from meddiff.formats.dicom.grid.frame import Frame
from meddiff.formats.dicom.grid.stacking import TILT_DEGREES
from meddiff.formats.dicom.series import Series, choose, find_series
from meddiff.formats.dicom.stack import stack_series

if TYPE_CHECKING:
    from pydicom import Dataset

# What a Segmentation must repeat of its source, if only as an empty element, and what other programs leave out.
_REPEATED = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
_NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_NUMBER = 1000  # added to the source's series number: what is made of images is listed behind them
_SEXES = ("M", "F", "O")
_DATES = {"PatientBirthDate": r"\d{8}", "StudyDate": r"\d{8}", "StudyTime": r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?"}


def planes_of(
    array: np.ndarray, path: Path, series: Series | Sequence[Path], what: str
) -> tuple[Series, tuple[Frame, ...], np.ndarray]:
    """Return the source, the frames behind its slices, and an array [I, J, K] of its grid as planes [K, J, I].

    Raises:
        InputError: an array of another size; see `source_frames`.
    """
    series = series if isinstance(series, Series) else _series_of(series)
    frames, planes = source_frames(series), array.transpose(2, 1, 0)
    shape = (len(frames), *frames[0].shape)
    if planes.shape[:3] != shape:
        raise InputError(
            f"{path}: the {what} has {_size(planes.shape)}, {series.name} {_size(shape)}. Give the {what} on the grid "
            "of the series, in the axes in which read_series gives it."
        )
    return series, frames, np.ascontiguousarray(planes)


def made_by(algorithm: str, number: int | None) -> dict[str, Any]:
    """Return what a file says of the program that made it, and its place in the study behind series ``number``."""
    from pydicom.uid import ExplicitVRLittleEndian

    return {
        "series_number": max(number or 0, 0) + _NUMBER,
        "instance_number": 1,
        "manufacturer": "meddiff",
        "manufacturer_model_name": algorithm[:64],
        "software_versions": meddiff.__version__,
        "device_serial_number": meddiff.__version__,  # software has none, the standard wants one
        "transfer_syntax_uid": ExplicitVRLittleEndian,
        "specific_character_set": "ISO_IR 192",  # UTF-8 holds any name; the source's set may hold no name of a class
    }


def with_thickness(built: Any) -> Any:
    """Return a file with the thickness of a single slice, which is unknown: highdicom reads none without it."""
    measures = built.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    if "SliceThickness" not in measures:
        measures.SliceThickness = None
    return built


def _series_of(paths: Sequence[Path]) -> Series:
    files = [Path(file) for file in paths]
    return choose(find_series(files).series, None, files[0].parent if files else "no files")


def _size(shape: Sequence[int]) -> str:
    return f"{shape[2]} columns, {shape[1]} rows and {shape[0]} slices"


def source_frames(series: Series) -> tuple[Frame, ...]:
    """Find the frame behind each slice, if a Segmentation can reference them.

    Raises:
        InputError: it cannot; with the reason.
    """
    stack = stack_series(series)
    frames = stack.volumes[0]
    normal = np.cross(*frames[0].directions)
    step = frames[-1].position - frames[0].position
    cosine = 1.0 if len(frames) == 1 else step @ normal / np.linalg.norm(step)
    files = {frame.file for frame in frames}
    headers = {file: header for file, header in zip(series.files, series.headers, strict=True) if file in files}
    first = headers[frames[0].file]
    reason = None
    if math.degrees(math.acos(min(1.0, cosine))) > TILT_DEGREES:
        reason = "its gantry is tilted, and programs that read a Segmentation as a grid would put it elsewhere"
    elif len(frames) > len(files) and "PerFrameFunctionalGroupsSequence" not in first:
        mosaic = "MOSAIC" in str(first.get("ImageType"))
        reason = "its slices are tiles of one picture (a mosaic)" if mosaic else "its frames tell no position each"
    elif len(files) > 1 and any("PerFrameFunctionalGroupsSequence" in header for header in headers.values()):
        reason = f"its slices lie in {len(files)} multi-frame files, and a Segmentation is drawn on one"
    else:
        missing = [word for word in _NEEDED for header in headers.values() if not str(header.get(word) or "").strip()]
        if missing:
            reason = f"its files do not tell the {missing[0]}, by which a Segmentation finds its images"
    if reason:
        where = frames[0].file.parent if len(files) > 1 else frames[0].file
        raise InputError(
            f"{where}: no DICOM Segmentation can be written for {series.name}: {reason}. Write the mask as NIfTI."
        )
    return frames


def source_headers(series: Series, frames: Sequence[Frame]) -> "list[Dataset]":
    """Build headers for highdicom, in the order of the slices: one per file, or one whose frames are reordered."""
    by_file = dict(zip(series.files, series.headers, strict=True))
    enhanced = "PerFrameFunctionalGroupsSequence" in by_file[frames[0].file]
    headers = []
    for frame in frames[:1] if enhanced else frames:
        header = _copied(by_file[frame.file])
        _complete(header)
        if enhanced:
            _reorder(header, frames)
        else:
            _place(header, frames)
        headers.append(header)
    return headers


def _copied(source: "Dataset") -> "Dataset":
    """Copy a header, to change it (pydicom's copy shares its elements), texts decoded with its file's character set."""
    from pydicom.dataset import Dataset

    header = Dataset()
    for tag in source.keys():  # noqa: SIM118  iterating over a Dataset gives elements, and decodes private ones
        if not tag.is_private:
            header.add(copy(source[tag]))
    return header


def _complete(header: "Dataset") -> None:
    """Fill in what is missing, and write dates and times as they are written since 1993; those that are none go."""
    from pydicom.uid import generate_uid

    for keyword in _REPEATED:
        if header.get(keyword) is None:
            setattr(header, keyword, "")
    for keyword, form in _DATES.items():
        digits = str(header.get(keyword)).translate({ord(":"): None} if "Time" in keyword else {ord("."): None})
        setattr(header, keyword, digits if re.fullmatch(form, digits) else "")
    if header.PatientSex not in _SEXES:
        header.PatientSex = ""
    if not header.get("Modality"):
        header.Modality = "OT"
    if not header.get("FrameOfReferenceUID"):
        header.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame of reference", header.SeriesInstanceUID])


def _geometry(frames: Sequence[Frame]) -> tuple[list[float], dict[str, Any]]:
    """Compute the orientation, and what the pixels measure."""
    first = frames[0]
    measures: dict[str, Any] = {"PixelSpacing": [first.spacing_mm[1], first.spacing_mm[0]]}
    if len(frames) > 1:
        apart = float(np.linalg.norm(frames[-1].position - first.position)) / (len(frames) - 1)
        measures |= {"SliceThickness": apart, "SpacingBetweenSlices": apart}
    return [float(value) for value in first.directions.ravel()], measures


def _place(header: "Dataset", frames: Sequence[Frame]) -> None:
    directions, measures = _geometry(frames)
    header.ImageOrientationPatient = _numbers(directions)
    for keyword, value in measures.items():
        setattr(header, keyword, _numbers(value))
    if not header.get("SliceThickness"):
        header.SliceThickness = None  # of a single slice, unknown


def _reorder(header: "Dataset", frames: Sequence[Frame]) -> None:
    """Keep the frames of these slices alone, in their order, with the geometry that they share written once."""
    directions, measures = _geometry(frames)
    orientation = _item(ImageOrientationPatient=directions)
    shared = _item()
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [_item(**measures)]
    groups = []
    for frame in frames:
        groups.append(_item())
        groups[-1].PlanePositionSequence = [_item(ImagePositionPatient=[float(value) for value in frame.position])]
    header.SharedFunctionalGroupsSequence, header.PerFrameFunctionalGroupsSequence = [shared], groups
    header.NumberOfFrames = len(frames)


def _item(**values: Any) -> "Dataset":
    from pydicom.dataset import Dataset

    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, _numbers(value))
    return item


def _numbers(value: Any) -> Any:
    """Turn numbers into decimal strings of at most 16 characters."""
    from pydicom.valuerep import DSfloat

    if isinstance(value, list):
        return [_numbers(one) for one in value]
    return DSfloat(value, auto_format=True)


def renumber(built: Any, frames: Sequence[Frame]) -> None:
    """Set references into a multi-frame source to the numbers that its frames have there; in place."""
    references = {
        id(source): source  # segments of one plane share the item, which must be changed once
        for group in built.PerFrameFunctionalGroupsSequence
        for derivation in group.get("DerivationImageSequence", [])
        for source in derivation.SourceImageSequence
        if "ReferencedFrameNumber" in source
    }
    for source in references.values():
        source.ReferencedFrameNumber = frames[int(source.ReferencedFrameNumber) - 1].index + 1
