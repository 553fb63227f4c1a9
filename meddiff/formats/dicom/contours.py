"""Contours of an RTSTRUCT (PS3.3 C.8.8.6) as shapes on the voxels of the image that they were drawn on.

A voxel belongs to a region where its center lies inside, or on the line: planning systems draw between voxels, other
programs from center to center. Contours of one region in one slice are joined by exclusive or, so that one inside of
another is a hole, and so is what a contour goes around by way of a bridge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from meddiff.files.bad import bad_file
from meddiff.formats.drawing import Drawing

if TYPE_CHECKING:
    from pydicom import Dataset

CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
ON_SLICE = 0.25
"""Share of the distance of slices by which a contour may miss its slice: positions are rounded."""
ON_LINE = 0.005
"""Share of a voxel by which its center may miss the line, for the same reason."""


def draw_contours(dataset: Dataset, drawing: Drawing, to_indices: Callable[[np.ndarray], np.ndarray]) -> None:
    """Add each region of an RTSTRUCT; what is no closed contour is noted as unusable, by the name of its region.

    Args:
        dataset: the RTSTRUCT.
        drawing: what to add to.
        to_indices: turns points [N, 3] in DICOM's millimeters into indices of the image's voxels.

    Raises:
        InputError: contours that do not lie on the slices of the image, or reach beyond it.
    """
    names = {int(one.ROINumber): str(one.get("ROIName") or f"region {one.ROINumber}").strip()
             for one in dataset.get("StructureSetROISequence", [])}  # fmt: skip
    contours = {int(one.ReferencedROINumber): one.get("ContourSequence") or []
                for one in dataset.get("ROIContourSequence", [])}  # fmt: skip
    if unknown := sorted(set(contours) - set(names)):
        raise bad_file(drawing.path, f"it holds contours of region {unknown[0]}, which it does not name")
    closed = {number: _closed(contours.get(number, []), name, drawing, to_indices) for number, name in names.items()}
    spreads = [np.ptp(points, axis=0) for some in closed.values() for points in some]
    axis = int(np.argmin(np.max(spreads, axis=0))) if spreads else 2
    for number, some in closed.items():
        drawing.add(names[number], _filled(drawing, names[number], some, axis))


def _closed(
    contours: Sequence[Dataset], name: str, drawing: Drawing, to_indices: Callable[[np.ndarray], np.ndarray]
) -> list[np.ndarray]:
    """Return the closed contours of a region, as indices [N, 3]."""
    closed = []
    for one in contours:
        kind = str(one.get("ContourGeometricType"))
        numbers = np.array(one.get("ContourData") or [], float).ravel()
        if len(numbers) % 3 or not np.isfinite(numbers).all():
            raise bad_file(drawing.path, f"a contour of {name!r} is no row of points")
        if kind not in CLOSED:
            drawing.unusable[name] = f"holds a contour of the type {kind}, which encloses nothing"
        elif len(numbers) < 9:
            drawing.unusable[name] = f"holds a contour of {len(numbers) // 3} points, which encloses nothing"
        else:
            closed.append(to_indices(numbers.reshape(-1, 3)))
    return closed


def _filled(drawing: Drawing, name: str, closed: list[np.ndarray], axis: int) -> np.ndarray:
    marked = np.zeros(drawing.numbers.shape, bool)
    slices: dict[int, list[np.ndarray]] = {}
    for points in closed:
        slices.setdefault(_slice_of(drawing, name, points, axis), []).append(np.delete(points, axis, axis=1))
    for index, polygons in slices.items():
        plane = np.moveaxis(marked, axis, 0)[index]
        plane |= inside(polygons, plane.shape)
    return marked


def _slice_of(drawing: Drawing, name: str, points: np.ndarray, axis: int) -> int:
    """Find the slice along an axis that a contour lies in.

    Raises:
        InputError: it lies beside one, or aslant, or reaches beyond the image.
    """
    level, size = points[:, axis], np.array(drawing.numbers.shape)
    index = round(float(level.mean()))
    if (apart := float(np.abs(level - index).max())) > ON_SLICE:
        raise bad_file(
            drawing.path,
            f"a contour of {name!r} lies {apart:.2f} of the distance of slices beside the nearest slice of the image, "
            "or aslant: it was drawn on another series, or on slices of another direction",
        )
    low, high = points.min(axis=0), points.max(axis=0)
    low[axis] = high[axis] = index
    if (low < -1).any() or (high > size).any() or not 0 <= index < size[axis]:
        raise bad_file(drawing.path, f"a contour of {name!r} reaches beyond the image of {size.tolist()} voxels")
    return index


def inside(polygons: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Mark the pixels [H, W] whose center lies inside of an odd number of polygons, or on the line of one.

    Args:
        polygons: [N, 2] corners each, as indices; the last is joined to the first.
        shape: H and W.
    """
    starts = np.concatenate(polygons)
    ends = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons])
    turns = np.zeros((shape[0] + 1, shape[1]), bool)
    _cross(starts, ends, turns)
    line = np.zeros(shape, bool)
    for along in (0, 1):
        _trace(starts, ends, along, line)
    return np.logical_xor.accumulate(turns[:-1], axis=0) | line


def _cross(starts: np.ndarray, ends: np.ndarray, turns: np.ndarray) -> None:
    """Note, in each column of pixels that an edge crosses, the first row behind it."""
    left, right = _sorted(starts, ends, 1)
    low, high = np.ceil(left[:, 1]), np.ceil(right[:, 1])
    edge, columns = _each(np.clip(low, 0, turns.shape[1]), np.clip(high, 0, turns.shape[1]))
    rows = _at(left[edge], right[edge], 1, columns)
    rows = np.clip(np.ceil(rows), 0, turns.shape[0] - 1).astype(int)
    np.logical_xor.at(turns, (rows, columns), True)


def _trace(starts: np.ndarray, ends: np.ndarray, along: int, line: np.ndarray) -> None:
    """Mark the pixels whose center an edge goes through, of the edges that run along an axis rather than the other."""
    longer = np.abs(ends - starts)
    chosen = longer[:, along] >= longer[:, 1 - along]
    first, last = _sorted(starts[chosen], ends[chosen], along)
    low, high = np.ceil(first[:, along] - ON_LINE), np.floor(last[:, along] + ON_LINE) + 1
    edge, steps = _each(np.clip(low, 0, line.shape[along]), np.clip(high, 0, line.shape[along]))
    across = _at(first[edge], last[edge], along, np.clip(steps, first[edge, along], last[edge, along]))
    near = np.rint(across).astype(int)
    hits = (np.abs(across - near) <= ON_LINE) & (near >= 0) & (near < line.shape[1 - along])
    at = (steps, near) if along == 0 else (near, steps)
    line[at[0][hits], at[1][hits]] = True


def _sorted(starts: np.ndarray, ends: np.ndarray, along: int) -> tuple[np.ndarray, np.ndarray]:
    """Turn edges so that they run up an axis."""
    turned = (starts[:, along] > ends[:, along])[:, None]
    return np.where(turned, ends, starts), np.where(turned, starts, ends)


def _each(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """List the whole numbers from low up to high of each edge, with the number of the edge."""
    count = np.maximum(high - low, 0).astype(int)
    edge = np.repeat(np.arange(len(count)), count)
    return edge, low[edge].astype(int) + np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)


def _at(first: np.ndarray, last: np.ndarray, along: int, steps: np.ndarray) -> np.ndarray:
    """Compute where edges are across an axis at some place along it."""
    length = np.maximum(last[:, along] - first[:, along], 1e-9)
    share = (steps - first[:, along]) / length
    return first[:, 1 - along] + share * (last[:, 1 - along] - first[:, 1 - along])
