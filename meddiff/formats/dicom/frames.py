"""Places of the slices of a DICOM file: classic single-frame files, enhanced multi-frame, Siemens mosaics, dose grids.

A mosaic is a picture of n x n tiles, one per slice. Its ImagePositionPatient is that of a single slice as large as
the whole mosaic, so the first tile's corner lies (n - 1) / 2 tile sizes further inside. The slices' normal stands in
Siemens' private CSA header (read by nibabel), their distance in SpacingBetweenSlices, which counts the gap.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meddiff.files.bad import bad_file
from meddiff.formats.damage import damage_named
from meddiff.formats.dicom.grid.frame import Frame
from meddiff.formats.dicom.grid.marks import Lookup, marks_of
from meddiff.formats.dicom.grid.measure import measure_of

if TYPE_CHECKING:
    from pydicom import Dataset

_UNIT = 1e-2  # how far written direction cosines may be from unit length and right angles


def frames_of(header: "Dataset", file: Path) -> list[Frame]:
    """List the slices of one DICOM image.

    Raises:
        InputError: no position, orientation or pixel spacing, values that are no geometry, a scale that is none.
    """
    with damage_named(file, "the header"):
        if "PerFrameFunctionalGroupsSequence" in header:
            return list(_enhanced(header, file))
        if "MOSAIC" in [str(word) for word in _words(header.get("ImageType"))]:
            return list(_mosaic(header, file))
        count = int(header.get("NumberOfFrames") or 1)
        if count == 1:
            return [_frame(header, file)]
        return list(_grid(header, file, count))


def _frame(header: "Dataset", file: Path, lookup: Lookup | None = None, *, index: int = 0, **changed: Any) -> Frame:
    """Build the frame of a header, or of what the functional groups say at this index; ``changed`` wins."""

    def say(group: str, keyword: str) -> Any:
        return lookup(group, keyword) if lookup else header.get(keyword)

    if "position" not in changed:
        what = f"ImagePositionPatient{' of a frame' if lookup else ''}"
        changed["position"] = _vector(say("PlanePositionSequence", "ImagePositionPatient"), 3, what, file)
    values = {
        "file": file,
        "index": index,
        "corner": (0, 0),
        "shape": (int(header.Rows), int(header.Columns)),
        "directions": _directions(say("PlaneOrientationSequence", "ImageOrientationPatient"), file),
        "spacing_mm": _spacing(say("PixelMeasuresSequence", "PixelSpacing"), file),
        "number": (_value(header.get("InstanceNumber"), -1.0), float(index)),
        "measure": measure_of(header, file, lookup),
        "space": str(header.get("FrameOfReferenceUID") or ""),
    }
    units = values["measure"].units
    values["marks"] = marks_of(header, lookup) | ({"Units": units} if units else {})
    frame = Frame(**values | changed)
    if not np.isfinite(frame.position).all():  # of a mosaic or dose grid, whose slices are told by distances
        raise bad_file(file, "the distance of its slices is not a number")
    return frame


def _enhanced(header: "Dataset", file: Path) -> Iterator[Frame]:
    shared = (header.get("SharedFunctionalGroupsSequence") or [{}])[0]
    groups = header.PerFrameFunctionalGroupsSequence
    if len(groups) != int(header.get("NumberOfFrames") or 1):
        raise bad_file(file, f"{header.get('NumberOfFrames')} frames, but the geometry of {len(groups)}")
    for index, group in enumerate(groups):
        yield _frame(header, file, partial(_lookup, (group, shared)), index=index)


def _lookup(places: Sequence[Any], group: str, keyword: str) -> Any:
    """Find what a functional group (those inside others behind a /) says; all of its items if no keyword is given."""
    first, _, inner = group.partition("/")
    for place in places:
        if first in place and len(place[first].value):
            item = place[first][0]
            return _lookup((item,), inner, keyword) if inner else item.get(keyword) if keyword else place[first].value
    return None


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
    if not np.isfinite([distance, *np.ravel(normal)]).all():
        raise bad_file(file, "the distance of its slices is not a number")
    side = math.ceil(math.sqrt(count))
    rows, columns = int(header.Rows) // side, int(header.Columns) // side
    if rows * side != header.Rows or columns * side != header.Columns:
        raise bad_file(file, f"a mosaic of {count} slices cannot be {header.Rows} x {header.Columns} pixels")
    whole = _frame(header, file)
    inside = np.array([(header.Columns - columns) / 2, (header.Rows - rows) / 2]) * whole.spacing_mm
    first = whole.position + inside @ whole.directions
    for number in range(count):
        yield replace(
            whole,
            corner=(number // side * rows, number % side * columns),
            shape=(rows, columns),
            position=first + number * distance * np.asarray(normal),
        )


def _grid(header: "Dataset", file: Path, count: int) -> Iterator[Frame]:
    """Yield the frames of a dose grid, which tells the offset of each along the normal."""
    offsets = header.get("GridFrameOffsetVector")
    if offsets is None or len(offsets) != count:
        raise bad_file(file, f"its {count} frames have no position in the patient, so they are no volume")
    offsets = np.array([float(offset) for offset in offsets])
    if offsets[0] != 0:
        raise bad_file(file, "its GridFrameOffsetVector does not begin with 0, which is not understood")
    first = _frame(header, file)
    normal = np.cross(*first.directions)
    for index in range(count):
        yield _frame(header, file, index=index, position=first.position + offsets[index] * normal)


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


def _value(value: Any, unknown: float) -> float:
    return unknown if value is None or value == "" or len(_words(value)) != 1 else float(value)
