"""The two ways in which a NIfTI header says where its voxels lie, kept so that a mask says the same as its image.

Programs differ in which they believe: sform (nibabel, FSL), qform (ITK-SNAP where the codes are equal), or the one with
the higher code. Where an image has two that differ, a mask with one of them lies beside its image in half of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_NUMBERS = ("srow_x", "srow_y", "srow_z", "qoffset_x", "qoffset_y", "qoffset_z")
_TURNS = ("sform_code", "qform_code", "quatern_b", "quatern_c", "quatern_d")


@dataclass(frozen=True)
class Forms:
    """sform and qform with their codes, as a header has them, in millimeters."""

    fields: Mapping[str, np.ndarray]
    pixdim: np.ndarray
    """[4] handedness of the qform, and the size of a voxel along each axis."""


def forms_of(header: Any, millimeters: float) -> Forms:
    """Read both forms of a NIfTI header whose unit has so many millimeters."""
    fields = {name: np.array(header[name], dtype=np.float64) * millimeters for name in _NUMBERS}
    fields |= {name: np.array(header[name]) for name in _TURNS}
    pixdim = np.array(header["pixdim"][:4], dtype=np.float64)
    pixdim[1:] *= millimeters
    return Forms(fields, pixdim)


def put_forms(forms: Forms, header: Any) -> None:
    """Write both forms into a NIfTI header in millimeters."""
    for name, value in forms.fields.items():
        header[name] = value
    header["pixdim"][:4] = forms.pixdim
