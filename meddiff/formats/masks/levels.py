"""The values that a mask holds, counted: what is remembered of each file until all of them are looked at together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from meddiff.formats.drawing import Drawing
from meddiff.formats.masks.stored import StoredMask, not_whole

SMALL_NOISE = 7
"""Up to this a file of numbers is taken to hold no noise."""
MANY = 256
"""Levels beyond which numbers of 16 bits are counted by their upper 8, and colors not all."""
_NEAR, _NEAR_JPEG = 3, 9  # pixels across, in which a soft edge goes up and down again
_STEP_JPEG = 32


@dataclass(frozen=True)
class Levels:
    """The values that a mask file holds, and how they lie: about a kilobyte, whatever the file."""

    path: str
    counts: dict[str, dict[int, int]]
    """Way of reading -> value -> pixels; the most natural way is first. Nothing where values are not whole."""
    solid: dict[int, int] = field(default_factory=dict)
    """Value -> pixels that lie in nothing but their own value, counted where there are more than two levels."""
    between: dict[int, int] = field(default_factory=dict)
    """Value -> pixels that lie between a lower and a higher one, as those of soft edges do."""
    lossy: bool = False
    deep: bool = False
    """Whether values are counted by the upper 8 of their 16 bits."""
    volume: bool = False
    palette: tuple[tuple[int, int], ...] = ()
    names: tuple[str, ...] = ()
    """Of shapes by their number, where shapes have names; the first is where nothing was drawn."""
    shared: tuple[tuple[int, int, int], ...] = ()
    """Two shapes, and how many voxels both hold; of three the first with each other one."""
    unusable: tuple[tuple[str, str], ...] = ()
    """Shapes that mark no voxels, and why."""

    @property
    def natural(self) -> str:
        """The way of reading that the file alone suggests."""
        return next(iter(self.counts))

    def of(self, way: str) -> dict[int, int]:
        """Give value -> pixels in a way of reading; of gray files in any."""
        if way in self.counts:
            return self.counts[way]
        gray = self.counts.get("gray", {})
        return {value * 0x010101: count for value, count in gray.items()} if way == "color" else gray

    def as_json(self) -> dict[str, Any]:
        """Give plain values, for `from_json`."""
        as_they_are = ("path", "lossy", "deep", "volume", "palette", "names", "shared", "unusable")
        plain = {name: getattr(self, name) for name in as_they_are}
        counts = {way: list(levels.items()) for way, levels in self.counts.items()}
        return plain | {"counts": counts, "solid": list(self.solid.items()), "between": list(self.between.items())}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Levels:
        """Take what `as_json` gave."""
        counts = {way: dict(levels) for way, levels in plain["counts"].items()}
        tuples: dict[str, Any] = {name: tuple(map(tuple, plain[name])) for name in ("palette", "shared", "unusable")}
        lying: dict[str, Any] = {name: dict(plain[name]) for name in ("solid", "between")}
        return cls(**plain | lying | tuples | {"counts": counts, "names": tuple(plain["names"])})


def levels_of(stored: StoredMask) -> Levels:
    """Count what a mask holds.

    Raises:
        InputError: numbers that are not whole, or too many colors to be classes.
    """
    if stored.drawing is not None:
        return _of_drawing(stored.drawing)
    for values in stored.ways.values():
        if values.dtype.kind == "f":
            raise not_whole(stored.path, values)
    way = next((way for way in stored.ways if way != "color"), None)
    counts = {name: _counted(values) for name, values in stored.ways.items()}
    deep = way is not None and stored.ways[way].dtype == np.uint16 and len(counts[way]) > MANY
    if deep and way is not None:
        counts[way] = _counted((stored.ways[way] // 257).astype(np.uint8))
    counts = {name: dict(sorted(of.items(), key=lambda one: -one[1])[: MANY + 1]) for name, of in counts.items()}
    lying: dict[str, Any] = {}
    if way is not None and len(counts[way]) > 2 and max(counts[way]) > SMALL_NOISE:
        lying = _lying(stored.ways[way] // 257 if deep else stored.ways[way], stored.lossy)
    elif way is not None:
        lying = {"solid": counts[way]}  # where there are two values, or small ones alone, none of them is noise
    return Levels(
        str(stored.path),
        counts,
        **lying,
        lossy=stored.lossy,
        deep=deep,
        volume=stored.is_volume,
        palette=stored.palette,
    )


def _of_drawing(drawing: Drawing) -> Levels:
    counts, everything = drawing.voxels(), [0, *range(1, len(drawing.names))]
    _, shared = drawing.classes(everything, "")
    return Levels(
        str(drawing.path),
        {"name": counts},
        names=tuple(drawing.names),
        shared=tuple((one, other, voxels) for (one, other), voxels in shared.items()),
        unusable=tuple(drawing.unusable.items()),
    )


def _counted(values: np.ndarray) -> dict[int, int]:
    if values.dtype in (np.uint8, np.uint16):
        counts = np.bincount(values.ravel(), minlength=1)
        at = np.flatnonzero(counts)
        return dict(zip(at.tolist(), counts[at].tolist(), strict=True))
    kinds, counts = np.unique(values, return_counts=True)
    return {int(value): int(count) for value, count in zip(kinds, counts, strict=True)}


def _lying(values: np.ndarray, lossy: bool) -> dict[str, dict[int, int]]:
    """Count of each value the pixels that are solid, and those between a lower and a higher one, within a plane."""
    from scipy.ndimage import maximum_filter, minimum_filter

    side, step = (_NEAR_JPEG, _STEP_JPEG) if lossy else (_NEAR, 1)
    size: Sequence[int] = [side, side, *[1] * (values.ndim - 2)]
    values = values.astype(np.int32) if values.dtype.kind == "u" and values.dtype.itemsize < 4 else values
    low, high = minimum_filter(values, size), maximum_filter(values, size)
    solid, between = low == high, (low <= values - step) & (values + step <= high)
    return {"solid": _counted(values[solid]), "between": _counted(values[between])}
