"""A DICOM series to a volume: slices arranged by position, stored values turned into what they measure."""

import numpy as np

from meddiff.errors import InputError
from meddiff.files.bad import bad_file
from meddiff.formats.dicom.frames import frames_of
from meddiff.formats.dicom.grid.frame import Frame
from meddiff.formats.dicom.grid.measure import Measure, philips_scale
from meddiff.formats.dicom.grid.stacking import Stack, arrange
from meddiff.formats.dicom.pixels import read_stored
from meddiff.formats.dicom.series import Series
from meddiff.formats.volume import Volume

_IDENTIFIERS = {
    "series_uid": "SeriesInstanceUID",
    "study_uid": "StudyInstanceUID",
    "frame_of_reference_uid": "FrameOfReferenceUID",
    "series_number": "SeriesNumber",
    "series_description": "SeriesDescription",
}


def stack_series(series: Series) -> Stack:
    """Build the grid of a series, from its headers alone.

    Raises:
        InputError: the slices are no volume (see stacking.arrange), or a file tells no geometry.
    """
    if series.disputed:
        said = f"files claim to be the same slice (SOPInstanceUID) but differ: {', '.join(series.disputed[:3])}"
        raise InputError(f"{series.files[0].parent}: {said}. Keep the right one of each.")
    frames = [
        frame for header, file in zip(series.headers, series.files, strict=True) for frame in frames_of(header, file)
    ]
    folders = {file.parent for file in series.files}
    where = series.files[0] if len(series.files) == 1 else folders.pop() if len(folders) == 1 else series.name
    return arrange(frames, where, series.volume)


def read_series(series: Series) -> Volume:
    """Read voxels and geometry of a series.

    Values are stored * slope + intercept of each slice: the stored type where that changes nothing, int16 or int32
    where slopes are 1 (Hounsfield), else float32.

    Raises:
        InputError: as stack_series, pixels that cannot be decoded, slices in gray and in color.
    """
    import nibabel

    stack = stack_series(series)
    frames = [frame for volume in stack.volumes for frame in volume]
    array, color, padded = _voxels(stack)
    header = series.headers[0]
    spacing = [float(length) for length in np.linalg.norm(stack.affine[:3, :3], axis=0)]
    known = len(stack.volumes[0]) > 1
    units = {frame.measure.units for frame in frames}
    notes = (note for frame in frames for note in frame.measure.notes)
    return Volume(
        array=array,
        affine=stack.affine,
        spacing_mm=(spacing[0], spacing[1], spacing[2] if known else None),
        orientation=nibabel.aff2axcodes(stack.affine),  # type: ignore[attr-defined]
        modality=series.modality or None,
        units=units.pop() if len(units) == 1 else None,
        identifiers={
            name: str(header.get(keyword)) for name, keyword in _IDENTIFIERS.items() if header.get(keyword) is not None
        },
        notes=(*series.notes, *stack.notes, *_notes(series), *dict.fromkeys(notes), *padded),
        color=color,
    )


_MEANINGS = {
    ("PhotometricInterpretation", "MONOCHROME1"): "stored values grow towards black (MONOCHROME1)",
    ("PresentationLUTShape", "INVERSE"): "stored values are shown inverted (PresentationLUTShape INVERSE)",
    ("LossyImageCompression", "01"): "the picture was compressed with loss (LossyImageCompression)",
    ("BurnedInAnnotation", "YES"): "text is burned into the picture (BurnedInAnnotation)",
    ("AnatomicalOrientationType", "QUADRUPED"): "right, front and head are those of a four-legged patient",
    ("Units", "CNTS"): "values are counts, whose scale is the scanner's own (Units CNTS)",
}
"""Attributes that change no stored value but what it means, and what is said of them."""
_SAME_SCALE = 1e-3


def _notes(series: Series) -> tuple[str, ...]:
    """List what is said of a series.

    Raises:
        InputError: values that grow towards black in some files, towards white in others.
    """
    kinds: dict[str, list[str]] = {}
    for header, file in zip(series.headers, series.files, strict=True):
        kinds.setdefault(str(header.get("PhotometricInterpretation")), []).append(file.name)
    if len(kinds) > 1 and "MONOCHROME1" in kinds:
        said = "; ".join(f"{kind}: {', '.join(names[:3])}" for kind, names in kinds.items())
        reason = f"values grow towards black in some files and towards white in others ({said})"
        raise InputError(f"{series.files[0].parent}: {reason}. Choose files of one kind.")
    notes = [note for (keyword, value), note in _MEANINGS.items()
             if any(str(header.get(keyword)) == value for header in series.headers)]  # fmt: skip
    scales = [scale for scale in map(philips_scale, series.headers) if scale]
    if scales and max(scales) > (1 + _SAME_SCALE) * min(scales):
        notes.append("slices are scaled for display, each by a factor of its own (Philips scale slope)")
    return tuple(notes)


def _voxels(stack: Stack) -> tuple[np.ndarray, bool, tuple[str, ...]]:
    """Read [column, row, slice(, volume or color)], whether it is color, notes on padding; a file is decoded once."""
    places = {
        (frame.file, frame.index, frame.corner): (frame, (volume, slice_))
        for volume, frames in enumerate(stack.volumes)
        for slice_, frame in enumerate(frames)
    }
    scaled = not all(frame.measure.whole for frame, _ in places.values())
    array: np.ndarray | None = None
    padding: dict[tuple[int, int], np.ndarray] = {}
    for file in dict.fromkeys(file for file, _, _ in places):
        stored = read_stored(file)
        for frame, place in (value for key, value in places.items() if key[0] == file):
            picture = _picture(stored, frame)
            values = _measured(picture, frame.measure, scaled=scaled)
            if array is None:
                array = np.empty((len(stack.volumes), len(stack.volumes[0]), *values.shape), dtype=values.dtype)
            if values.shape != array.shape[2:]:
                raise bad_file(file, f"a slice of {values.shape} among slices of {array.shape[2:]}")
            array = _put(array, place, values)
            if frame.measure.padding and values.ndim == 2:
                low, high = frame.measure.padding
                padding[place] = (picture >= low) & (picture <= high)
    if array is None:
        raise InputError("a series without slices has no voxels. Choose another one.")
    filled = sum(_fill_padding(array[number], {place[1]: mask for place, mask in padding.items() if place[0] == number})
                 for number in range(len(array)))  # fmt: skip
    notes = (f"{filled} voxels outside the picture (PixelPaddingValue) were given its nearest value",) if filled else ()
    color = array.ndim == 5
    turned = np.moveaxis(array, (3, 2, 1), (0, 1, 2))  # [volume, slice, row, column] -> [column, row, slice, volume]
    if color and turned.shape[3] > 1:
        raise InputError("several color volumes on one grid are not read. Choose the files of one volume.")
    return (turned[:, :, :, 0] if turned.shape[3] == 1 else turned), color, notes


def _picture(stored: np.ndarray, frame: Frame) -> np.ndarray:
    """Take the stored values of a frame out of all that its file holds."""
    if frame.index >= len(stored):
        raise bad_file(frame.file, f"frame {frame.index} is missing, there are {len(stored)}")
    row, column = frame.corner
    return stored[frame.index, row : row + frame.shape[0], column : column + frame.shape[1]]


def _fill_padding(volume: np.ndarray, padding: dict[int, np.ndarray]) -> int:
    """Bring voxels that no one measured into the range of the others, in place; returns how many there were.

    Beside a CT of -1024 to 3000 they hold -3024, say, and would widen the range of values to twice of what it is.
    """
    padding = {slice_: mask for slice_, mask in padding.items() if mask.any()}
    rest = [volume[slice_][~padding[slice_]] if slice_ in padding else volume[slice_] for slice_ in range(len(volume))]
    ends = [(values.min(), values.max()) for values in rest if values.size]
    if not padding or not ends:
        return 0
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    filled = 0
    for slice_, mask in padding.items():
        nearest = np.where(mask, np.clip(volume[slice_], low, high), volume[slice_])
        filled += int(np.count_nonzero(nearest != volume[slice_]))
        volume[slice_] = nearest
    return filled


def _put(array: np.ndarray, place: tuple[int, int], values: np.ndarray) -> np.ndarray:
    """Store a slice; the array grows into a type that holds it (files of a series may differ in signedness)."""
    if array.dtype.kind in "iu" and values.dtype != array.dtype:
        array = array.astype(np.promote_types(array.dtype, values.dtype))
    array[place] = values
    return array


def _measured(picture: np.ndarray, measure: Measure, *, scaled: bool) -> np.ndarray:
    """Compute what the stored values measure: float32 where any slice of the series is scaled, else whole numbers."""
    if not measure.changes and not scaled:
        return picture
    values = measure.of(picture)
    if scaled or picture.dtype.kind == "f":
        return values.astype(np.float32)
    small = values.min() >= -32768 and values.max() <= 32767
    return values.astype(np.int16 if small else np.int32)
