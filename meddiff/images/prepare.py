"""A volume as training data: channels in [-1, 1] on the working grid; and what was predicted there, back on its own.

Intensities are set on the volume's own voxels, before anything is interpolated, so that they do not depend on the
spacing that is asked for. Several sequences on one grid become channels, each set by itself.

A picture is read, checked, cut or padded, shrunk, and its range and channels are set.

Several sequences of one patient on one grid (T1, T2, FLAIR ... of MRI) to one volume with a last axis for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np

from meddiff.errors import InputError
from meddiff.files.bad import bad_file
from meddiff.files.content import sha256_of
from meddiff.formats import Picture, read_picture, value_range_of
from meddiff.formats.arrays import changed, is_of_volume, open_volume, plane_of
from meddiff.formats.dicom.drawn import is_drawn
from meddiff.formats.masks import MaskAt, MaskMeaning, classes_of, decide, levels_of, stored_at, stored_volume
from meddiff.formats.open import load_volume
from meddiff.formats.pictures import header_size
from meddiff.formats.volume import Place, Volume, corners_apart_mm, same_place
from meddiff.images.intensity import INTENSITIES, check_finite, to_stored, to_unit_range, value_range
from meddiff.images.plane import SlicedVolume, Turn
from meddiff.images.square import Placement, place, resize_image, resize_mask, to_channels
from meddiff.images.working_grid import WorkingGrid, working_grid
from meddiff.manifest.row import ManifestRow, on_disk

SAME_SPACING_MM = 1e-3
OTHER_MASK = "Give the mask that was drawn on this image, on its voxels."


_slicing = Lock()


@dataclass(frozen=True)
class VolumeTransform:
    """All that decides how a volume becomes training data."""

    spacing_mm: tuple[float, float, float] | None = None
    """Spacing of the working grid, to the patient's right, front and head; None keeps the volume's own."""
    intensity: str = "zscore"
    """zscore: mean and standard deviation of the body; percentile: of the body; window: fixed values."""
    clip_std: float = 3.0
    """Standard deviations that become -1 and 1, for zscore."""
    percentiles: tuple[float, float] = (0.5, 99.5)
    """Percentiles that become -1 and 1, for percentile."""
    window: tuple[float, float] | None = None
    """Values that become -1 and 1, for window: Hounsfield units for CT."""
    bias_correction: bool = False
    """True where the brightness of the receiver coil is taken out first (N4), for MRI."""

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        if self.intensity not in INTENSITIES:
            raise InputError(f"the intensity is {self.intensity!r}. Use one of {', '.join(INTENSITIES)}.")
        if (self.intensity == "window") != (self.window is not None):
            raise InputError(
                f"the intensity is {self.intensity!r} and the window {self.window}. Give intensity window and its two "
                "values, (-160, 240) for soft tissue, or neither."
            )
        for what, pair in (("window", self.window), ("percentiles", self.percentiles)):
            if pair is not None and not pair[0] < pair[1]:
                raise InputError(f"{what} is {pair}. The second value must be above the first.")
        if not self.clip_std > 0:
            raise InputError(f"clip_std is {self.clip_std}. It is a number of standard deviations above 0.")


PLAIN = VolumeTransform()
"""Each volume by its own body, on its own voxels."""


@dataclass(frozen=True)
class PreparedVolume:
    """A volume on its working grid."""

    image: np.ndarray
    """[C, I, J, K] float32 in [-1, 1], axes to the patient's right, front and head."""
    grid: WorkingGrid

    @property
    def affine(self) -> np.ndarray | None:
        """4 x 4, working index -> RAS millimeters; None where the orientation is unknown."""
        return self.grid.affine

    def prepare_mask(
        self, mask: Volume, *, name: str | Path = "the mask", image: object = "its image",
        meaning: MaskMeaning | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Return class indices uint8 [I, J, K] of a mask of this volume, on the working grid.

        Each class is interpolated linearly and the largest share wins (see WorkingGrid.labels_to_working).

        Raises:
            InputError: the mask lies on another grid, or holds what are no class indices.
        """
        if mask.array.ndim != 3:
            raise InputError(f"{name} has the shape {list(mask.array.shape)}. A mask has three axes and no colors.")
        check_same_grid(mask.place, self.grid.native_place, name, image)
        return self.grid.labels_to_working(volume_classes(mask, name, meaning))

    def restore(self, probabilities: np.ndarray) -> np.ndarray:
        """Resample values [N, I, J, K] of the working grid to float32 [N, *shape of the volume], linearly."""
        return self.grid.restore(probabilities)


def prepare_volume(volume: Volume, transform: VolumeTransform, *, name: object = "the volume") -> PreparedVolume:
    """Prepare a volume as training data.

    Args:
        volume: as it was read; its orientation and spacing may be unknown.
        transform: what to make of it.
        name: for messages.

    Raises:
        InputError: a spacing is asked for and the volume's own is unknown; values that are not finite; a window for
            values in another unit than Hounsfield; bias correction of negative values.
    """
    grid = working_grid(volume, transform.spacing_mm, name=name)
    if transform.window is not None and volume.units not in (None, "HU"):
        raise InputError(
            f"{name}: its values are {volume.units}, a window is in HU (CT). Use zscore or percentile instead."
        )
    image = np.empty((len(channels := _channels(volume)), *grid.shape), dtype=np.float32)
    for number, values in enumerate(channels):
        image[number] = grid.image_to_working(_in_range(values, volume, transform, name=name))
    return PreparedVolume(image, grid)


def _channels(volume: Volume) -> Sequence[np.ndarray]:
    return [volume.array] if volume.array.ndim == 3 else list(np.moveaxis(volume.array, 3, 0))


def _in_range(values: np.ndarray, volume: Volume, transform: VolumeTransform, *, name: object) -> np.ndarray:
    check_finite(values, name)
    if transform.bias_correction:
        from meddiff.images.intensity import correct_bias_field

        i, j, k = (mm or 1.0 for mm in volume.spacing_mm)
        values = correct_bias_field(values, (i, j, k), name=name)
    return to_unit_range(values, *range_of(values, transform))


def range_of(values: np.ndarray, transform: VolumeTransform) -> tuple[float, float]:
    """Find the values of a volume [I, J, K] that become -1 and 1."""
    return transform.window or value_range(
        values, transform.intensity, clip_std=transform.clip_std, percentiles=transform.percentiles
    )


def classes_on(row: ManifestRow, image: Place, meaning: MaskMeaning | None = None) -> np.ndarray:
    """Return class indices uint8 [I, J, K] of a row's mask on the voxels of its volume; IGNORED is not judged.

    ``meaning`` is that of all masks of the data set; without it this one is a data set of its own.

    Raises:
        InputError: there is no mask, it lies on another grid than the image, or holds values that mean no class.
    """
    stored = stored_at(_mask_at(row), volume=True)
    for path, own in stored.places:
        check_same_grid(own, image, path, row.image_file)
    return (meaning or decide([levels_of(stored)]))(stored)


def picture_classes(row: ManifestRow, size: tuple[int, int], meaning: MaskMeaning | None = None) -> np.ndarray:
    """Return class indices uint8 [H, W] of the mask of a picture or slice of this size; all else as `classes_on`.

    Raises:
        InputError: as `classes_on`.
    """
    mask = classes_of(_mask_at(row), meaning)
    if mask.shape != size:
        raise InputError(_of_another_size(row.mask_file, row, mask.shape, size))
    check_volumes_of_slice(row)
    return mask


def _mask_at(row: ManifestRow) -> MaskAt:
    if row.mask_path is None:
        raise InputError(f"row {row.row_id!r} has no mask. Fill in its mask_path, or take the row out.")
    return MaskAt.of(row)


def volume_classes(mask: Volume, name: str | Path = "the mask", meaning: MaskMeaning | None = None) -> np.ndarray:
    """Return class indices uint8 [I, J, K] of a mask on its own grid.

    Raises:
        InputError: values that mean no class.
    """
    stored = stored_volume(mask, name)
    return (meaning or decide([levels_of(stored)]))(stored)


def check_same_grid(mask: Place, image: Place, name: object, image_name: object, *, cure: str = OTHER_MASK) -> None:
    """Refuse a mask, or another sequence, that lies on other voxels than its image, or may do so.

    Raises:
        InputError: another shape, another place, or an orientation that only one of them tells.
    """
    if mask.shape != image.shape:
        raise InputError(f"{name} has the shape {list(mask.shape)}, {image_name} has {list(image.shape)}. {cure}")
    if (mask.affine is None) != (image.affine is None):
        which = (name, image_name) if mask.affine is None else (image_name, name)
        raise InputError(
            f"{which[0]} does not tell its orientation, {which[1]} does: whether they match cannot be known. {cure}"
        )
    if mask.affine is not None and image.affine is not None:
        if not same_place(mask.affine, image.affine, image.shape):
            apart = corners_apart_mm(mask.affine, image.affine, image.shape)
            raise InputError(f"{name} lies elsewhere than {image_name}: their corners are {apart:.2f} mm apart. {cure}")
    elif any(
        one is not None and two is not None and abs(one - two) > SAME_SPACING_MM
        for one, two in zip(mask.spacing_mm, image.spacing_mm, strict=True)
    ):
        raise InputError(f"{name} has voxels of {mask.spacing_mm} mm, {image_name} of {image.spacing_mm} mm. {cure}")


@dataclass(frozen=True)
class Transform:
    """All that decides how a file becomes cached pixels."""

    image_size: int
    """Side of the square images, in pixels."""
    fit: str = "crop"
    """crop, pad or stretch (see `square.place`)."""
    channels: int = 3
    """3 repeats gray images, 1 turns color into luminance."""
    with_masks: bool = False
    deep: bool = False
    """True where the array is uint16, because some file has more than 8 bits."""
    slices: VolumeTransform | None = PLAIN
    """The scaling of a slice of a volume, which then stands upright; None takes it in the order and the range of the
    array, as runs of former versions did."""
    meaning: MaskMeaning | None = None
    """Meaning of the masks; None for images without."""
    stretch: bool | None = None
    """True where pictures of 8 bits are scaled by their own percentiles too, as those of more bits are; None is no."""


def prepare(row: ManifestRow, transform: Transform) -> tuple[np.ndarray, np.ndarray | None]:
    """Prepare image [C, H, W] uint8 or uint16 and mask [1, H, W] uint8 (None unless asked for).

    Raises:
        InputError: a file that cannot be read, a missing mask, or one of another size than its image.
    """
    check_content(row)
    opened = open_picture(row, transform)
    placement = place(*opened.picture.size, transform.image_size, fit=transform.fit)
    mask = None
    if transform.with_masks:
        own = picture_classes(row, opened.size, transform.meaning)
        mask = resize_mask(own if opened.turn is None else opened.turn.upright(own[None])[0], placement)[None]
    return of_picture(opened.picture, placement, transform, drawn=row.source == "synthetic"), mask


@dataclass(frozen=True)
class Opened:
    """A picture, or a slice of a volume, as it was read."""

    picture: Picture
    size: tuple[int, int]
    """Rows and columns in the order of the file, where masks are drawn and written."""
    turn: Turn | None = None
    """The turn of the slice; None for what is as in its file."""


def open_picture(row: ManifestRow, transform: Transform) -> Opened:
    """Read the picture of a row, or its slice of a volume.

    Raises:
        InputError: the file cannot be read, or there is no such slice.
    """
    file, axis, index = row.image_file, row.slice_axis, row.slice_index
    if axis is None or index is None or transform.slices is None or not is_of_volume(file):
        picture = read_picture(file, axis=axis, index=index, size_hint=transform.image_size)
        return Opened(picture, picture.size)
    plane_of(open_volume(file), file, axis, index)  # says what is wrong with axis and index
    with _slicing:
        volume = _sliced(file, changed(file), transform.slices)
    return Opened(volume.picture(axis, index), volume.turn(axis).size, volume.turn(axis))


def sliced(volume: Volume, transform: VolumeTransform, *, name: object = "the volume") -> SlicedVolume:
    """Prepare a volume, on its own voxels, for being cut into pictures.

    Raises:
        InputError: as `prepare_volume`.
    """
    prepared = prepare_volume(volume, replace(transform, spacing_mm=None), name=name)
    return SlicedVolume(to_stored(prepared.image), prepared.grid)


@lru_cache(maxsize=2)  # rows come volume by volume: two are enough, and memory stays bounded
def _sliced(path: Path, _changed: object, transform: VolumeTransform) -> SlicedVolume:
    return sliced(open_volume(path), transform, name=path)


def of_picture(picture: Picture, placement: Placement, transform: Transform, *, drawn: bool) -> np.ndarray:
    """Put a picture in its square: pixels [C, side, side] uint8 or uint16; ``drawn`` by a model, in its own range."""
    if transform.stretch and picture.pixels.dtype == np.uint8:
        low, high = value_range_of(picture.pixels, "the picture")
        picture = replace(picture, low=low, high=high)
    square = resize_image(picture.pixels, placement, black=picture.low)
    return to_channels(_picture_in_range(square, picture, drawn=drawn, deep=transform.deep), transform.channels)


def check_content(row: ManifestRow) -> None:
    """Refuse an image whose content is not that which its row states."""
    if row.sha256 is not None and row.image_file.is_file():
        content = sha256_of(row.image_file)
        if content != row.sha256:
            raise bad_file(row.image_file, f"the file is not the one of the manifest: its sha256 is {content[:12]}...")


def check_volumes_of_slice(row: ManifestRow) -> None:
    """Refuse the mask of a slice whose volume lies elsewhere than that of the image.

    Raises:
        InputError: as `check_same_grid`.
    """
    image = row.image_file
    for mask in (part.path for part in row.mask_parts):
        if row.slice_axis is not None and is_of_volume(image) and is_of_volume(mask) and not is_drawn(mask):
            check_same_grid(open_volume(mask).place, open_volume(image).place, mask, image)


def mask_misfit(row: ManifestRow) -> str | None:
    """Say what is wrong with the size of the row's mask, by the headers of two pictures; None where nothing is."""
    image = header_size(row.image_file) if row.mask_parts else None
    for path in (part.path for part in row.mask_parts):
        if not on_disk(path).exists():
            return f"mask {path}: there is no such file"
        mask = header_size(path)
        if mask is not None and image is not None and mask != image:
            return _of_another_size(path, row, mask, image)
    return None


def _of_another_size(path: Path | None, row: ManifestRow, mask: tuple[int, ...], image: tuple[int, ...]) -> str:
    sizes = [f"{width} x {height} pixels" for height, width in (mask, image)]
    return (
        f"mask {path} is {sizes[0]}, its image {row.image_file} is {sizes[1]}. "
        "Give the mask that was drawn on this image, in its full size."
    )


def _picture_in_range(square: np.ndarray, picture: Picture, *, drawn: bool, deep: bool) -> np.ndarray:
    """Scale pixels to uint8 or uint16, with what is -1 for the model at 0 and what is 1 at the largest value."""
    if square.dtype == np.uint8 and not deep:
        return square
    low, high = picture.low, picture.high
    if drawn and picture.pixels.dtype.kind == "u":
        # what the model drew is stored in its own range and must not be stretched a second time
        low, high = 0.0, float(np.iinfo(picture.pixels.dtype).max)
    scaled = (square.astype(np.float32) - low) / ((high - low) or 1.0)  # an even picture is black
    return np.rint(np.clip(scaled, 0, 1) * 65535).astype(np.uint16)


def load_sequences(paths: Sequence[Path]) -> Volume:
    """Load the volume of one file, or of several that lie on one grid, in their order.

    Raises:
        InputError: as load_volume; files that lie on different grids.
    """
    volumes = [load_volume(path) for path in paths]
    if len(volumes) == 1:
        return volumes[0]
    for volume, path in zip(volumes[1:], paths[1:], strict=True):
        check_same_grid(
            volume.place, volumes[0].place, path, paths[0], cure="Register the sequences to one grid first."
        )
    arrays = [volume.array[..., None] if volume.array.ndim == 3 else volume.array for volume in volumes]
    return replace(volumes[0], array=np.concatenate(arrays, axis=3), color=False)
