"""A DICOM series to a volume: slices arranged by position, stored values turned into what they measure."""

import numpy as np

from meddiff.errors import InputError
from meddiff.files.bad import bad_file
from meddiff.formats.dicom.frames import frames_of
from meddiff.formats.dicom.pixels import read_stored
from meddiff.formats.dicom.series import Series
from meddiff.formats.dicom.stacking import Frame, Stack, arrange
from meddiff.formats.volume import Volume

_IDENTIFIERS = {
    "series_uid": "SeriesInstanceUID",
    "study_uid": "StudyInstanceUID",
    "frame_of_reference_uid": "FrameOfReferenceUID",
    "series_number": "SeriesNumber",
    "series_description": "SeriesDescription",
}


def stack_series(series: Series) -> Stack:
    """The grid of a series, from its headers alone.

    Raises:
        InputError: the slices are no volume (see stacking.arrange), or a file tells no geometry.
    """
    if series.disputed:
        told = f"files claim to be the same slice (SOPInstanceUID) but differ: {', '.join(series.disputed[:3])}"
        raise InputError(f"{series.files[0].parent}: {told}. Keep the right one of each.")
    frames = [
        frame for header, file in zip(series.headers, series.files, strict=True) for frame in frames_of(header, file)
    ]
    folders = {file.parent for file in series.files}
    where = series.files[0] if len(series.files) == 1 else folders.pop() if len(folders) == 1 else series.name
    return arrange(frames, where)


def read_series(series: Series) -> Volume:
    """Voxels and geometry of a series.

    Values are stored * slope + intercept of each slice: the stored type where that changes nothing, int16 or int32
    where slopes are 1 (Hounsfield), else float32.

    Raises:
        InputError: as stack_series, pixels that cannot be decoded, slices in gray and in color.
    """
    import nibabel

    stack = stack_series(series)
    array, color = _voxels(stack)
    header = series.headers[0]
    spacing = [float(length) for length in np.linalg.norm(stack.affine[:3, :3], axis=0)]
    known = len(stack.volumes[0]) > 1
    inverted = ("stored values grow towards black (MONOCHROME1)",)
    return Volume(
        array=array,
        affine=stack.affine,
        spacing_mm=(spacing[0], spacing[1], spacing[2] if known else None),
        orientation=nibabel.aff2axcodes(stack.affine),  # type: ignore[attr-defined]
        modality=series.modality or None,
        units=_units(header),
        identifiers={
            name: str(header.get(keyword)) for name, keyword in _IDENTIFIERS.items() if header.get(keyword) is not None
        },
        notes=series.notes
        + stack.notes
        + (inverted if header.get("PhotometricInterpretation") == "MONOCHROME1" else ()),
        color=color,
    )


def _units(header) -> str | None:
    if header.get("RescaleType") and str(header.RescaleType) != "US":
        return str(header.RescaleType)
    if header.get("Units"):
        return str(header.Units)
    if header.get("DoseUnits"):
        return str(header.DoseUnits)
    return "HU" if header.get("Modality") == "CT" and header.get("RescaleIntercept") is not None else None


def _voxels(stack: Stack) -> tuple[np.ndarray, bool]:
    """[column, row, slice(, volume or color)], each file decoded once."""
    places = {
        (frame.file, frame.index, frame.corner): (frame, volume, slice_)
        for volume, frames in enumerate(stack.volumes)
        for slice_, frame in enumerate(frames)
    }
    scaled = any(frame.slope != 1 or frame.intercept != round(frame.intercept) for frame, _, _ in places.values())
    array: np.ndarray | None = None
    for file in dict.fromkeys(file for file, _, _ in places):
        stored = read_stored(file)
        for frame, volume, slice_ in (value for key, value in places.items() if key[0] == file):
            if frame.index >= len(stored):
                raise bad_file(file, f"frame {frame.index} is missing, there are {len(stored)}")
            row, column = frame.corner
            picture = stored[frame.index, row : row + frame.shape[0], column : column + frame.shape[1]]
            values = _rescaled(picture, frame, scaled=scaled)
            if array is None:
                array = np.empty((len(stack.volumes), len(stack.volumes[0]), *values.shape), dtype=values.dtype)
            if values.shape != array.shape[2:]:
                raise bad_file(file, f"a slice of {values.shape} among slices of {array.shape[2:]}")
            array = _put(array, volume, slice_, values)
    if array is None:
        raise InputError("a series without slices has no voxels. Choose another one.")
    color = array.ndim == 5
    turned = np.moveaxis(array, (3, 2, 1), (0, 1, 2))  # [volume, slice, row, column] -> [column, row, slice, volume]
    if color and turned.shape[3] > 1:
        raise InputError("several color volumes on one grid are not read. Choose the files of one volume.")
    return (turned[:, :, :, 0] if turned.shape[3] == 1 else turned), color


def _put(array: np.ndarray, volume: int, slice_: int, values: np.ndarray) -> np.ndarray:
    """Store a slice; the array grows into a type that holds it (files of a series may differ in signedness)."""
    if array.dtype.kind in "iu" and values.dtype != array.dtype:
        array = array.astype(np.promote_types(array.dtype, values.dtype))
    array[volume, slice_] = values
    return array


def _rescaled(picture: np.ndarray, frame: Frame, *, scaled: bool) -> np.ndarray:
    """What the stored values measure: float32 where any slice of the series is scaled, else whole numbers."""
    if frame.slope == 1 and frame.intercept == 0 and not scaled:
        return picture
    values = picture.astype(np.float64) * frame.slope + frame.intercept
    if scaled:
        return values.astype(np.float32)
    small = values.min() >= -32768 and values.max() <= 32767
    return values.astype(np.int16 if small else np.int32)
