"""Three middle planes of a volume, upright and at the right aspect, as a radiologist looks at them.

The patient's right is on the left of axial and coronal pictures, the front is up in axial and left in sagittal ones,
the head is up. A volume of unknown orientation is shown along its array axes.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from meddiff.formats.volume import Volume
from meddiff.images.pixels import to_pixels

SHOWN = (1.0, 99.0)  # percentiles that become black and white
_AXES = ("RL", "AP", "SI")


def three_planes(volume: Volume, side: int) -> list[np.ndarray]:
    """Axial, coronal and sagittal middle planes, each uint8 [side, side] or [side, side, 3], black around.

    Of several volumes on one grid the first is shown. A plane across a single slice stays black.
    """
    array = volume.array[..., 0] if volume.array.ndim == 4 and not volume.color else volume.array
    spacing = [value or 1.0 for value in volume.spacing_mm]
    if volume.orientation is not None:
        array, spacing = _upright(array, spacing, volume.orientation)
    planes = []
    for axis in (2, 1, 0):
        plane = np.take(array, array.shape[axis] // 2, axis=axis)
        rest = [number for number in range(3) if number != axis]
        plane = np.swapaxes(plane[::-1, ::-1], 0, 1)
        planes.append(_square(_gray(plane, array), [spacing[rest[1]], spacing[rest[0]]], side))
    return planes


def tile(image: np.ndarray, spacing_mm: Sequence[float] | None = None) -> np.ndarray:
    """A picture [C, H, W], or the middle planes of a volume [C, I, J, K] in RAS order, in [-1, 1], as uint8 pixels.

    Of a volume the first channel is shown: axial above coronal, sagittal beside the axial one; black where nothing is.
    Voxels are shown at their own size, those of uneven spacing at that of the finest.
    """
    if image.ndim == 3:
        return to_pixels(image)
    voxels = to_pixels(image[:1])
    axial, coronal, sagittal = (np.take(voxels, voxels.shape[axis] // 2, axis)[::-1, ::-1].T for axis in (2, 1, 0))
    right, front, head = np.asarray(spacing_mm or (1.0, 1.0, 1.0)) / min(spacing_mm or (1.0,))
    axial, coronal = _stretched(axial, front, right), _stretched(coronal, head, right)
    sagittal = _stretched(sagittal, head, front)
    height, width = max(len(axial), len(sagittal)) + len(coronal), axial.shape[1] + sagittal.shape[1]
    shown = np.zeros((height, width), dtype=np.uint8)
    shown[: len(axial), : axial.shape[1]] = axial
    shown[: len(sagittal), axial.shape[1] :] = sagittal
    shown[height - len(coronal) :, : coronal.shape[1]] = coronal
    return shown


def _stretched(plane: np.ndarray, down: float, along: float) -> np.ndarray:
    size = max(1, round(plane.shape[1] * along)), max(1, round(plane.shape[0] * down))
    same = size == plane.shape[::-1]
    return plane if same else np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.NEAREST))


def _upright(array: np.ndarray, spacing: list[float], orientation: tuple[str, ...]) -> tuple[np.ndarray, list[float]]:
    """Axes turned so that they lead to the right, the front and the head."""
    order = [next(axis for axis, code in enumerate(orientation) if code in pair) for pair in _AXES]
    array = np.moveaxis(array, order, range(3))
    flips = tuple(axis for axis, pair in enumerate(_AXES) if orientation[order[axis]] == pair[1])
    return np.flip(array, flips), [spacing[axis] for axis in order]


def _gray(plane: np.ndarray, array: np.ndarray) -> np.ndarray:
    if plane.dtype == np.uint8 and plane.ndim == 3:
        return plane
    finite = array[np.isfinite(array)]
    low, high = np.percentile(finite, SHOWN) if finite.size else (0.0, 1.0)
    if high <= low:  # a label map, mostly background
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    scaled = (np.nan_to_num(plane.astype(np.float64)) - low) / ((high - low) or 1.0)
    return np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)


def _square(plane: np.ndarray, spacing: list[float], side: int) -> np.ndarray:
    black = np.zeros((side, side, *plane.shape[2:]), dtype=np.uint8)
    if 1 in plane.shape[:2]:
        return black
    extent = np.array(plane.shape[:2]) * spacing
    height, width = np.maximum(1, np.rint(side * extent / extent.max())).astype(int)
    picture = Image.fromarray(np.ascontiguousarray(plane)).resize((width, height), Image.Resampling.BICUBIC)
    top, left = (side - height) // 2, (side - width) // 2
    black[top : top + height, left : left + width] = np.asarray(picture)
    return black
