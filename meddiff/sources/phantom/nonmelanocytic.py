"""The five skin lesions, after what dermatologists look at (pattern analysis; the ABCD rule).

``nv`` and ``mel`` are in ``melanocytic``; here are those that do not come from pigment cells.
``bkl`` benign keratosis: waxy, cut sharply, horn cysts (white dots), comedo openings (dark), ridges like a brain.
``bcc`` basal cell carcinoma: pink and pearly, branching vessels, blue-gray nests, ulcers.
``vasc`` vascular lesion: red to purple lagoons between pale walls, sharply bounded.
"""

import numpy as np

from meddiff.sources.phantom.melanocytic import melanoma, nevus
from meddiff.sources.phantom.pigment import Painter, Pigments, Shape, bounded
from meddiff.sources.phantom.texture import Array, Plane, Random, outline, smoothstep, walk


def keratosis(rng: Random, plane: Plane, skin: Pigments) -> Shape:
    """Draw a lesion of class bkl."""
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
    """Draw a lesion of class bcc."""
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
        nests = plane.spots(shape.places(rng, count, 0.1, 0.9), 0.03 + rng.gamma(2, 0.03, count), soft=1.0)
        nests = smoothstep(0.05, 0.9, nests * np.exp(0.5 * mottle + 0.3 * grain))
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
    """Draw vessels that enter from the border and branch like a tree, ever thinner."""
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
    """Draw a lesion of class vasc."""
    edge = outline(rng, roughness=rng.uniform(0.02, 0.09))
    radius, stretch = rng.uniform(0.14, 0.5), rng.uniform(1, 1.4)
    shape = bounded(rng, plane, radius, edge=edge, stretch=stretch, ragged=rng.uniform(0.02, 0.05))
    body = shape.fill(rng.uniform(0.1, 0.3))
    mottle, grain = plane.texture(rng, 0.1, "cloud", "grain")
    web, cells = plane.texture(rng, rng.uniform(0.25, 0.7) * radius, "web", "cells", bend=0.1 * radius * mottle)
    pool = smoothstep(-0.1, 0.6, web + 0.06 * grain) * (0.6 + 0.4 * cells)
    walls = rng.uniform(0.05, 0.7)  # how well the lagoons are separated
    old = rng.random() < 0.3  # clotted: nearly black
    skin.blood += body * rng.uniform(0.35, 1.1) * np.exp(walls * (pool - 0.4) + 0.2 * mottle + 0.06 * grain)
    skin.venous += body * (
        rng.uniform(0.6, 1.6) * pool if old else rng.uniform(0.0, 0.6) * np.exp(walls * (pool - 0.4))
    )
    skin.white = np.maximum(skin.white, body * rng.uniform(0, 0.25) * walls * smoothstep(0.3, 0.0, web + 0.06 * grain))
    skin.deep = np.maximum(skin.deep, body * rng.uniform(0, 0.35) * smoothstep(-0.5, 1.5, mottle))
    skin.blood += rng.uniform(0, 0.25) * np.exp(5 * np.minimum(shape.inside, 0)) * (1 - body)
    skin.height += 0.06 * shape.dome()
    return shape


PAINTERS: dict[str, Painter] = {"nv": nevus, "mel": melanoma, "bkl": keratosis, "bcc": carcinoma, "vasc": lagoons}
