"""Arrays of pixels as pictures people look at: one grid of tiles, or a PNG inside an HTML page.

Medical training images are small (32 to 128 pixels). They are enlarged by whole factors without interpolation,
so that what is seen is what the network saw.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from meddiff.errors import InputError

BACKGROUND = (250, 250, 248)
INK = (40, 44, 50)
STAMP_BACKGROUND = (255, 243, 209)
STAMP_INK = (112, 74, 0)


def grid_image(
    images: Sequence[np.ndarray],
    columns: int,
    scale: int,
    *,
    captions: Sequence[str] | None = None,
    stamp: str = "",
) -> np.ndarray:
    """Tiles in rows of `columns`, each enlarged `scale` times, on a light ground.

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


def as_rgb(image: np.ndarray) -> np.ndarray:
    """uint8 [H, W] or [H, W, 1 or 3] -> uint8 [H, W, 3]; anything else is an InputError."""
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
        raise InputError(f"a picture is uint8 [H, W] or [H, W, 3]; got {image.dtype} {list(image.shape)}")
    if not image.size:
        raise InputError(f"a picture has at least one pixel; got {list(image.shape)}")
    flat = image[:, :, None] if image.ndim == 2 else image
    return np.ascontiguousarray(np.broadcast_to(flat, (*flat.shape[:2], 3)))


def png_data_uri(image: np.ndarray, *, largest_side: int = 256) -> str:
    """A uint8 picture as ``data:image/png;base64,...``; sides above `largest_side` pixels are averaged down to it."""
    picture = Image.fromarray(as_rgb(image))
    picture.thumbnail((largest_side, largest_side), Image.Resampling.LANCZOS)
    if image.ndim == 2:
        picture = picture.convert("L")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """The text, or its two ends about an ellipsis where it is wider than `width` pixels: names differ at either."""
    shown, kept = text, len(text)
    while kept > 1 and font.getlength(shown) > width:
        kept -= 1
        shown = text[: (kept + 1) // 2] + "…" + text[len(text) - kept // 2 :]
    return shown
