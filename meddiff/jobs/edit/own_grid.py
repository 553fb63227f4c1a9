"""Editing a picture on its own grid by a network that sees a smaller square of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from meddiff.formats import Picture
from meddiff.images.case import case_of_picture
from meddiff.images.prepare import Transform
from meddiff.images.retouch import as_stored, covered, filled, shrunk, squares
from meddiff.images.square import LUMINANCE

Part = tuple[slice, slice]
Inpaint = Callable[[Tensor, Tensor], Tensor]
"""(pictures [M, C, S, S], hole [S, S] bool) -> the same with the hole drawn anew."""
Change = Callable[[Tensor], Tensor]
"""Pictures [M, C, S, S] -> the like."""


def with_hole_filled(
    picture: Picture, hole: np.ndarray, transform: Transform, inpaint: Inpaint, *, members: int, feather: float
) -> list[np.ndarray]:
    """Fill a hole bool [H, W] of a picture, square by square; every pixel outside stays what it is, to the bit.

    What a network draws is pasted in its own resolution: `retouch.filled` says how it meets what is around it.
    """
    left, results = hole.copy(), [picture.pixels] * members
    for square in _parts(hole, transform):
        here, part = np.zeros_like(hole), [_cut(picture, result, square, left) for result in results]
        cases = [case_of_picture("picture", one, transform) for one in part]
        opened = torch.from_numpy(shrunk(left[square], transform.image_size, transform.fit))
        drawn = inpaint(torch.from_numpy(np.stack([case.image for case in cases])), opened)
        here[square] = left[square]
        for number, (case, values) in enumerate(zip(cases, drawn.numpy(), strict=True)):
            whole = results[number].astype(np.float64)
            whole[square] = _in_pixels(case.restore(values), picture)
            results[number] = filled(results[number], whole, here, feather)
        left[square] = False
    return results


def changed(
    picture: Picture, where: np.ndarray | None, transform: Transform, change: Change, *, members: int, feather: float
) -> list[np.ndarray]:
    """Add to a picture what a network changes of the square that it sees, so that finer detail stays.

    Args:
        picture: on its own grid.
        where: bool [H, W], where alone it is changed, fading in over twice the feather; None changes all that is seen.
        transform: way to the square.
        change: of the network.
        members: how many are drawn.
        feather: in pixels of the picture.
    """
    whole = np.ones(picture.size, dtype=bool)
    parts = _parts(whole, transform)[:1] if where is None else _parts(where, transform)
    weight = np.ones(picture.size)
    if where is not None:
        away: Any = ndimage.distance_transform_edt(where)
        weight = np.minimum(1, away / max(2 * feather, 1e-6))
    shifts = [np.zeros(picture.pixels.shape) for _ in range(members)]
    for part in parts:
        case = case_of_picture("picture", _cut(picture, picture.pixels, part, ~whole), transform)
        before = case.restore(case.image)
        drawn = change(torch.from_numpy(case.image)[None].expand(members, *case.image.shape)).numpy()
        for shift, values in zip(shifts, drawn, strict=True):
            moved = _in_pixels(case.restore(values), picture) - _in_pixels(before, picture)
            shift[part] += moved * (weight[part] if moved.ndim == 2 else weight[part][..., None])
        weight[part] = 0.0  # what was changed is not changed again
    return [as_stored(picture.pixels + shift, picture.pixels.dtype) for shift in shifts]


def change_between(picture: Picture, edited: np.ndarray) -> np.ndarray:
    """Compute how far each pixel [H, W] has moved, as a share of the range that the network sees."""
    moved = np.abs(edited.astype(np.float64) - picture.pixels) / ((picture.high - picture.low) or 1.0)
    return moved if moved.ndim == 2 else moved.mean(2)


def _parts(hole: np.ndarray, transform: Transform) -> list[Part]:
    """List the parts of a picture that the network sees one after the other: all of it, or squares."""
    if transform.fit == "crop":
        return list(squares((hole.shape[0], hole.shape[1]), hole))
    return [(slice(0, hole.shape[0]), slice(0, hole.shape[1]))]


def _cut(picture: Picture, pixels: np.ndarray, part: Part, hole: np.ndarray) -> Picture:
    """Cut a part of a picture, in the picture's range; of what is in the hole nothing is left."""
    shown = np.ascontiguousarray(covered(pixels, hole)[part])
    return replace(picture, pixels=shown, size=(shown.shape[0], shown.shape[1]))


def _in_pixels(values: np.ndarray, picture: Picture) -> np.ndarray:
    """Turn values [C, H, W] in [-1, 1] into those of a picture's pixels: float [H, W], or [H, W, 3]."""
    scaled = picture.low + (values.astype(np.float64) + 1) / 2 * (picture.high - picture.low)
    if picture.pixels.ndim == 2:
        return scaled[0] if len(scaled) == 1 else np.tensordot(LUMINANCE, scaled, 1)
    return np.moveaxis(np.broadcast_to(scaled, (3, *scaled.shape[1:])), 0, -1)
