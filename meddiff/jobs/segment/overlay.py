"""Masks to look at: each outlined on its image, and one sheet with the least sure first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import binary_erosion

from meddiff.formats import save_image
from meddiff.formats.pictures import read_pixels
from meddiff.formats.volume import Volume
from meddiff.images.views import as_gray, grid_image, upright_plane
from meddiff.jobs.apply.ledger import OVERVIEW
from meddiff.reports.galleries import OUTLINES

LARGEST = 512  # pixels of a side
TILE = 192
COLUMNS, MOST = 6, 48


def overlay_of_picture(path: Path, classes: np.ndarray) -> np.ndarray:
    """Draw the border of a mask on a picture: uint8 [H, W, 3].

    Raises:
        InputError: the picture cannot be read.
    """
    pixels = read_pixels(path, size_hint=LARGEST)[0]
    return outlined(as_gray(pixels, pixels), classes)


def overlay_of_volume(volume: Volume, classes: np.ndarray) -> np.ndarray:
    """Draw the border of a mask on its fullest slice, upright where the orientation is known: uint8 [H, W, 3]."""
    return outlined(*upright_plane(volume, classes))


def outlined(pixels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Draw the border of every class, two pixels wide, on a picture that is shrunk where it is large."""
    scale = min(1.0, LARGEST / max(classes.shape))
    height, width = (max(1, round(side * scale)) for side in classes.shape)
    size = width, height
    drawn = np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS).convert("RGB"))
    shrunk = np.asarray(Image.fromarray(classes.astype(np.uint8)).resize(size, Image.Resampling.NEAREST))
    for index in (int(value) for value in np.unique(shrunk) if value > 0):
        inside = shrunk == index
        drawn[inside & np.logical_not(binary_erosion(inside, iterations=2))] = OUTLINES[(index - 1) % len(OUTLINES)]
    return drawn


def write_overview(folder: Path, lines: Mapping[str, Mapping[str, Any]]) -> None:
    """Write one sheet of the outlined masks, the least sure first; none where there are none.

    Args:
        folder: where NAME_overlay.png lie.
        lines: of predictions.csv, by name.
    """
    sure = {name: line["uncertainty"] for name, line in lines.items() if not line["problem"] and not line.get("stale")}
    shown = [name for name in sorted(sure, key=lambda name: -float(sure[name])) if _file(folder, name).is_file()][:MOST]
    if not shown:
        return
    tiles = [_tile(_file(folder, name)) for name in shown]
    save_image(grid_image(tiles, COLUMNS, 1, captions=[f"{name}  {float(sure[name]):.3f}" for name in shown]),
               folder / OVERVIEW)  # fmt: skip


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}_overlay.png"


def _tile(file: Path) -> np.ndarray:
    with Image.open(file) as picture:
        return squared(picture)


def squared(picture: Image.Image) -> np.ndarray:
    """Fit a picture into a tile uint8 [TILE, TILE, 3], black around; small ones are enlarged, each pixel a square."""
    picture.thumbnail((TILE, TILE))
    factor = TILE // max(picture.size)
    picture = picture.resize((factor * picture.width, factor * picture.height), Image.Resampling.NEAREST)
    square = Image.new("RGB", (TILE, TILE))
    square.paste(picture, ((TILE - picture.width) // 2, (TILE - picture.height) // 2))
    return np.asarray(square)
