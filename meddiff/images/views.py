"""Arrays of pixels as pictures people look at: one grid of tiles.

Medical training images are small (32 to 128 pixels). They are enlarged by whole factors without interpolation,
so that what is seen is what the network saw.

A volume is shown by its three middle planes, upright and at the right aspect, as a radiologist looks at them: the
patient's right is on the left of axial and coronal pictures, the front is up in axial and left in sagittal ones, the
head is up. A volume of unknown orientation is shown along its array axes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from meddiff.errors import InputError
from meddiff.formats.volume import Volume
from meddiff.images.intensity import to_pixels

BACKGROUND = (250, 250, 248)
INK = (40, 44, 50)
STAMP_BACKGROUND = (255, 243, 209)
STAMP_INK = (112, 74, 0)


def grid_image(
    images: Sequence[np.ndarray], columns: int, scale: int, *, captions: Sequence[str] | None = None, stamp: str = ""
) -> np.ndarray:
    """Lay tiles in rows of `columns`, each enlarged `scale` times, on a light ground.

    Args:
        images: uint8 [H, W] or [H, W, 3], all of one height and width.
        columns: tiles per row, at least 1.
        scale: whole factor of enlargement, at least 1.
        captions: one line under each tile, its middle left out where it is wider; None for none.
        stamp: a word such as ``phantom`` written in a band over the grid; empty for none.

    Returns:
        uint8 [rows of tiles, columns of tiles, 3].

    Raises:
        InputError: no image, unequal sizes, another dtype or shape, or as many captions as there are not images.
    """
    tiles = _tiles(images, columns, scale, captions)
    height, width = tiles[0].shape[0] * scale, tiles[0].shape[1] * scale
    gap = max(4, min(height, width) // 16)
    line = max(11, min(16, width // 7))
    below = line + gap // 2 if captions is not None else 0
    band = line + 2 * gap if stamp else 0
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    size = (columns * (width + gap) + gap, band + rows * (height + below + gap) + gap)
    canvas = Image.new("RGB", size, BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=line - 1)
    if stamp:
        pen.rectangle((0, 0, size[0], band - 1), fill=STAMP_BACKGROUND)
        pen.text((size[0] / 2, band / 2), _fitting(stamp, font, size[0] - 2 * gap), STAMP_INK, font, anchor="mm")
    for position, tile in enumerate(tiles):
        left = gap + position % columns * (width + gap)
        top = band + gap + position // columns * (height + below + gap)
        canvas.paste(Image.fromarray(tile).resize((width, height), Image.Resampling.NEAREST), (left, top))
        if captions is not None:
            caption = _fitting(captions[position], font, width)
            pen.text((left + width / 2, top + height + below / 2), caption, INK, font, anchor="mm")
    return np.asarray(canvas)


def _tiles(images: Sequence[np.ndarray], columns: int, scale: int, captions: Sequence[str] | None) -> list[np.ndarray]:
    """Return the images as RGB; refuse what makes no grid."""
    if not images or columns < 1 or scale < 1:
        raise InputError(
            f"a grid needs at least one image, column and scale; got {len(images)} images, "
            f"columns={columns}, scale={scale}"
        )
    if captions is not None and len(captions) != len(images):
        raise InputError(f"got {len(captions)} captions for {len(images)} images; give one each, or None")
    tiles = [as_rgb(image) for image in images]
    if len({tile.shape for tile in tiles}) > 1:
        raise InputError(f"tiles of one grid have one size; got {sorted({tile.shape[:2] for tile in tiles})}")
    return tiles


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Convert uint8 [H, W] or [H, W, 1 or 3] -> uint8 [H, W, 3]; anything else is an InputError."""
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
        raise InputError(f"a picture is uint8 [H, W] or [H, W, 3]; got {image.dtype} {list(image.shape)}")
    if not image.size:
        raise InputError(f"a picture has at least one pixel; got {list(image.shape)}")
    flat = image[:, :, None] if image.ndim == 2 else image
    return np.ascontiguousarray(np.broadcast_to(flat, (*flat.shape[:2], 3)))


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """Cut the text to its two ends about an ellipsis where it is wider than `width` pixels: names differ at either."""
    shown, kept = text, len(text)
    while kept > 1 and font.getlength(shown) > width:
        kept -= 1
        shown = text[: (kept + 1) // 2] + "…" + text[len(text) - kept // 2 :]
    return shown


def upright(planes: np.ndarray) -> np.ndarray:
    """Turn [..., H, W], whose axes lead to the right, front or head, as radiologists look at it."""
    return planes.swapaxes(-1, -2)[..., ::-1, ::-1]


def lying(planes: np.ndarray) -> np.ndarray:
    """Turn what `upright` gives back."""
    return planes[..., ::-1, ::-1].swapaxes(-1, -2)


SHOWN = (1.0, 99.0)  # percentiles that become black and white
_AXES = ("RL", "AP", "SI")


def three_planes(volume: Volume, side: int) -> list[np.ndarray]:
    """Cut the axial, coronal and sagittal middle planes, each uint8 [side, side] or [side, side, 3], black around.

    Of several volumes on one grid the first is shown. A plane across a single slice stays black.
    """
    array = volume.array[..., 0] if volume.array.ndim == 4 and not volume.color else volume.array
    spacing = [value or 1.0 for value in volume.spacing_mm]
    if volume.orientation is not None:
        array, spacing = _upright(array, spacing, volume.orientation)
    planes = []
    for axis in (2, 1, 0):
        plane = np.take(array, array.shape[axis] // 2, axis=axis)
        rest = [number for number in range(3) if number != axis]
        plane = np.swapaxes(plane[::-1, ::-1], 0, 1)
        planes.append(_square(as_gray(plane, array), [spacing[rest[1]], spacing[rest[0]]], side))
    return planes


def upright_plane(volume: Volume, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut the axial slice with most of a mask (the middle one without any): uint8 pixels and classes, at one aspect.

    Of an unknown orientation it is cut along the last axis; of several volumes on one grid the first is shown.
    """
    array = volume.array[..., 0] if volume.array.ndim == 4 and not volume.color else volume.array
    spacing = [value or 1.0 for value in volume.spacing_mm]
    if volume.orientation is not None:
        classes = _upright(classes, spacing, volume.orientation)[0]
        array, spacing = _upright(array, spacing, volume.orientation)
    filled = np.count_nonzero(classes, axis=(0, 1))
    at = int(filled.argmax()) if filled.any() else classes.shape[2] // 2
    pixels = np.swapaxes(as_gray(np.take(array, at, axis=2), array)[::-1, ::-1], 0, 1)
    shown = np.swapaxes(classes[::-1, ::-1, at], 0, 1)
    down, along = spacing[1] / min(spacing[:2]), spacing[0] / min(spacing[:2])
    return _stretched(np.ascontiguousarray(pixels), down, along), _stretched(
        np.ascontiguousarray(shown.astype(np.uint8)), down, along
    )


def upright_slices(
    volume: Volume, others: Sequence[np.ndarray]
) -> tuple[np.ndarray, list[np.ndarray], tuple[float, float]]:  # fmt: skip
    """Cut a volume and what lies on its grid along the axis of the widest spacing, upright, to be looked at.

    Voxels as high as wide are cut axially; an unknown orientation along the last axis; of several volumes on one grid
    the first is shown.

    Returns:
        The voxels as uint8 [K, H, W] or [K, H, W, 3], each of ``others`` [K, H, W], and millimeters (or a share of
        them) of a pixel downwards and along.
    """
    array = volume.array[..., 0] if volume.array.ndim == 4 and not volume.color else volume.array
    spacing, axis = [value or 0.0 for value in volume.spacing_mm], 2
    if volume.orientation is not None:
        others = [_upright(other, spacing, volume.orientation)[0] for other in others]
        array, spacing = _upright(array, spacing, volume.orientation)
    if 1 in array.shape[:3]:
        axis = array.shape.index(1)
    elif max(spacing) > 1.5 * sorted(spacing)[1]:
        axis = int(np.argmax(spacing))
    rest = [spacing[number] or 1.0 for number in range(3) if number != axis]
    planes = [upright(np.moveaxis(other, axis, 0)) for other in others]
    if volume.color:
        shown = np.stack([upright(np.moveaxis(array[..., channel], axis, 0)) for channel in range(3)], axis=-1)
    else:
        low, high = _black_and_white(array)
        shown = np.stack([_between(plane, low, high) for plane in upright(np.moveaxis(array, axis, 0))])
    return shown, planes, (rest[1], rest[0])


def tile(image: np.ndarray, spacing_mm: Sequence[float] | None = None) -> np.ndarray:
    """Show a picture [C, H, W], or the middle planes of a volume [C, I, J, K] in RAS order, in [-1, 1], as uint8.

    Of a volume the first channel is shown: axial above coronal, sagittal beside the axial one; black where nothing is.
    Voxels are shown at their own size, those of uneven spacing at that of the finest.
    """
    if image.ndim == 3:
        return to_pixels(image)
    voxels = to_pixels(image[:1])
    axial, coronal, sagittal = (np.take(voxels, voxels.shape[axis] // 2, axis)[::-1, ::-1].T for axis in (2, 1, 0))
    right, front, head = np.asarray(spacing_mm or (1.0, 1.0, 1.0)) / min(spacing_mm or (1.0,))
    axial, coronal = _stretched(axial, front, right), _stretched(coronal, head, right)
    sagittal = _stretched(sagittal, head, front)
    height, width = max(len(axial), len(sagittal)) + len(coronal), axial.shape[1] + sagittal.shape[1]
    shown = np.zeros((height, width), dtype=np.uint8)
    shown[: len(axial), : axial.shape[1]] = axial
    shown[: len(sagittal), axial.shape[1] :] = sagittal
    shown[height - len(coronal) :, : coronal.shape[1]] = coronal
    return shown


def _stretched(plane: np.ndarray, down: float, along: float) -> np.ndarray:
    size = max(1, round(plane.shape[1] * along)), max(1, round(plane.shape[0] * down))
    same = size == plane.shape[::-1]
    return plane if same else np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.NEAREST))


def _upright(array: np.ndarray, spacing: list[float], orientation: tuple[str, ...]) -> tuple[np.ndarray, list[float]]:
    """Turn axes so that they lead to the right, the front and the head."""
    order = [next(axis for axis, code in enumerate(orientation) if code in pair) for pair in _AXES]
    array = np.moveaxis(array, order, range(3))
    flips = tuple(axis for axis, pair in enumerate(_AXES) if orientation[order[axis]] == pair[1])
    return np.flip(array, flips), [spacing[axis] for axis in order]


def as_gray(plane: np.ndarray, array: np.ndarray) -> np.ndarray:
    """Show numbers as uint8, black and white by the percentiles of all of ``array``; what is uint8 color stays."""
    if plane.dtype == np.uint8 and plane.ndim == 3:
        return plane
    return _between(plane, *_black_and_white(array))


def _black_and_white(array: np.ndarray) -> tuple[float, float]:
    finite = array[np.isfinite(array)]
    low, high = np.percentile(finite, SHOWN) if finite.size else (0.0, 1.0)
    if high <= low:  # a label map, mostly background
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return float(low), float(high)


def _between(plane: np.ndarray, low: float, high: float) -> np.ndarray:
    scaled = (np.nan_to_num(plane.astype(np.float64)) - low) / ((high - low) or 1.0)
    return np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)


def _square(plane: np.ndarray, spacing: list[float], side: int) -> np.ndarray:
    black = np.zeros((side, side, *plane.shape[2:]), dtype=np.uint8)
    if 1 in plane.shape[:2]:
        return black
    extent = np.array(plane.shape[:2]) * spacing
    height, width = np.maximum(1, np.rint(side * extent / extent.max())).astype(int)
    picture = Image.fromarray(np.ascontiguousarray(plane)).resize((width, height), Image.Resampling.BICUBIC)
    top, left = (side - height) // 2, (side - width) // 2
    black[top : top + height, left : left + width] = np.asarray(picture)
    return black
