"""Axial slices of a head, as T1 with contrast agent, FLAIR or T2 shows them, with or without a tumor.

The head is built in head units (half the frame is 1) from distances: shells about the outline are scalp, skull, CSF
and brain; the distance to the nearest CSF (brain surface, folded furrows, the cleft between the hemispheres) makes the
gray ribbon over the white matter. Tissues then get the intensities of the sequence; coil shading, blur and Rician
noise (the magnitude of a complex signal: Gudbjartsson & Patz 1995) follow.

``notumor``; ``glioma``: inside the brain, ragged, with a dead core, a bright rim and edema; ``meningioma``: round,
even and bright, on the skull or the midline, pushes the brain away; ``pituitary``: round, on the midline at the base.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy import ndimage

from meddiff.sources.phantom_texture import Array, Plane, Random, outline, smoothstep

# intensities by sequence, 1 = the brightest fat
TISSUES = ("scalp", "bone", "csf", "gray", "white", "edema", "rim", "core", "solid")
SEQUENCES = {
    "t1c": (0.80, 0.07, 0.10, 0.30, 0.38, 0.24, 0.85, 0.16, 0.72),
    "flair": (0.62, 0.05, 0.09, 0.48, 0.38, 0.85, 0.70, 0.32, 0.66),
    "t2": (0.55, 0.05, 0.92, 0.50, 0.34, 0.78, 0.55, 0.85, 0.58),
}
KINDS = ("notumor", "glioma", "meningioma", "pituitary")


@dataclass(frozen=True)
class Tumor:
    """A tumor in the patient's head: ``reach`` is how far it pushes, all in head units."""

    kind: str
    x: float
    y: float
    radius: float
    level: float  # height in the head: 0 base, 1 top
    seed: int


def draw_brain(*, label: str, patient: int, lesion: int, view: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """One slice.

    Args:
        label: one of KINDS.
        patient: seed of the head and of the sequence.
        lesion: seed of the tumor.
        view: seed of the height of the slice, the pose and the noise.
        size: side in pixels.

    Returns:
        image [size, size, 1] uint8 and tumor mask [size, size] uint8 (0 or 1).
    """
    rng, body = np.random.default_rng(view), np.random.default_rng(patient)
    tumor = _tumor(np.random.default_rng(lesion), label, lesion)
    level = float(np.clip(tumor.level + rng.normal(0, 0.06), 0.0, 1.0))
    plane = Plane.view(
        2 * size, angle=rng.normal(0, 0.06), zoom=rng.uniform(0.92, 1.04), center=rng.normal(0, 0.025, 2)
    )
    name = body.choice(["t1c", "flair", "t2"], p=[0.6, 0.22, 0.18])
    tone = {
        tissue: value * np.exp(body.normal(0, 0.06)) for tissue, value in zip(TISSUES, SEQUENCES[name], strict=True)
    }
    image, mask = _slice(body, plane, tone, level, tumor)
    image = _scanner(rng, _halved(image))
    return image[..., None], (_halved(mask) >= 0.5).astype(np.uint8)


def _tumor(rng: Random, kind: str, seed: int) -> Tumor:
    side, level = rng.choice([-1, 1]), rng.choice([0.12, 0.5, 0.85], p=[0.3, 0.4, 0.3]) + rng.uniform(-0.08, 0.08)
    if kind == "pituitary":
        return Tumor(
            kind,
            rng.normal(0, 0.015),
            -0.13 + rng.normal(0, 0.02),
            rng.uniform(0.07, 0.17),
            rng.uniform(0.03, 0.18),
            seed,
        )
    if kind == "meningioma":
        if rng.random() < 0.25:  # on the falx
            return Tumor(kind, side * 0.1, rng.choice([-0.48, 0.5]), rng.uniform(0.12, 0.22), level, seed)
        angle, radius = rng.uniform(-1.2, 1.2), rng.uniform(0.13, 0.27)
        out = 0.97 - radius * rng.uniform(0.7, 1.0)
        return Tumor(kind, side * 0.6 * out * np.cos(angle), 0.76 * out * np.sin(angle), radius, level, seed)
    radius = rng.uniform(0.12, 0.28)
    return Tumor(kind, side * rng.uniform(0.18, 0.34), rng.uniform(-0.42, 0.42), radius, level, seed)


def _slice(body: Random, plane: Plane, tone: dict[str, float], level: float, tumor: Tumor) -> tuple[Array, Array]:
    taper = 1 - 0.28 * max(level - 0.55, 0) / 0.45
    width, height = 0.66 * taper * np.exp(body.normal(0, 0.04)), 0.84 * taper * np.exp(body.normal(0, 0.04))
    edge = outline(body, roughness=0.018, orders=5, symmetry=0.5)
    warp_x, warp_y = plane.texture(body, 0.09, "cloud")[0] * 0.018, plane.texture(body, 0.09, "cloud")[0] * 0.018
    here = tumor.kind != "notumor"
    gap = np.hypot(plane.x - tumor.x, plane.y - tumor.y)
    push = 0.45 * np.exp(-((gap / (1.6 * tumor.radius)) ** 2)) * here * (tumor.kind != "glioma" or 0.5)
    x, y = plane.x - push * (plane.x - tumor.x) + warp_x, plane.y - push * (plane.y - tumor.y) + warp_y
    angle = np.arctan2(plane.y / height, plane.x / width)
    shell = edge[((angle + np.pi) * (1024 / 2 / np.pi)).astype(np.intp) & 1023]
    depth = (1 - np.hypot(plane.x / width, plane.y / height) / shell) * (0.5 * (width + height))
    skin, bone = body.uniform(0.04, 0.075), body.uniform(0.04, 0.06)
    soft = 2.5 * plane.pixel
    image = tone["scalp"] * smoothstep(-soft / 2, soft / 2, depth)
    (fat,) = plane.texture(body, 0.05, "cloud")
    image *= 1 - 0.25 * smoothstep(0.3, 1.5, fat)
    image += smoothstep(skin - soft, skin + soft, depth + 0.004 * fat) * (tone["bone"] - image)
    inner = depth - skin - bone
    brain = _tissue(body, replace(plane, x=x, y=y), inner, tone, level)
    image += smoothstep(-soft, soft, inner) * (brain - image)
    mask = np.zeros_like(image)
    if here:
        mask = _grow(np.random.default_rng(tumor.seed), plane, image, inner, tone, tumor)
    return image, mask


def _tissue(body: Random, plane: Plane, inner: Array, tone: dict[str, float], level: float) -> Array:
    """Brain [S, S] for ``inner`` = distance to the inner face of the skull."""
    x, y, across = plane.x, plane.y, np.abs(plane.x)
    soft, age = 1.8 * plane.pixel, body.uniform(0.6, 1.5)
    (folds,) = plane.texture(body, 0.17, "folds")
    (reach,) = plane.texture(body, 0.06, "cloud")
    furrow = 0.075 * np.abs(folds) + np.maximum(inner - 0.17 - 0.05 * reach - 0.08 * level, 0) * 0.8
    middle = across + np.maximum(0.30 - np.abs(y + 0.02), 0) * (0.9 if level < 0.75 else 0.0)
    gap = np.minimum(np.minimum(inner - 0.012 * age, furrow), middle)
    deep = _gray_nuclei(x, y, across, level)
    gray = np.maximum(smoothstep(0.048 + soft, 0.044 - soft, gap), deep)
    brain = tone["white"] + gray * (tone["gray"] - tone["white"])
    water = smoothstep(0.012 * age + soft, 0.012 * age - soft, gap + 0.004 * reach)
    water = np.maximum(water, smoothstep(soft, -soft, _ventricles(x, y, across, level, age)))
    return brain + water * (tone["csf"] - brain)


def _gray_nuclei(x: Array, y: Array, across: Array, level: float) -> Array:
    if not 0.3 < level < 0.68:
        return np.zeros_like(x)
    thalamus = smoothstep(1.15, 0.9, np.hypot((across - 0.1) / 0.085, (y - 0.1) / 0.13))
    putamen = smoothstep(1.15, 0.9, np.hypot((across - 0.25 - 0.3 * (y + 0.08) ** 2) / 0.05, (y + 0.06) / 0.17))
    caudate = smoothstep(1.15, 0.9, np.hypot((across - 0.13) / 0.05, (y + 0.2) / 0.09))
    return np.maximum(np.maximum(thalamus, putamen), caudate) * 0.85


def _ventricles(x: Array, y: Array, across: Array, level: float, age: float) -> Array:
    """Signed distance (negative inside) to the water inside the brain at this level."""
    if level > 0.75:
        return np.ones_like(x)
    if level > 0.3:
        thick = 0.028 * age
        horn = _tube(across, y, [(0.045, -0.16), (0.075, -0.24), (0.13, -0.30)], thick)
        trunk = _tube(across, y, [(0.05, -0.18), (0.055, 0.0)], thick * (0.5 if level < 0.5 else 1.1))
        back = _tube(across, y, [(0.17, 0.17), (0.21, 0.27), (0.2, 0.36)], thick * 1.1)
        third = _tube(across, y, [(0.0, -0.04), (0.0, 0.13)], 0.011 * age)
        return np.minimum(np.minimum(horn, trunk), np.minimum(back, third))
    star = np.minimum(
        _tube(across, y, [(0.0, -0.2), (0.0, -0.05)], 0.035),
        _tube(across, y, [(0.0, -0.12), (0.14, -0.15), (0.4, -0.2)], 0.03),
    )
    cistern = _tube(across, y, [(0.0, -0.03), (0.13, 0.04), (0.15, 0.14), (0.09, 0.23), (0.0, 0.25)], 0.016)
    fourth = np.hypot(x / 0.05, (y - 0.36) / 0.03) * 0.04 - 0.04
    return np.minimum(np.minimum(star, cistern), fourth)


def _tube(x: Array, y: Array, path: Sequence[tuple[float, float]], radius: float) -> Array:
    """Distance to a polyline, less ``radius``."""
    best = np.full_like(x, np.inf)
    for (x0, y0), (x1, y1) in pairwise(path):
        along_x, along_y = x1 - x0, y1 - y0
        part = np.clip(((x - x0) * along_x + (y - y0) * along_y) / (along_x**2 + along_y**2), 0, 1)
        best = np.minimum(best, (x - x0 - part * along_x) ** 2 + (y - y0 - part * along_y) ** 2)
    return np.sqrt(best) - radius


def _grow(rng: Random, plane: Plane, image: Array, inner: Array, tone: dict[str, float], tumor: Tumor) -> Array:
    """Put the tumor into ``image`` and return its mask."""
    x, y = plane.x - tumor.x, plane.y - tumor.y
    ragged = tumor.kind == "glioma"
    edge = outline(rng, roughness=0.14 if ragged else 0.05)
    shell = edge[((np.arctan2(y, x) + np.pi) * (1024 / 2 / np.pi)).astype(np.intp) & 1023]
    rough, grain = plane.texture(rng, 0.05, "cloud", "grain")
    away = np.hypot(x, y) / (tumor.radius * shell) + (0.13 if ragged else 0.03) * rough
    inside = np.minimum((1 - away) * tumor.radius, inner + 0.01)
    soft = 2.5 * plane.pixel
    if ragged:
        swollen = smoothstep(1.9, 1.2, away + 0.2 * rough) * smoothstep(0.0, 0.05, inner)
        image += 0.85 * swollen * (tone["edema"] - image)
        thick = rng.uniform(0.16, 0.4)
        rim = (
            smoothstep(1 - thick - 0.12, 1 - thick + 0.08, away + 0.15 * rough)
            if rng.random() < 0.75
            else 0.4 + 0.2 * rough
        )
        flesh = tone["core"] + np.clip(rim, 0, 1) * (tone["rim"] - tone["core"]) * (1 + 0.1 * grain)
    else:
        flesh = tone["solid"] * (1 + 0.04 * rough + 0.03 * grain)
    image += smoothstep(-soft, soft, inside) * (flesh - image)
    return (inside > 0).astype(np.float32)


def _scanner(rng: Random, image: Array) -> np.ndarray:
    """Coil shading, blur, Rician noise, window: signal -> uint8."""
    size = len(image)
    frame = np.linspace(-1, 1, size, dtype=np.float32)
    terms = (frame[None], frame[:, None], frame[None] * frame[:, None], frame[None] ** 2 - frame[:, None] ** 2)
    image = image * np.exp(sum(rng.normal(0, 0.10) * term for term in terms)).astype(np.float32)
    image = ndimage.gaussian_filter(image, size / 128 * rng.uniform(0.25, 0.5))
    noise = np.float32(rng.uniform(0.006, 0.022)) * rng.standard_normal((2, size, size), np.float32)
    image = np.hypot(image + noise[0], noise[1])
    return (np.clip(image * rng.uniform(0.9, 1.15), 0, 1) * 255 + 0.5).astype(np.uint8)


def _halved(array: Array) -> Array:
    return (array[::2, ::2] + array[1::2, ::2] + array[::2, 1::2] + array[1::2, 1::2]) / 4
