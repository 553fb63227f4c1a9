"""The dermoscope: its light and round field, what lies between it and the skin, and its sensor.

Hairs, ruler marks and gel bubbles belong to the view and not to the lesion: the mask does not know them.
"""

import math

import numpy as np
from scipy import ndimage

from meddiff.sources.phantom.texture import Array, Random, smoothstep, strokes, walk

HAIR_COLORS = ((0.10, 0.06, 0.05), (0.25, 0.14, 0.09), (0.52, 0.38, 0.25), (0.80, 0.77, 0.74))


def illumination(rng: Random, side: int) -> Array:
    """Draw the light on every pixel, [side, side, 1]: brighter on one side and in the middle, black off the lens."""
    frame = np.linspace(-1, 1, side, dtype=np.float32)
    angle, tilt, fall = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.09), rng.uniform(0.02, 0.12)
    light = 1 + tilt * (math.cos(angle) * frame[None] + math.sin(angle) * frame[:, None])
    light -= fall * (frame[None] ** 2 + frame[:, None] ** 2)
    if rng.random() < 0.4:  # the round field of the lens
        center = rng.normal(0, 0.06, 2).tolist()
        away = np.hypot(frame[None] - center[0], frame[:, None] - center[1])
        edge = rng.uniform(1.02, 1.42)
        light *= smoothstep(edge + 0.03, edge - rng.uniform(0.06, 0.2), away)
    return light[..., None]


def in_front(rng: Random, color: Array) -> Array:
    """Return the light [S, S, 3] after hairs, ruler marks and gel bubbles have been laid over it."""
    side = len(color)
    if rng.random() < 0.55:
        cover = hairs(rng, side)
        color *= (1 - 0.18 * np.roll(cover, (side // 90, side // 120), (0, 1)))[..., None]
        tint = np.array(HAIR_COLORS[rng.choice(4, p=[0.5, 0.3, 0.13, 0.07])], np.float32) * rng.uniform(0.7, 1.2)
        color += (rng.uniform(0.75, 0.95) * cover)[..., None] * (tint - color)
    if rng.random() < 0.18:
        color *= 1 - 0.8 * ruler(rng, side)[..., None]
    if rng.random() < 0.35:
        _bubbles(rng, color)
    return color


def hairs(rng: Random, side: int) -> Array:
    """Draw the coverage [side, side] of hairs, 0..1, that lie in about one direction."""
    count = min(1 + int(rng.exponential(9)), 45)
    lie, spread = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 1.0)
    thick = rng.uniform(0.004, 0.011) * side
    paths, widths = [], []
    for _ in range(count):
        length = rng.uniform(0.25, 1.3) * side
        path = walk(
            rng, rng.uniform(-0.1, 1.1, 2) * side, lie + rng.normal(0, spread), length, wiggle=rng.uniform(0.2, 1.4)
        )
        paths.append(path)
        widths.append(thick * rng.uniform(0.5, 1.2) * np.linspace(1, 0.35, len(path)))
    return strokes(side, paths, widths)


def ruler(rng: Random, side: int) -> Array:
    """Draw the coverage [side, side] of the marks of a ruler near an edge, 0..1."""
    angle, gap = rng.choice(4) * np.pi / 2 + rng.normal(0, 0.2), rng.uniform(0.05, 0.09) * side
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    base = side / 2 - across * rng.uniform(0.41, 0.47) * side
    ticks = np.arange(-14, 15)
    paths = [
        base + along * tick * gap + across * np.array([[0.0], [0.055 if tick % 5 == 0 else 0.03]]) * side
        for tick in ticks
    ]
    return strokes(side, paths, [np.full(2, 0.007 * side)] * len(paths))


def _bubbles(rng: Random, color: Array) -> None:
    side = len(color)
    middle = rng.uniform(0.05, 0.95, 2) * side
    for _ in range(rng.integers(1, 9)):
        radius = side * rng.uniform(0.012, 0.05)
        column, row = middle + rng.normal(0, 0.12, 2) * side
        i = np.arange(max(int(column - radius) - 2, 0), min(int(column + radius) + 3, side))
        j = np.arange(max(int(row - radius) - 2, 0), min(int(row + radius) + 3, side))
        if not (len(i) and len(j)):
            continue
        away_i, away_j = np.meshgrid((i - column) / radius, (j - row) / radius)
        away = np.hypot(away_i, away_j).astype(np.float32)
        rim = np.exp(-(((away - 0.9) / 0.09) ** 2))
        lit = smoothstep(-0.2, 1.0, -(away_i + away_j).astype(np.float32) * 0.7)
        glint = np.exp(-((away_i + 0.42) ** 2 + (away_j + 0.42) ** 2) / 0.02).astype(np.float32)
        window = color[j[0] : j[-1] + 1, i[0] : i[-1] + 1]
        window *= (1 - 0.22 * rim * (1 - lit) + 0.03 * (away < 0.9))[..., None]
        window += ((0.45 * rim * lit + 0.6 * glint)[..., None]) * (1 - window)


def photograph(rng: Random, color: Array) -> np.ndarray:
    """Photograph light: white balance, exposure, contrast, blur and sensor noise, to uint8."""
    size = len(color)
    color *= np.float32(np.exp(rng.normal(0, [0.045, 0.03, 0.065]) + rng.normal(0, 0.07)))
    color = ndimage.gaussian_filter(color, (*[size / 128 * rng.uniform(0.2, 0.55)] * 2, 0))
    color += np.float32(rng.uniform(0.004, 0.014)) * rng.standard_normal(color.shape, np.float32)
    return (np.clip(color, 0, 1) * 255 + 0.5).astype(np.uint8)
