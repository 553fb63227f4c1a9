"""The values of masks by name, as a user writes them: ``VALUE=CLASS`` with commas between.

0=background,128=disc,255=cup          numbers as they are stored, or the entries of a palette
0-127=background,128-255=lesion        all numbers of a range
#ff0000=tumor,#00ff00=edema            colors
0=background,1=ring,2=core,255=ignore  ignore: not judged, whatever stands there
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from meddiff.errors import InputError
from meddiff.formats.masks.meaning import IGNORE

BACKGROUND = "background"
_NUMBER = r"-?\d+(?:\.\d+)?"
_VALUE = re.compile(rf"(?P<color>#[0-9a-fA-F]{{6}})|(?P<low>{_NUMBER})(?:\s*-\s*(?P<high>{_NUMBER}))?")


@dataclass(frozen=True)
class NamedValue:
    """A value, or a range of them, with the name of its class."""

    low: float
    high: float
    name: str
    color: bool = False

    @property
    def ignored(self) -> bool:
        """The name that is no class: not judged."""
        return self.name.lower() == IGNORE

    @property
    def text(self) -> str:
        """The part as it is written."""
        if self.color:
            return f"#{int(self.low):06x}={self.name}"
        return f"{self.low:g}={self.name}" if self.low == self.high else f"{self.low:g}-{self.high:g}={self.name}"

    def holds(self, value: float) -> bool:
        """Tell whether a value is one of them."""
        return self.low <= value <= self.high


def parse_mask_values(text: str, *, setting: str = "data.mask_values") -> tuple[NamedValue, ...]:
    """Parse a text such as ``0=background,128=disc,255=cup``.

    Raises:
        InputError: what is no such text, a value that stands there twice, numbers beside colors.
    """
    parts = [_part(part, text, setting) for part in text.split(",") if part.strip()]
    if len({one.color for one in parts}) > 1:
        raise InputError(f"{setting} is {text!r}: name numbers or colors, not both")
    for place, one in enumerate(parts):
        for other in parts[place + 1 :]:
            if one.low <= other.high and other.low <= one.high:
                raise InputError(f"{setting} is {text!r}: {other.low:g} stands there twice; each value has one class")
    return tuple(parts)


def _part(part: str, text: str, setting: str) -> NamedValue:
    value, equals, name = (piece.strip() for piece in part.partition("="))
    match = _VALUE.fullmatch(value)
    if match is None or not equals or not name:
        raise InputError(
            f"{setting} is {text!r}: write VALUE=CLASS with commas between, such as 0=background,128=disc,255=cup; a "
            "value is a number, a range (0-127) or a color (#ff0000), and the class ignore is not judged"
        )
    if match["color"]:
        number = float(int(match["color"][1:], 16))
        return NamedValue(number, number, name, color=True)
    low = float(match["low"])
    high = low if match["high"] is None else float(match["high"])
    if high < low:
        raise InputError(f"{setting} is {text!r}: the range {value} ends below its beginning")
    return NamedValue(low, high, name)


def names_of(
    given: Sequence[NamedValue], names: Sequence[str], *, setting: str = "data.mask_values"
) -> tuple[str, ...]:
    """Name the classes from 0 on: by the names given, else by those of the values, with background first.

    Raises:
        InputError: a class of the values that is not among the names given.
    """
    own = list(dict.fromkeys(one.name for one in given if not one.ignored))
    if names:
        if unknown := [name for name in own if name not in names]:
            raise InputError(
                f"{setting} names {', '.join(unknown)}, and the classes are {', '.join(names)}: use the same names, or "
                "name the classes with --classes"
            )
        return tuple(names)
    if BACKGROUND in own:
        return (BACKGROUND, *(name for name in own if name != BACKGROUND))
    if any(one.low <= 0 <= one.high and not one.ignored for one in given):
        zero = next(one.name for one in given if one.low <= 0 <= one.high)
        return (zero, *(name for name in own if name != zero))
    return (BACKGROUND, *own)
