"""The meaning of the values of masks: stored value -> class index, or ignored. One for all masks of a data set."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from meddiff.errors import InputError
from meddiff.files.bad import bad_file
from meddiff.files.writing import write_text
from meddiff.formats.drawing import Drawing, folded
from meddiff.formats.masks.levels import Levels
from meddiff.formats.masks.stored import WAYS, StoredMask, in_colors, not_whole

IGNORED = 255
"""The class index of pixels that nobody judged: they enter no loss and no score."""
NOT_JUDGED = -1
"""Stands for it among the meanings of values: labels may be 255 before they are numbered."""
_UNKNOWN = -2
IGNORE = "ignore"
"""Stands for it in a text."""
_SHOWN = 8


@dataclass(frozen=True)
class Values:
    """Stored values, one or a range of them, and the class they are."""

    low: float
    high: float
    index: int
    """Class index, or NOT_JUDGED."""
    name: str = ""
    """The name that the shape is stored with, where shapes have names."""

    def holds(self, value: float) -> bool:
        """Tell whether a value is one of them."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class MaskMeaning:
    """The class that each stored value is, in all masks of a data set."""

    way: str
    """Of reading files, see `stored`."""
    values: tuple[Values, ...]
    names: tuple[str, ...] = ()
    """Of the classes from 0 on, as far as they are known."""
    reason: str = ""
    """The rule by which this was decided, in words."""
    overlap: str = ""
    """What voxels of two named shapes become; see `by_name.NameRules`."""

    def __call__(self, stored: StoredMask) -> np.ndarray:
        """Turn a mask into class indices uint8 [*S], IGNORED where nothing is judged.

        Raises:
            InputError: a value that means nothing here; which, in which file, what is allowed and what to do.
        """
        if stored.drawing is not None:
            return _of_drawing(self, stored.drawing)
        numbers = stored.read(self.way)
        if numbers.dtype.kind == "f" and not any(one.low % 1 or one.high % 1 for one in self.values):
            raise not_whole(stored.path, numbers)
        if stored.lossy:
            return self._of_jpeg(stored, numbers)
        if numbers.dtype in (np.uint8, np.uint16):
            indices = self._indices(np.arange(int(numbers.max(initial=0)) + 1))[numbers]
        elif numbers.dtype.kind == "f":
            indices = self._indices(numbers)
        else:
            kinds, where = np.unique(numbers, return_inverse=True)
            indices = self._indices(kinds)[where.reshape(numbers.shape)]
        if (unknown := indices == _UNKNOWN).any():
            raise _unknown(self, stored, np.unique(numbers[unknown]))
        return np.where(indices == NOT_JUDGED, IGNORED, indices).astype(np.uint8)

    @property
    def text(self) -> str:
        """All that decides which class a stored value becomes, as text."""
        if self.way == "name":
            return json.dumps([self.way, [(one.name, one.index) for one in self.values], self.overlap])
        return json.dumps([self.way, [(one.low, one.high, one.index) for one in self.values]])

    @property
    def is_binary(self) -> bool:
        """One class beside background, and nothing that is ignored."""
        return {one.index for one in self.values} <= {0, 1}

    def counted(self, one: Levels) -> Counter[Values]:
        """Count the pixels of a file by which of the values they are."""
        counts: Counter[Values] = Counter()
        if self.way == "name":
            for number, name in enumerate(one.names):
                if voxels := one.of("name").get(number, 0):
                    counts[self.values[self._place(name)]] += voxels
            return counts
        for value, count in one.of(self.way).items():
            stored = value * 257 if one.deep else (255 if value > 255 / 2 else 0) if one.lossy else value
            if (which := next((values for values in self.values if values.holds(stored)), None)) is not None:
                counts[which] += count
        return counts

    def index_of(self, value: float) -> int | None:
        """Look up the class index of one stored value; None where it means nothing."""
        return next((one.index for one in self.values if one.holds(value)), None)

    def index_named(self, name: str) -> int:
        """Look up the class index of a shape by its name; "" is where nothing is drawn.

        Raises:
            KeyError: no mask has such a shape.
        """
        return self.values[self._place(name)].index

    def _place(self, name: str) -> int:
        return {folded(one.name): place for place, one in enumerate(self.values)}[folded(name)]

    def renumbered(self, numbers: Mapping[int, int]) -> MaskMeaning:
        """Give other class indices: ``numbers`` says which become which, others are none any more."""
        kept = [one for one in self.values if one.index == NOT_JUDGED or one.index in numbers]
        values = tuple(one if one.index == NOT_JUDGED else replace(one, index=numbers[one.index]) for one in kept)
        return replace(self, values=values)

    def in_words(self, one: Values) -> str:
        """Say the values as a text takes them."""
        if self.way == "name":
            return one.name or "(nothing)"
        if self.way == "color":
            return f"#{int(one.low):06x}"
        return f"{one.low:g}" if one.low == one.high else f"{one.low:g}-{one.high:g}"

    def allowed(self) -> str:
        """Say which values there may be, and what they are."""
        names = dict(enumerate(self.names)) | {NOT_JUDGED: IGNORE}
        values = [f"{self.in_words(one)}={names.get(one.index, one.index)}" for one in self.values]
        return ", ".join(values[:_SHOWN]) + (" ..." if len(values) > _SHOWN else "")

    def _indices(self, values: np.ndarray) -> np.ndarray:
        indices = np.full(values.shape, _UNKNOWN, np.int32)
        for one in reversed(self.values):  # the first that holds a value says what it is
            indices[(one.low <= values) & (values <= one.high)] = one.index
        return indices

    def _of_jpeg(self, stored: StoredMask, numbers: np.ndarray) -> np.ndarray:
        if not self.is_binary:
            raise bad_file(
                stored.path,
                "a JPEG changes every value a little and cannot hold classes: give the mask as PNG or TIFF",
            )
        if self.way == "color":
            raise in_colors(stored.path)
        return (numbers > 255 / 2).astype(np.uint8)


def _unknown(meaning: MaskMeaning, stored: StoredMask, values: np.ndarray) -> InputError:
    if stored.natural == "color" and meaning.way != "color":
        return in_colors(stored.path)
    what = "values" if len(values) > 1 else "value"
    odd = ", ".join(f"#{int(value):06x}" if meaning.way == "color" else f"{value:g}" for value in values[:_SHOWN])
    return bad_file(
        stored.path,
        f"it holds the {what} {odd}{' ...' if len(values) > _SHOWN else ''}, and the masks of this data set hold "
        f"{meaning.allowed()}: mend it, or say what all values mean with --data.mask_values",
    )


def _of_drawing(meaning: MaskMeaning, drawing: Drawing) -> np.ndarray:
    known = {folded(one.name) for one in meaning.values}
    if meaning.way != "name" or (unknown := [name for name in drawing.names if folded(name) not in known]):
        odd = ", ".join(map(repr, unknown[:_SHOWN] if meaning.way == "name" else drawing.names[1:]))
        raise bad_file(
            drawing.path,
            f"it holds the shape {odd}, and the masks of this data set hold {meaning.allowed()}: mend it, or say what "
            "all are with --data.mask_values",
        )
    indices, unclear = drawing.classes([meaning.index_named(name) for name in drawing.names], meaning.overlap)
    if unclear:
        (one, other), voxels = next(iter(unclear.items()))
        names = drawing.names[one], drawing.names[other]
        raise bad_file(drawing.path, f"{names[0]!r} and {names[1]!r} share {voxels} voxels")
    return np.where(indices < 0, IGNORED, indices).astype(np.uint8)


def stored_values(classes: np.ndarray, meaning: MaskMeaning) -> np.ndarray:
    """Write class indices [*S], IGNORED among them, as the data set's masks hold them: numbers, or colors [*S, 3].

    Shapes with names are no numbers: of these the class indices are written.
    """
    if meaning.way == "name":
        return classes.astype(np.uint8)
    values = np.zeros(IGNORED + 1, np.uint32)
    for one in reversed(meaning.values):
        values[IGNORED if one.index == NOT_JUDGED else one.index] = 0 if one.holds(0) else np.floor(one.high)
    numbers = values[classes]
    if meaning.way == "color":
        return np.stack([numbers >> 16, numbers >> 8 & 255, numbers & 255], -1).astype(np.uint8)
    return numbers.astype(np.uint8 if numbers.max(initial=0) < 256 else np.uint16)


def write_meaning(meaning: MaskMeaning, path: Path) -> None:
    """Write a meaning as JSON, for people and for `read_meaning`."""
    values = [
        {"values": meaning.in_words(one), "low": one.low, "high": one.high,
         "class": IGNORE if one.index == NOT_JUDGED else one.index, **({"name": one.name} if one.name else {})}
        for one in meaning.values
    ]  # fmt: skip
    plain = {"way": meaning.way, "values": values, "names": list(meaning.names), "reason": meaning.reason}
    plain |= {"overlap": meaning.overlap} if meaning.overlap else {}
    write_text(path, json.dumps(plain, indent=2))


def read_meaning(path: Path) -> MaskMeaning:
    """Read what `write_meaning` wrote.

    Raises:
        InputError: the file is damaged.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        values = tuple(
            Values(
                float(one["low"]),
                float(one["high"]),
                NOT_JUDGED if one["class"] == IGNORE else int(one["class"]),
                str(one.get("name", "")),
            )
            for one in plain["values"]
        )
        if plain["way"] not in WAYS or not all(NOT_JUDGED <= one.index < IGNORED for one in values):
            raise ValueError("no way to read, or no class")
        return MaskMeaning(plain["way"], values, tuple(map(str, plain["names"])), str(plain["reason"]),
                           str(plain.get("overlap", "")))  # fmt: skip
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error}): delete it, and it is written again") from error
