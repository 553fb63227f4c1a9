"""Distances between the surfaces of two masks: Hausdorff, average distance, share within a tolerance.

A surface point is the center of a mask pixel or voxel that has a neighbor across an edge (2D) or a face (3D) outside
the mask; beyond the image counts as outside. MONAI and Metrics Reloaded take the same; SimpleITK's LabelContour takes
other points, and DeepMind's surface-distance weights by surface area: their figures differ by definition.

Each surface point's distance to the other surface is found with a k-d tree on the surface points alone, so time
grows with the surfaces and not with the image.

Empty masks: both empty is a distance of 0 and a share of 1; one of them empty is an infinite distance and a share of
0, the worst there is. So a median is right, and a mean that turns infinite says that there are failures, which
`meddiff.metrics.masks.overlap.Overlap.outcome` counts. Nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

from meddiff.errors import InputError
from meddiff.metrics.masks.overlap import binary


@dataclass(frozen=True)
class SurfaceDistances:
    """Distance of every surface point of each mask to the surface of the other."""

    of_truth: np.ndarray  # [n], in the unit of the spacing
    of_prediction: np.ndarray  # [m]

    @property
    def hausdorff(self) -> float:
        """Largest distance of all (the Hausdorff distance)."""
        return self.hausdorff_percentile(100)

    @property
    def hausdorff95(self) -> float:
        """The larger of the 95th percentiles of the two directions."""
        return self.hausdorff_percentile(95)

    def hausdorff_percentile(self, percentile: float) -> float:
        """Compute the larger of the two directions' percentiles (Huttenlocher et al. 1993), not that of both pooled."""
        if self.empty is not None:
            return self.empty
        return float(max(np.percentile(self.of_truth, percentile), np.percentile(self.of_prediction, percentile)))

    @property
    def average(self) -> float:
        """Average symmetric surface distance (ASSD): mean over the points of both surfaces."""
        if self.empty is not None:
            return self.empty
        return float((self.of_truth.sum() + self.of_prediction.sum()) / (len(self.of_truth) + len(self.of_prediction)))

    def share_within(self, tolerance: float) -> float:
        """Compute the normalized surface distance: the share of both surfaces within the tolerance, in [0, 1].

        Nikolov et al. 2018.
        """
        if self.empty is not None:
            return float(self.empty == 0)
        within = np.count_nonzero(self.of_truth <= tolerance) + np.count_nonzero(self.of_prediction <= tolerance)
        return float(within / (len(self.of_truth) + len(self.of_prediction)))

    @property
    def empty(self) -> float | None:
        """0 if both masks are empty, infinity if one is, None if neither."""
        if len(self.of_truth) and len(self.of_prediction):
            return None
        return 0.0 if len(self.of_truth) == len(self.of_prediction) else float("inf")


def surface_distances_mm(truth: np.ndarray, prediction: np.ndarray, spacing_mm: Sequence[float]) -> SurfaceDistances:
    """Compute the surface distances in millimeters of two binary masks [*S] (2D or 3D).

    ``spacing_mm`` is in the order of the array axes. InputError where it is unknown: nobody can say millimeters then;
    `surface_distances_px` gives pixels.
    """
    if (
        spacing_mm is None
        or len(spacing_mm) != truth.ndim
        or not all(edge is not None and edge > 0 for edge in spacing_mm)
    ):
        raise InputError(
            f"got spacing_mm {spacing_mm} for a mask of {truth.ndim} axes: millimeters need one positive spacing per "
            "axis; without it use surface_distances_px"
        )
    truth, prediction = _checked(truth, prediction)
    box = _bounding_box(truth | prediction)
    if box is None:
        return SurfaceDistances(np.zeros(0), np.zeros(0))
    points = [np.argwhere(surface(mask[box])) * np.asarray(spacing_mm, float) for mask in (truth, prediction)]
    if not (len(points[0]) and len(points[1])):
        return SurfaceDistances(*(np.full(len(part), np.inf) for part in points))
    trees = [KDTree(part, balanced_tree=False, compact_nodes=False) for part in points]
    return SurfaceDistances(trees[1].query(points[0])[0], trees[0].query(points[1])[0])


def surface_distances_px(truth: np.ndarray, prediction: np.ndarray) -> SurfaceDistances:
    """Compute the surface distances in pixels, for photographs, whose scale nobody knows."""
    return surface_distances_mm(truth, prediction, (1.0,) * truth.ndim)


def boundary_iou(truth: np.ndarray, prediction: np.ndarray, *, width: float = 0.02) -> float:
    """Compute IoU of the two masks' inner rims (Cheng et al. 2021, "Boundary IoU"); 1 when both masks are empty.

    ``width`` of the rim as a share of the image diagonal (the paper's 2%), rounded, at least 1 pixel; the rim is what
    erosion by a 3 x 3 (x 3) square that often removes, with the image's edge as outside, as in the paper's code.
    """
    truth, prediction = _checked(truth, prediction)
    pixels = max(1, round(width * float(np.linalg.norm(truth.shape))))
    cube = np.ones((3,) * truth.ndim, dtype=bool)
    rims = [mask & ~np.asarray(binary_erosion(mask, cube, iterations=pixels), bool) for mask in (truth, prediction)]
    union = np.count_nonzero(rims[0] | rims[1])
    return np.count_nonzero(rims[0] & rims[1]) / union if union else 1.0


def surface(mask: np.ndarray) -> np.ndarray:
    """Compute points of a bool mask with a face neighbor outside; as bool, of the same shape."""
    return mask & ~np.asarray(binary_erosion(mask), bool)


def _checked(truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if truth.shape != prediction.shape:
        raise InputError(f"the truth is {truth.shape} and the prediction {prediction.shape}: give masks of one grid")
    return binary(truth, "truth"), binary(prediction, "prediction")


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...] | None:
    box = []
    for axis in range(mask.ndim):
        present = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if len(present) == 0:
            return None
        box.append(slice(int(present[0]), int(present[-1]) + 1))
    return tuple(box)
