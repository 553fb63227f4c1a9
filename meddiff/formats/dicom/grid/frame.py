"""One slice of a DICOM file: where it lies, what its values measure, and what tells it from others at its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from meddiff.errors import InputError
from meddiff.formats.dicom.grid.measure import AS_STORED, Measure

SAME_PLACE_MM = 1e-2
ONE_VOLUME = "Choose files of one volume."


@dataclass(frozen=True)
class Frame:
    """One slice of a file."""

    file: Path
    index: int
    """Number of the frame in the file, from 0."""
    corner: tuple[int, int]
    """First row and column of the slice in the stored picture; not (0, 0) in a mosaic."""
    shape: tuple[int, int]
    """Rows and columns."""
    position: np.ndarray
    """[3] center of the first pixel, LPS millimeters."""
    directions: np.ndarray
    """[2, 3] unit vectors along a row (growing column) and along a column (growing row)."""
    spacing_mm: tuple[float, float]
    """Between columns, and between rows."""
    marks: Mapping[str, Any] = field(default_factory=dict)
    """Echo, b-value, time and all else that tells slices at one place apart; see marks."""
    number: tuple[float, ...] = ()
    """Of the file in its series and of the frame in its file."""
    measure: Measure = AS_STORED
    space: str = ""
    """FrameOfReferenceUID: positions of another one do not compare."""

    @property
    def name(self) -> str:
        """For messages."""
        return self.file.name + (f" frame {self.index}" if self.index else "")


def names(frames: Sequence[Frame], limit: int = 6) -> str:
    """Name the files of some slices, for messages."""
    files = list(dict.fromkeys(frame.name for frame in frames))
    return ", ".join(files[:limit]) + (f" and {len(files) - limit} more" if len(files) > limit else "")


def refused(where: object, reason: str, cure: str = ONE_VOLUME) -> InputError:
    """Make the error for slices that are no volume."""
    return InputError(f"{where}: {reason}. {cure}")
