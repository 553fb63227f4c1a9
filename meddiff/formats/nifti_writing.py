"""Volumes to NIfTI, with the geometry in both places where programs look for it.

sform holds any affine. qform holds a rotation, a size per axis and a mirroring, so it is filled in only where it says
the same as sform: a program that prefers qform must not be sent to another place (ITK-SNAP, FSL and Slicer differ).
"""

import gzip
from pathlib import Path

import numpy as np

from meddiff.errors import InputError
from meddiff.files.writing import write_atomically

_DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
_HEADER = 348  # bytes
_SCANNER = 1
_QFORM_MM = 1e-3  # quaternions are float32


def save_volume(
    array: np.ndarray,
    path: str | Path,
    *,
    affine: np.ndarray | None,
    spacing_mm: tuple[float, float, float] | None = None,
) -> None:
    """Write a volume under a temporary name, then rename. Values are stored as they are, without a scale.

    Args:
        array: [I, J, K] or [I, J, K, N], whole numbers of up to 32 bits, float32 or float64; bool is stored as 0 and 1.
        path: ends in .nii or .nii.gz.
        affine: 4 x 4, voxel index -> RAS millimeters, as Volume.affine; None marks the orientation as unknown.
        spacing_mm: only where affine is None: distance of neighbors along each axis; None is unknown.

    Raises:
        InputError: another suffix, an affine that is no geometry, a disk that is full or may not be written to.
        ValueError: an array that NIfTI cannot hold without loss.
    """
    path = Path(path)
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise InputError(f"{path}: volumes are written as .nii or .nii.gz. Choose one of these names.")
    array = array.astype(np.uint8) if array.dtype == bool else array
    if array.dtype.name not in _DTYPES or array.ndim not in (3, 4):
        raise ValueError(
            f"NIfTI holds [I, J, K] or [I, J, K, N] of {', '.join(_DTYPES)}, not {array.dtype} {array.shape}"
        )
    content = _bytes(array, path, affine, spacing_mm)
    data = gzip.compress(content, mtime=0) if path.name.lower().endswith(".gz") else content
    write_atomically(path, lambda file: file.write(data), durable=False)


def _bytes(array: np.ndarray, path: Path, affine: np.ndarray | None, spacing_mm) -> bytes:
    import nibabel

    if affine is not None and not (np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 0):
        raise InputError(f"{path}: the affine is no geometry:\n{affine}\nGive one whose axes have a length.")
    image = nibabel.Nifti1Image(array, affine)  # type: ignore[attr-defined]
    image.header.set_xyzt_units("mm")
    if affine is None:
        # behind nibabel's back, which turns a new voxel size into an orientation of its own
        content = bytearray(image.to_bytes())
        header = nibabel.Nifti1Header(bytes(content[:_HEADER]))  # type: ignore[attr-defined]
        header["sform_code"] = header["qform_code"] = 0
        header["pixdim"][1:4] = spacing_mm or (1, 1, 1)  # NIfTI's word for an unknown size is 1 without a unit
        header.set_xyzt_units("mm" if spacing_mm else "unknown")
        content[:_HEADER] = header.binaryblock
        return bytes(content)
    image.set_sform(affine, code=_SCANNER)
    image.set_qform(affine, code=_SCANNER)
    if np.abs(image.get_qform() - affine).max() > _QFORM_MM:
        image.set_qform(affine, code=0)
    return image.to_bytes()
