"""The brushes of phantoms: seamless noise tiles, lesion coordinates, soft spots and tapered curves.

Everything is defined in *subject units* (half the frame is about 1) and only then sampled on the pixels, so that the
same lesion can be seen from several views and at any size. The tiles are drawn once per process from a fixed seed; a
subject gets its own texture by looking at a random place of a tile, turned and scaled at random.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.spatial import KDTree

Array = NDArray[Any]  # float32 where it is as large as the image
Random = np.random.Generator

TILE = 512  # pixels a side; a power of two, so that wrapping is a bit mask
CELL = 24.0  # distance of cell centers, and the wavelength of the "folds" tile, in tile pixels


@cache
def tile(name: str) -> Array:
    """Return one seamless tile, [TILE, TILE] float32.

    ``cloud``: fractal noise, mean 0, deviation 1, features of all sizes up to half a tile.
    ``grain``: rough noise, mean 0, deviation 1, features of 4 to 20 tile pixels.
    ``folds``: noise of the one wavelength CELL; its zero lines run like the folds of a brain.
    ``web``: distance to the nearest border of a net of round cells, 0 on the border, about 0.5 in the middle.
    ``cells``: one random number in [0, 1] per cell of ``web``.
    """
    rng = np.random.default_rng({"cloud": 11, "grain": 12, "folds": 13, "web": 14, "cells": 14}[name])
    if name in ("web", "cells"):
        return _cellular(rng)[name == "cells"]
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None])
    with np.errstate(divide="ignore"):
        gain = {
            "cloud": np.where(frequency > 1.5 / TILE, frequency**-1.55, 0),
            "grain": np.exp(-((np.log(frequency * 9) / 0.6) ** 2)),
            "folds": np.exp(-((np.log(frequency * CELL) / 0.28) ** 2)),
        }[name]
    return _standardized(np.fft.irfft2(np.fft.rfft2(rng.standard_normal((TILE, TILE))) * gain))


def _standardized(values: Array) -> Array:
    return ((values - values.mean()) / values.std()).astype(np.float32)


def _cellular(rng: Random) -> tuple[Array, Array]:
    """Return Voronoi cells about a jittered hexagonal lattice, their borders bent by noise: (web, cells)."""
    columns, rows = round(TILE / CELL), 2 * round(TILE / CELL / np.sqrt(3))
    lattice = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2).astype(float)
    lattice[:, 0] += 0.5 * (lattice[:, 1] % 2)
    lattice *= (TILE / columns, TILE / rows)
    centers = (lattice + rng.uniform(-0.24, 0.24, lattice.shape) * CELL) % TILE
    places = np.stack(np.meshgrid(np.arange(TILE), np.arange(TILE)), -1).astype(float)
    places += 1.6 * np.stack([tile("folds"), np.roll(tile("folds"), (200, 90), (0, 1))], -1)
    near, index = KDTree(centers, boxsize=TILE).query(places % TILE, k=2)
    nearest = np.asarray(index)[..., 0]
    return ((near[..., 1] - near[..., 0]) / CELL).astype(np.float32), rng.random(len(centers), np.float32)[nearest]


def smoothstep(low: float, high: float, values: Array) -> Array:
    """Return 0 below ``low``, 1 above ``high``, a smooth cubic between; with low > high it falls instead of rising."""
    part = np.clip((values - low) * (1 / (high - low)), 0, 1)
    return part * part * (3 - 2 * part)


@dataclass(frozen=True)
class Plane:
    """The pixels of one view in the subject's own coordinates.

    x, y: [S, S] float32, subject units; a pixel is ``pixel`` units wide; pixel = turn @ place / pixel + origin.
    """

    x: Array
    y: Array
    turn: Array
    origin: Array
    pixel: float

    @classmethod
    def view(
        cls, side: int, *, angle: float = 0.0, zoom: float = 1.0, center: Sequence[float] | Array = (0.0, 0.0)
    ) -> "Plane":
        """Make a square frame of ``side`` pixels: the subject's 0 is at ``center`` (frame -1..1), turned, enlarged."""
        half = side / 2
        frame = (np.arange(side, dtype=np.float32) + 0.5) / half - 1
        x, y = (frame - center[0])[None, :] / zoom, (frame - center[1])[:, None] / zoom
        cosine, sine = math.cos(angle), math.sin(angle)
        turn = np.array([[cosine, -sine], [sine, cosine]])
        return cls(
            (cosine * x + sine * y).astype(np.float32),
            (-sine * x + cosine * y).astype(np.float32),
            turn,
            (np.asarray(center) + 1) * half - 0.5,
            1 / (half * zoom),
        )

    def pixels(self, places: Array) -> Array:
        """Return the subject places [N, 2] (x, y) -> pixel places [N, 2] (column, row)."""
        return places @ self.turn.T / self.pixel + self.origin

    def texture(self, rng: Random, size: float, *names: str, bend: Array | None = None) -> list[Array]:
        """Sample tiles at one random place; ``size`` is what CELL tile pixels measure, in subject units.

        Where the pixels of the plane are coarser than those of the tile, the nearest is taken, else it is
        interpolated: three times slower, and needed in large pictures alone.

        Args:
            rng: draws place and angle.
            size: scale of the texture, see above.
            names: which tiles, see ``tile``.
            bend: [S, S] displacement in subject units that makes straight things crooked.

        Returns:
            one [S, S] array per name.
        """
        angle, scale = rng.uniform(0, 2 * math.pi), CELL / size
        cosine, sine = math.cos(angle) * scale, math.sin(angle) * scale
        x, y = (self.x, self.y) if bend is None else (self.x + bend, self.y + bend[::-1, ::-1])
        # far from 0, so that cutting off the fraction rounds down
        column = cosine * x - sine * y + (rng.uniform(0, TILE) + 16 * TILE)
        row = sine * x + cosine * y + (rng.uniform(0, TILE) + 16 * TILE)
        i, j = column.astype(np.intp), row.astype(np.intp)
        if self.pixel * scale > 0.7:
            at = (i & (TILE - 1)) + (j & (TILE - 1)) * TILE
            return [tile(name).ravel().take(at) for name in names]
        column -= i
        row -= j
        left, right = i & (TILE - 1), (i + 1) & (TILE - 1)
        top, bottom = (j & (TILE - 1)) * TILE, ((j + 1) & (TILE - 1)) * TILE
        corners = (left + top, right + top, left + bottom, right + bottom)
        return [_mixed([tile(name).ravel().take(at) for at in corners], column, row) for name in names]

    def spots(self, places: Array, radii: Array, *, soft: float = 0.3) -> Array:
        """Round spots: 1 inside, falling to 0 over the outer ``soft`` share of the radius; [S, S]."""
        canvas = np.zeros_like(self.x)
        side = len(canvas)
        for (column, row), radius in zip(self.pixels(places), np.maximum(radii / self.pixel, 0.6), strict=True):
            low_i, high_i = max(int(column - radius), 0), min(int(column + radius) + 2, side)
            low_j, high_j = max(int(row - radius), 0), min(int(row + radius) + 2, side)
            if low_i >= high_i or low_j >= high_j:
                continue
            i, j = np.arange(low_i, high_i, dtype=np.float32), np.arange(low_j, high_j, dtype=np.float32)
            away = np.hypot((i - column)[None], (j - row)[:, None]) * (1 / radius)
            window = canvas[low_j:high_j, low_i:high_i]
            window[:] = np.maximum(window, smoothstep(1, 1 - soft, away))
        return canvas

    def curves(self, paths: Sequence[Array], widths: Sequence[Array]) -> Array:
        """Return the coverage [S, S] of curves [N, 2] whose full width [N] may taper, all in subject units."""
        pixels = [self.pixels(path) for path in paths]
        return strokes(len(self.x), pixels, [width / self.pixel for width in widths])


def strokes(side: int, paths: Sequence[Array], widths: Sequence[Array]) -> Array:
    """Give the coverage [side, side] in 0..1 of tapered curves in pixels, anti-aliased by drawing at twice the size."""
    image = Image.new("L", (2 * side, 2 * side))
    pen = ImageDraw.Draw(image)
    for path, width in zip(paths, widths, strict=True):
        along = np.gradient(path, axis=0)
        across = np.stack([-along[:, 1], along[:, 0]], 1) / np.maximum(np.hypot(*along.T), 1e-9)[:, None]
        # 0.7 pixels are the least that leaves no gaps in the line at twice the size
        reach = across * np.maximum(width, 0.7)[:, None] / 2
        outline = 2 * np.concatenate([path + reach, (path - reach)[::-1]]) + 0.5
        pen.polygon([tuple(point) for point in outline.tolist()], fill=255)
    return np.asarray(image.reduce(2), np.float32) / 255


def _mixed(corners: list[Array], across: Array, down: Array) -> Array:
    """Return the bilinear mean of four arrays, in place."""
    a, b, c, d = corners
    b -= a
    b *= across
    a += b
    d -= c
    d *= across
    c += d
    c -= a
    c *= down
    a += c
    return a


def outline(rng: Random, *, roughness: float, symmetry: float = 0.0, orders: int = 9) -> Array:
    """Return the radius of a closed curve at 1024 angles, about 1: random harmonics that fall with their order.

    Args:
        rng: draws the harmonics.
        roughness: deviation of the radius.
        symmetry: 1 keeps the even harmonics alone, so that opposite sides mirror each other.
        orders: how many harmonics.
    """
    order = np.arange(2, 2 + orders)
    size = rng.standard_normal(orders) / order**1.3 * np.where(order % 2, 1 - symmetry, 1)
    angle = np.linspace(-np.pi, np.pi, 1024, endpoint=False)
    wave = (size[:, None] * np.cos(order[:, None] * angle + rng.uniform(0, 2 * np.pi, (orders, 1)))).sum(0)
    return (1 + roughness * wave / max(wave.std(), 1e-6)).clip(0.3).astype(np.float32)


def walk(
    rng: Random, start: Sequence[float] | Array, heading: float, length: float, *, wiggle: float, points: int = 24
):
    """Draw a smooth random path [points, 2] whose heading drifts by ``wiggle`` radians (deviation, end to end)."""
    turns = np.cumsum(rng.normal(0, wiggle / np.sqrt(points), points))
    turns = np.convolve(np.pad(turns, 2, mode="edge"), np.ones(5) / 5, "valid") + heading
    steps = np.stack([np.cos(turns), np.sin(turns)], 1) * (length / points)
    return np.asarray(start) + np.cumsum(steps, 0)


def around(edge: Array, x: Array, y: Array) -> Array:
    """Return the value of an ``outline`` in the direction of every (x, y)."""
    return edge[((np.arctan2(y, x) + np.pi) * (1024 / (2 * np.pi))).astype(np.intp) & 1023]


def halved(array: Array) -> Array:
    """Map [2 H, 2 W, ...] -> [H, W, ...], the mean of every four pixels: drawing at twice the size smooths edges."""
    return (array[::2, ::2] + array[1::2, ::2] + array[::2, 1::2] + array[1::2, 1::2]) / 4
