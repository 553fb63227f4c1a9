"""NRRD and MetaImage (.mha, .mhd) through SimpleITK, whose LPS world becomes RAS."""

from pathlib import Path

import numpy as np

from meddiff.formats.damage import damage_told
from meddiff.formats.metaimage import check_text_header
from meddiff.formats.pictures import bad_file, check_file
from meddiff.formats.volume import Volume

_NRRD, _META = "NrrdImageIO", "MetaImageIO"
_FORMATS = {".nrrd": _NRRD, ".nhdr": _NRRD, ".mha": _META, ".mhd": _META}  # told, or SimpleITK tries all it knows
SUFFIXES = tuple(_FORMATS)
_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_metaimage(path: Path) -> Volume:
    """The volume of a NRRD or MetaImage file; three 8-bit values per voxel are color, other vectors the last axis.

    Raises:
        InputError: missing, damaged or cut off files, complex numbers, more than three axes.
    """
    import nibabel
    import SimpleITK

    check_file(path)
    with damage_told(path):
        check_text_header(path)
        image = SimpleITK.ReadImage(str(path), imageIO=_FORMATS[path.suffix.lower()])
        values = SimpleITK.GetArrayFromImage(image)
        size, components = image.GetSize(), image.GetNumberOfComponentsPerPixel()
        if len(size) not in (2, 3) or values.dtype.kind not in "iuf":
            raise bad_file(path, f"a volume of 2 or 3 axes of real numbers is needed, this is {values.dtype} {size}")
        affine = np.eye(4)
        axes = len(size)
        direction = np.asarray(image.GetDirection()).reshape(axes, axes)
        affine[:axes, :axes] = direction * np.asarray(image.GetSpacing())
        affine[:axes, 3] = image.GetOrigin()
        placed = path.suffix.lower() in (".mha", ".mhd") or image.HasMetaDataKey("NRRD_space")
    values = values if components > 1 else values[..., None]
    array = np.moveaxis(values, -1, 0).T  # [..., K, J, I, N] -> [I, J, K, N]
    array = array[:, :, None] if axes == 2 else array
    color = components == 3 and array.dtype == np.uint8
    array = array[..., 0] if components == 1 else array
    spacing = tuple(float(value) for value in np.linalg.norm(affine[:3, :3], axis=0))
    if axes == 2:
        spacing = (*spacing[:2], None)
    affine = _TO_RAS @ affine if placed else None
    notes = () if placed else ("the file names no space: the orientation is unknown",)
    orientation = nibabel.aff2axcodes(affine) if affine is not None else None  # type: ignore[attr-defined]
    return Volume(array, affine, spacing, orientation, notes=notes, color=color)  # type: ignore[arg-type]
