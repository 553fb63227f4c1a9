"""NIfTI (and Analyze, MGH) through nibabel: one affine out of a header that may hold two, or none.

A NIfTI header has two ways to say where its voxels lie, sform and qform, each with a code that is 0 where it is not
filled in. sform wins where both are; that they differ is told. Two that disagree about left and right, numbers that
are no geometry, or a shear that no scanner makes are refused: whoever wrote the file must say what is right. With
both codes 0 the standard knows voxel sizes but no orientation, and so do we (nibabel makes one up).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meddiff.files.bounds import check_memory
from meddiff.formats.damage import damage_told
from meddiff.formats.nifti_extensions import check_extensions
from meddiff.formats.pictures import bad_file, check_file
from meddiff.formats.volume import Volume

SUFFIXES = (".nii", ".nii.gz", ".img", ".hdr", ".img.gz", ".hdr.gz", ".mgz", ".mgh")
LARGEST_SHEAR_DEGREES = 45.0
GZIP_RATIO = 1032  # deflate cannot shrink more
_MILLIMETERS = {"meter": 1e3, "micron": 1e-3}


def read_nifti(path: Path) -> Volume:
    """The volume of a NIfTI-1, NIfTI-2, Analyze or MGH file.

    Values that the header scales become float32 (float64 where the stored type is wider than 16 bits), others keep
    their type. RGB and RGBA become color, without transparency.

    Raises:
        InputError: missing, damaged or cut off files, complex numbers, fewer than two axes, contradictory geometry.
    """
    import nibabel

    check_file(path)
    with damage_told(path):
        opened = _opened(path)
        header = opened.header
        if not hasattr(header, "get_zooms"):
            raise bad_file(path, f"this is no volume but a {type(opened).__name__}")
        _check_size(path, opened.shape, header.get_data_dtype(), int(getattr(opened.dataobj, "offset", 0)))
        affine, notes = _geometry(path, opened)
        array, color = _values(path, opened)
    spacing = _spacing(affine, header)
    orientation = None if affine is None else nibabel.aff2axcodes(affine)  # type: ignore[attr-defined]
    return Volume(array, affine, spacing, orientation, notes=tuple(notes), color=color)


def _opened(path: Path) -> Any:
    """The nibabel image; a .nii.gz is unpacked at once, in a third of the time that nibabel's own reading takes."""
    import nibabel

    if not path.name.lower().endswith(".nii.gz"):
        check_extensions(path)
        return nibabel.load(path)  # type: ignore[attr-defined]
    from isal import igzip

    with igzip.IGzipFile(str(path), "rb") as file:
        start = file.read(540)
        kind = nibabel.Nifti2Image if start[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else nibabel.Nifti1Image  # type: ignore[attr-defined]
        header = kind.header_class(start[: kind.header_class.template_dtype.itemsize], check=False)
        offset, shape, dtype = int(header.get_data_offset()), header.get_data_shape(), header.get_data_dtype()
        _check_size(path, shape, dtype, offset)
        size = offset + _size(shape, dtype)
        content = start + file.read(max(size - len(start), 0))
        file.read(1)  # at the end the checksum is compared
    if len(content) < size:
        raise bad_file(path, f"the volume is cut off: it holds {len(content)} of {size} bytes")
    return kind.from_bytes(content)


def _size(shape: Sequence[int], dtype: np.dtype) -> int:
    return int(np.prod([int(size) for size in shape], dtype=object)) * dtype.itemsize


def _check_size(path: Path, shape: Sequence[int], dtype: np.dtype, offset: int) -> None:
    """Refuse, before memory is taken, a header that promises more than the file can hold."""
    if any(size <= 0 for size in shape) or not shape:
        raise bad_file(path, f"the header says that the volume has the shape {tuple(shape)}")
    file = path.with_suffix(".img") if path.suffix == ".hdr" else path
    if not file.exists():
        raise bad_file(path, f"the voxels are missing, they belong into {file.name} beside it")
    ratio = GZIP_RATIO if path.suffix.lower() in (".gz", ".mgz") else 1
    if max(offset, 0) + _size(shape, dtype) > file.stat().st_size * ratio:
        reason = f"the header promises {tuple(shape)} voxels of {dtype.itemsize} bytes, more than the file can hold"
        raise bad_file(path, f"{reason}: it is cut off or damaged")
    check_memory(path, max(offset, 0) + _size(shape, dtype))


def _values(path: Path, opened) -> tuple[np.ndarray, bool]:
    """Voxels [I, J, K, ...] without needless axes, and whether they are colors."""
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
            return _plausible(path, np.asarray(opened.affine, dtype=np.float64)), []
        return None, ["Analyze files do not tell the orientation"]
    notes: list[str] = []
    found = {}
    for name, code, read in (
        ("sform", int(header["sform_code"]), header.get_sform),
        ("qform", int(header["qform_code"]), header.get_qform),
    ):
        if code:
            affine = _solved(read)
            if affine is None:
                notes.append(f"the {name} is no geometry and was left out")
            else:
                found[name] = affine
    if not found:
        if notes:
            raise bad_file(path, "neither sform nor qform is a geometry (not finite, or an axis without length)")
        return None, ["sform and qform are both unset: the orientation is unknown"]
    if len(found) == 2:
        notes += _disagreement(path, found["sform"], found["qform"], opened.shape)
    name, affine = next(iter(found.items()))
    affine = _plausible(path, affine)
    return _in_millimeters(affine, header, notes), notes


def _solved(read) -> np.ndarray | None:
    from nibabel.spatialimages import HeaderDataError

    try:
        affine = np.asarray(read(), dtype=np.float64)
    except (HeaderDataError, ValueError, np.linalg.LinAlgError):
        return None
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not (lengths > 1e-6).all():
        return None
    return affine if abs(np.linalg.det(affine[:3, :3] / lengths)) > 1e-3 else None


def _disagreement(path: Path, sform: np.ndarray, qform: np.ndarray, shape: Sequence[int]) -> list[str]:
    if np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0:
        raise bad_file(path, "sform and qform disagree about left and right (one mirrors the other)")
    sizes = [*shape, 1, 1][:3]
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in sizes])).reshape(3, -1)
    apart = np.linalg.norm((sform - qform)[:3, :3] @ corners + (sform - qform)[:3, 3:], axis=0).max()
    if apart < 0.1 * np.linalg.norm(sform[:3, :3], axis=0).min():
        return []
    return [f"sform and qform place corners up to {apart:.2f} mm apart; sform is used"]


def _plausible(path: Path, affine: np.ndarray) -> np.ndarray:
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
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
