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

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from meddiff.sources.phantom_texture import Array, Plane, Random, around, outline, smoothstep, walk


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
    stretch: float
    inside: Array
    smooth: Array  # the same without the noise of the border

    def fill(self, fade: float) -> Array:
        """1 in the lesion, 0 outside; the border is ``fade`` of the radius wide and 0.5 on the line of the mask."""
        return smoothstep(-fade / 2, fade / 2, self.inside)

    def dome(self) -> Array:
        """A soft rise from the border inwards, 0 to 1, for the relief."""
        return smoothstep(-0.15, 0.7, self.smooth)

    def places(self, rng: Random, count: int, low: float, high: float) -> Array:
        """``count`` random places [count, 2] between ``low`` and ``high`` radii from the center."""
        away = self.radius * np.sqrt(rng.uniform(low**2, high**2, count))
        angle = rng.uniform(0, 2 * np.pi, count)
        return self.at(away, angle)

    def at(self, away: Array, angle: Array) -> Array:
        """Places [count, 2] from polar coordinates in which the lesion is as wide as long."""
        longer = self.stretch**0.5
        return np.stack([away * np.cos(angle) * longer, away * np.sin(angle) / longer], 1)


Painter = Callable[[Random, Plane, Pigments], Shape]


def bounded(rng: Random, plane: Plane, radius: float, *, edge: Array, stretch: float, ragged: float) -> Shape:
    """A lesion of mean ``radius`` within ``edge`` (see outline), ``stretch`` times longer than wide.

    ``ragged`` is how far noise moves the border, as a share of the radius.
    """
    x, y = plane.x * stretch**-0.5, plane.y * stretch**0.5
    away = np.hypot(x, y) / radius
    cloud, grain = plane.texture(rng, 0.1, "cloud", "grain")
    smooth = 1 - away / around(edge, x, y)
    return Shape(
        plane, radius, stretch, smooth + ragged * (cloud + 0.15 * grain) * np.exp(-6 * (away - 1) ** 2), smooth
    )


def nevus(rng: Random, plane: Plane, skin: Pigments) -> Shape:
    """nv."""
    odd = rng.random() < 0.15  # an uneven one, that looks like a melanoma
    edge = outline(rng, roughness=0.08 if odd else rng.uniform(0.01, 0.05), symmetry=0.3 if odd else 0.8)
    radius, stretch = rng.uniform(0.2, 0.5), rng.uniform(1, 1.45)
    shape = bounded(rng, plane, radius, edge=edge, stretch=stretch, ragged=rng.uniform(0.02, 0.06))
    mottle, grain = plane.texture(rng, 0.1, "cloud", "grain")
    depth = rng.uniform(0.15, 0.3) * mottle + rng.uniform(0.04, 0.12) * grain
    depth += rng.uniform(-0.4, 0.6) * smoothstep(0, 0.8, shape.inside)
    lines = np.zeros_like(depth)
    pattern = rng.choice(["net", "globules", "even"], p=[0.45, 0.25, 0.3])
    if pattern == "net":
        (web,) = plane.texture(rng, rng.uniform(0.035, 0.055), "web", bend=0.008 * mottle)
        lines = smoothstep(0.4, 0.0, web + 0.08 * grain) - 0.45
        depth += rng.uniform(0.3, 0.8) * lines * smoothstep(1.1, 0.2, shape.inside)
    elif pattern == "globules":
        web, cells = plane.texture(rng, rng.uniform(0.04, 0.07), "web", "cells", bend=0.008 * mottle)
        lines = smoothstep(0.05, 0.5, web) - 0.5
        depth += rng.uniform(0.3, 0.7) * lines + 0.3 * (cells - 0.5)
    if odd:
        depth += 0.6 * smoothstep(0.2, 1.4, plane.texture(rng, 0.12, "cloud")[0])
    # lines reach farther out than the gaps between them, so that the net fades into the skin
    body = smoothstep(-0.2, 0.2, shape.inside * (0.4 / rng.uniform(0.25, 0.6)) + 0.12 * lines)
    skin.melanin += body * rng.uniform(0.45, 1.3) * np.exp(depth)
    skin.blood += body * rng.uniform(0, 0.35)
    skin.height += 0.02 * shape.dome()
    return shape


def melanoma(rng: Random, plane: Plane, skin: Pigments) -> Shape:
    """mel."""
    early = rng.random() < 0.3  # still small and brown, that looks like a nevus
    edge = outline(rng, roughness=rng.uniform(0.05, 0.09) if early else rng.uniform(0.09, 0.19))
    radius = rng.uniform(0.28, 0.48) if early else rng.uniform(0.36, 0.64)
    shape = bounded(rng, plane, radius, edge=edge, stretch=rng.uniform(1, 1.5), ragged=rng.uniform(0.05, 0.12))
    slope, grain = plane.texture(rng, 0.12, "cloud", "grain")
    zone, clump = plane.texture(rng, 0.12, "cloud", "folds")
    (web,) = plane.texture(rng, rng.uniform(0.045, 0.08), "web", bend=0.015 * slope)
    side = rng.uniform(0, 2 * np.pi)  # the darker half: asymmetry of color
    lean = (math.cos(side) * plane.x + math.sin(side) * plane.y) * (1 / radius)
    lines = smoothstep(0.4, 0.0, web + 0.1 * grain) - 0.45
    depth = rng.uniform(0.25, 0.4) * slope + rng.uniform(0.1, 0.5) * lean + 0.1 * grain
    depth += 0.9 * lines * smoothstep(0.7, 0.1, shape.inside) * smoothstep(-0.5, 0.8, zone)
    blotch = smoothstep(0.3, 1.3, zone + 0.5 * lean + 0.2 * clump) * smoothstep(0.0, 0.3, shape.inside)
    body = smoothstep(-0.2, 0.2, shape.inside * (0.4 / rng.uniform(0.15, 0.4)) + 0.12 * lines)
    skin.melanin += body * (rng.uniform(0.6, 1.2) * np.exp(depth) + rng.uniform(0.4, 1.6) * blotch)
    skin.blood += body * (rng.uniform(0, 0.25) + rng.uniform(0.1, 0.45) * smoothstep(0.2, 1.6, 0.3 * grain - slope))
    if not early:
        _veil_and_regression(rng, shape, skin)
    if rng.random() < 0.6:
        count = int(rng.integers(5, 24))
        dots = plane.spots(shape.places(rng, count, 0.3, 1.0), rng.uniform(0.01, 0.028, count), soft=0.7)
        skin.melanin += rng.uniform(0.6, 1.5) * dots * smoothstep(-0.25, 0.0, shape.inside)
    if rng.random() < 0.3:
        skin.melanin += 0.9 * _streaks(rng, shape, edge) * smoothstep(-1.5, 0.5, clump)
    skin.height += 0.03 * shape.dome()
    return shape


def _veil_and_regression(rng: Random, shape: Shape, skin: Pigments) -> None:
    field, pepper = shape.plane.texture(rng, 0.13, "cloud", "grain")
    core = smoothstep(0.05, 0.4, shape.inside)
    if rng.random() < 0.7:
        veil = core * smoothstep(-0.3, 1.1, field + 0.06 * pepper)
        skin.deep = np.maximum(skin.deep, rng.uniform(0.5, 0.85) * veil)
    if rng.random() < 0.55:
        gone = core * smoothstep(0.2, 1.2, -field + 0.08 * pepper)
        skin.melanin *= 1 - rng.uniform(0.5, 0.85) * gone
        skin.white = np.maximum(skin.white, rng.uniform(0.1, 0.35) * gone)


def _streaks(rng: Random, shape: Shape, edge: Array) -> Array:
    """Radial streaks, some with bulbous ends, along a part of the border."""
    count = rng.integers(6, 16)
    angles = rng.uniform(-np.pi, np.pi) + rng.uniform(-0.9, 0.9, count)
    start = shape.radius * around(edge, np.cos(angles), np.sin(angles))
    firsts = shape.at(start * rng.uniform(0.75, 0.92, count), angles)
    outward = shape.at(start, angles) - firsts
    paths, widths = [], []
    for first, ahead in zip(firsts, outward, strict=True):
        heading = math.atan2(ahead[1], ahead[0]) + rng.normal(0, 0.25)
        paths.append(walk(rng, first, heading, shape.radius * rng.uniform(0.15, 0.4), wiggle=0.6, points=8))
        widths.append(np.linspace(1, rng.uniform(0.3, 1.2), 8) * rng.uniform(0.01, 0.022))
    return shape.plane.curves(paths, widths)


def keratosis(rng: Random, plane: Plane, skin: Pigments) -> Shape:
    """bkl."""
    flat = rng.random() < 0.35  # a solar lentigo: light brown and even
    edge = outline(rng, roughness=rng.uniform(0.03, 0.1), orders=16)
    radius, stretch = rng.uniform(0.25, 0.58), rng.uniform(1, 1.5)
    shape = bounded(rng, plane, radius, edge=edge, stretch=stretch, ragged=rng.uniform(0.03, 0.1))
    body = shape.fill(rng.uniform(0.06, 0.25) if flat else rng.uniform(0.04, 0.12))
    mottle, grain = plane.texture(rng, 0.1, "cloud", "grain")
    (folds,) = plane.texture(rng, rng.uniform(0.06, 0.11), "folds", bend=0.03 * mottle)
    furrows = smoothstep(0.8, 0.0, np.abs(folds) + 0.1 * grain) - 0.45
    ridge = rng.uniform(0.1, 0.35) if flat else rng.uniform(0.15, 0.8)
    depth = rng.uniform(0.15, 0.35) * mottle + 0.1 * grain + ridge * furrows
    skin.melanin += body * (rng.uniform(0.15, 0.45) if flat else rng.uniform(0.25, 1.0)) * np.exp(depth)
    skin.keratin += body * rng.uniform(0.1, 0.7) * (1 + 0.2 * mottle)
    skin.blood += body * rng.uniform(0, 0.2)
    skin.white = np.maximum(skin.white, body * rng.uniform(0, 0.25) * smoothstep(-1, 1, grain - mottle))
    if not flat:
        count = int(rng.integers(1, 14))
        comedones = plane.spots(shape.places(rng, count, 0, 0.85), rng.uniform(0.014, 0.036, count), soft=0.8)
        skin.melanin += rng.uniform(0.5, 1.3) * comedones * body
        skin.keratin += 0.5 * comedones * body
        count = int(rng.integers(1, 20))
        cysts = plane.spots(shape.places(rng, count, 0, 0.85), rng.uniform(0.012, 0.03, count), soft=1.0)
        skin.white = np.maximum(skin.white, rng.uniform(0.4, 0.75) * cysts * body)
    skin.height += (0.01 if flat else 0.05) * shape.dome() * (1 - 0.15 * furrows)
    return shape


def carcinoma(rng: Random, plane: Plane, skin: Pigments) -> Shape:
    """bcc."""
    edge = outline(rng, roughness=rng.uniform(0.05, 0.13))
    radius, stretch = rng.uniform(0.28, 0.6), rng.uniform(1, 1.5)
    shape = bounded(rng, plane, radius, edge=edge, stretch=stretch, ragged=rng.uniform(0.04, 0.1))
    body = shape.fill(rng.uniform(0.3, 0.8))
    mottle, grain = plane.texture(rng, 0.1, "cloud", "grain")
    skin.melanin *= 1 - rng.uniform(0.2, 0.5) * body
    skin.blood += body * rng.uniform(0.08, 0.5) * np.exp(0.35 * mottle + 0.1 * grain)
    pearl = smoothstep(-0.8, 1.5, plane.texture(rng, 0.15, "cloud")[0] + 0.2 * grain)
    skin.white = np.maximum(skin.white, body * rng.uniform(0.1, 0.4) * pearl)
    if rng.random() < 0.6:
        count = int(rng.integers(2, 11))
        nests = plane.spots(shape.places(rng, count, 0.1, 0.9), rng.uniform(0.03, 0.14, count), soft=1.0)
        nests = smoothstep(0.1, 0.8, nests * np.exp(0.4 * mottle + 0.25 * grain))
        skin.deep = np.maximum(skin.deep, rng.uniform(0.35, 0.8) * nests)
        skin.melanin += rng.uniform(0, 0.8) * nests
    skin.blood += rng.uniform(0.4, 0.9) * _branching(rng, shape, trunks=int(rng.integers(2, 7)))
    if rng.random() < 0.35:
        sore = smoothstep(0.5, 1.3, mottle + 1.2 * shape.inside - 0.4 + 0.2 * grain) * body
        skin.blood += rng.uniform(0.3, 0.8) * sore
        skin.keratin += rng.uniform(0.2, 0.9) * sore
        skin.melanin += rng.uniform(0.1, 0.6) * sore * smoothstep(-0.5, 2, grain)
    skin.height += 0.05 * shape.dome()
    return shape


def _branching(rng: Random, shape: Shape, *, trunks: int) -> Array:
    """Vessels that enter from the border and branch like a tree, ever thinner."""
    paths, widths = [], []
    for _ in range(trunks):
        angle = rng.uniform(0, 2 * np.pi)
        start = shape.radius * rng.uniform(0.6, 1.1) * np.array([np.cos(angle), np.sin(angle)])
        length = rng.uniform(0.6, 1.3) * shape.radius
        todo = [(start, angle + np.pi + rng.normal(0, 0.5), length, rng.uniform(0.007, 0.017), 0)]
        while todo:
            at, heading, length, width, depth = todo.pop()
            path = walk(rng, at, heading, length, wiggle=1.4)
            paths.append(path)
            widths.append(np.linspace(width, 0.5 * width, len(path)))
            for _ in range(rng.integers(1, 4) if depth < 2 else 0):
                k = rng.integers(4, len(path) - 2)
                ahead = np.arctan2(*(path[k + 1] - path[k])[::-1]) + rng.choice([-1, 1]) * rng.uniform(0.4, 1.0)
                todo.append((path[k], ahead, length * rng.uniform(0.3, 0.6), 0.65 * width, depth + 1))
    return shape.plane.curves(paths, widths)


def lagoons(rng: Random, plane: Plane, skin: Pigments) -> Shape:
    """vasc."""
    edge = outline(rng, roughness=rng.uniform(0.02, 0.09))
    radius, stretch = rng.uniform(0.14, 0.5), rng.uniform(1, 1.4)
    shape = bounded(rng, plane, radius, edge=edge, stretch=stretch, ragged=rng.uniform(0.02, 0.05))
    body = shape.fill(rng.uniform(0.1, 0.3))
    mottle, grain = plane.texture(rng, 0.1, "cloud", "grain")
    web, cells = plane.texture(rng, rng.uniform(0.25, 0.7) * radius, "web", "cells", bend=0.1 * radius * mottle)
    pool = smoothstep(-0.05, 0.45, web) * (0.5 + 0.5 * cells)
    walls = rng.uniform(0.05, 0.7)  # how well the lagoons are told apart
    old = rng.random() < 0.3  # clotted: nearly black
    skin.blood += body * rng.uniform(0.35, 1.1) * np.exp(walls * (pool - 0.4) + 0.2 * mottle + 0.06 * grain)
    skin.venous += body * (
        rng.uniform(0.6, 1.6) * pool if old else rng.uniform(0.0, 0.6) * np.exp(walls * (pool - 0.4))
    )
    skin.white = np.maximum(skin.white, body * rng.uniform(0, 0.3) * walls * smoothstep(0.25, 0.0, web))
    skin.deep = np.maximum(skin.deep, body * rng.uniform(0, 0.35) * smoothstep(-0.5, 1.5, mottle))
    skin.blood += rng.uniform(0, 0.25) * np.exp(5 * np.minimum(shape.inside, 0)) * (1 - body)
    skin.height += 0.06 * shape.dome()
    return shape


PAINTERS: dict[str, Painter] = {"nv": nevus, "mel": melanoma, "bkl": keratosis, "bcc": carcinoma, "vasc": lagoons}
