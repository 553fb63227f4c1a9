"""A dermoscopic photograph: skin of a patient, a lesion on it, and the camera that looks at both.

Light that enters skin comes back colored by what it passes: after Beer and Lambert, color = scatter * exp(-sum of
pigment * absorption), in the three colors of the camera. Melanin takes blue first (brown, then black), blood takes
green and blue (red). Skin type, lesion and view each have a stream of random numbers of their own, so that images of
one lesion differ in view alone and lesions of one patient lie on one skin.
"""

import math

import numpy as np

from meddiff.seeds import child_seed
from meddiff.sources.phantom.camera import illumination, in_front, photograph
from meddiff.sources.phantom.nonmelanocytic import PAINTERS
from meddiff.sources.phantom.pigment import Pigments
from meddiff.sources.phantom.texture import Array, Plane, Random, halved, smoothstep

SCATTER = np.array([0.95, 0.88, 0.87], np.float32)
# columns: melanin, blood, venous blood, keratin; rows: red, green, blue
ABSORPTION = np.array([[0.60, 0.10, 0.60, 0.06], [1.00, 1.00, 1.10, 0.25], [1.30, 0.70, 0.65, 0.80]], np.float32)
DEEP, WHITE = np.array([0.31, 0.34, 0.42], np.float32), np.array([0.92, 0.87, 0.86], np.float32)
SKIN_TYPES = (0.14, 0.27, 0.26, 0.17, 0.10, 0.06)  # share of Fitzpatrick I to VI
SKIN_MELANIN = (0.03, 0.08, 0.16, 0.32, 0.62, 1.15)


def draw_dermoscopy(*, label: str, patient: int, lesion: int, view: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw one photograph.

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
    plane = placed(rng, 2 * size, np.random.default_rng(child_seed(lesion, "place")))
    pigments = healthy_skin(np.random.default_rng(patient), np.random.default_rng(child_seed(lesion, "skin")), plane)
    shape = PAINTERS[label](np.random.default_rng(lesion), plane, pigments)
    color = reflected(pigments, plane.pixel) * illumination(rng, 2 * size)
    color = halved(in_front(rng, color))
    mask = halved((shape.inside > 0).astype(np.float32)) >= 0.5
    return photograph(rng, color), mask.astype(np.uint8)


def placed(rng: Random, side: int, lesion: Random) -> Plane:
    """Lay a plane of this side under the camera, its middle near the lesion."""
    zoom = math.exp(rng.normal(0, 0.12)) * lesion.uniform(0.9, 1.05)
    center = np.clip(rng.normal(0, 0.07, 2), -0.2, 0.2)
    return Plane.view(side, angle=rng.uniform(0, 2 * np.pi), zoom=min(zoom, 1.2), center=center)


def healthy_skin(patient: Random, rng: Random, plane: Plane) -> Pigments:
    """Draw the pigments of a patient's skin before there is a lesion."""
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
        patient.uniform(0.1, 1.1) * (0.0004 * grain - 0.0014 * lines),
    )  # fmt: skip


def reflected(pigments: Pigments, pixel: float) -> Array:
    """Compute the light [S, S, 3] in 0..1 that pigments reflect, shaded by the relief."""
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
