"""The meaning of masks whose shapes have names: one file per class, segments of a SEG, contours of an RTSTRUCT.

Names that differ in capitals or blanks alone are one. Each is a class, in the order of the names that were given, else
in the order in which they come; ``background`` is none. A text says otherwise, with * for all names that are not in
it: ``GTV-1=tumor,gtv old=tumor,couch=ignore,*=background``.

Three things are never guessed. Voxels that two classes share (or two shapes of one class, which are two opinions of
it) are refused, unless a rule says which wins. A class that some masks have and others do not name is refused there,
unless a rule says that it is absent. A shape that marks no voxels (a point, an open line) must be no class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meddiff.errors import InputError
from meddiff.formats.drawing import folded
from meddiff.formats.masks import unclear
from meddiff.formats.masks.levels import Levels
from meddiff.formats.masks.meaning import IGNORE, NOT_JUDGED, MaskMeaning, Values
from meddiff.formats.masks.value_names import BACKGROUND

ANY = "*"


@dataclass(frozen=True)
class NameRules:
    """The rules for what names leave open."""

    overlap: str = "stop"
    """What two classes share: stop refuses it, later gives it to the later class, ignore does not judge it."""
    missing: str = "stop"
    """A class that a mask does not name: stop refuses it, empty takes it to be absent there."""


STRICT = NameRules()
"""Nothing is left open."""


def by_name(files: Sequence[Levels], names: Sequence[str], text: str, rules: NameRules, setting: str) -> MaskMeaning:
    """Decide what the shapes of all files are.

    Raises:
        InputError: masks of numbers among them; names that are no class; what is never guessed.
    """
    if other := next((one for one in files if one.natural != "name"), None):
        named = next(one for one in files if one.natural == "name")
        raise InputError(
            f"{named.path} holds shapes with names, and {other.path} numbers: give the masks of a data set in one way"
        )
    first: dict[str, str] = {}
    for name in (name for one in files for name in one.names[1:]):
        first.setdefault(folded(name), name)
    stored = list(first.values())
    given = _given(text, setting)
    class_of = {name: _class_of(name, given) for name in stored}
    own = list(dict.fromkeys(name for name in class_of.values() if name and folded(name) not in (BACKGROUND, IGNORE)))
    if missing := [name for name, of in class_of.items() if of is None]:
        raise unclear.unnamed(files[0].path, missing, text, setting)
    classes = _numbered(own, names, files[0].path, setting)
    index_of = {name: _index(str(of), classes) for name, of in class_of.items()}
    values = [Values(0, 0, 0), *(Values(at, at, index_of[name], name) for at, name in enumerate(stored, 1))]
    meaning = MaskMeaning("name", tuple(values), classes, _reason(rules), rules.overlap)
    for one in files:
        _check(one, meaning, rules, setting)
    return meaning


def _given(text: str, setting: str) -> dict[str, str]:
    """Parse NAME=CLASS with commas between; by the folded name."""
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    if wrong := [name for name, equals, of in parts if not equals or not name.strip() or not of.strip()]:
        raise InputError(
            f"{setting} is {text!r}: {wrong[0]!r} is no NAME=CLASS. These masks hold shapes with names: write "
            "NAME=CLASS with commas between, *=background for all others"
        )
    return {folded(name): of.strip() for name, _, of in parts}


def _class_of(name: str, given: dict[str, str]) -> str | None:
    return given.get(folded(name), given.get(ANY)) if given else name


def _numbered(own: Sequence[str], names: Sequence[str], path: str, setting: str) -> tuple[str, ...]:
    """Name the classes from 0 on."""
    if not names:
        return (BACKGROUND, *own)
    known = {folded(name) for name in names}
    if unknown := [name for name in own if folded(name) not in known]:
        raise InputError(
            f"{path}: it holds {', '.join(map(repr, unknown[: unclear.SHOWN]))}, and the classes are "
            f"{', '.join(names)}: name all with --classes [{','.join([BACKGROUND, *own])}], or say which is which with "
            f'--{setting} "{unknown[0]}={names[-1]},*={BACKGROUND}"'
        )
    return tuple(names)


def _index(name: str, classes: Sequence[str]) -> int:
    if folded(name) in (BACKGROUND, IGNORE):
        return NOT_JUDGED if folded(name) == IGNORE else 0
    return next(index for index, one in enumerate(classes) if folded(one) == folded(name))


def _reason(rules: NameRules) -> str:
    shared = {"later": "; voxels of two are the later one", "ignore": "; voxels of two are not judged"}
    return f"shapes by their names{shared.get(rules.overlap, '')}"


def _check(one: Levels, meaning: MaskMeaning, rules: NameRules, setting: str) -> None:
    indices = [meaning.index_named(name) for name in one.names]
    for name, reason in one.unusable:
        if meaning.index_named(name) != 0:
            raise unclear.marks_nothing(one.path, name, reason, setting)
    if rules.overlap == "stop":
        for first, second, voxels in one.shared:
            if indices[first] > 0 and indices[second] > 0:
                raise unclear.shared(one.path, one.names[first], one.names[second], voxels, setting)
    needed = {index for index in (values.index for values in meaning.values) if index > 0}
    if rules.missing == "stop" and (absent := sorted(needed - set(indices))):
        raise unclear.missing(one.path, [meaning.names[index] for index in absent], setting)
