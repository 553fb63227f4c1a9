"""The way from an oblong picture to a square of a given size; worked out once, done to image and mask alike.

Images are shrunk with Pillow's antialiased bicubic filter (Parmar et al. 2022 found that most libraries' resizing
aliases, and Pillow's does not), masks with its antialiased linear filter, cut at one half: a pixel belongs to the
class that covers most of it.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

# Shrink by whole numbers to three times the target first: five times faster on large pictures, 56 dB from the whole.
REDUCING_GAP = 3.0
# Luminance of ITU-R BT.601, as JPEG and Pillow use it.
LUMINANCE = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Placement:
    """The part of the source that is shown, and its place in the square."""

    box: tuple[float, float, float, float]
    """Left, top, right, bottom of the part that is shown, as fractions of the source's width and height."""
    shape: tuple[int, int]
    """Height and width of that part in the square, in pixels."""
    corner: tuple[int, int]
    """Row and column of its first pixel in the square."""
    side: int
    """Side of the square, in pixels."""


def place(height: int, width: int, side: int, *, fit: str = "crop") -> Placement:
    """Place a picture of ``height`` x ``width`` in a square of ``side`` pixels.

    fit: crop cuts the long side, pad fills the short side with black (background in a mask), stretch changes the
    aspect.
    """
    short, long = min(height, width), max(height, width)
    if fit == "crop":
        left, top = (1 - short / width) / 2, (1 - short / height) / 2
        return Placement((left, top, 1 - left, 1 - top), (side, side), (0, 0), side)
    if fit == "pad":
        shape = (max(1, round(side * height / long)), max(1, round(side * width / long)))
        return Placement((0, 0, 1, 1), shape, ((side - shape[0]) // 2, (side - shape[1]) // 2), side)
    if fit == "stretch":
        return Placement((0, 0, 1, 1), (side, side), (0, 0), side)
    raise ValueError(f"fit is crop, pad or stretch, not {fit!r}")


def resize_image(pixels: np.ndarray, placement: Placement, *, black: float = 0) -> np.ndarray:
    """Resize uint8, uint16 or float32 [H, W] or [H, W, C] -> uint8 or float32 [side, side] or [side, side, C]."""
    if pixels.dtype == np.uint8:
        shown = _resized(pixels, placement, Image.Resampling.BICUBIC)
    else:  # Pillow filters deep pixels as float32 gray pictures only
        planes = pixels.astype(np.float32).reshape(*pixels.shape[:2], -1)
        done = [_resized(plane, placement, Image.Resampling.BICUBIC) for plane in np.moveaxis(planes, 2, 0)]
        shown = np.stack(done, axis=-1).reshape(*placement.shape, *pixels.shape[2:])
    return _in_square(shown, placement, black)


def resize_mask(mask: np.ndarray, placement: Placement) -> np.ndarray:
    """Resize class indices uint8 [H, W] -> uint8 [side, side]; each pixel gets the class that covers most of it."""
    if mask.max() <= 1:
        share = _resized(mask * np.uint8(255), placement, Image.Resampling.BILINEAR)
        return _in_square((share >= 128).astype(np.uint8), placement, 0)
    classes = np.unique(mask)
    layers = [(mask == index).astype(np.uint8) * 255 for index in classes]
    shares = [_resized(layer, placement, Image.Resampling.BILINEAR) for layer in layers]
    return _in_square(classes[np.argmax(shares, axis=0)], placement, 0)


def to_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Convert [H, W] or [H, W, 3] -> [channels, H, W]: gray is repeated, color becomes luminance."""
    if channels not in (1, 3):
        raise ValueError(f"channels is 1 (gray) or 3 (color), not {channels}")
    if pixels.ndim == 2:
        return np.repeat(pixels[None], channels, axis=0)
    if channels == 3:
        return np.moveaxis(pixels, 2, 0)
    gray = pixels.astype(np.float32) @ np.asarray(LUMINANCE, dtype=np.float32)
    return (gray.round() if pixels.dtype.kind == "u" else gray).astype(pixels.dtype)[None]


def _resized(pixels: np.ndarray, placement: Placement, how: Image.Resampling) -> np.ndarray:
    height, width = pixels.shape[:2]
    left, top, right, bottom = placement.box
    box = (left * width, top * height, min(right * width, width), min(bottom * height, height))
    picture = Image.fromarray(pixels)
    height, width = placement.shape
    return np.asarray(picture.resize((width, height), how, box=box, reducing_gap=REDUCING_GAP))


def _in_square(shown: np.ndarray, placement: Placement, black: float) -> np.ndarray:
    if placement.shape == (placement.side, placement.side):
        return shown
    square = np.full((placement.side, placement.side, *shown.shape[2:]), black, dtype=shown.dtype)
    row, column = placement.corner
    square[row : row + placement.shape[0], column : column + placement.shape[1]] = shown
    return square


def unplace(values: np.ndarray, placement: Placement, size: tuple[int, int]) -> np.ndarray:
    """Put values float32 [N, side, side] of a square back on the picture that it was made from: float32 [N, *size].

    Linear between pixels. What the square does not show (crop) has the value of the nearest pixel that it does.
    """
    row, column = placement.corner
    shown = values[:, row : row + placement.shape[0], column : column + placement.shape[1]]
    left, top, right, bottom = placement.box
    at = []
    for count, pixels, low, high in (
        (size[0], placement.shape[0], top, bottom),
        (size[1], placement.shape[1], left, right),
    ):
        centers = (np.arange(count) + 0.5) / count
        at.append(np.clip((centers - low) / (high - low) * pixels - 0.5, 0, pixels - 1))
    for axis, positions in zip((1, 2), at, strict=True):
        below = np.minimum(positions.astype(int), max(0, shown.shape[axis] - 2))
        above = np.minimum(below + 1, shown.shape[axis] - 1)
        part = (positions - below).astype(np.float32).reshape(-1, *[1] * (2 - axis))
        shown = np.take(shown, below, axis) * (1 - part) + np.take(shown, above, axis) * part
    return shown
