"""The anatomy of an axial slice of a head, from shells and distances, in head units (half the frame is 1).

Shells about the outline are scalp, skull and brain. The distance to the nearest water (the surface of the brain, its
folded furrows, the cleft between the hemispheres) makes the gray ribbon over the white matter; tubes are the
ventricles. ``level`` is the height of the slice: 0 is the base with the eyes, 1 is near the top.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from meddiff.sources.phantom.texture import Array, Plane, Random, around, outline, smoothstep

Tones = dict[str, float]  # tissue -> intensity; see brain.TISSUES


@dataclass(frozen=True)
class Head:
    """Outline of one head at one level. Distances are in head units, positive inwards."""

    depth: Array  # from the skin, [S, S]
    inner: Array  # from the inner face of the skull, [S, S]
    scalp: float  # thickness
    bone: float  # thickness


def head(body: Random, plane: Plane, level: float) -> Head:
    """Return the shells of the patient that ``body`` draws."""
    taper = 1 - 0.28 * max(level - 0.55, 0) / 0.45
    width, height = 0.66 * taper * math.exp(body.normal(0, 0.05)), 0.84 * taper * math.exp(body.normal(0, 0.04))
    edge = outline(body, roughness=0.015, orders=5, symmetry=0.5)
    scalp, bone = body.uniform(0.035, 0.075), body.uniform(0.04, 0.065)
    x, y = plane.x / width, plane.y / height
    depth = (1 - np.hypot(x, y) / around(edge, x, y)) * (0.5 * (width + height))
    return Head(depth, depth - scalp - bone, scalp, bone)


def tissue(
    body: Random, plane: Plane, outside: Head, tone: Tones, *, level: float, shift: tuple[Array, Array]
) -> Array:
    """Return the slice without tumor, [S, S].

    Args:
        body: draws what differs between patients.
        plane: the pixels.
        outside: the shells.
        tone: intensity of each tissue.
        level: height of the slice, 0 to 1.
        shift: how far the brain at each pixel has been pushed in x and in y.
    """
    soft, depth, inner = 2.5 * plane.pixel, outside.depth, outside.inner
    bent, fat = plane.texture(body, 0.12, "cloud", "grain")
    (bent_too,) = plane.texture(body, 0.12, "cloud")
    image = tone["scalp"] * smoothstep(-soft / 2, soft / 2, depth) * (1 - 0.12 * smoothstep(-0.5, 2.0, bent + fat))
    hard = smoothstep(outside.scalp - soft, outside.scalp + soft, depth + 0.003 * bent)
    marrow = np.exp(-(((depth - outside.scalp - 0.5 * outside.bone) / (0.2 * outside.bone)) ** 2)) * (1 + 0.3 * fat)
    bone = tone["bone"] + 0.45 * tone["scalp"] * body.uniform(0, 1) * marrow
    image += hard * (bone - image)
    moved = replace(plane, x=plane.x - shift[0] + 0.014 * bent, y=plane.y - shift[1] + 0.014 * bent_too)
    brain = _brain(body, moved, inner, tone, level)
    sinus = np.hypot(plane.x / 0.03, (np.abs(plane.y) - np.abs(plane.y).max(initial=0, where=inner > 0) + 0.03) / 0.04)
    brain += smoothstep(1.2, 0.7, sinus) * (plane.y > 0) * (tone["vein"] - brain)
    image += smoothstep(-soft, soft, inner) * (brain - image)
    return _base(body, moved, image, inner, tone) if level < 0.2 else image


def _brain(body: Random, plane: Plane, inner: Array, tone: Tones, level: float) -> Array:
    """Return gray and white matter and water for ``inner`` = distance to the inner face of the skull."""
    x, y, across = plane.x, plane.y, np.abs(plane.x)
    soft, age = 1.8 * plane.pixel, body.uniform(0.5, 1.5)
    (folds,) = plane.texture(body, body.uniform(0.14, 0.18), "folds")
    (reach,) = plane.texture(body, 0.12, "cloud")
    furrow = 0.07 * np.abs(folds) + 0.8 * np.maximum(inner - 0.16 - 0.04 * reach - 0.08 * level, 0)
    cleft = across + (0.9 * np.maximum(0.30 - np.abs(y + 0.02), 0) if level < 0.75 else 0)
    if level < 0.3:
        cleft = cleft + 0.6 * np.maximum(y, 0)
    gap = np.minimum(np.minimum(inner - 0.01 * age, furrow), cleft)
    if 0.3 < level < 0.62:  # the fissure of Sylvius and the gray island behind it
        gap = np.minimum(gap, np.maximum(tube(across, y, [(0.60, -0.16), (0.40, -0.10), (0.37, 0.08)], 0.004), 0))
    if level < 0.3:  # fine leaves of the cerebellum
        leaves = 0.03 * np.abs(np.sin((np.hypot(x, y - 0.28) + 0.02 * folds) * 75))
        gap = np.where(y > 0.24, np.minimum(gap, leaves + 0.03 + 0.5 * np.maximum(0.3 - y, 0)), gap)
    gray = np.maximum(smoothstep(0.046 + soft, 0.042 - soft, gap), _nuclei(x, y, across, level))
    brain = tone["white"] + gray * (tone["gray"] - tone["white"]) + 0.012 * reach
    water = smoothstep(0.010 * age + soft, 0.010 * age - soft, gap + 0.003 * reach)
    hollow = _ventricles(x, y, across, level, age)
    water = np.maximum(water, smoothstep(soft, -soft, hollow))
    brain += water * (tone["csf"] - brain)
    if 0.3 < level < 0.7:  # the plexus in the back horns takes up contrast agent
        brain += smoothstep(1.1, 0.6, np.hypot((across - 0.2) / 0.02, (y - 0.27) / 0.035)) * (tone["vein"] - brain)
    return brain


def _nuclei(x: Array, y: Array, across: Array, level: float) -> Array:
    """Return the share of gray matter in the deep nuclei."""
    if not 0.3 < level < 0.68:
        return np.zeros_like(x)
    thalamus = smoothstep(1.15, 0.9, np.hypot((across - 0.1) / 0.085, (y - 0.1) / 0.13))
    putamen = smoothstep(1.15, 0.9, np.hypot((across - 0.25 - 0.3 * (y + 0.08) ** 2) / 0.05, (y + 0.06) / 0.17))
    caudate = smoothstep(1.15, 0.9, np.hypot((across - 0.13) / 0.05, (y + 0.2) / 0.09))
    return 0.85 * np.maximum(np.maximum(thalamus, putamen), caudate)


def _ventricles(x: Array, y: Array, across: Array, level: float, age: float) -> Array:
    """Return the distance to the water inside the brain at this level, negative in it."""
    if level > 0.75:
        return np.ones_like(x)
    if level > 0.3:
        thick = 0.026 * age
        horn = tube(across, y, [(0.045, -0.16), (0.075, -0.24), (0.13, -0.30)], thick)
        trunk = tube(across, y, [(0.05, -0.18), (0.055, 0.0)], thick * (0.5 if level < 0.5 else 1.1))
        back = tube(across, y, [(0.17, 0.17), (0.21, 0.27), (0.2, 0.36)], thick * 1.1)
        third = tube(across, y, [(0.0, -0.04), (0.0, 0.13)], 0.010 * age)
        return np.minimum(np.minimum(horn, trunk), np.minimum(back, third))
    star = np.minimum(
        tube(across, y, [(0.0, -0.18), (0.0, -0.06)], 0.03 * age),
        tube(across, y, [(0.0, -0.12), (0.13, -0.14), (0.3, -0.2), (0.48, -0.24)], 0.014 * age),
    )
    moat = tube(across, y, [(0.0, -0.03), (0.13, 0.03), (0.15, 0.13), (0.10, 0.21)], 0.011 * age)
    fourth = np.hypot(x / 0.05, (y - 0.30) / 0.028) * 0.04 - 0.04
    return np.minimum(np.minimum(star, moat), fourth)


def _base(body: Random, plane: Plane, image: Array, inner: Array, tone: Tones) -> Array:
    """Draw what the lowest slices alone show: eyes in their fat, air cells of the nose, ridges of the petrous bone."""
    across, y, soft = np.abs(plane.x), plane.y, 2 * plane.pixel
    (cells,) = plane.texture(body, 0.06, "web")
    ridge = tube(across, y, [(0.16, 0.06), (0.34, 0.14), (0.52, 0.18)], 0.028)
    image = image + smoothstep(soft, -soft, ridge) * smoothstep(-0.02, 0.02, inner) * (tone["bone"] - image)
    face = smoothstep(-0.30, -0.33, y + 0.45 * across - 0.35 * across**2) * smoothstep(-0.03, 0.02, inner)
    nose = face * smoothstep(0.15, 0.11, across)
    orbit = face * smoothstep(0.02, -0.02, tube(across, y, [(0.14, -0.42), (0.24, -0.62)], 0.13))
    image += face * (1.5 * tone["bone"] - image)
    image += orbit * (0.85 * tone["scalp"] - image)
    image += nose * ((0.3 + 0.7 * smoothstep(0.2, 0.0, cells)) * 0.6 * tone["gray"] - image)
    nerve = smoothstep(soft, -soft, tube(across, y, [(0.09, -0.36), (0.22, -0.56)], 0.014))
    image += nerve * orbit * (tone["gray"] - image)
    globe = np.hypot(across - 0.25, y + 0.63) - 0.095
    image += smoothstep(soft, -soft, globe) * face * (tone["gray"] - image)
    return image + smoothstep(soft, -soft, globe + 0.014) * face * (tone["csf"] - image)


def tube(x: Array, y: Array, path: Sequence[tuple[float, float]], radius: float) -> Array:
    """Return the distance to a polyline, less ``radius``."""
    best = np.full_like(x, np.inf)
    for (x0, y0), (x1, y1) in pairwise(path):
        along_x, along_y = x1 - x0, y1 - y0
        part = np.clip(((x - x0) * along_x + (y - y0) * along_y) * (1 / (along_x**2 + along_y**2)), 0, 1)
        best = np.minimum(best, (x - x0 - part * along_x) ** 2 + (y - y0 - part * along_y) ** 2)
    return np.sqrt(best) - radius
