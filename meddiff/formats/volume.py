"""Volume: voxels, where they lie in the patient, and what they measure. Import the reader from meddiff.formats.open.

Geometry that a file does not tell is None, never a guess: a volume without orientation can be looked at and learned
from, but not compared with another one in millimeters, nor written as if a scanner had placed it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


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
    """Where each array axis leads: one of L or R, P or A, I or S each."""
    modality: str | None = None
    """MR, CT, PT ... as DICOM calls it."""
    units: str | None = None
    """What the values measure: HU for Hounsfield, or the file's own word; None is unknown."""
    identifiers: Mapping[str, str] = field(default_factory=dict)
    """Of series and study; no name, birth date or patient number. UIDs among them do not leave the memory."""
    notes: tuple[str, ...] = ()
    """What was odd about the file and how it was read all the same, a sentence each."""
    color: bool = False
    """Whether the last axis is red, green, blue."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along the three axes."""
        i, j, k = self.array.shape[:3]
        return i, j, k

    @property
    def count(self) -> int:
        """How many volumes lie on the grid."""
        return self.array.shape[3] if self.array.ndim == 4 and not self.color else 1
