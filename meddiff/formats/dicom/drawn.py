"""Shapes drawn on a DICOM series, on the voxels of the image: segments of a SEG, contours of an RTSTRUCT.

Each says in millimeters where it lies. A frame of a SEG must lie on a slice of the image, voxel on voxel, whatever the
order and direction of its rows; nothing is resampled. Where both say to which frame of reference and series they
belong, they must agree.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meddiff.files.bad import bad_file
from meddiff.files.bounds import check_memory
from meddiff.formats.damage import damage_named
from meddiff.formats.dicom.contours import draw_contours
from meddiff.formats.dicom.dataset import read_dataset
from meddiff.formats.dicom.pixels import read_stored
from meddiff.formats.dicom.series import kind_of
from meddiff.formats.drawing import Drawing
from meddiff.formats.pictures import is_picture
from meddiff.formats.volume import SAME_PLACE, Volume

if TYPE_CHECKING:
    from pydicom import Dataset

_SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
_CONTOURS = "1.2.840.10008.5.1.4.1.1.481.3"
LPS = np.diag([-1.0, -1.0, 1.0])
"""From the patient's left, back and head, as DICOM counts, to right, front and head; and the way back."""


def is_drawn(path: Path) -> bool:
    """Tell whether a file is a SEG or an RTSTRUCT, by its content."""
    return not is_picture(path) and kind_of(path) in (*_SEGMENTATIONS, _CONTOURS)


def drawing_of(path: Path, image: Volume, name: object) -> Drawing:
    """Read what was drawn on an image.

    Args:
        path: the SEG or RTSTRUCT.
        image: the image that it was drawn on.
        name: of the image, for messages.

    Raises:
        InputError: it is damaged, is of another image, lies on other voxels, or is of a kind that is not read.
    """
    with damage_named(path):
        dataset = read_dataset(path)
        if image.affine is None:
            raise bad_file(path, f"it says in millimeters where it lies, and {name} does not tell its orientation")
        _check_belongs(path, dataset, image, name)
        drawing = Drawing(path, image.shape)
        to_index = np.linalg.inv(image.affine)
        if kind_of(path) == _CONTOURS:
            draw_contours(dataset, drawing, lambda points: _indices(to_index, points))
        else:
            _draw_segments(path, dataset, drawing, to_index)
    return drawing


def _indices(to_index: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Turn points [N, 3] in DICOM's millimeters into indices of the image's voxels [N, 3]."""
    return points @ LPS @ to_index[:3, :3].T + to_index[:3, 3]


def _check_belongs(path: Path, dataset: Dataset, image: Volume, name: object) -> None:
    """Refuse what says that it was drawn on another image."""
    regions = dataset.get("StructureSetROISequence", [])
    spaces = {str(one.get("ReferencedFrameOfReferenceUID") or "") for one in regions} - {""}
    spaces = spaces or {str(dataset.get("FrameOfReferenceUID") or "")} - {""}
    own = image.identifiers.get("frame_of_reference_uid")
    if own and spaces and spaces != {own}:
        raise bad_file(path, f"it was drawn in another frame of reference than that of {name} (FrameOfReferenceUID)")
    series = {str(one.SeriesInstanceUID) for one in dataset.get("ReferencedSeriesSequence", [])}
    series |= {
        str(one.SeriesInstanceUID)
        for space in dataset.get("ReferencedFrameOfReferenceSequence", [])
        for study in space.get("RTReferencedStudySequence", [])
        for one in study.get("RTReferencedSeriesSequence", [])
    }
    own = image.identifiers.get("series_uid")
    if own and series and own not in series:
        raise bad_file(path, f"it was drawn on another series than {name} (SeriesInstanceUID of what it references)")


def _draw_segments(path: Path, dataset: Dataset, drawing: Drawing, to_index: np.ndarray) -> None:
    segments = {int(one.SegmentNumber): _label(one) for one in dataset.SegmentSequence}
    kind = str(dataset.get("SegmentationType") or "BINARY")
    if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        raise bad_file(path, f"a segmentation of the type {kind} is not read; these are BINARY, FRACTIONAL, LABELMAP")
    if "PerFrameFunctionalGroupsSequence" not in dataset:
        raise bad_file(path, "its frames tell no place each (tiles of a slide), and only slices of a patient are read")
    check_memory(path, 4 * drawing.numbers.size)
    frames = read_stored(path)
    half = int(dataset.get("MaximumFractionalValue") or 1) / 2 if kind == "FRACTIONAL" else 0.5
    planes: dict[int, list[tuple[np.ndarray, Any]]] = {number: [] for number in segments}
    shared = dataset.SharedFunctionalGroupsSequence[0] if dataset.get("SharedFunctionalGroupsSequence") else {}
    if len(frames) != len(dataset.PerFrameFunctionalGroupsSequence):
        raise bad_file(path, f"it has {len(frames)} frames and {len(dataset.PerFrameFunctionalGroupsSequence)} places")
    for frame, group in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        voxels = _voxels_of(path, group, shared, frame.shape, to_index, drawing)
        if kind == "LABELMAP":
            labels = set(np.unique(frame).tolist())
            if unknown := sorted(labels - set(segments) - {0, int(dataset.get("PixelPaddingValue") or 0)}):
                raise bad_file(path, f"its voxels hold the numbers {unknown[:5]}, which are none of its segments")
            for number in labels & set(segments):
                planes[number].append((frame == number, voxels))
            continue
        number = int(_group("SegmentIdentificationSequence", group, shared, path).ReferencedSegmentNumber)
        if number not in segments:
            raise bad_file(path, f"a frame is of segment {number}, which it does not describe")
        planes[number].append((frame > half if kind == "BINARY" else frame >= half, voxels))
    for number, label in segments.items():
        marked = np.zeros(drawing.numbers.shape, bool)
        for plane, voxels in planes[number]:
            marked[voxels] |= plane
        drawing.add(label, marked)


def _label(segment: Dataset) -> str:
    types = segment.get("SegmentedPropertyTypeCodeSequence") or [{}]
    label = segment.get("SegmentLabel") or types[0].get("CodeMeaning") or f"segment {segment.SegmentNumber}"
    return str(label).strip()


def _group(keyword: str, group: Any, shared: Any, path: Path) -> Any:
    """Return the first item of a frame's functional group, or of that which all frames share."""
    items = group.get(keyword) or shared.get(keyword)
    if not items:
        raise bad_file(path, f"its frames do not tell their {keyword.removesuffix('Sequence')}")
    return items[0]


def _voxels_of(
    path: Path, group: Any, shared: Any, shape: tuple[int, ...], to_index: np.ndarray, drawing: Drawing
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the voxels of the image under a frame [rows, columns]: three arrays that index them in that order.

    Raises:
        InputError: the frame lies between voxels, across slices, or outside of the image.
    """
    corner = np.array(_group("PlanePositionSequence", group, shared, path).ImagePositionPatient, float)
    along = np.array(_group("PlaneOrientationSequence", group, shared, path).ImageOrientationPatient, float)
    spacing = [float(mm) for mm in _group("PixelMeasuresSequence", group, shared, path).PixelSpacing]
    rows, columns = shape
    row_step, column_step = along[3:] * spacing[0], along[:3] * spacing[1]
    corners = np.array([corner + row * row_step + column * column_step
                        for row in (0, rows - 1) for column in (0, columns - 1)])  # fmt: skip
    exact = _indices(to_index, corners)
    near = np.rint(exact).astype(int)
    apart = float(np.abs(exact - near).max())
    if apart > SAME_PLACE:
        raise bad_file(path, f"its frames lie on other voxels than the image, up to {apart:.2f} of a voxel beside "
                             "them: resample it to the image first (nearest neighbor)")  # fmt: skip
    size = np.array(drawing.numbers.shape)
    if (near < 0).any() or (near >= size).any():
        raise bad_file(path, f"a frame reaches beyond the image, which has {size.tolist()} voxels")
    down, right = near[2] - near[0], near[1] - near[0]
    if np.abs(down).sum() != rows - 1 or np.abs(right).sum() != columns - 1 or (down * right).any():
        raise bad_file(path, "its pixels have another size than the image's voxels: resample it to the image first")
    row, column = np.arange(rows)[:, None], np.arange(columns)[None, :]
    i, j, k = (near[0, axis] + row * np.sign(down[axis]) + column * np.sign(right[axis]) for axis in range(3))
    return i, j, k
