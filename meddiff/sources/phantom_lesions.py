"""Five skin lesions as maps of pigment, after what dermatologists look at (pattern analysis; the ABCD rule).

A lesion is not painted in colors but in what causes them: melanin (brown to black), blood (red), venous blood
(purple), keratin (yellow), melanin deep in the skin (which scattering turns blue-gray) and scar or horn (white).
``phantom_dermoscopy`` turns the maps into light.

``nv`` nevus: symmetric, regular border that fades, one or two browns, a net or globules or neither.
``mel`` melanoma: asymmetric, notched, large, several colors, blue-gray veil, white regression, streaks, dots.
``bkl`` benign keratosis: waxy, cut sharply, horn cysts (white dots), comedo openings (dark), ridges like a brain.
``bcc`` basal cell carcinoma: pink and pearly, branching vessels, blue-gray nests, ulcers.
``vasc`` vascular lesion: red to purple lagoons between pale walls, sharply bounded.

Classes overlap on purpose (a melanoma that is still small and brown, a nevus that is uneven, a dark keratosis), as
they do in a clinic: a classifier should not reach 100%.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from meddiff.sources.phantom_texture import Array, Plane, Random, outline, smoothstep, walk


@dataclass
class Pigments:
    """What the skin holds at every pixel, each [S, S] float32; the painters add to it."""

    melanin: Array
    blood: Array
    venous: Array
    keratin: Array
    deep: Array  # share in 0..1 that blue-gray, deep melanin covers
    white: Array  # share in 0..1 that white scar or horn covers
    height: Array  # relief in subject units, for the shading


@dataclass(frozen=True)
class Shape:
    """Where the lesion is. ``inside`` is 1 at its center, 0 on its border, negative outside; mask = inside > 0."""

    plane: Plane
    radius: float
    inside: Array

    def fill(self, fade: float) -> Array:
        """1 in the lesion, 0 outside; the border is ``fade`` of the radius wide and 0.5 on the line of the mask."""
        return smoothstep(-fade / 2, fade / 2, self.inside)

    def places(self, rng: Random, count: int, low: float, high: float) -> np.ndarray:
        """``count`` random places [count, 2] between ``low`` and ``high`` radii from the center."""
        away = self.radius * np.sqrt(rng.uniform(low**2, high**2, count))
        angle = rng.uniform(0, 2 * np.pi, count)
        return np.stack([away * np.cos(angle), away * np.sin(angle)], 1)


Painter = Callable[[Random, Plane, Pigments], Shape]


def bounded(
    rng: Random, plane: Plane, radius: float, *, edge: Array, stretch: float, ragged: float, grain: float = 0.05
) -> Shape:
    """A lesion of mean ``radius`` within ``edge`` (see outline), ``stretch`` times longer than wide.

    ``ragged`` is how far noise moves the border, and ``grain`` how fine that noise is, in subject units.
    """
    x, y = plane.x * stretch**-0.5, plane.y * stretch**0.5
    place = ((np.arctan2(y, x) + np.pi) * (1024 / (2 * np.pi))).astype(np.intp) & 1023
    away = np.hypot(x, y) / radius
    inside = 1 - away / edge[place]
    (noise,) = plane.texture(rng, grain, "cloud", smooth=False)
    return Shape(plane, radius, inside + ragged * noise * np.exp(-((away - 1) ** 2) * 6))


def nevus(rng: Random, plane: Plane, skin: Pigments) -> Shape:
    """nv."""
    odd = rng.random() < 0.15  # an uneven one, that looks like a melanoma
    edge = outline(rng, roughness=0.1 if odd else rng.uniform(0.01, 0.05), symmetry=0.3 if odd else 0.8)
    shape = bounded(
        rng, plane, rng.uniform(0.22, 0.52), edge=edge, stretch=rng.uniform(1, 1.45), ragged=rng.uniform(0.02, 0.07)
    )
    body = shape.fill(rng.uniform(0.25, 0.6))
    (mottle,) = plane.texture(rng, 0.04, "cloud")
    center = smoothstep(0, 0.8, shape.inside)
    dark = rng.uniform(0.5, 1.5)
    tone = 1 + rng.uniform(0.05, 0.2) * mottle + rng.uniform(-0.35, 0.6) * center
    pattern = rng.choice(["net", "globules", "even"], p=[0.45, 0.25, 0.3])
    if pattern == "net":
        (web,) = plane.texture(rng, rng.uniform(0.05, 0.075), "web")
        lines = smoothstep(0.34, 0.06, web) - 0.35
        tone = tone + rng.uniform(0.5, 0.9) * lines * smoothstep(1.1, 0.4, shape.inside)
    elif pattern == "globules":
        web, cells = plane.texture(rng, rng.uniform(0.055, 0.1), "web", "cells", smooth=False)
        tone = tone + (smoothstep(0.1, 0.4, web) - 0.5) * (0.5 + 0.8 * cells)
    if odd:
        (patch,) = plane.texture(rng, 0.06, "cloud")
        tone = tone + 0.7 * smoothstep(0.3, 1.2, patch)
    skin.melanin += body * dark * np.maximum(tone, 0.1)
    skin.blood += body * rng.uniform(0, 0.35)
    skin.height += 0.02 * body
    return shape


def melanoma(rng: Random, plane: Plane, skin: Pigments) -> Shape:
    """mel."""
    early = rng.random() < 0.25  # still small and brown, that looks like a nevus
    edge = outline(rng, roughness=rng.uniform(0.06, 0.1) if early else rng.uniform(0.12, 0.24))
    radius = rng.uniform(0.3, 0.5) if early else rng.uniform(0.4, 0.68)
    shape = bounded(rng, plane, radius, edge=edge, stretch=rng.uniform(1, 1.5), ragged=rng.uniform(0.1, 0.2))
    body = shape.fill(rng.uniform(0.12, 0.35))
    slope, patch = plane.texture(rng, 0.07, "cloud", "grain")
    (zone,) = plane.texture(rng, 0.09, "cloud")
    (web,) = plane.texture(rng, rng.uniform(0.06, 0.09), "web", bend=0.012 * slope)
    side = rng.uniform(0, 2 * np.pi)  # the darker half: asymmetry of color
    lean = (np.cos(side) * plane.x + np.sin(side) * plane.y) / radius
    tone = 0.9 + 0.35 * slope + 0.35 * lean + 0.06 * patch
    tone += 0.8 * (smoothstep(0.36, 0.04, web) - 0.4) * smoothstep(0.7, 0.1, shape.inside) * smoothstep(-0.5, 0.8, zone)
    blotch = smoothstep(0.5, 0.9, zone + 0.5 * lean) * smoothstep(0.05, 0.25, shape.inside)
    skin.melanin += body * (rng.uniform(0.8, 1.4) * np.maximum(tone, 0.15) + rng.uniform(0.6, 1.8) * blotch)
    pink = smoothstep(0.2, 1.2, -slope + 0.3 * patch)
    skin.blood += body * (rng.uniform(0, 0.25) + rng.uniform(0.1, 0.5) * pink)
    if not early:
        _veil_and_regression(rng, shape, skin, body)
    if rng.random() < 0.6:
        count = int(rng.integers(6, 30))
        spots = plane_spots = shape.plane.spots(shape.places(rng, count, 0.3, 1.05), rng.uniform(0.012, 0.035, count))
        skin.melanin += 1.6 * plane_spots * smoothstep(-0.25, 0.0, shape.inside) + 0 * spots
    if rng.random() < 0.4:
        skin.melanin += 1.3 * _streaks(rng, shape, edge)
    skin.height += 0.03 * body * (1 + 0.4 * slope)
    return shape


def _veil_and_regression(rng: Random, shape: Shape, skin: Pigments, body: Array) -> None:
    (field,) = shape.plane.texture(rng, 0.08, "cloud")
    core = smoothstep(0.1, 0.35, shape.inside)
    if rng.random() < 0.7:
        skin.deep = np.maximum(skin.deep, rng.uniform(0.55, 0.85) * core * smoothstep(0.1, 0.9, field))
    if rng.random() < 0.55:
        gone = smoothstep(0.3, 0.9, -field) * core
        skin.melanin -= 0.75 * gone * skin.melanin * body
        skin.white = np.maximum(skin.white, rng.uniform(0.2, 0.4) * gone)


def _streaks(rng: Random, shape: Shape, edge: Array) -> Array:
    """Radial streaks with bulbous ends along a part of the border."""
    count = rng.integers(8, 22)
    angles = rng.uniform(-np.pi, np.pi) + rng.uniform(-0.8, 0.8, count)
    start = shape.radius * edge[((angles + np.pi) * (1024 / 2 / np.pi)).astype(int) % 1024]
    paths, widths = [], []
    for angle, near in zip(angles, start, strict=True):
        reach = np.linspace(0.75, 1 + rng.uniform(0.08, 0.2), 8)[:, None] * near
        paths.append(reach * np.array([np.cos(angle), np.sin(angle)]))
        widths.append(np.linspace(0.6, 1.2, 8) * rng.uniform(0.012, 0.026))
    return shape.plane.curves(paths, widths)


def keratosis(rng: Random, plane: Plane, skin: Pigments) -> Shape:
    """bkl."""
    edge = outline(rng, roughness=rng.uniform(0.03, 0.1), orders=16)
    shape = bounded(
        rng,
        plane,
        rng.uniform(0.28, 0.6),
        edge=edge,
        stretch=rng.uniform(1, 1.5),
        ragged=rng.uniform(0.03, 0.12),
        grain=0.03,
    )
    body = shape.fill(rng.uniform(0.03, 0.1))
    flat = rng.random() < 0.3  # a solar lentigo: light brown and even
    (mottle,) = plane.texture(rng, 0.05, "cloud")
    (folds,) = plane.texture(rng, rng.uniform(0.07, 0.12), "folds", bend=0.03 * mottle)
    furrows = smoothstep(0.55, 0.0, np.abs(folds))
    dark = rng.uniform(0.2, 0.5) if flat else rng.uniform(0.3, 1.1)
    ridge = rng.uniform(0.1, 0.3) if flat else rng.uniform(0.1, 0.7)
    skin.melanin += body * dark * np.maximum(1 + 0.25 * mottle + ridge * (furrows - 0.4), 0.1)
    skin.keratin += body * rng.uniform(0.3, 0.9) * (1 + 0.2 * mottle)
    skin.blood += body * rng.uniform(0, 0.15)
    skin.white = np.maximum(skin.white, body * rng.uniform(0, 0.18))
    if not flat:
        count = int(rng.integers(2, 16))
        comedones = plane.spots(shape.places(rng, count, 0, 0.85), rng.uniform(0.016, 0.04, count), soft=0.5)
        skin.melanin += 1.5 * comedones * body
        skin.keratin += 0.6 * comedones * body
        count = int(rng.integers(3, 24))
        cysts = plane.spots(shape.places(rng, count, 0, 0.85), rng.uniform(0.014, 0.034, count), soft=0.8)
        skin.white = np.maximum(skin.white, 0.75 * cysts * body)
    skin.height += body * (0.03 if flat else 0.08) * (1 - 0.35 * furrows)
    return shape


def carcinoma(rng: Random, plane: Plane, skin: Pigments) -> Shape:
    """bcc."""
    edge = outline(rng, roughness=rng.uniform(0.05, 0.13))
    shape = bounded(
        rng, plane, rng.uniform(0.3, 0.62), edge=edge, stretch=rng.uniform(1, 1.5), ragged=rng.uniform(0.05, 0.15)
    )
    body = shape.fill(rng.uniform(0.2, 0.5))
    mottle, grain = plane.texture(rng, 0.05, "cloud", "grain")
    skin.melanin *= 1 - 0.4 * body
    skin.blood += body * rng.uniform(0.1, 0.55) * (1 + 0.3 * mottle + 0.05 * grain)
    skin.white = np.maximum(skin.white, body * rng.uniform(0.05, 0.3) * smoothstep(-0.6, 1.2, mottle))
    pigmented = rng.random() < 0.55
    if pigmented:
        count = int(rng.integers(3, 12))
        nests = plane.spots(shape.places(rng, count, 0.1, 0.9), rng.uniform(0.04, 0.13, count), soft=0.7)
        nests *= smoothstep(-1.2, 0.6, mottle + 0.4 * grain)
        skin.deep = np.maximum(skin.deep, rng.uniform(0.5, 0.9) * nests)
        skin.melanin += 0.6 * nests * rng.uniform(0, 1)
    vessels = _branching(rng, shape, trunks=int(rng.integers(2, 6)))
    skin.blood += rng.uniform(0.6, 1.1) * vessels
    if rng.random() < 0.4:
        sore = smoothstep(0.6, 1.0, mottle + 0.9 * shape.inside - 0.2) * body
        skin.blood += 0.9 * sore
        skin.keratin += 0.9 * sore
        skin.melanin += 0.5 * sore * smoothstep(0, 1.5, grain)
    skin.height += 0.09 * body
    return shape


def _branching(rng: Random, shape: Shape, *, trunks: int) -> Array:
    """Vessels that enter from the border and branch like a tree, ever thinner."""
    paths, widths = [], []
    for _ in range(trunks):
        angle = rng.uniform(0, 2 * np.pi)
        start = shape.radius * rng.uniform(0.7, 1.1) * np.array([np.cos(angle), np.sin(angle)])
        todo = [
            (
                start,
                angle + np.pi + rng.normal(0, 0.5),
                rng.uniform(0.8, 1.3) * shape.radius,
                rng.uniform(0.012, 0.024),
                0,
            )
        ]
        while todo:
            at, heading, length, width, depth = todo.pop()
            path = walk(rng, at, heading, length, wiggle=1.3)
            paths.append(path)
            widths.append(np.linspace(width, 0.6 * width, len(path)))
            for _ in range(rng.integers(1, 4) if depth < 2 else 0):
                k = rng.integers(4, len(path) - 2)
                ahead = np.arctan2(*(path[k + 1] - path[k])[::-1])
                todo.append(
                    (
                        path[k],
                        ahead + rng.choice([-1, 1]) * rng.uniform(0.4, 1.0),
                        length * rng.uniform(0.3, 0.6),
                        0.65 * width,
                        depth + 1,
                    )
                )
    return shape.plane.curves(paths, widths)


def lagoons(rng: Random, plane: Plane, skin: Pigments) -> Shape:
    """vasc."""
    edge = outline(rng, roughness=rng.uniform(0.02, 0.1))
    shape = bounded(
        rng, plane, rng.uniform(0.16, 0.52), edge=edge, stretch=rng.uniform(1, 1.4), ragged=rng.uniform(0.02, 0.06)
    )
    body = shape.fill(rng.uniform(0.06, 0.16))
    web, cells = plane.texture(rng, rng.uniform(0.5, 0.9) * shape.radius, "web", "cells")
    (mottle,) = plane.texture(rng, 0.04, "cloud")
    pool = smoothstep(0.02, 0.3, web) * (0.55 + 0.6 * cells)
    old = rng.random() < 0.3  # clotted: nearly black
    skin.blood += body * (rng.uniform(0.4, 0.7) + rng.uniform(0.4, 1.0) * pool) * (1 + 0.1 * mottle)
    skin.venous += body * pool * (rng.uniform(0.8, 1.8) if old else rng.uniform(0.1, 0.7))
    skin.white = np.maximum(skin.white, body * rng.uniform(0, 0.35) * smoothstep(0.14, 0.0, web))
    skin.deep = np.maximum(skin.deep, body * pool * (rng.uniform(0, 0.4) if old else 0))
    halo = np.exp(-np.maximum(-shape.inside, 0) * 5) * (1 - body)
    skin.blood += rng.uniform(0, 0.25) * halo
    skin.height += 0.1 * body
    return shape


PAINTERS: dict[str, Painter] = {"nv": nevus, "mel": melanoma, "bkl": keratosis, "bcc": carcinoma, "vasc": lagoons}
