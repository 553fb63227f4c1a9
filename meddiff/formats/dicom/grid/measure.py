"""Measures of the stored values of a DICOM frame: rescaled, by a table, as a real world value, in which unit.

One scale is used, of the first of these that the file has: the table of a Modality LUT, a dose grid's scale, the
rescale of the frame, the rescale of the file, a Real World Value Mapping (PS3.3 C.11.1, C.8.8.3, C.7.6.16.2.9,
C.7.6.16.2.11). A mapping that says otherwise than the rescale beside it is noted.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meddiff.files.bad import bad_file

if TYPE_CHECKING:
    from pydicom import Dataset

    from meddiff.formats.dicom.grid.marks import Lookup

_NO_UNIT = ("", "US", "1", "no units")  # "unspecified", and UCUM's word for a plain number
_SAME_SCALE = 1e-6
_LARGEST_TABLE = 1 << 16


@dataclass(frozen=True)
class Measure:
    """The way from stored values to measured ones."""

    slope: float = 1.0
    intercept: float = 0.0
    table: tuple[int, tuple[float, ...]] | None = None
    """The first stored value that a table maps, and what this and the following ones measure."""
    padding: tuple[float, float] | None = None
    """The smallest and the largest stored value that are no image but fill up the picture."""
    units: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """True where a stored value measures anything but itself."""
        return self.table is not None or self.slope != 1 or self.intercept != 0

    @property
    def whole(self) -> bool:
        """True where whole numbers stay whole."""
        if self.table is not None:
            return all(value == round(value) for value in self.table[1])
        return self.slope == 1 and self.intercept == round(self.intercept)

    def of(self, stored: np.ndarray) -> np.ndarray:
        """Convert stored values to measured ones, float64; beyond a table its first or last value (PS3.3 C.11.1.1)."""
        if self.table is None:
            return stored.astype(np.float64) * self.slope + self.intercept
        first, values = self.table
        return np.asarray(values)[np.clip(stored.astype(np.int64) - first, 0, len(values) - 1)]


AS_STORED = Measure()


def measure_of(header: "Dataset", file: Path, groups: "Lookup | None" = None) -> Measure:
    """Find what the values of a frame measure.

    Args:
        header: of the file.
        file: for messages.
        groups: in enhanced files, what the functional groups of the frame say.

    Raises:
        InputError: a scale that is no number or 0, a table of the wrong size, several real world meanings.
    """
    rescale = groups("PixelValueTransformationSequence", "RescaleSlope") if groups else None
    place = groups if groups is not None and rescale is not None else lambda _, keyword: header.get(keyword)
    slope = _number(place("PixelValueTransformationSequence", "RescaleSlope"))
    intercept = _number(place("PixelValueTransformationSequence", "RescaleIntercept"))
    word = place("PixelValueTransformationSequence", "RescaleType")
    known: dict[str, Any] = {"padding": _padding(header), "units": _units(header, word, intercept)}
    mappings = _mappings(header, groups)
    if header.get("ModalityLUTSequence"):
        known |= _of_table(header.ModalityLUTSequence[0], header, file)
    elif (scale := _number(header.get("DoseGridScaling"))) is not None:
        known["slope"] = scale
    elif slope is not None or intercept is not None:
        known |= {"slope": 1.0 if slope is None else slope, "intercept": intercept or 0.0}
        known["notes"] = _other_scales(known["slope"], known["intercept"], mappings)
    elif mappings:
        known |= _of_mappings(mappings, file)
    measure = Measure(**known)
    if measure.slope == 0 or not math.isfinite(measure.slope * measure.intercept):
        reason = f"values cannot be rescaled with slope {measure.slope} and intercept {measure.intercept}"
        raise bad_file(file, reason)
    return measure


def philips_scale(header: "Dataset") -> float:
    """Give displayed values per unit of what a Philips scanner measured (Chenevert et al. 2014); 0 is unknown."""
    with suppress(KeyError, ValueError, TypeError):
        scale = header.private_block(0x2005, "Philips MR Imaging DD 001")[0x0E].value
        return (_number(scale) or 0.0) * (_number(header.get("RescaleSlope")) or 0.0)
    return 0.0


def _number(value: Any) -> float | None:
    return None if value is None or value == "" or np.ndim(value) else float(value)


def _units(header: "Dataset", word: Any, intercept: float | None) -> str | None:
    words = (word if str(word or "") != "US" else None, header.get("Units"), header.get("DoseUnits"))
    unit = next((str(one).strip() for one in words if one), "")
    return unit or ("HU" if header.get("Modality") == "CT" and intercept is not None else None)


def _padding(header: "Dataset") -> tuple[float, float] | None:
    ends = [header.get("PixelPaddingValue"), header.get("PixelPaddingRangeLimit")]
    if "FloatPixelPaddingValue" in header:
        ends = [header.get("FloatPixelPaddingValue"), header.get("FloatPixelPaddingRangeLimit")]
    numbers = [number for number in map(_number, ends) if number is not None]
    if not numbers or _number(ends[0]) is None or int(header.get("SamplesPerPixel") or 1) != 1:
        return None
    if header.get("PixelRepresentation") == 1:  # some write -2000 as 63536
        bits = int(header.get("BitsAllocated") or 16)
        numbers = [number - 2**bits if number >= 2 ** (bits - 1) else number for number in numbers]
    return min(numbers), max(numbers)


def _of_table(item: "Dataset", header: "Dataset", file: Path) -> dict[str, Any]:
    descriptor, values = item.get("LUTDescriptor"), item.get("LUTData")
    if descriptor is None or np.shape(descriptor) != (3,) or values is None:
        raise bad_file(file, "its Modality LUT has no descriptor of three numbers or no values")
    count, first, bits = (int(number) for number in descriptor)
    count = count or 1 << 16  # 0 stands for 65536
    if isinstance(values, bytes):
        order = "<" if header.original_encoding[1] is not False else ">"
        wide = f"{order}u2" if len(values) >= 2 * count else "u1"
        values = np.frombuffer(values, wide)
    if header.get("PixelRepresentation") == 1 and first >= 1 << 15:
        first -= 1 << 16
    table = tuple(float(value) for value in np.atleast_1d(values)[:count])
    if len(table) != count:
        raise bad_file(file, f"its Modality LUT of {bits} bits has {len(table)} values, {count} were announced")
    word = str(item.get("ModalityLUTType") or "")
    return {"table": (first, table), "units": None if word in _NO_UNIT else word}


def _mappings(header: "Dataset", groups: "Lookup | None") -> list["Dataset"]:
    """List the real world values of the frame, else of the file."""
    own = groups("RealWorldValueMappingSequence", "") if groups else None
    return list(own or header.get("RealWorldValueMappingSequence") or [])


def _of_mappings(mappings: Sequence["Dataset"], file: Path) -> dict[str, Any]:
    meanings = {(_number(one.get("RealWorldValueSlope")), _number(one.get("RealWorldValueIntercept")), _unit_of(one))
                for one in mappings}  # fmt: skip
    if len(meanings) > 1:
        listed = ", ".join(
            sorted(f"{slope} x + {intercept} {unit or ''}".strip() for slope, intercept, unit in meanings)
        )
        raise bad_file(file, f"its Real World Value Mapping gives {len(meanings)} meanings to its values ({listed})")
    one = mappings[0]
    known: dict[str, Any] = {"units": _unit_of(one)}
    values = one.get("RealWorldValueLUTData")
    if values is not None and len(np.atleast_1d(values)):
        first = _number(one.get("RealWorldValueFirstValueMapped"))
        if first is None or len(np.atleast_1d(values)) > _LARGEST_TABLE:
            raise bad_file(file, "its Real World Value Mapping is a table that does not say where it begins")
        return known | {"table": (int(first), tuple(float(value) for value in np.atleast_1d(values)))}
    slope, intercept = _number(one.get("RealWorldValueSlope")), _number(one.get("RealWorldValueIntercept"))
    return known | ({"slope": slope, "intercept": intercept or 0.0} if slope is not None else {})


def _unit_of(mapping: "Dataset") -> str | None:
    code = (mapping.get("MeasurementUnitsCodeSequence") or [{}])[0]
    word = str(code.get("CodeValue") or "")
    return None if word in _NO_UNIT else word


def _other_scales(slope: float, intercept: float, mappings: Sequence["Dataset"]) -> tuple[str, ...]:
    """Note the mappings that are left out, where they differ from the rescale."""
    notes = []
    for one in mappings:
        other = _number(one.get("RealWorldValueSlope")) or math.nan, _number(one.get("RealWorldValueIntercept")) or 0.0
        if not np.allclose(other, (slope, intercept), rtol=_SAME_SCALE, atol=1e-9):
            unit = _unit_of(one) or "no unit"
            notes.append(f"values are rescaled; another meaning of them (Real World Value Mapping, {unit}) is left out")
    return tuple(dict.fromkeys(notes))
