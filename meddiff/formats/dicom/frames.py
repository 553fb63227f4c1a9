"""Where each slice of a DICOM file lies: classic single-frame files, enhanced multi-frame, Siemens mosaics, dose grids.

A mosaic is a picture of n x n tiles, one per slice. Its ImagePositionPatient is that of a single slice as large as
the whole mosaic, so the first tile's corner lies (n - 1) / 2 tile sizes further inside. The slices' normal stands in
Siemens' private CSA header (read by nibabel), their distance in SpacingBetweenSlices, which counts the gap.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meddiff.files.bad import bad_file
from meddiff.formats.damage import damage_told
from meddiff.formats.dicom.stacking import Frame

if TYPE_CHECKING:
    from pydicom import Dataset

_UNIT = 1e-2  # how far written direction cosines may be from unit length and right angles


def frames_of(header: "Dataset", file: Path) -> list[Frame]:
    """The slices of one DICOM image.

    Raises:
        InputError: no position, orientation or pixel spacing, or values that are no geometry.
    """
    with damage_told(file, "the header"):
        if "PerFrameFunctionalGroupsSequence" in header:
            return list(_enhanced(header, file))
        if "MOSAIC" in [str(word) for word in _words(header.get("ImageType"))]:
            return list(_mosaic(header, file))
        count = int(header.get("NumberOfFrames") or 1)
        if count == 1:
            return [_frame(header, file, number=0)]
        return list(_grid(header, file, count))


def _frame(header: "Dataset", file: Path, *, number: int, **changed: Any) -> Frame:
    values = {
        "file": file,
        "index": number,
        "corner": (0, 0),
        "shape": (int(header.Rows), int(header.Columns)),
        "kind": (_number(header, "EchoTime"), _number(header, "DiffusionBValue"), _words(header.get("ImageType"))),
        "order": _order(header, number),
        "slope": _value(header.get("RescaleSlope", header.get("DoseGridScaling")), 1.0),
        "intercept": _value(header.get("RescaleIntercept"), 0.0),
    }
    if "position" not in changed:
        values["position"] = _vector(header.get("ImagePositionPatient"), 3, "ImagePositionPatient", file)
    if "directions" not in changed:
        values["directions"] = _directions(header.get("ImageOrientationPatient"), file)
    if "spacing_mm" not in changed:
        values["spacing_mm"] = _spacing(header.get("PixelSpacing"), file)
    frame = Frame(**values | changed)
    if frame.slope == 0 or not math.isfinite(frame.slope * frame.intercept):
        raise bad_file(file, f"values cannot be rescaled with slope {frame.slope} and intercept {frame.intercept}")
    if not np.isfinite(frame.position).all():  # of a mosaic or dose grid, whose slices are told by distances
        raise bad_file(file, "the distance of its slices is not a number")
    return frame


def _order(header: "Dataset", number: int) -> tuple:
    names = ("TemporalPositionIdentifier", "AcquisitionNumber", "EchoTime", "DiffusionBValue", "TriggerTime")
    numbers = tuple(_number(header, name) for name in names)
    return (*numbers, _words(header.get("ImageType")), _number(header, "InstanceNumber"), number)


def _enhanced(header: "Dataset", file: Path) -> Iterator[Frame]:
    shared = (header.get("SharedFunctionalGroupsSequence") or [{}])[0]
    groups = header.PerFrameFunctionalGroupsSequence
    if len(groups) != int(header.get("NumberOfFrames") or 1):
        raise bad_file(file, f"{header.get('NumberOfFrames')} frames, but the geometry of {len(groups)}")
    for number, group in enumerate(groups):

        def told(sequence: str, keyword: str, group=group):
            for place in (group, shared):
                if sequence in place and len(place[sequence].value):
                    return place[sequence][0].get(keyword)
            return None

        kind = (
            _value(told("MREchoSequence", "EffectiveEchoTime"), -1.0),
            _value(told("MRDiffusionSequence", "DiffusionBValue"), -1.0),
            _words(told("MRImageFrameTypeSequence", "FrameType") or told("CTImageFrameTypeSequence", "FrameType")),
        )
        time = _value(told("FrameContentSequence", "TemporalPositionIndex"), -1.0)
        yield _frame(
            header,
            file,
            number=number,
            position=_vector(
                told("PlanePositionSequence", "ImagePositionPatient"), 3, "ImagePositionPatient of a frame", file
            ),
            directions=_directions(told("PlaneOrientationSequence", "ImageOrientationPatient"), file),
            spacing_mm=_spacing(told("PixelMeasuresSequence", "PixelSpacing"), file),
            kind=kind,
            order=(kind, time, _number(header, "InstanceNumber"), number),
            slope=_value(told("PixelValueTransformationSequence", "RescaleSlope"), 1.0),
            intercept=_value(told("PixelValueTransformationSequence", "RescaleIntercept"), 0.0),
        )


def _mosaic(header: "Dataset", file: Path) -> Iterator[Frame]:
    from nibabel.nicom import csareader

    csa = csareader.get_csa_header(header, "image")
    count = csareader.get_n_mosaic(csa) if csa else None
    normal = csareader.get_slice_normal(csa) if csa else None
    if not count or normal is None:
        raise bad_file(file, "a Siemens mosaic without the private header that tells its slices (was it anonymized?)")
    distance = _value(header.get("SpacingBetweenSlices"), 0.0)
    if distance <= 0 and count > 1:
        raise bad_file(file, "a Siemens mosaic without SpacingBetweenSlices: the distance of its slices is unknown")
    side = math.ceil(math.sqrt(count))
    rows, columns = int(header.Rows) // side, int(header.Columns) // side
    if rows * side != header.Rows or columns * side != header.Columns:
        raise bad_file(file, f"a mosaic of {count} slices cannot be {header.Rows} x {header.Columns} pixels")
    whole = _frame(header, file, number=0)
    inside = np.array([(header.Columns - columns) / 2, (header.Rows - rows) / 2]) * whole.spacing_mm
    first = whole.position + inside @ whole.directions
    for number in range(count):
        yield _frame(
            header,
            file,
            number=0,
            corner=(number // side * rows, number % side * columns),
            shape=(rows, columns),
            position=first + number * distance * np.asarray(normal),
        )


def _grid(header: "Dataset", file: Path, count: int) -> Iterator[Frame]:
    """Frames of a dose grid, which tells the offset of each along the normal."""
    offsets = header.get("GridFrameOffsetVector")
    if offsets is None or len(offsets) != count:
        raise bad_file(file, f"its {count} frames have no position in the patient, so they are no volume")
    offsets = np.array([float(offset) for offset in offsets])
    if offsets[0] != 0:
        raise bad_file(file, "its GridFrameOffsetVector does not begin with 0, which is not understood")
    first = _frame(header, file, number=0)
    normal = np.cross(*first.directions)
    for number in range(count):
        yield _frame(header, file, number=number, position=first.position + offsets[number] * normal)


def _vector(value: Any, length: int, what: str, file: Path) -> np.ndarray:
    if value is None or len(_words(value)) == 0:
        raise bad_file(file, f"{what} is missing: where the picture lies in the patient is unknown")
    numbers = np.array([float(number) for number in _words(value)])
    if numbers.shape != (length,) or not np.isfinite(numbers).all():
        raise bad_file(file, f"{what} must be {length} numbers, it is {list(_words(value))}")
    return numbers


def _directions(value: Any, file: Path) -> np.ndarray:
    directions = _vector(value, 6, "ImageOrientationPatient", file).reshape(2, 3)
    lengths = np.linalg.norm(directions, axis=1)
    if np.abs(lengths - 1).max() > _UNIT or abs(directions[0] @ directions[1]) > _UNIT:
        raise bad_file(file, f"ImageOrientationPatient is no pair of unit vectors at right angles: {list(value)}")
    return directions


def _spacing(value: Any, file: Path) -> tuple[float, float]:
    rows, columns = _vector(value, 2, "PixelSpacing", file)
    if min(rows, columns) <= 0:
        raise bad_file(file, f"PixelSpacing must be two positive numbers, it is {list(value)}")
    return float(columns), float(rows)


def _words(value: Any) -> tuple:
    if value is None or value == "":
        return ()
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)


def _number(header: "Dataset", keyword: str) -> float:
    """For sorting: -1 where it is not told."""
    return _value(header.get(keyword), -1.0)


def _value(value: Any, unknown: float) -> float:
    return unknown if value is None or value == "" or len(_words(value)) != 1 else float(value)
