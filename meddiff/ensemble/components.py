"""Corrections of a class map afterwards, because anatomy says so: one piece, no specks, no holes.

Each class is treated by itself; what is removed becomes background. A component hangs together across edges, corners
and (3D) faces alike, as a lesion in `meddiff.metrics.masks.lesions`. A hole is a piece of background that does not
reach the image's border across edges (2D) or faces (3D): it takes the class that touches it most, so a hole between
two structures goes to the one with more of its rim.

These change the class map alone: probabilities and uncertainty maps stay those of the model.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from meddiff.errors import InputError


def cleaned(
    classes: np.ndarray, *, holes: bool = False, least_pixels: int = 0, largest_only: bool = False
) -> np.ndarray:
    """Fill holes, then remove small components, then all but the largest, whichever is asked for: int [*S] -> [*S]."""
    if least_pixels < 0:
        raise InputError(f"got least_pixels {least_pixels}: give 0 to keep every component, or a number of pixels")
    if holes:
        classes = fill_holes(classes)
    if least_pixels > 1:
        classes = remove_small(classes, least_pixels)
    return largest_component(classes) if largest_only else classes


def largest_component(classes: np.ndarray) -> np.ndarray:
    """Compute the largest component of each class; of equal ones the first in reading order."""
    kept = np.zeros_like(classes)
    for index in _present(classes):
        numbered, sizes = _components(classes == index)
        kept[numbered == 1 + int(sizes.argmax())] = index
    return kept


def remove_small(classes: np.ndarray, least_pixels: int) -> np.ndarray:
    """Remove the components that have fewer pixels (voxels); a class may vanish."""
    kept = np.zeros_like(classes)
    for index in _present(classes):
        numbered, sizes = _components(classes == index)
        kept[np.concatenate([[False], sizes >= least_pixels])[numbered]] = index
    return kept


def fill_holes(classes: np.ndarray) -> np.ndarray:
    """Give background within foreground the class that touches it in most places (the lower one of equals)."""
    numbered, count = ndimage.label(classes == 0)  # pyright: ignore[reportGeneralTypeIssues]
    open_ones = _labels_at_border(numbered)
    filled = classes.copy()
    cross = ndimage.generate_binary_structure(classes.ndim, 1)
    boxes = ndimage.find_objects(numbered)
    for label in set(range(1, count + 1)) - open_ones:
        box = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in boxes[label - 1])
        hole = numbered[box] == label
        rim = ndimage.binary_dilation(hole, cross) & ~hole
        touching = np.bincount(classes[box][rim])
        filled[box][hole] = int(touching.argmax())  # never 0: background that touched it would be part of it
    return filled


def _present(classes: np.ndarray) -> list[int]:
    return [int(index) for index in np.unique(classes) if index > 0]


def _components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute components of a mask that is not empty, numbered from 1, and the size of each."""
    numbered, _ = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))  # pyright: ignore[reportGeneralTypeIssues]
    return numbered, np.bincount(numbered.ravel())[1:]


def _labels_at_border(numbered: np.ndarray) -> set[int]:
    """Compute numbers of the components that touch the border.

    Along an axis one pixel wide there is no border to reach.
    """
    labels: set[int] = set()
    for axis, length in enumerate(numbered.shape):
        for place in (0, -1) if length > 1 else ():
            labels |= {int(label) for label in np.unique(np.take(numbered, place, axis=axis))}
    return labels
