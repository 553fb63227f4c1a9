"""The bytes of NIfTI, Analyze and MGH files, before nibabel reads them: packing, names, and where voxels begin.

nibabel goes by a file's name where its content says something else, reads a header's own bytes as voxels where the
offset is wrong, and believes the lengths of the extensions between a header and its voxels.
"""

import math
import struct
from pathlib import Path

from meddiff.files.bad import bad_file

_GZIP = b"\x1f\x8b"
LARGEST_BYTES = 1 << 26
"""Of header and extensions; they hold histories and tables, tens of megabytes at most."""
_LAYOUTS = {348: (108, "f"), 540: (168, "q")}
"""Length of the header -> where it says at which byte the voxels begin, NIfTI-1 and NIfTI-2."""


def is_packed(path: Path) -> bool:
    """Tell by its content whether a file is packed with gzip, whatever it is called."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP


def packing_notes(path: Path) -> tuple[str, ...]:
    """Note a NIfTI file that is packed and not called so, or the other way round."""
    name, packed = path.name.lower(), is_packed(path)
    if packed == name.endswith((".gz", ".mgz")):
        return ()
    return (f"the file is {'' if packed else 'not '}packed with gzip, whatever its name says",)


def check_name(path: Path) -> None:
    """Refuse a file that nibabel takes for packed because of its name, or for plain."""
    if notes := packing_notes(path):
        right = f"{path.name}.gz" if is_packed(path) else path.name[: -len(".gz")]
        right = f"{path.stem}.mgh" if path.suffix.lower() == ".mgz" else right
        raise bad_file(path, f"{notes[0]}. Call it {right}")


def is_single(path: Path) -> bool:
    """Tell by its name whether a NIfTI file holds its voxels itself."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def voxels_of(path: Path) -> Path:
    """Name the file of the voxels that belong to a header, spelled as the header is: X.HDR and X.IMG."""
    name = path.name
    for header, voxels in ((".hdr", ".img"), (".HDR", ".IMG"), (".Hdr", ".Img")):
        for packed in ("", ".gz", ".GZ"):
            if name.endswith(header + packed):
                return path.with_name(name[: -len(header + packed)] + voxels + packed)
    return path


def check_layout(path: Path) -> None:
    """Refuse voxels that begin where none can, and extensions that reach beyond their place.

    nibabel reads a header's own bytes as voxels, and takes the memory that the lengths of extensions name.

    Raises:
        InputError: an offset of the voxels inside the header, or an extension that is longer than what lies between.
    """
    start = start_of(path, 544)
    size, order = next(
        ((size, order) for order in "<>" for size in _LAYOUTS if start[:4] == struct.pack(f"{order}i", size)), (0, "")
    )
    if not size or len(start) < size:
        return  # no NIfTI
    offset, kind = _LAYOUTS[size]
    voxels = struct.unpack_from(f"{order}{kind}", start, offset)[0]
    pair = not is_single(path)  # whose voxels lie in another file: extensions go on to the end
    least = 0 if pair else size + 4
    if not (math.isfinite(voxels) and voxels == int(voxels) and voxels >= least):
        reason = f"its voxels are said to begin at byte {voxels:g} (vox_offset)"
        raise bad_file(path, f"{reason}, and they cannot before byte {least}: the header is wrong")
    if len(start) < size + 4 or not start[size]:
        return  # nothing lies between header and voxels
    content = start_of(path, LARGEST_BYTES if pair or not 0 <= voxels <= LARGEST_BYTES else int(voxels))
    end = len(content) if pair else voxels
    place = size + 4
    while place + 16 <= end:
        length = struct.unpack_from(f"{order}i", content, place)[0] if place + 4 <= len(content) else 0
        if length < 8 or place + length > len(content):
            raise bad_file(path, f"an extension of its header claims {length} bytes, {len(content) - place} are there")
        place += length
    if place + 8 <= end and (length := struct.unpack_from(f"{order}i", content, place)[0]) > end - place:
        raise bad_file(path, f"an extension of its header claims {length} bytes, its voxels begin inside it")


def mgh_knows_place(path: Path) -> bool:
    """Tell whether an MGH header holds directions; nibabel fills in some where it does not."""
    return struct.unpack_from(">h", start_of(path, 30), 28)[0] == 1


def start_of(path: Path, size: int) -> bytes:
    """Read the first bytes of a header, unpacked."""
    path = path.with_name(path.name.replace(".img", ".hdr").replace(".IMG", ".HDR"))
    if not is_packed(path):
        with path.open("rb") as file:
            return file.read(size)
    from isal import igzip

    with igzip.IGzipFile(str(path), "rb") as file:
        return file.read(size)
