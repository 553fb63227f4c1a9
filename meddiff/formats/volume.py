"""Volume: voxels, where they lie in the patient, and what they measure. Import the reader from meddiff.formats.open.

Geometry that a file does not tell is None, never a guess: a volume without orientation can be looked at and learned
from, but not compared with another one in millimeters, nor written as if a scanner had placed it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from meddiff.formats.forms import Forms

SAME_PLACE = 0.1
"""Share of a voxel's shortest edge: grids whose corners lie nearer to each other are one.

Headers are rounded: an affine of float32 and the quaternion of the same place differ by hundredths of a voxel at the
far corner of a large volume. A mask that was drawn on other voxels is off by one half and more. A tenth moves no border
that anybody could draw. Training, evaluation, audit and the two affines of one NIfTI are all asked this.
"""


@dataclass(frozen=True)
class Place:
    """Position of the voxels of a grid, as far as its file tells."""

    shape: tuple[int, ...]
    affine: np.ndarray | None
    """4 x 4, index -> RAS millimeters; None where the orientation is unknown."""
    spacing_mm: tuple[float | None, ...]
    """Distance of neighbors along each axis; None is unknown."""


@dataclass(frozen=True)
class Volume:
    """Voxels in memory. Axes are those of the file, in the order of NIfTI: the fastest of the scanner first."""

    array: np.ndarray
    """[I, J, K], [I, J, K, N] for N volumes on one grid, or uint8 [I, J, K, 3] where ``color``."""
    affine: np.ndarray | None
    """4 x 4 float64: index (i, j, k, 1) -> millimeters to the patient's right, front and head (RAS), voxel centers.

    None where the file does not tell the orientation. Columns may be oblique, and sheared by a tilted gantry.
    """
    spacing_mm: tuple[float | None, float | None, float | None]
    """Distance of neighbors along each array axis, the length of the affine's columns; None is unknown.

    A single slice has no third spacing: its affine's third column is the unit normal, which moves no voxel.
    """
    orientation: tuple[str, str, str] | None
    """Direction of each array axis: one of L or R, P or A, I or S each."""
    modality: str | None = None
    """MR, CT, PT ... as DICOM calls it."""
    units: str | None = None
    """Unit of the values: HU for Hounsfield, or the file's own word; None is unknown."""
    identifiers: Mapping[str, str] = field(default_factory=dict)
    """Identifiers of series and study; no name, birth date or patient number. The UIDs do not leave the memory."""
    notes: tuple[str, ...] = ()
    """Oddities of the file, and how it was read all the same, a sentence each."""
    color: bool = False
    """True where the last axis is red, green, blue."""
    forms: Forms | None = None
    """Both affines of a NIfTI header, for masks to be written with; None where a file has no two."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along the three axes."""
        i, j, k = self.array.shape[:3]
        return i, j, k

    @property
    def place(self) -> Place:
        """Position of the voxels."""
        return Place(self.shape, self.affine, self.spacing_mm)

    @property
    def count(self) -> int:
        """Number of volumes on the grid."""
        return self.array.shape[3] if self.array.ndim == 4 and not self.color else 1


def same_place(one: np.ndarray, two: np.ndarray, shape: Sequence[int]) -> bool:
    """Tell whether two affines put a grid of this shape at one place, but for the rounding of headers."""
    shortest = min(np.linalg.norm(affine[:3, :3], axis=0).min() for affine in (one, two))
    return corners_apart_mm(one, two, shape) <= SAME_PLACE * shortest


def corners_apart_mm(one: np.ndarray, two: np.ndarray, shape: Sequence[int]) -> float:
    """Measure the largest distance of a corner of a grid of this shape, put in place by one affine and by another."""
    last = np.array([*shape, 1, 1][:3]) - 1
    corners = np.array(list(np.ndindex(2, 2, 2))) * last
    return float(np.linalg.norm(corners @ (one - two)[:3, :3].T + (one - two)[:3, 3], axis=1).max())
