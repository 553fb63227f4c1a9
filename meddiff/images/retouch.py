"""Holes in pictures: where they lie, and how what was drawn is put into them, on the picture's own grid.

Hairs and ruler marks are found as DullRazor does (Lee et al. 1997): a gray closing along a line fills what is dark and
narrower than the line, so the difference shows it. A hair is filled by lines across it and not by the line along it,
a dark spot by all of them: the largest difference over the directions less the smallest sees hairs and leaves spots.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.draw import line
from skimage.measure import label, regionprops
from skimage.morphology import closing

from meddiff.images.square import place, resize_image

DIRECTIONS = 8
HAIR_WIDTH = 0.03  # of the short side: wider than the hairs of a dermoscope, and than ruler marks
HAIR_DARKER = 0.07  # of white, than what is beside it
HAIR_LENGTH = 0.10  # of the short side
HAIR_SHAPE, MARK_SHAPE = 4.0, 2.0  # times longer than wide
CROSSING = 0.25
"""Share of its hull that a region of hairs which cross fills at most; it need not be longer than wide."""
MARKS, MARK_LENGTH, RULER_LENGTH, OFF_THE_RULER = 5, 0.02, 0.35, 0.02
"""Marks of a ruler at least, and shares of the short side: a mark is as long, all of them, as far from their line."""
TOUCHED = 0.02
"""Share of a pixel that a hole takes at least, where it is shrunk."""
LOOKED_AT = 512
"""Pixels of the short side at which hairs are looked for."""


def hairs(pixels: np.ndarray) -> np.ndarray:
    """Mark dark hairs and ruler marks: [H, W] or [H, W, 3] uint8 -> bool [H, W]."""
    height, width = pixels.shape[:2]
    scale = min(1.0, LOOKED_AT / min(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    looked_at = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX)) if scale < 1 else pixels
    short = min(looked_at.shape[:2])
    dark = np.greater(_narrow_and_dark(looked_at, max(3, round(HAIR_WIDTH * short))), HAIR_DARKER * 255)
    regions = regionprops(label(dark, connectivity=2))
    kept = [one for one in regions if one.axis_major_length > HAIR_LENGTH * short and _is_thin(one)]
    short_ones = [one for one in regions if MARK_LENGTH * short < one.axis_major_length <= HAIR_LENGTH * short]
    kept += _on_a_ruler([one for one in short_ones if _is_thin(one, MARK_SHAPE)], short)
    mask = np.zeros_like(dark)
    for region in kept:
        mask[region.slice] |= region.image
    mask = ndimage.binary_dilation(mask, iterations=max(1, round(0.005 * short)))
    return mask if scale == 1 else np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))


def _is_thin(region: Any, shape: float = HAIR_SHAPE) -> bool:
    return region.axis_major_length > shape * max(region.axis_minor_length, 1.0) or region.solidity < CROSSING


def _on_a_ruler(marks: list[Any], short: int) -> list[Any]:
    """Choose the short strokes that stand across one straight line, enough of them and over a long way."""
    if len(marks) < MARKS:
        return []
    centers = np.array([one.centroid for one in marks])
    strokes = np.array([(np.cos(one.orientation), np.sin(one.orientation)) for one in marks])
    best = np.zeros(len(marks), dtype=bool)
    for one, two in combinations(range(len(marks)), 2):
        along = centers[two] - centers[one]
        along = along / max(np.hypot(*along), 1e-9)
        away = centers - centers[one]
        across = np.abs(away @ (-along[1], along[0])) < OFF_THE_RULER * short
        on = across & (np.abs(strokes @ along) < 0.5)
        if on.sum() > best.sum() and np.ptp(away[on] @ along) > RULER_LENGTH * short:
            best = on
    return [mark for mark, on in zip(marks, best, strict=True) if on] if best.sum() >= MARKS else []


def _narrow_and_dark(pixels: np.ndarray, length: int) -> np.ndarray:
    """Compute by how much closings along lines brighten each pixel, at most over the directions less at least."""
    channels = pixels[..., None] if pixels.ndim == 2 else pixels
    channels = np.pad(channels, ((length, length), (length, length), (0, 0)), mode="edge")
    seen = np.zeros(channels.shape[:2])
    footprints = [_line(length, angle) for angle in np.arange(DIRECTIONS) * np.pi / DIRECTIONS]
    for channel in np.moveaxis(channels.astype(np.int16), 2, 0):
        filled = np.stack([closing(channel, footprint) for footprint in footprints]) - channel
        seen = np.maximum(seen, filled.max(0) - filled.min(0))
    return seen[length:-length, length:-length]


def _line(length: int, angle: float) -> np.ndarray:
    """Draw a line of so many pixels through the middle of a square footprint."""
    half = length // 2
    down, along = round(half * np.sin(angle)), round(half * np.cos(angle))
    footprint = np.zeros((2 * half + 1, 2 * half + 1), np.uint8)
    footprint[line(half - down, half - along, half + down, half + along)] = 1
    return footprint


def boxes(corners: Sequence[tuple[int, int, int, int]], size: tuple[int, int]) -> np.ndarray:
    """Mark boxes (x, y, width, height), in pixels from the left and the top, of a picture: bool [H, W]."""
    hole = np.zeros(size, dtype=bool)
    for x, y, width, height in corners:
        hole[y : y + height, x : x + width] = True
    return hole


def squares(size: tuple[int, int], hole: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Yield squares as high as the picture is short, until all of a hole is seen: the middle one, then from the start.

    A network that was trained on the middle of oblong pictures sees no more at once.
    """
    short, long = min(size), max(size)
    starts = [(long - short) // 2, *range(0, long - short, short), long - short]
    left = hole.any(axis=0 if size[1] == long else 1)
    for start in dict.fromkeys(starts):
        part = slice(start, start + short)
        if left[part].any():
            left[part] = False
            yield (slice(0, short), part) if size[1] == long else (part, slice(0, short))


def shrunk(hole: np.ndarray, side: int, fit: str) -> np.ndarray:
    """Mark the pixels of the network's square [side, side] that a hole [H, W] of a picture takes a part of."""
    height, width = hole.shape
    share = resize_image(hole.astype(np.float32), place(height, width, side, fit=fit))
    return np.greater(share, TOUCHED)


def covered(pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fill a hole [H, W] with the nearest pixels around it, so that nothing of it shines through where it is shrunk."""
    if not hole.any() or hole.all():
        return pixels
    nearest: Any = ndimage.distance_transform_edt(hole, return_distances=False, return_indices=True)
    return pixels[tuple(nearest)]


def filled(pixels: np.ndarray, drawn: np.ndarray, hole: np.ndarray, feather: float) -> np.ndarray:
    """Put what was drawn into a hole; every pixel outside of it stays what it is, to the bit.

    What was drawn is enlarged from the network's grid and may meet its surroundings with a step. Inside the hole it is
    shifted by what the surroundings differ from it, averaged by a Gaussian; the shift is whole at the border and fades
    toward the middle. Nothing of what was in the hole is used.

    Args:
        pixels: [H, W] or [H, W, 3] of any number type.
        drawn: float, the same shape, in the values of the pixels.
        hole: bool [H, W].
        feather: standard deviation of the Gaussian in pixels; 0 shifts nothing.

    Returns:
        Pixels of the same type.
    """
    inside = drawn.astype(np.float64)
    if feather > 0 and not hole.all():
        outside = np.logical_not(hole).reshape(*hole.shape, *[1] * (pixels.ndim - 2))
        across = (feather, feather, *[0] * (pixels.ndim - 2))
        near = ndimage.gaussian_filter(outside.astype(np.float64), across)
        differs = ndimage.gaussian_filter(np.where(outside, pixels - inside, 0.0), across)
        inside += differs * np.minimum(2.0, 1 / np.maximum(near, 1e-6))  # a straight border is half outside
    result = pixels.copy()
    result[hole] = as_stored(inside[hole], pixels.dtype)
    return result


def as_stored(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Round numbers to a type of pixels, cut off at its ends."""
    if dtype.kind in "ui":
        values = np.rint(values.clip(np.iinfo(dtype).min, np.iinfo(dtype).max))
    return values.astype(dtype)
