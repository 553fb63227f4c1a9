"""Marks that tell slices at one place apart: echo, diffusion, time, and all else that makes volumes of a series.

A series may hold a volume per echo, b-value, gradient direction, time or phase. Each attribute that says so is a line
of `MARKS`, by the keyword of single-frame files and the functional group of enhanced ones (DICOM PS3.3 C.7.6.16).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pydicom import Dataset

Lookup = Callable[[str, str], Any]
"""Functional group sequences (with / between nested ones) and a keyword -> the value there, None where it is not."""
_DAY_S = 86400.0


@dataclass(frozen=True)
class Mark:
    """An attribute by which slices at one place are sorted into volumes."""

    name: str
    """Word by which a volume is named; the keyword in files of one frame."""
    module: str
    """Section of PS3.3."""
    groups: tuple[str, ...] = ()
    """Functional groups that hold it in enhanced files."""
    keyword: str = ""
    """Keyword in those groups, where it differs from ``name``."""
    alike: bool = False
    """True where a volume whose slices differ in it is none."""
    time: bool = False
    """True where slices may each have their own value, so that the order at a place is what counts."""


_FRAME_TYPES = tuple(f"{kind}FrameTypeSequence" for kind in ("MRImage", "CTImage", "PET", "XRay3D"))
_DIRECTION = "MRDiffusionSequence/DiffusionGradientDirectionSequence"
MARKS = (
    Mark("Units", "C.8.9.1, C.11.1", alike=True),
    Mark("EchoTime", "C.8.3.1", ("MREchoSequence",), "EffectiveEchoTime", alike=True),
    Mark("DiffusionBValue", "C.8.13.5.9", ("MRDiffusionSequence",), alike=True),
    Mark("DiffusionDirectionality", "C.8.13.5.9", ("MRDiffusionSequence",), alike=True),
    Mark("DiffusionGradientOrientation", "C.8.13.5.9", (_DIRECTION,), alike=True),
    Mark("ImageType", "C.7.6.1", _FRAME_TYPES, "FrameType", alike=True),
    Mark("ComplexImageComponent", "C.8.13.3.1", _FRAME_TYPES, alike=True),
    Mark("MetaboliteMapDescription", "C.8.13.5.10", ("MRMetaboliteMapSequence",)),
    Mark("VelocityEncodingDirection", "C.8.13.5.14", ("MRVelocityEncodingSequence",)),
    Mark("ASLContext", "C.8.13.5.16", ("MRArterialSpinLabelingSequence",)),
    Mark("InversionTime", "C.8.3.1", ("MRModifierSequence",), "InversionTimes"),
    Mark("FlipAngle", "C.8.3.1", ("MRTimingAndRelatedParametersSequence",)),
    Mark("RepetitionTime", "C.8.3.1", ("MRTimingAndRelatedParametersSequence",)),
    Mark("KVP", "C.8.2.1", ("CTXRayDetailsSequence",)),
    Mark("ConvolutionKernel", "C.8.2.1", ("CTReconstructionSequence",)),
    Mark("ContrastBolusAgent", "C.7.6.4", ("ContrastBolusUsageSequence",), "ContrastBolusAgentAdministered"),
    Mark("StackID", "C.7.6.16.2.2", ("FrameContentSequence",)),
    Mark("NominalPercentageOfCardiacPhase", "C.7.6.16.2.7", ("CardiacSynchronizationSequence",)),
    Mark("NominalPercentageOfRespiratoryPhase", "C.7.6.16.2.17", ("RespiratorySynchronizationSequence",)),
    Mark("TemporalPositionIdentifier", "C.8.3.1", ("FrameContentSequence",), "TemporalPositionIndex"),
    Mark("AcquisitionNumber", "C.7.6.1", ("FrameContentSequence",), "FrameAcquisitionNumber"),
    Mark("EchoNumbers", "C.8.3.1"),
    Mark("SequenceName", "C.8.3.1"),
    Mark("DimensionIndexValues", "C.7.6.17", ("FrameContentSequence",)),
    Mark("FrameReferenceTime", "C.8.9.4", ("FrameContentSequence",), "FrameReferenceDateTime", time=True),
    Mark("TriggerTime", "C.7.6.18.2", ("CardiacSynchronizationSequence",), "NominalCardiacTriggerDelayTime", time=True),
    Mark("TemporalPositionTimeOffset", "C.7.6.16.2.13", ("TemporalPositionSequence",), time=True),
    Mark("AcquisitionTime", "C.7.6.1", ("FrameContentSequence",), "FrameAcquisitionDateTime", time=True),
)  # fmt: skip
"""Marks in the order in which they sort volumes."""
ALIKE = frozenset(mark.name for mark in MARKS if mark.alike)
TIMES = frozenset(mark.name for mark in MARKS if mark.time)


def marks_of(header: "Dataset", groups: Lookup | None = None) -> dict[str, Any]:
    """Gather what is known of a slice by the names of `MARKS`: numbers, texts and tuples of them.

    Args:
        header: of the file.
        groups: in enhanced files, what its functional groups say; a single-frame file has it all in its header.
    """
    known: dict[str, Any] = {}
    for mark in MARKS:
        if groups is None:
            value = _acquired(header) if mark.name == "AcquisitionTime" else header.get(mark.name)
        else:
            values = (groups(group, mark.keyword or mark.name) for group in mark.groups)
            value = next((one for one in values if one is not None), None)
        value = _plain(value)
        value = _seconds(value) if mark.time and isinstance(value, str) else value
        if mark.name == "DimensionIndexValues" and isinstance(value, tuple):
            known |= {f"{mark.name}[{number}]": one for number, one in enumerate(value, start=1)}
        elif value is not None:
            known[mark.name] = value
    return _private_diffusion(header) | known if groups is None and header.get("Modality") == "MR" else known


def written(value: Any) -> str:
    """Write a mark as users read and name it."""
    if isinstance(value, tuple):
        return "\\".join(written(one) for one in value)
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    """Convert numbers to float, several values to a tuple, all else to text, what is empty or no number to None."""
    from pydicom.multival import MultiValue

    if isinstance(value, (MultiValue, list, tuple)):
        parts = tuple(_plain(one) for one in value)
        return parts if any(part not in (None, 0) for part in parts) else None  # a direction of zeros is none
    if isinstance(value, (int, float)):
        return float(value) if math.isfinite(value) else None
    return str(value or "").strip() or None


def _acquired(header: "Dataset") -> float | None:
    """Give the time of acquisition in seconds; with the day where that is known, for midnight comes in between."""
    whole = str(header.get("AcquisitionDateTime") or "")
    day, time = str(header.get("AcquisitionDate") or ""), str(header.get("AcquisitionTime") or "")
    return _seconds(whole) if whole else _seconds(f"{day or '19000101'}{time.replace(':', '')}") if time else None


def _seconds(text: str) -> float | None:
    """Convert YYYYMMDDHHMMSS.F, a DICOM date and time, to seconds from some day on."""
    from datetime import date

    digits, _, fraction = text.partition(".")
    digits = digits.partition("+")[0].partition("-")[0].ljust(14, "0")
    with suppress(ValueError):
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])).toordinal()
        hours, minutes, seconds = (int(digits[at : at + 2]) for at in (8, 10, 12))
        rest = "".join(letter for letter in fraction[:6] if letter.isdigit())
        return day * _DAY_S + hours * 3600 + minutes * 60 + seconds + float(f"0.{rest or 0}")
    return None


_B_VALUES = (
    (0x0019, "SIEMENS MR HEADER", 0x0C), (0x0043, "GEMS_PARM_01", 0x39), (0x2001, "Philips Imaging DD 001", 0x03),
    (0x0065, "Image Private Header", 0x09),
)  # fmt: skip
_DIRECTIONS = (
    (0x0019, "SIEMENS MR HEADER", (0x0E,)), (0x0019, "GEMS_ACQU_01", (0xBB, 0xBC, 0xBD)),
    (0x2005, "Philips MR Imaging DD 001", (0xB0, 0xB1, 0xB2)), (0x0065, "Image Private Header", (0x37,)),
)  # fmt: skip
_GE_OFFSET = 1e9  # GE adds it to b-values


def _private_diffusion(header: "Dataset") -> dict[str, Any]:
    """Find b-value and gradient direction where Siemens, GE, Philips and UIH keep them beside the standard."""
    known: dict[str, Any] = {}
    for group, creator, element in _B_VALUES:
        numbers = _private_numbers(header, group, creator, (element,))
        if numbers:
            known["DiffusionBValue"] = numbers[0] % _GE_OFFSET if group == 0x0043 else numbers[0]
    for group, creator, elements in _DIRECTIONS:
        numbers = _private_numbers(header, group, creator, elements)
        if len(numbers) == 3 and any(numbers):
            known["DiffusionGradientOrientation"] = tuple(numbers)
    return known


def _private_numbers(header: "Dataset", group: int, creator: str, elements: Sequence[int]) -> list[float]:
    with suppress(KeyError, ValueError, TypeError):
        block = header.private_block(group, creator)
        values = [block[element].value for element in elements]
        return [number for value in values for number in _numbers(value)]
    return []


def _numbers(value: Any) -> list[float]:
    """Read the numbers of a private element, whose kind is unknown to a reader without the maker's dictionary."""
    if isinstance(value, bytes):
        text = value.strip(b"\0 ")
        plain = text and all(letter in b"0123456789+-.eE\\ " for letter in text)
        value = text.decode().split("\\") if plain else np.frombuffer(value, "<f8")
    values = value if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str) else [value]
    numbers = [float(one) for one in values]
    return numbers if all(math.isfinite(number) for number in numbers) else []


def names_in(marks: Iterable[Mapping[str, Any]]) -> list[str]:
    """List the names of all marks, in the order of `MARKS`; those of DimensionIndexValues are several."""
    places = {mark.name: place for place, mark in enumerate(MARKS)}
    return sorted({name for known in marks for name in known}, key=lambda name: (places[name.partition("[")[0]], name))


def differing(marks: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Find the marks in which slices differ, with the value of each."""
    values = {name: [known.get(name) for known in marks] for name in names_in(marks)}
    return {name: several for name, several in values.items() if len(set(several)) > 1}
