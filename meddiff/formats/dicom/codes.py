"""The meaning of a segment, in words that other programs understand: a category and a type from a coding scheme.

DICOM asks for both of every segment (PS3.3 C.8.20.4), by scheme, value and meaning; SNOMED CT (``SCT``) is what viewers
color and sort by. A class whose code nobody gave gets one of our own scheme and the one category that claims nothing
about it: a wrong organ in a patient's record is worse than none.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from meddiff.errors import InputError

PRIVATE_SCHEME = "99MEDDIFF"  # schemes that begin with 99 are private (PS3.3 section 8.2)
_SHORT, _LONG = 16, 64  # characters of a scheme or value, of a meaning
_FORM = "SCT:108369006:Neoplasm, or with a category SCT:10200004:Liver; SCT:91723000:Anatomical Structure"


@dataclass(frozen=True)
class Code:
    """One coded concept."""

    scheme: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Segment:
    """One class of a mask; background is none."""

    name: str
    category: Code
    type: Code


_ABNORMAL = Code("SCT", "49755003", "Morphologically Abnormal Structure")
_ANATOMICAL = Code("SCT", "91723000", "Anatomical Structure")
_CONCEPT = Code("SCT", "309825002", "Spatial and Relational Concept")
_LESION = Code("SCT", "52988006", "Lesion")
_NEOPLASM = Code("SCT", "108369006", "Neoplasm")
KNOWN: dict[str, tuple[Code, Code]] = {
    "lesion": (_ABNORMAL, _LESION),
    "tumor": (_ABNORMAL, _NEOPLASM),
    "tumour": (_ABNORMAL, _NEOPLASM),
    "neoplasm": (_ABNORMAL, _NEOPLASM),
    "edema": (_ABNORMAL, Code("SCT", "79654002", "Edema")),
    "hippocampus": (_ANATOMICAL, Code("SCT", "5366008", "Hippocampus")),
    "brain": (_ANATOMICAL, Code("SCT", "12738006", "Brain")),
}
"""Class name -> category and type."""


def segments_of(names: Sequence[str], codes: Sequence[str] = ()) -> tuple[Segment, ...]:
    """Build the segments of a mask.

    Args:
        names: of the classes from 1 on.
        codes: empty, or one for each name: ``scheme:value:meaning`` of its type, and that of its category after a
            semicolon; types that KNOWN holds need no category. An empty one leaves the choice to KNOWN.

    Raises:
        InputError: another number of codes than names, or one that is not of this form.
    """
    if codes and len(codes) != len(names):
        raise InputError(
            f"{len(codes)} segment codes for the {len(names)} classes {', '.join(names)}. Give one for each of them in "
            "this order, background left out; an empty one for a class without a code."
        )
    return tuple(_segment(name, text) for name, text in zip(names, codes or [""] * len(names), strict=True))


def _segment(name: str, text: str) -> Segment:
    if not text.strip():
        category, type_ = KNOWN.get(name.strip().lower(), (_CONCEPT, _private(name)))
        return Segment(name, category, type_)
    parts = [_parsed(part, text) for part in text.split(";")]
    if len(parts) == 2:
        return Segment(name, parts[1], parts[0])
    categories = [category for category, known in KNOWN.values() if (known.scheme, known.value) == _key(parts[0])]
    if len(parts) > 2 or not categories:
        raise InputError(f"segment code {text!r} of class {name!r} has no category that is known. Write it as {_FORM}")
    return Segment(name, categories[0], parts[0])


def _key(code: Code) -> tuple[str, str]:
    return code.scheme, code.value


def _parsed(part: str, text: str) -> Code:
    words = [word.strip() for word in part.split(":", 2)]
    if len(words) != 3 or not all(words) or "\\" in part or max(map(len, words[:2])) > _SHORT or len(words[2]) > _LONG:
        raise InputError(
            f"segment code {text!r} is not scheme:value:meaning (of at most 16, 16 and 64 characters). "
            f"Write it as {_FORM}"
        )
    return Code(*words)


def _private(name: str) -> Code:
    value = re.sub(r"[^A-Z0-9]+", "-", name.upper()).strip("-")
    if len(value) > _SHORT or not value:
        value = f"{value[:9]}-{hashlib.sha256(name.encode()).hexdigest()[:6].upper()}"
    return Code(PRIVATE_SCHEME, value, name.replace("\\", "/")[:_LONG])
