"""The classes of folders of masks, each stored in its own way: black and white in one, 0 and 1 in the other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from meddiff.errors import InputError
from meddiff.formats.masks import Levels, MaskAt, MaskMeaning, NameRules, decide, masks_found
from meddiff.formats.masks.by_name import STRICT
from meddiff.formats.masks.reading import Progress
from meddiff.formats.masks.value_names import BACKGROUND, NamedValue, parse_mask_values

SETTING = "classes"


@dataclass(frozen=True)
class Coding:
    """The classes that are scored, and what the values of the truths mean."""

    classes: dict[int, str]
    """Label -> name, in the order of their numbers."""
    truth: MaskMeaning
    named: tuple[NamedValue, ...] = ()
    """Values by name, where a user gave them."""
    overlap: str = "stop"
    """Voxels that two classes share, see `NameRules`."""

    @classmethod
    def of(
        cls, text: str, masks: Sequence[MaskAt], progress: Progress | None = None, rules: NameRules = STRICT
    ) -> Coding:
        """Take the classes of a text (1=lesion,2=core), or every value above 0 that a truth has.

        Raises:
            InputError: a text that names nothing, values that may mean this or that, truths without any class.
        """
        levels = _levels(masks, progress)
        if any(one.natural == "name" for one in levels):
            return cls._of_names(text, levels, rules)
        parts = named_values(text)
        if _names_all(parts, levels):
            meaning = decide(levels, text=text, setting=SETTING)
            labels = {part.name: int(part.low) for part in reversed(parts)}
            return cls({labels[name]: name for name in meaning.names[1:]}, meaning, parts)
        own = decide(levels, setting=SETTING, labels=True)
        if parts:
            classes = {int(part.low): part.name for part in parts if not part.ignored and part.name != BACKGROUND}
        elif labels := _labels(levels, own):
            classes = {1: "foreground"} if labels == [1] else {label: f"class {label}" for label in labels}
        else:
            raise InputError("every truth is empty: name the classes with --classes 1=lesion")
        return cls(classes, _numbered(levels, own, classes), parts)

    @classmethod
    def _of_names(cls, text: str, levels: Sequence[Levels], rules: NameRules) -> Coding:
        numbers = re.fullmatch(r"(\s*\d+\s*=[^,]+,?)+", text) is not None  # as numbers of other masks
        parts = tuple(part for part in named_values(text) if part.low > 0) if numbers else ()
        names = ("background", *(part.name for part in parts)) if parts else ()
        meaning = decide(levels, names=names, text="" if numbers else text, setting=SETTING, rules=rules)
        labels = [int(part.low) for part in parts] or range(1, len(meaning.names))
        return cls(dict(zip(labels, meaning.names[1:], strict=True)), meaning, parts, rules.overlap)

    def of_others(self, masks: Sequence[MaskAt], progress: Progress | None = None) -> MaskMeaning:
        """Decide what the values of a folder of predictions, or of another rater, mean.

        Raises:
            InputError: values that are none of the classes.
        """
        levels = _levels(masks, progress)
        if any(one.natural == "name" for one in levels):
            known = () if len(self.classes) == 1 else ("background", *self.classes.values())
            meaning = decide(levels, names=known, setting=SETTING, rules=NameRules(self.overlap, "empty"))
            if len(meaning.names) > 1 + len(self.classes):
                raise none_of(levels[0].path, meaning.names[1:], self.classes)
            return meaning
        if self.truth.way == "name" and not self.named and len(self.classes) > 1:
            raise InputError(
                f"{levels[0].path} holds numbers and the truths names: say which is which with --classes "
                f"{','.join(f'NUMBER={name}' for name in self.classes.values())}"
            )
        if _names_all(self.named, levels):
            return decide(levels, text=",".join(part.text for part in self.named), setting=SETTING)
        try:
            own = decide(levels, setting=SETTING, labels=True)
        except InputError:
            for one in levels:
                if odd := sorted(set(one.of(one.natural)) - {0, 255, *self.classes}):
                    raise none_of(one.path, odd, self.classes) from None
            raise
        return _numbered(levels, own, self.classes)


def named_values(text: str) -> tuple[NamedValue, ...]:
    """Parse --classes, sorted by value.

    Raises:
        InputError: it names nothing, or a value or name twice.
    """
    if not text.strip():
        return ()
    try:
        parts = parse_mask_values(text, setting=SETTING)
    except InputError as error:
        raise InputError(
            f"got --classes {text!r}: write value=name with commas between, such as 1=lesion,2=core; every value and "
            "every name may be there once"
        ) from error
    names = [part.name for part in parts if not part.ignored]
    if len(set(names)) < len(names):
        raise InputError(f"got --classes {text!r}: every value and every name may be there once")
    return tuple(sorted(parts, key=lambda part: part.low))


def none_of(path: object, values: Sequence[object], classes: dict[int, str]) -> InputError:
    """Refuse values that are none of the classes."""
    named = ", ".join(f"{value}={name}" for value, name in classes.items())
    return InputError(f"{path} has the values {list(values)[:5]}, which are none of {named}: name all with --classes")


def _levels(masks: Sequence[MaskAt], progress: Progress | None) -> tuple[Levels, ...]:
    held = masks_found(masks, progress=progress)
    if held.bad:
        raise InputError(f"{held.bad[0]}. Give a good copy of the file, or leave it out")
    return held.levels


def _names_all(parts: Sequence[NamedValue], levels: Sequence[Levels]) -> bool:
    """Tell whether every value that is stored was named; those near to what was meant never are."""
    return bool(parts) and not any(one.lossy or one.deep for one in levels) and all(
        value == 0 or any(part.holds(value) for part in parts)
        for one in levels
        for value in one.of("color" if parts[0].color else one.natural)
    )  # fmt: skip


def _labels(levels: Sequence[Levels], meaning: MaskMeaning) -> list[int]:
    """List the labels above 0 that some file holds; what is not judged is none."""
    return sorted({values.index for one in levels for values in meaning.counted(one) if values.index > 0})


def _numbered(levels: Sequence[Levels], meaning: MaskMeaning, classes: dict[int, str]) -> MaskMeaning:
    """Give the labels of a folder their numbers: 0 for background and 1 .. for the classes in their order."""
    numbers = {0: 0} | {label: index for index, label in enumerate(classes, 1)}
    labels = _labels(levels, meaning)
    if len(classes) == 1 and meaning.is_binary:
        numbers[1] = 1  # black and white, whatever white is called
    unknown = [label for label in labels if label not in numbers]
    if unknown:
        where = next(one for one in levels if unknown[0] in _labels([one], meaning))
        raise none_of(where.path, [label for label in _labels([where], meaning) if label in unknown], classes)
    return meaning.renumbered(numbers)
