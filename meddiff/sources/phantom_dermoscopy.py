"""A dermoscopic photograph: skin of a patient, a lesion on it, and the camera that looks at both.

Light that enters skin comes back colored by what it passes: after Beer and Lambert, color = scatter * exp(-sum of
pigment * absorption), in the three colors of the camera. Melanin takes blue first (brown, then black), blood takes
green and blue (red). Skin type, lesion and view each have a stream of random numbers of their own, so that images of
one lesion differ in view alone and lesions of one patient lie on one skin.
"""

import math

import numpy as np
from scipy import ndimage

from meddiff.seeds import child_seed
from meddiff.sources.phantom_lesions import PAINTERS, Pigments
from meddiff.sources.phantom_texture import Array, Plane, Random, halved, smoothstep, strokes, walk

SCATTER = np.array([0.95, 0.88, 0.87], np.float32)
# columns: melanin, blood, venous blood, keratin; rows: red, green, blue
ABSORPTION = np.array([[0.60, 0.10, 0.60, 0.06], [1.00, 1.00, 1.10, 0.25], [1.30, 0.70, 0.65, 0.80]], np.float32)
DEEP, WHITE = np.array([0.31, 0.34, 0.42], np.float32), np.array([0.92, 0.87, 0.86], np.float32)
SKIN_TYPES = (0.14, 0.27, 0.26, 0.17, 0.10, 0.06)  # share of Fitzpatrick I to VI
SKIN_MELANIN = (0.03, 0.08, 0.16, 0.32, 0.62, 1.15)


def draw_dermoscopy(*, label: str, patient: int, lesion: int, view: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """One photograph.

    Args:
        label: class, one of PAINTERS.
        patient: seed of the skin.
        lesion: seed of the lesion and of the skin about it.
        view: seed of the camera and of what lies in front of it.
        size: side in pixels.

    Returns:
        image [size, size, 3] uint8 and mask [size, size] uint8 (0 or 1).
    """
    rng = np.random.default_rng(view)
    plane = _placed(rng, 2 * size, np.random.default_rng(child_seed(lesion, "place")))
    pigments = _skin(np.random.default_rng(patient), np.random.default_rng(child_seed(lesion, "skin")), plane)
    shape = PAINTERS[label](np.random.default_rng(lesion), plane, pigments)
    color = _light(pigments, plane.pixel) * _illumination(rng, 2 * size)
    color = halved(_in_front(rng, color))
    mask = halved((shape.inside > 0).astype(np.float32)) >= 0.5
    return _camera(rng, color), mask.astype(np.uint8)


def _placed(rng: Random, side: int, lesion: Random) -> Plane:
    zoom = math.exp(rng.normal(0, 0.12)) * lesion.uniform(0.9, 1.05)
    center = np.clip(rng.normal(0, 0.07, 2), -0.2, 0.2)
    return Plane.view(side, angle=rng.uniform(0, 2 * np.pi), zoom=min(zoom, 1.2), center=center)


def _skin(patient: Random, rng: Random, plane: Plane) -> Pigments:
    kind = patient.choice(6, p=SKIN_TYPES)
    melanin = SKIN_MELANIN[kind] * math.exp(patient.normal(0, 0.2))
    flush = patient.uniform(0.03, 0.30)
    weathered = max(patient.normal(0.2, 0.4), 0.0)
    cloud, grain = plane.texture(rng, 0.12, "cloud", "grain")
    (flush_map,) = plane.texture(rng, 0.12, "cloud")
    web, cells = plane.texture(rng, patient.uniform(0.06, 0.10), "web", "cells", bend=0.02 * cloud)
    lines = smoothstep(0.3, 0.0, web)
    melanin = melanin * np.exp(0.10 * cloud + 0.05 * grain + 0.08 * cells + 0.10 * lines)
    count = int(rng.uniform(0, 1 + 45 * weathered))
    freckles = plane.spots(rng.uniform(-1.3, 1.3, (count, 2)), rng.gamma(3, 0.013, count), soft=0.9)
    melanin += 0.35 * smoothstep(0.15, 0.9, freckles * np.exp(0.15 * grain + 0.3 * cloud))
    blood = flush * np.exp(patient.uniform(0.1, 0.25) * flush_map - 0.1 * cloud + 0.12 * grain - 0.1 * lines)
    zero = np.zeros_like(plane.x)
    return Pigments(
        melanin, blood, zero.copy(), zero + patient.uniform(0, 0.15), zero.copy(), zero.copy(),
        -0.0012 * lines + 0.0003 * grain,
    )  # fmt: skip


def _light(pigments: Pigments, pixel: float) -> Array:
    """Pigments -> reflected light [S, S, 3] in 0..1, shaded by the relief."""
    names = ("melanin", "blood", "venous", "keratin")
    depth = np.tensordot(ABSORPTION, np.stack([getattr(pigments, name) for name in names]), 1)  # [3, S, S]
    color = SCATTER[:, None, None] * np.exp(-depth)
    gray = 0.5 + 0.8 * color[0]
    relief, slope = pigments.height, np.zeros_like(pigments.height)
    slope[1:, 1:] = 2 * relief[1:, 1:] - relief[:-1, 1:] - relief[1:, :-1]
    shade = 1 - np.clip(slope * (0.35 / pixel), -0.25, 0.25)
    for channel, deep, white in zip(color, DEEP, WHITE, strict=True):
        channel += pigments.deep * (deep * gray - channel)
        channel += pigments.white * (white - channel)
        channel *= shade
    return np.ascontiguousarray(color.transpose(1, 2, 0))


def _illumination(rng: Random, side: int) -> Array:
    frame = np.linspace(-1, 1, side, dtype=np.float32)
    angle, tilt, fall = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.09), rng.uniform(0.02, 0.12)
    light = 1 + tilt * (math.cos(angle) * frame[None] + math.sin(angle) * frame[:, None])
    light -= fall * (frame[None] ** 2 + frame[:, None] ** 2)
    if rng.random() < 0.35:  # the round field of the lens
        center = rng.normal(0, 0.06, 2).tolist()
        away = np.hypot(frame[None] - center[0], frame[:, None] - center[1])
        edge = rng.uniform(1.02, 1.32)
        light *= smoothstep(edge + 0.03, edge - rng.uniform(0.06, 0.2), away)
    return light[..., None]


def _in_front(rng: Random, color: Array) -> Array:
    """Hairs, ruler marks and gel bubbles, which belong to the view and not to the lesion."""
    side = len(color)
    if rng.random() < 0.55:
        hairs, shade = _hairs(rng, side)
        color *= (1 - 0.18 * np.roll(shade, (side // 90, side // 120), (0, 1)))[..., None]
        tint = np.array(HAIR_COLORS[rng.choice(4, p=[0.5, 0.3, 0.13, 0.07])], np.float32) * rng.uniform(0.7, 1.2)
        color += (rng.uniform(0.75, 0.95) * hairs)[..., None] * (tint - color)
    if rng.random() < 0.18:
        color *= 1 - 0.8 * _ruler(rng, side)[..., None]
    if rng.random() < 0.35:
        _bubbles(rng, color)
    return color


HAIR_COLORS = ((0.10, 0.06, 0.05), (0.25, 0.14, 0.09), (0.52, 0.38, 0.25), (0.80, 0.77, 0.74))


def _hairs(rng: Random, side: int) -> tuple[Array, Array]:
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
    cover = strokes(side, paths, widths)
    return cover, cover


def _ruler(rng: Random, side: int) -> Array:
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


def _camera(rng: Random, color: Array) -> np.ndarray:
    """White balance, exposure, contrast, blur and sensor noise: light -> uint8."""
    size = len(color)
    color *= np.float32(np.exp(rng.normal(0, [0.04, 0.03, 0.05]) + rng.normal(0, 0.07)))
    color = ndimage.gaussian_filter(color, (*[size / 128 * rng.uniform(0.2, 0.55)] * 2, 0))
    color += np.float32(rng.uniform(0.004, 0.014)) * rng.standard_normal(color.shape, np.float32)
    return (np.clip(color, 0, 1) * 255 + 0.5).astype(np.uint8)
