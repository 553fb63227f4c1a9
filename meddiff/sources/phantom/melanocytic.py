"""Lesions of pigment cells: the nevus and the melanoma, which a dermatologist is trained to tell apart.

``nv`` nevus: symmetric, regular border that fades, one or two browns, a net or globules or neither.
``mel`` melanoma: asymmetric, notched, large, several colors, blue-gray veil, white regression, streaks, dots.

They overlap on purpose (a melanoma that is still small and brown, a nevus that is uneven), as they do in a clinic: a
classifier should not reach 100%.
"""

import math

import numpy as np

from meddiff.sources.phantom.pigment import Pigments, Shape, bounded
from meddiff.sources.phantom.texture import Array, Plane, Random, around, outline, smoothstep, walk


def nevus(rng: Random, plane: Plane, skin: Pigments) -> Shape:
    """Draw a lesion of class nv."""
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
    """Draw a lesion of class mel."""
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
    """Draw radial streaks, some with bulbous ends, along a part of the border."""
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
