"""Facts kept of an image and its mask: about a kilobyte, whatever they are.

A whole volume is looked at on its own voxels, turned to RAS: its values and its mask as they are, copies by its middle
axial slice, the mask's place in the axial slice where it is largest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from meddiff.audit import duplicates, shift
from meddiff.audit.masks import MaskFacts, mask_facts
from meddiff.audit.odd_images import PixelFacts, pixel_facts
from meddiff.errors import InputError
from meddiff.files.bad import reason_of
from meddiff.formats import read_picture
from meddiff.formats.arrays import PERCENTILES
from meddiff.formats.dicom.series import is_dicom
from meddiff.formats.masks import IGNORED, MaskAt, MaskMeaning, classes_of
from meddiff.formats.open import reader_of
from meddiff.formats.pictures import DAMAGE
from meddiff.images.intensity import check_finite
from meddiff.images.prepare import check_volumes_of_slice, classes_on, load_sequences
from meddiff.images.working_grid import working_grid
from meddiff.manifest.row import SERIES, ManifestRow


@dataclass(frozen=True)
class Facts:
    """Facts kept of one row that could be read."""

    row: ManifestRow
    pixels: PixelFacts
    size: tuple[int, ...]
    hash: np.ndarray
    thumbnail: np.ndarray
    mask: MaskFacts | None = None
    offset: shift.Offset | None = None
    mask_problem: str | None = None
    """The reason for which its mask cannot be used."""


def facts_of(row: ManifestRow, meaning: MaskMeaning | None = None) -> Facts:
    """Compute the facts kept of a row; ``meaning`` is that of all masks of the data set.

    Raises:
        InputError: its image cannot be read.
    """
    return _of_volume(row, meaning) if _is_whole_volume(row) else _of_picture(row, meaning)


def facts_of_prepared(row: ManifestRow, image: np.ndarray, mask: np.ndarray | None) -> Facts:
    """Compute the facts kept of a row whose image was prepared for training, in a fraction of the time.

    Args:
        row: the image's.
        image: [C, *S] uint8 or uint16; a volume is looked at by its middle plane of the second axis, which lies
            together on the disk.
        mask: [*S] class indices, None where it was prepared without.
    """
    plane = image if image.ndim == 3 else image[:, :, image.shape[2] // 2]
    gray = plane.mean(axis=0, dtype=np.float32) / np.iinfo(image.dtype).max
    small = _resized(gray, duplicates.GRID)
    pixels = pixel_facts(small[::2, ::2], "")  # enough to see that it is constant
    facts = Facts(row, pixels, image.shape[1:], duplicates.perceptual_hash(small), duplicates.thumbnail(small))
    return facts if mask is None else replace(facts, mask=mask_facts(_marked(np.asarray(mask))))


def _is_whole_volume(row: ManifestRow) -> bool:
    file = row.image_file
    return row.slice_axis is None and (
        len(row.image_files) > 1
        or reader_of(file) is not None
        or file.is_dir()
        or file.name.endswith(SERIES)
        or is_dicom(file)
    )


def _of_picture(row: ManifestRow, meaning: MaskMeaning | None) -> Facts:
    picture = read_picture(row.image_file, axis=row.slice_axis, index=row.slice_index, size_hint=shift.GRID)
    pixels = _in_range(picture.pixels, picture.low, picture.high)
    gray = pixels.mean(axis=2) if pixels.ndim == 3 else pixels
    facts = _of_image(row, pixels, gray, picture.size, _mode(row))
    if row.mask_path is None:
        return facts
    try:
        classes = _marked(classes_of(MaskAt.of(row), meaning))
        check_volumes_of_slice(row)
    except InputError as error:
        return replace(facts, mask_problem=reason_of(error))
    place = _place(gray, classes) if classes.shape == picture.size else None
    return replace(facts, mask=mask_facts(classes), offset=place)


def _of_volume(row: ManifestRow, meaning: MaskMeaning | None) -> Facts:
    volume = load_sequences(row.image_files)
    grid = working_grid(volume, None)
    values = volume.array.mean(axis=3) if volume.color else volume.array if volume.count == 1 else volume.array[..., 0]
    check_finite(values, row.image_file)
    voxels = grid.image_to_working(values.reshape(volume.shape))
    voxels = _in_range(voxels, *np.percentile(voxels, PERCENTILES))
    facts = _of_image(row, voxels, voxels[..., voxels.shape[2] // 2], voxels.shape, "")
    if row.mask_path is None:
        return facts
    try:
        classes = _marked(grid.labels_to_working(classes_on(row, grid.native_place, meaning)))
    except InputError as error:
        return replace(facts, mask_problem=reason_of(error))
    largest = int((classes > 0).sum(axis=(0, 1)).argmax())
    return replace(facts, mask=mask_facts(classes), offset=_place(voxels[..., largest], classes[..., largest]))


def _marked(classes: np.ndarray) -> np.ndarray:
    """Return the class indices with background where nothing is judged."""
    return np.where(classes == IGNORED, 0, classes)


def _of_image(row: ManifestRow, pixels: np.ndarray, gray: np.ndarray, size: tuple[int, ...], mode: str) -> Facts:
    small = _resized(gray, duplicates.GRID)
    return Facts(row, pixel_facts(pixels, mode), size, duplicates.perceptual_hash(small), duplicates.thumbnail(small))


def _place(gray: np.ndarray, classes: np.ndarray) -> shift.Offset | None:
    inside = _resized((classes > 0).astype(np.float32), shift.GRID) > 0.5
    return shift.offset(_resized(gray, shift.GRID), inside)


def _in_range(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((values.astype(np.float32) - low) / (high - low if high > low else 1), 0, 1)


def _resized(values: np.ndarray, side: int) -> np.ndarray:
    """Resize float [H, W] to float32 [side, side], averaged over the area of each new pixel; the aspect is not kept."""
    image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BOX))


def _mode(row: ManifestRow) -> str:
    """Read the color mode that the file itself names; "" where it is no picture."""
    if row.slice_axis is not None:
        return ""
    try:
        with Image.open(row.image_file) as picture:
            return picture.mode
    except DAMAGE:
        return ""
