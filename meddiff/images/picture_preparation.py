"""One manifest row to the pixels that are cached: read, check, cut or pad, shrink, set the range and the channels."""

import hashlib
from dataclasses import dataclass

import numpy as np

from meddiff.errors import InputError
from meddiff.formats import Picture, load_mask, read_picture
from meddiff.formats.pictures import bad_file, header_size
from meddiff.images.square import Placement, place, resize_image, resize_mask, to_channels
from meddiff.manifest.manifest_row import ManifestRow


@dataclass(frozen=True)
class Transform:
    """All that decides how a file becomes cached pixels."""

    image_size: int
    fit: str
    channels: int
    with_masks: bool
    deep: bool
    """Whether the array is uint16, because some file has more than 8 bits."""


def prepare(row: ManifestRow, transform: Transform) -> tuple[np.ndarray, np.ndarray | None]:
    """Image [C, H, W] uint8 or uint16 and mask [1, H, W] uint8 (None unless asked for).

    Raises:
        InputError: a file that cannot be read, a missing mask, or one of another size than its image.
    """
    _check_hash(row)
    picture = read_picture(row.image_file, axis=row.slice_axis, index=row.slice_index, size_hint=transform.image_size)
    placement = place(*picture.size, transform.image_size, fit=transform.fit)
    mask = None
    if transform.with_masks:
        mask = resize_mask(_mask_of(row, picture), placement)[None]
    return of_picture(picture, placement, transform, drawn=row.source == "synthetic"), mask


def of_picture(picture: Picture, placement: Placement, transform: Transform, *, drawn: bool) -> np.ndarray:
    """The pixels [C, side, side] uint8 or uint16 of a picture in its square; ``drawn`` by a model, in its own range."""
    square = resize_image(picture.pixels, placement, black=picture.low)
    return to_channels(_in_range(square, picture, drawn=drawn, deep=transform.deep), transform.channels)


def _check_hash(row: ManifestRow) -> None:
    if row.sha256 is not None and row.image_file.is_file():
        with row.image_file.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != row.sha256:
            raise bad_file(row.image_file, f"the file is not the one of the manifest: its sha256 is {found[:12]}...")


def _mask_of(row: ManifestRow, picture: Picture) -> np.ndarray:
    if row.mask_file is None:
        raise InputError(f"row {row.row_id!r} has no mask. Fill in its mask_path, or take the row out.")
    mask = load_mask(row.mask_file, axis=row.slice_axis, index=row.slice_index)
    if mask.shape != picture.size:
        raise InputError(_of_another_size(row, mask.shape, picture.size))
    return mask


def mask_misfit(row: ManifestRow) -> str | None:
    """What is wrong with the size of the row's mask, by a look at the headers of two pictures; None for nothing."""
    if row.mask_file is None or not row.mask_file.exists():
        return None if row.mask_file is None else f"mask {row.mask_file}: there is no such file"
    mask, image = header_size(row.mask_file), header_size(row.image_file)
    return None if mask is None or image is None or mask == image else _of_another_size(row, mask, image)


def _of_another_size(row: ManifestRow, mask: tuple[int, ...], image: tuple[int, ...]) -> str:
    sizes = [f"{width} x {height} pixels" for height, width in (mask, image)]
    return (
        f"mask {row.mask_file} is {sizes[0]}, its image {row.image_file} is {sizes[1]}. "
        "Give the mask that was drawn on this image, in its full size."
    )


def _in_range(square: np.ndarray, picture: Picture, *, drawn: bool, deep: bool) -> np.ndarray:
    """uint8 or uint16, with what is -1 for the model at 0 and what is 1 at the largest value."""
    if square.dtype == np.uint8 and not deep:
        return square
    low, high = picture.low, picture.high
    if drawn and picture.pixels.dtype.kind == "u":
        # what the model drew is stored in its own range and must not be stretched a second time
        low, high = 0.0, float(np.iinfo(picture.pixels.dtype).max)
    scaled = (square.astype(np.float32) - low) / ((high - low) or 1.0)  # an even picture is black
    return np.rint(np.clip(scaled, 0, 1) * 65535).astype(np.uint16)
