"""What a NIfTI header tells without its voxels: a data set of large volumes is listed in seconds, not in minutes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meddiff.formats.damage import damage_told
from meddiff.formats.nifti import _geometry, _spacing
from meddiff.formats.nifti_extensions import check_extensions
from meddiff.formats.pictures import bad_file, check_file


@dataclass(frozen=True)
class NiftiHeader:
    """Size and place of a volume."""

    shape: tuple[int, int, int]
    count: int
    """How many volumes lie on the grid."""
    spacing_mm: tuple[float | None, float | None, float | None]
    """Distance of neighbors along each array axis; None is unknown."""


def read_nifti_header(path: Path) -> NiftiHeader:
    """The header of a NIfTI, Analyze or MGH file, read as `nifti.read_nifti` reads it.

    Raises:
        InputError: missing or damaged files, more axes than a volume has, contradictory geometry.
    """
    import nibabel

    check_file(path)
    with damage_told(path):
        check_extensions(path)
        opened: Any = nibabel.load(path)  # type: ignore[attr-defined]
        if not hasattr(opened.header, "get_zooms"):
            raise bad_file(path, f"this is no volume but a {type(opened).__name__}")
        affine, _ = _geometry(path, opened)
        spacing = _spacing(affine, opened.header)
        sizes = [int(size) for size in opened.shape]
    several = [size for size in sizes[3:] if size > 1]
    if len(sizes) < 2 or len(several) > 1:
        raise bad_file(path, f"a volume has 2, 3 or 4 axes, this one has the shape {tuple(sizes)}")
    i, j, k = [*sizes, 1][:3]
    return NiftiHeader((i, j, k), several[0] if several else 1, spacing)
