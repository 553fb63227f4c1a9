"""NIfTI (and Analyze, MGH) through nibabel: one affine out of a header that may hold two, or none.

A NIfTI header has two ways to say where its voxels lie, sform and qform, each with a code that is 0 where it is not
filled in. sform wins where both are; that they differ is noted. Two that disagree about left and right, numbers that
are no geometry, or a shear that no scanner makes are refused: whoever wrote the file must say what is right. With
both codes 0 the standard knows voxel sizes but no orientation, and so do we (nibabel makes one up).

What a NIfTI header tells without its voxels: a data set of large volumes is listed in seconds, not in minutes.

Volumes to NIfTI, with the geometry in both places where programs look for it.

sform holds any affine. qform holds a rotation, a size per axis and a mirroring, so it is filled in only where it says
the same as sform: a program that prefers qform must not be sent to another place (ITK-SNAP, FSL and Slicer differ).
"""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from meddiff.errors import InputError
from meddiff.files.bad import bad_file, check_file
from meddiff.files.bounds import check_memory
from meddiff.files.writing import write_atomically
from meddiff.formats.damage import damage_named
from meddiff.formats.forms import Forms, forms_of, put_forms
from meddiff.formats.nifti_layout import (
    check_layout,
    check_name,
    is_packed,
    is_single,
    mgh_knows_place,
    packing_notes,
    start_of,
    voxels_of,
)
from meddiff.formats.volume import Volume, corners_apart_mm, same_place

SUFFIXES = (".nii", ".nii.gz", ".img", ".hdr", ".img.gz", ".hdr.gz", ".mgz", ".mgh")
SHORTEST_MM = 1e-6
"""Shortest distance of two voxels: below it an axis has no length."""
LARGEST_SHEAR_DEGREES = 45.0
GZIP_RATIO = 1032  # deflate cannot shrink more
_MILLIMETERS = {"meter": 1e3, "micron": 1e-3}


def read_nifti(path: Path) -> Volume:
    """Read the volume of a NIfTI-1, NIfTI-2, Analyze or MGH file.

    Values that the header scales become float32 (float64 where the stored type is wider than 16 bits), others keep
    their type. RGB and RGBA become color, without transparency.

    Raises:
        InputError: missing, damaged or cut off files, complex numbers, fewer than two axes, contradictory geometry.
    """
    import nibabel

    check_file(path)
    with damage_named(path):
        opened = _opened(path)
        header = opened.header
        if not hasattr(header, "get_zooms"):
            raise bad_file(path, f"this is no volume but a {type(opened).__name__}")
        _check_size(path, opened.shape, header.get_data_dtype(), int(getattr(opened.dataobj, "offset", 0)))
        affine, notes = _geometry(path, opened)
        forms = _forms(header) if affine is not None else None
        array, color = _values(path, opened)
    spacing = _spacing(affine, header)
    orientation = None if affine is None else nibabel.aff2axcodes(affine)  # type: ignore[attr-defined]
    return Volume(array, affine, spacing, orientation, notes=(*packing_notes(path), *notes), color=color, forms=forms)


def _opened(path: Path) -> Any:
    """Open a nibabel image; a .nii.gz is unpacked at once, in a third of the time that nibabel's own reading takes."""
    import nibabel

    check_layout(path)
    if not is_single(path) or (not is_packed(path) and path.name.lower().endswith(".nii")):
        if not is_single(path):
            check_name(path)
        return nibabel.load(path)  # type: ignore[attr-defined]
    from isal import igzip

    with igzip.IGzipFile(str(path), "rb") if is_packed(path) else path.open("rb") as file:
        start = file.read(540)
        kind, header = _header(start)
        offset, shape, dtype = int(header.get_data_offset()), header.get_data_shape(), header.get_data_dtype()
        _check_size(path, shape, dtype, offset)
        size = offset + _size(shape, dtype)
        content = start + file.read(max(size - len(start), 0))
        file.read(1)  # at the end the checksum is compared
    if len(content) < size:
        raise bad_file(path, f"the volume is cut off: it holds {len(content)} of {size} bytes")
    return kind.from_bytes(content)


def _header(start: bytes) -> tuple[Any, Any]:
    """Read the header of a single-file NIfTI from its first bytes: nibabel's class of image, and the header."""
    import nibabel

    kind = nibabel.Nifti2Image if start[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else nibabel.Nifti1Image  # type: ignore[attr-defined]
    return kind, kind.header_class(start[: kind.header_class.template_dtype.itemsize], check=False)


def _size(shape: Sequence[int], dtype: np.dtype) -> int:
    return int(np.prod([int(size) for size in shape], dtype=object)) * dtype.itemsize


def _check_size(path: Path, shape: Sequence[int], dtype: np.dtype, offset: int) -> None:
    """Refuse, before memory is taken, a header that promises more than the file can hold."""
    if any(size <= 0 for size in shape) or not shape:
        raise bad_file(path, f"the header says that the volume has the shape {tuple(shape)}")
    file = voxels_of(path)
    if not file.exists():
        raise bad_file(path, f"the voxels are missing, they belong into {file.name} beside it")
    ratio = GZIP_RATIO if is_packed(file) else 1
    if max(offset, 0) + _size(shape, dtype) > file.stat().st_size * ratio:
        reason = f"the header promises {tuple(shape)} voxels of {dtype.itemsize} bytes, more than the file can hold"
        raise bad_file(path, f"{reason}: it is cut off or damaged")
    check_memory(path, max(offset, 0) + _size(shape, dtype))


def _values(path: Path, opened) -> tuple[np.ndarray, bool]:
    """Read voxels [I, J, K, ...] without needless axes, and tell whether they are colors."""
    raw = opened.header.get_data_dtype()
    if raw.names:
        array = np.asanyarray(opened.dataobj)
        names = [name for name in ("R", "G", "B") if name in raw.names]
        if len(names) != 3 or array.ndim > 3:
            raise bad_file(path, f"voxels of the kind {raw} and shape {array.shape} are not known")
        return np.stack([_three_axes(path, array[name]) for name in names], axis=-1), True
    if raw.kind not in "iufb":
        raise bad_file(path, f"voxels must be real numbers or colors, these are {raw.name}")
    slope, intercept = (getattr(opened.dataobj, name, default) for name, default in (("slope", 1), ("inter", 0)))
    if (slope, intercept) != (1, 0):  # stored integers become floating point
        check_memory(path, _size(opened.shape, np.dtype(np.float32 if raw.itemsize <= 2 else np.float64)))
    array = np.asanyarray(opened.dataobj)
    if array.dtype.kind == "f" and raw.kind in "iu":
        array = array.astype(np.float32 if raw.itemsize <= 2 else np.float64, copy=False)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    return _three_axes(path, array.astype(array.dtype.newbyteorder("="), copy=False)), False


def _three_axes(path: Path, array: np.ndarray) -> np.ndarray:
    while array.ndim > 3 and 1 in array.shape[3:]:
        array = array.squeeze(axis=3 + array.shape[3:].index(1))
    if array.ndim not in (2, 3, 4):
        raise bad_file(path, f"a volume has 2, 3 or 4 axes, this one has the shape {array.shape}")
    return array[..., None] if array.ndim == 2 else array


def _geometry(path: Path, opened) -> tuple[np.ndarray | None, list[str]]:
    header = opened.header
    if not hasattr(header, "get_sform"):
        if hasattr(header, "get_vox2ras"):
            if not mgh_knows_place(path):
                return None, ["the header says that it holds no orientation (goodRASFlag 0)"]
            return _plausible(path, np.asarray(opened.affine, dtype=np.float64)), []
        return None, ["Analyze files do not tell the orientation"]
    notes: list[str] = []
    affines = {}
    for name, code, read in (
        ("sform", int(header["sform_code"]), header.get_sform),
        ("qform", int(header["qform_code"]), header.get_qform),
    ):
        if code:
            affine = _solved(read)
            if affine is None:
                notes.append(f"the {name} is no geometry and was left out")
            else:
                affines[name] = affine
    if not affines:
        if notes:
            raise bad_file(path, "neither sform nor qform is a geometry (not finite, or an axis without length)")
        return None, ["sform and qform are both unset: the orientation is unknown"]
    if len(affines) == 2:
        notes += _disagreement(path, affines["sform"], affines["qform"], opened.shape)
    name, affine = next(iter(affines.items()))
    affine = _plausible(path, affine)
    return _in_millimeters(affine, header, notes), notes


def _solved(read) -> np.ndarray | None:
    from nibabel.spatialimages import HeaderDataError

    try:
        affine = np.asarray(read(), dtype=np.float64)
    except (HeaderDataError, ValueError, np.linalg.LinAlgError):
        return None
    if not _has_axes(affine):
        return None
    return affine if abs(np.linalg.det(_directions(affine))) > 1e-3 else None


def _has_axes(affine: np.ndarray) -> bool:
    """Tell whether an affine is finite and each of its axes has a length."""
    return bool(np.isfinite(affine).all() and (np.linalg.norm(affine[:3, :3], axis=0) > SHORTEST_MM).all())


def _directions(affine: np.ndarray) -> np.ndarray:
    """Return the axes of an affine at length 1, as columns."""
    return affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)


def _disagreement(path: Path, sform: np.ndarray, qform: np.ndarray, shape: Sequence[int]) -> list[str]:
    if np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0:
        raise bad_file(path, "sform and qform disagree about left and right (one mirrors the other)")
    if same_place(sform, qform, shape):
        return []
    apart = corners_apart_mm(sform, qform, shape)
    return [f"sform and qform place corners up to {apart:.2f} mm apart; sform is used"]


def _plausible(path: Path, affine: np.ndarray) -> np.ndarray:
    if not _has_axes(affine):
        raise bad_file(path, "the affine is no geometry (not finite, or an axis without length)")
    axes = _directions(affine)
    for axis in range(3):
        normal = np.cross(axes[:, axis - 2], axes[:, axis - 1])
        lean = np.degrees(np.arccos(min(1.0, abs(normal @ axes[:, axis]) / max(np.linalg.norm(normal), 1e-12))))
        if lean > LARGEST_SHEAR_DEGREES:
            reason = f"the affine leans axis {axis} by {lean:.0f} degrees against the plane of the others"
            raise bad_file(path, f"{reason}, which no scanner does: the header is wrong")
    return affine


def _in_millimeters(affine: np.ndarray, header, notes: list[str]) -> np.ndarray:
    unit = header.get_xyzt_units()[0]
    if unit not in _MILLIMETERS:
        return affine
    notes.append(f"the geometry was stored in {unit}s")
    return np.diag([*[_MILLIMETERS[unit]] * 3, 1.0]) @ affine


def _forms(header: Any) -> Forms | None:
    """Keep both forms of a header in which each that is filled in is a geometry."""
    if not hasattr(header, "get_sform"):
        return None
    reads = {"sform_code": header.get_sform, "qform_code": header.get_qform}
    if any(int(header[code]) and _solved(read) is None for code, read in reads.items()):
        return None
    return forms_of(header, _MILLIMETERS.get(header.get_xyzt_units()[0], 1.0))


def _spacing(affine: np.ndarray | None, header) -> tuple[float | None, float | None, float | None]:
    if affine is not None:
        i, j, k = (float(length) for length in np.linalg.norm(affine[:3, :3], axis=0))
        return i, j, k
    sizes = header.get_zooms()[:3]
    if set(sizes) == {1} and hasattr(header, "get_xyzt_units") and header.get_xyzt_units()[0] == "unknown":
        return None, None, None  # 1 without a unit is what programs write that know nothing
    zooms = [float(abs(zoom)) or None for zoom in sizes]
    i, j, k = [zoom if zoom is not None and np.isfinite(zoom) else None for zoom in [*zooms, None][:3]]
    return i, j, k


@dataclass(frozen=True)
class NiftiHeader:
    """Size and place of a volume."""

    shape: tuple[int, int, int]
    count: int
    """Number of volumes on the grid."""
    spacing_mm: tuple[float | None, float | None, float | None]
    """Distance of neighbors along each array axis; None is unknown."""


def read_nifti_header(path: Path) -> NiftiHeader:
    """Read the header of a NIfTI, Analyze or MGH file as `read_nifti` reads it.

    Raises:
        InputError: missing or damaged files, more axes than a volume has, contradictory geometry.
    """

    check_file(path)
    with damage_named(path):
        opened = _opened_header(path)
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


def _opened_header(path: Path) -> Any:
    """Open the nibabel image of a file whose voxels are not read."""
    import nibabel

    check_layout(path)
    if not is_single(path):
        check_name(path)
    elif packing_notes(path):  # nibabel goes by the name
        kind, header = _header(start_of(path, 540))
        return kind(np.broadcast_to(np.zeros((), header.get_data_dtype()), header.get_data_shape()), None, header)
    return nibabel.load(path)  # type: ignore[attr-defined]


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
    forms: Forms | None = None,
) -> None:
    """Write a volume under a temporary name, then rename. Values are stored as they are, without a scale.

    Args:
        array: [I, J, K] or [I, J, K, N], whole numbers of up to 32 bits, float32 or float64; bool is stored as 0 and 1.
        path: ends in .nii or .nii.gz.
        affine: 4 x 4, voxel index -> RAS millimeters, as Volume.affine; None marks the orientation as unknown.
        spacing_mm: only where affine is None: distance of neighbors along each axis; None is unknown.
        forms: of the image that this is a mask of: both affines of its header with their codes, so that no program
            puts one elsewhere than the other.

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
    if forms is not None:
        content = _with_forms(content, forms)
    data = gzip.compress(content, mtime=0) if path.name.lower().endswith(".gz") else content
    write_atomically(path, lambda file: file.write(data), durable=False)


def _with_forms(content: bytes, forms: Forms) -> bytes:
    import nibabel

    header = nibabel.Nifti1Header(content[:_HEADER])  # type: ignore[attr-defined]
    put_forms(forms, header)
    return header.binaryblock + content[_HEADER:]


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
