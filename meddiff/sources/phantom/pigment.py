"""A skin lesion as maps of pigment, and where it lies.

A lesion is not painted in colors but in what causes them: melanin (brown to black), blood (red), venous blood
(purple), keratin (yellow), melanin deep in the skin (which scattering turns blue-gray) and scar or horn (white).
``dermoscopy`` turns the maps into light.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from meddiff.sources.phantom.texture import Array, Plane, Random, around, smoothstep


@dataclass
class Pigments:
    """The pigments of the skin at every pixel, each [S, S] float32; the painters add to it."""

    melanin: Array
    blood: Array
    venous: Array
    keratin: Array
    deep: Array  # share in 0..1 that blue-gray, deep melanin covers
    white: Array  # share in 0..1 that white scar or horn covers
    height: Array  # relief in subject units, for the shading


@dataclass(frozen=True)
class Shape:
    """The place of a lesion. ``inside`` is 1 at its center, 0 on its border, negative outside; mask = inside > 0."""

    plane: Plane
    radius: float
    stretch: float
    inside: Array
    smooth: Array  # the same without the noise of the border

    def fill(self, fade: float) -> Array:
        """Return 1 in the lesion, 0 outside.

        The border is ``fade`` of the radius wide and 0.5 on the line of the mask.
        """
        return smoothstep(-fade / 2, fade / 2, self.inside)

    def dome(self) -> Array:
        """Return a soft rise from the border inwards, 0 to 1, for the relief."""
        return smoothstep(-0.15, 0.7, self.smooth)

    def places(self, rng: Random, count: int, low: float, high: float) -> Array:
        """Return ``count`` random places [count, 2] between ``low`` and ``high`` radii from the center."""
        away = self.radius * np.sqrt(rng.uniform(low**2, high**2, count))
        angle = rng.uniform(0, 2 * np.pi, count)
        return self.at(away, angle)

    def at(self, away: Array, angle: Array) -> Array:
        """Return places [count, 2] from polar coordinates in which the lesion is as wide as long."""
        longer = self.stretch**0.5
        return np.stack([away * np.cos(angle) * longer, away * np.sin(angle) / longer], 1)


Painter = Callable[[Random, Plane, Pigments], Shape]


def bounded(rng: Random, plane: Plane, radius: float, *, edge: Array, stretch: float, ragged: float) -> Shape:
    """Draw a lesion of mean ``radius`` within ``edge`` (see outline), ``stretch`` times longer than wide.

    ``ragged`` is how far noise moves the border, as a share of the radius.
    """
    x, y = plane.x * stretch**-0.5, plane.y * stretch**0.5
    away = np.hypot(x, y) / radius
    cloud, grain = plane.texture(rng, 0.1, "cloud", "grain")
    smooth = 1 - away / around(edge, x, y)
    return Shape(
        plane, radius, stretch, smooth + ragged * (cloud + 0.15 * grain) * np.exp(-6 * (away - 1) ** 2), smooth
    )
