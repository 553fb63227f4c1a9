"""NRRD and MetaImage (.mha, .mhd) through SimpleITK, whose LPS world becomes RAS.

What the text headers of NRRD and MetaImage say, read before the library that believes them is asked.

SimpleITK takes the memory that a header states and opens whatever file it names: /etc/passwd, a device, the standard
input, for which it waits for ever. A line of thousands of letters that it wants to complain of ends the program, and a
direction of 1e308 keeps it busy without an end. So sizes are compared with what the file can hold, lines are short,
numbers small, and voxels lie in the file itself or in one file below the same folder.
"""

import math
import re
from contextlib import suppress
from pathlib import Path, PureWindowsPath

import numpy as np

from meddiff.errors import InputError
from meddiff.files.bad import bad_file, check_file
from meddiff.files.bounds import check_memory
from meddiff.formats.damage import damage_named
from meddiff.formats.volume import Volume

LONGEST_HEADER = 1 << 20
LONGEST_LINE = 1000
LARGEST_AXES = 5
LARGEST_MM = 1e9
_DEFLATE_RATIO = 1032
_GEOMETRY = dict.fromkeys(("transformmatrix", "rotation", "orientation", "offset", "position", "origin",
                           "elementspacing", "spacedirections", "spaceorigin", "measurementframe"), False)  # fmt: skip
_GEOMETRY |= dict.fromkeys(("spacings", "thicknesses", "axismins", "axismaxs"), True)
"""Keys of millimeters and directions, and whether nan is how they say that they do not know."""
_ITEM_BYTES = (("64", 8), ("longlong", 8), ("double", 8), ("16", 2), ("short", 2), ("8", 1), ("char", 1), ("32", 4),
               ("int", 4), ("long", 4), ("float", 4))  # fmt: skip
"""Words in the name of a type, the first that fits counts; of NRRD's spellings (unsigned short int) and MetaImage's."""
_TEXT = ("text", "txt", "ascii")


def check_text_header(path: Path) -> dict[str, str]:
    """Refuse a header that a library should not see.

    Raises:
        InputError: sizes that are no whole numbers above 0 or more than the file can hold, values that are no
            numbers, geometry beyond all measure, a packing whose size has no bound, and voxels in several files or
            outside the folder.
    """
    header = _fields(path)
    _check_geometry(path, header)
    sizes = _whole_numbers(path, header, "sizes", "dimsize")
    axes = _whole_numbers(path, header, "dimension", "ndims")
    if axes != [len(sizes)] or len(sizes) > LARGEST_AXES:
        raise bad_file(path, f"the header states {axes} axes and the sizes {sizes[:9]}; up to {LARGEST_AXES} are read")
    channels = _whole_numbers(path, header, "elementnumberofchannels") if "elementnumberofchannels" in header else [1]
    kind = header.get("type", header.get("elementtype", "")).lower().replace(" ", "").replace("_", "")
    item = next((size for word, size in _ITEM_BYTES if word in kind), 0)
    if not item:
        raise bad_file(path, f"values of the type {kind!r} are no numbers")
    encoding = "text" if header.get("binarydata", "").lower() == "false" else header.get("encoding", "raw").lower()
    packed = encoding in ("gzip", "gz") or header.get("compresseddata", "").lower() == "true"
    if encoding not in (*_TEXT, "raw", "hex", "gzip", "gz"):
        raise bad_file(path, f"its encoding is {encoding!r}; raw, text, hex and gzip are read")
    count, voxels = math.prod(sizes + channels), _voxel_file(path, header)
    held = voxels.stat().st_size
    if int(header.get("compresseddatasize") or 0) > held:
        raise bad_file(path, f"{header['compresseddatasize']} packed bytes are more than {voxels.name} holds")
    if count * (1 if encoding in _TEXT else item) > held * (_DEFLATE_RATIO if packed else 1):
        raise bad_file(path, f"the header promises {count} values of {item} bytes, more than {voxels.name} can hold")
    check_memory(path, count * item)
    return header


def _fields(path: Path) -> dict[str, str]:
    """Read keys in small letters without blanks, and their values; a key that says two things is refused."""
    with path.open("rb") as file:
        start = file.read(LONGEST_HEADER)
    nrrd = start.startswith(b"NRRD")
    if start.startswith(b"\x1f\x8b"):
        raise bad_file(path, "the file is packed with gzip as a whole, which its name does not say. Unpack it")
    header: dict[str, str] = {}
    for line in start.decode("latin-1").split("\n"):
        key, _, value = line.partition(":" if nrrd else "=")
        key, value = key.replace(" ", "").lower().strip(), value.strip()
        if nrrd and not line.strip():
            return header
        if line.startswith("#") or (key and value.startswith("=")):  # comments, and NRRD's notes (key:=value)
            continue
        if len(line) > LONGEST_LINE:
            raise bad_file(path, f"the line of its header that begins with {line[:60]!r} has {len(line)} letters")
        if header.setdefault(key, value) != value and key != "comment":
            raise bad_file(path, f"the header says {key} twice: {header[key]!r} and {value!r}"[:300])
        if key == "elementdatafile":
            return header
    raise bad_file(path, f"its header has no end within {LONGEST_HEADER} bytes")


def _check_geometry(path: Path, header: dict[str, str]) -> None:
    for key, unknown in _GEOMETRY.items():
        for word in re.split(r"[\s(),]+", header.get(key, "").lower()):
            value = 0.0
            with suppress(ValueError):  # "none" is no number, and is allowed
                value = float(word)
            if not (abs(value) <= LARGEST_MM or (unknown and math.isnan(value))):
                raise bad_file(path, f"{key} {header[key][:80]!r} is no geometry: numbers go up to {LARGEST_MM:g}")


def _whole_numbers(path: Path, header: dict[str, str], *keys: str) -> list[int]:
    text = next((header[key] for key in keys if key in header), "")
    words = text.split()
    if not words or not all(word.isascii() and word.isdigit() and len(word) < 20 and int(word) for word in words):
        raise bad_file(path, f"{' or '.join(keys)} must be whole numbers above 0, the header says {text[:80]!r}")
    return [int(word) for word in words]


def files_of_header(path: Path) -> list[Path]:
    """List the header and the file that it says its voxels lie in; the header alone where it cannot be read."""
    try:
        return list(dict.fromkeys([path, _voxel_file(path, _fields(path))]))
    except (InputError, OSError):
        return [path]


def _voxel_file(path: Path, header: dict[str, str]) -> Path:
    """Find where the voxels lie: the file itself, or the one that it names."""
    name = header.get("datafile", header.get("elementdatafile", "LOCAL"))
    if name.upper() == "LOCAL":
        return path
    where = PureWindowsPath(name)  # knows both \\ and / and drive letters
    if where.drive or where.root or ".." in where.parts:
        raise bad_file(path, f"its voxels are said to lie in {name!r}, outside its folder. Copy them beside it")
    file = path.parent / name
    if not file.is_file():
        several = " (several files are not read)" if name.upper().startswith("LIST") or "%" in name else ""
        raise bad_file(path, f"its voxels are said to lie in {name!r}, and there is no such file{several}")
    return file


_NRRD, _META = "NrrdImageIO", "MetaImageIO"
_FORMATS = {".nrrd": _NRRD, ".nhdr": _NRRD, ".mha": _META, ".mhd": _META}  # told, or SimpleITK tries all it knows
SUFFIXES = tuple(_FORMATS)
_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


_PATIENT = tuple(
    f"{name}{time}"
    for name in ("right-anterior-superior", "ras", "left-anterior-superior", "las", "left-posterior-superior", "lps")
    for time in ("", "-time", "t")
)
"""NRRD's spaces of a patient; others (scanner-xyz, 3D-right-handed) do not say where a patient is."""
_UNITS = {"": 1.0, "mm": 1.0, "um": 1e-3, "µm": 1e-3, "\u03bcm": 1e-3, "micron": 1e-3, "cm": 10.0, "m": 1e3}


def _unplaced(fields: dict[str, str]) -> str:
    return f"its space is {fields['space'][:40]!r}" if fields.get("space") else "the file names no space"


def _millimeters(path: Path, fields: dict[str, str]) -> float:
    """Find the unit of the geometry, in millimeters.

    Raises:
        InputError: a unit that is not known, or one that differs from axis to axis.
    """
    text = fields.get("spaceunits") or fields.get("units") or fields.get("distanceunits") or ""
    words = {word.strip('"').lower() for word in text.encode("latin-1").decode("utf-8", "replace").split()}
    words -= {"???", "none", "s", "ms", ""}
    if len(words) > 1 or not words <= set(_UNITS):
        raise bad_file(path, f"its geometry is in {text[:60]!r}; the units known are {', '.join(filter(None, _UNITS))}")
    return _UNITS[next(iter(words), "")]


def _intensities(path: Path, fields: dict[str, str], values: np.ndarray) -> np.ndarray:
    """Rescale values whose MetaImage header says so, which SimpleITK passes over."""
    names = {"elementtointensityfunctionslope": 1.0, "elementtointensityfunctionoffset": 0.0}
    try:
        slope, offset = (float(fields.get(name, default)) for name, default in names.items())
    except ValueError:
        slope = math.nan
    if not math.isfinite(slope * offset) or slope == 0:
        raise bad_file(path, "ElementToIntensityFunctionSlope and Offset must be numbers, the slope another one than 0")
    return values if (slope, offset) == (1, 0) else (values * slope + offset).astype(np.float32)


def read_metaimage(path: Path) -> Volume:
    """Read the volume of a NRRD or MetaImage file; three 8-bit values per voxel are color, other vectors the last axis.

    Raises:
        InputError: missing, damaged or cut off files, complex numbers, more than three axes.
    """
    import nibabel
    import SimpleITK

    check_file(path)
    with damage_named(path):
        fields = check_text_header(path)
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
        affine[:3] *= (unit := _millimeters(path, fields))
        values = _intensities(path, fields, values)
        placed = path.suffix.lower() in (".mha", ".mhd") or fields.get("space", "").lower() in _PATIENT
    values = values if components > 1 else values[..., None]
    array = np.moveaxis(values, -1, 0).T  # [..., K, J, I, N] -> [I, J, K, N]
    array = array[:, :, None] if axes == 2 else array
    color = components == 3 and array.dtype == np.uint8
    array = array[..., 0] if components == 1 else array
    spacing = tuple(float(value) for value in np.linalg.norm(affine[:3, :3], axis=0))
    if axes == 2:
        spacing = (*spacing[:2], None)
    affine = _TO_RAS @ affine if placed else None
    notes = () if placed else (f"{_unplaced(fields)}: the orientation is unknown",)
    notes += () if unit == 1 else (f"the geometry was stored in units of {unit:g} mm",)
    orientation = nibabel.aff2axcodes(affine) if affine is not None else None  # type: ignore[attr-defined]
    return Volume(array, affine, spacing, orientation, notes=notes, color=color)  # type: ignore[arg-type]
