"""Axial slices of a head, as T1 with contrast agent, FLAIR or T2 shows them, with or without a tumor.

``head`` draws the anatomy in the intensities of the sequence; this module adds the tumor and the scanner:
coil shading, blur and Rician noise (the magnitude of a complex signal: Gudbjartsson & Patz 1995).

``notumor``; ``glioma``: inside the brain, ragged, with a dead core, a bright rim and edema; ``meningioma``: round,
even and bright, on the skull or the midline, pushes the brain away; ``pituitary``: round, on the midline at the base.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from meddiff.sources.phantom.head import Head, Tones, head, tissue
from meddiff.sources.phantom.texture import Array, Plane, Random, around, halved, outline, smoothstep

TISSUES = ("scalp", "bone", "csf", "gray", "white", "vein", "edema", "rim", "core", "solid")
SEQUENCES = {  # intensities, 1 is the brightest fat
    "t1c": (0.80, 0.06, 0.10, 0.29, 0.37, 0.75, 0.24, 0.80, 0.16, 0.66),
    "flair": (0.62, 0.05, 0.08, 0.47, 0.37, 0.20, 0.82, 0.66, 0.30, 0.62),
    "t2": (0.55, 0.05, 0.82, 0.50, 0.34, 0.12, 0.74, 0.52, 0.80, 0.56),
}
KINDS = ("notumor", "glioma", "meningioma", "pituitary")


@dataclass(frozen=True)
class Tumor:
    """Place, radius and height of a tumor in head units; ``level`` is 0 at the base and 1 at the top."""

    kind: str
    x: float
    y: float
    radius: float
    level: float


def draw_brain(*, label: str, patient: int, lesion: int, view: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw one slice.

    Args:
        label: one of KINDS.
        patient: seed of the head and of the sequence.
        lesion: seed of the tumor.
        view: seed of the height of the slice, the pose and the noise.
        size: side in pixels.

    Returns:
        image [size, size, 1] uint8 and tumor mask [size, size] uint8 (0 or 1).
    """
    rng, body, growth = (np.random.default_rng(seed) for seed in (view, patient, lesion))
    tumor = _tumor(growth, label)
    offset = rng.normal(0, 0.05)
    level = min(max(tumor.level + offset, 0.0), 1.0)
    pose = {"angle": rng.normal(0, 0.06), "zoom": rng.uniform(0.92, 1.06), "center": rng.normal(0, 0.025, 2).tolist()}
    plane = Plane.view(2 * size, **pose)
    name = body.choice(list(SEQUENCES), p=[0.72, 0.18, 0.10])
    tone = {key: value * math.exp(body.normal(0, 0.06)) for key, value in zip(TISSUES, SEQUENCES[name], strict=True)}
    outside = head(body, plane, level)
    # a slice beside the middle of a ball is a smaller circle
    radius = tumor.radius * math.sqrt(1 - min(abs(offset) / (tumor.radius + 0.05), 0.8) ** 2)
    away = np.hypot(plane.x - tumor.x, plane.y - tumor.y)
    force = {"notumor": 0.0, "glioma": 0.2, "meningioma": 0.5, "pituitary": 0.3}[label]
    push = force * np.exp(-((away / (1.6 * radius)) ** 2))
    shift = (push * (plane.x - tumor.x), push * (plane.y - tumor.y))
    image = tissue(body, plane, outside, tone, level=level, shift=shift)
    mask = np.zeros_like(image)
    if label != "notumor":
        mask = _grow(growth, plane, image, outside, tone, tumor=tumor, radius=radius)
    return _scanner(rng, halved(image))[..., None], (halved(mask) >= 0.5).astype(np.uint8)


def _tumor(rng: Random, kind: str) -> Tumor:
    side = 1 if rng.random() < 0.5 else -1
    level = float(rng.choice([0.12, 0.5, 0.85], p=[0.3, 0.4, 0.3])) + rng.uniform(-0.1, 0.1)
    if kind == "pituitary":
        return Tumor(
            kind, rng.normal(0, 0.015), rng.normal(-0.13, 0.02), rng.uniform(0.08, 0.17), rng.uniform(0.03, 0.2)
        )
    if kind == "meningioma":
        if rng.random() < 0.3:  # on the falx
            return Tumor(
                kind, side * 0.09, -0.42 if rng.random() < 0.5 and level > 0.3 else 0.5, rng.uniform(0.12, 0.21), level
            )
        angle, radius = rng.uniform(-0.1 if level < 0.3 else -0.9, 1.3), rng.uniform(0.13, 0.26)
        out = (0.98 - radius * rng.uniform(0.6, 1.0)) * (1 - 0.28 * max(level - 0.55, 0) / 0.45)
        return Tumor(kind, side * 0.6 * out * math.cos(angle), 0.76 * out * math.sin(angle), radius, level)
    front = -0.15 if level < 0.3 else -0.42
    return Tumor(kind, side * rng.uniform(0.15, 0.34), rng.uniform(front, 0.42), rng.uniform(0.12, 0.26), level)


def _grow(rng: Random, plane: Plane, image: Array, outside: Head, tone: Tones, *, tumor: Tumor, radius: float) -> Array:
    """Put the tumor into ``image`` and return its mask."""
    x, y = plane.x - tumor.x, plane.y - tumor.y
    ragged = tumor.kind == "glioma"
    edge = outline(rng, roughness=0.13 if ragged else 0.05)
    rough, grain = plane.texture(rng, 0.12, "cloud", "grain")
    away = np.hypot(x, y) / (radius * around(edge, x, y)) + (0.12 if ragged else 0.02) * rough
    inside = np.minimum((1 - away) * radius, outside.inner + 0.01)
    soft = (4 if ragged else 2.5) * plane.pixel
    if ragged:
        swollen = smoothstep(rng.uniform(1.4, 2.2), 1.0, away + 0.2 * rough) * smoothstep(0.0, 0.05, outside.inner)
        image += 0.85 * swollen * (tone["edema"] - image)
        wall = 1 - rng.uniform(0.15, 0.45)
        rim = smoothstep(wall - 0.15, wall + 0.1, away + 0.12 * rough + 0.03 * grain)
        if rng.random() < 0.35:  # not yet dead inside
            rim = np.clip(rng.uniform(0.2, 0.5) + 0.15 * rough + 0.1 * grain, 0, 1)
        flesh = tone["core"] + rim * (tone["rim"] - tone["core"]) * (1 + 0.12 * rough)
    else:
        flesh = tone["solid"] * rng.uniform(0.75, 1.1) * (1 + 0.05 * rough + 0.03 * grain)
    image += smoothstep(-soft, soft, inside) * (flesh - image)
    return (inside > 0).astype(np.float32)


def _scanner(rng: Random, image: Array) -> np.ndarray:
    """Scan a signal: coil shading, blur, Rician noise, window, to uint8."""
    size = len(image)
    frame = np.linspace(-1, 1, size, dtype=np.float32)
    terms = (frame[None], frame[:, None], frame[None] * frame[:, None], frame[None] ** 2 - frame[:, None] ** 2)
    shading = sum(rng.normal(0, 0.10) * term for term in terms)
    image = ndimage.gaussian_filter(image * np.exp(shading), size / 128 * rng.uniform(0.25, 0.5))
    noise = rng.uniform(0.006, 0.022) * rng.standard_normal((2, size, size), np.float32)
    image = np.hypot(image + noise[0], noise[1]) * rng.uniform(0.9, 1.15)
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
