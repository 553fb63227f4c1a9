"""The meaning of all masks of a data set, decided once from the values that they hold together.

Masks whose shapes have names: see `by_name`. Of all others, in this order:

1. Values that a user named (``--data.mask_values``) are taken so; any other value is refused.
2. Colors are never guessed: refused until they are named. The shape of a one-colored, partly transparent picture is its
   transparency; the entries of a colored palette are numbers, where one entry is one color in all files.
3. Two values, 0 and another: background and foreground, whatever the other is.
4. Black and white that is not clean: all values near one of both ends (what JPEG leaves behind, 0, 254 and 255), or
   with values between them that lie between them in the picture too (soft edges): cut at one half.
5. Small numbers: classes as they are. With as many names as there are values, the values in their order.
6. Small numbers below one far value (255): that is a rim which nobody judged, where the names say how many classes
   there are and those are the others; or a class, where the names say that. Refused where no name says.
7. Anything else (0, 128, 255; 0, 17, 53): the values in their order, where there are as many names; else refused.

Soft edges and classes stored as grays have the same values. They differ in where these lie: a pixel of a soft edge has
a darker and a brighter neighbor, one inside of a class has only its like.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from meddiff.errors import InputError
from meddiff.formats.masks import unclear
from meddiff.formats.masks.by_name import STRICT, NameRules, by_name
from meddiff.formats.masks.levels import MANY, Levels
from meddiff.formats.masks.meaning import NOT_JUDGED, MaskMeaning, Values
from meddiff.formats.masks.stored import SEEN
from meddiff.formats.masks.value_names import NamedValue, names_of, parse_mask_values

SETTING = "data.mask_values"
QUIET, NOISE = 7, 31
"""Distances from black and white that the noise of a JPEG reaches, in regions and beside edges, of 255."""
MANY_GRAYS = 3
"""More grays than these near one end are noise."""
RINGING, STRAY = 16, 0.2
"""More levels than these, none of which fills a region, are the noise of a JPEG; few of its grays are middle ones."""
FEW = 1e-4
"""Share of the pixels that may be of another gray by mistake in a picture in black and white."""
SMALL = 31
"""Numbers up to this are class indices though some are missing; larger ones where half of them are there."""
SOFT = 0.75
"""Share of the grays that must lie between darker and brighter ones to be soft edges."""
GRAY_JPEG = 0.02
"""Middle grays of a JPEG, as a share of its white, from which on it is looked at whether they are soft edges."""
CLEAN = 0.1
"""Share of what is not black that must be white where there are soft edges: else it is a picture of something."""
SOLID = 0.1
"""Share of a value's pixels that lie among their like, from which on it fills regions and is no noise."""
TOGETHER = 0.5
"""Share of the files with the far value that must hold classes too, for it to be their rim."""
FAR = 8


def decide(
    files: Sequence[Levels],
    *,
    names: Sequence[str] = (),
    text: str = "",
    setting: str = SETTING,
    labels: bool = False,
    rules: NameRules = STRICT,
) -> MaskMeaning:
    """Decide what the masks mean.

    Args:
        files: the values that each file holds.
        names: of the classes from 0 on, where they are known.
        text: the values by name, as `parse_mask_values` takes them, where a user gave them.
        setting: in which it is given, for messages.
        labels: whether sparse whole numbers of volumes are labels (17, 53, 1006) that need no names.
        rules: for what shapes with names leave open.

    Raises:
        InputError: nothing to decide on, or values that may mean this or that; with what to do.
    """
    if not files:
        raise InputError("there is no mask to learn the meaning of: give images with masks")
    if any(one.natural == "name" for one in files):
        return by_name(files, names, text, rules, setting)
    if text.strip():
        return _as_named(files, parse_mask_values(text, setting=setting), names, setting)
    way, own = _way(files, setting)
    return _first_rule(_Together(own, way, tuple(names), setting, labels))


def _as_named(files: Sequence[Levels], parts: Sequence[NamedValue], names: Sequence[str], setting: str) -> MaskMeaning:
    names = names_of(parts, names, setting=setting)
    numbers = next((one.natural for one in files if one.natural in ("index", "alpha")), "gray")
    way = "color" if parts[0].color else numbers
    values = [Values(one.low, one.high, NOT_JUDGED if one.ignored else names.index(one.name)) for one in parts]
    if not any(one.holds(0) for one in values):
        values.insert(0, Values(0, 0, 0))
    meaning = MaskMeaning(way, tuple(values), names, f"as {setting} says")
    for one in files:
        exact = () if one.lossy or one.deep else sorted(one.of(way))
        if unknown := [value for value in exact if meaning.index_of(value) is None]:
            shown = [f"#{value:06x}" if way == "color" else str(value) for value in unknown]
            raise unclear.unnamed(one.path, shown, meaning.allowed(), setting)
    return meaning


def _way(files: Sequence[Levels], setting: str) -> tuple[str, list[Levels]]:
    """Choose how the files are read, and those that can be read so and have a say."""
    gray = [one for one in files if one.natural != "color"]
    numbers = any(value for one in gray if one.natural in ("gray", "index") for value in one.of(one.natural))
    seen = {color for one in gray for entry, color in one.palette if entry == SEEN}
    ways = {one.natural for one in gray}
    colors = sorted({color for one in files for color in one.of("color")})[:MANY]
    if len(gray) < len(files) and not numbers:  # black pictures, or some where one color alone can be seen
        raise unclear.colored(next(one.path for one in files if one.natural == "color"), colors, setting)
    if "index" in ways:
        pairs = {pair for one in gray for pair in one.palette if pair[0] != SEEN}
        of_entry = dict(pairs)
        black_elsewhere = of_entry.get(0, 0) != 0 and 0 in of_entry.values()
        if len(pairs) > len(of_entry) or black_elsewhere:
            where = next(one.path for one in gray if one.palette)
            raise unclear.unlike_palettes(where, sorted({color for _, color in pairs}), setting)
        return "index", gray
    if "alpha" in ways and not numbers:
        if len(seen) > 1:
            raise unclear.colored(next(one.path for one in gray if one.palette), colors, setting)
        return "alpha", gray
    return "gray", gray


class _Together:
    """The values of all files together."""

    def __init__(self, files: Sequence[Levels], way: str, names: tuple[str, ...], setting: str, labels: bool) -> None:
        self.files, self.way, self.names, self.setting = files, way, names, setting
        self.labels = labels and any(one.volume for one in files)
        self.lossless = [one for one in files if not one.lossy]
        self.deep = any(one.deep for one in files)
        self.counts = self.summed(lambda one: one.of(way))
        self.values = sorted(self.counts)
        self.top = self.values[-1] if self.values else 0
        self.whole = 255 if self.top <= 255 and not self.deep else 65535

    def summed(self, of: Callable[[Levels], Mapping[int, int]]) -> Counter[int]:
        """Sum over the files that are stored without loss."""
        total: Counter[int] = Counter()
        for one in self.lossless:
            for value, count in of(one).items():
                total[value // 257 if value > 255 and self.deep and not one.deep else value] += count
        return total

    def filled(self, values: Sequence[int]) -> list[int]:
        """Choose those of the values that fill regions."""
        solid = self.summed(lambda one: one.solid)
        return [value for value in values if solid[value] > SOLID * self.counts[value]]

    def has_regions(self) -> bool:
        """Tell whether many values fill regions, as classes do and the brightness of a picture does not."""
        if len(self.values) <= SMALL:
            return True
        solid, marked = self.summed(lambda one: one.solid), [value for value in self.values if value]
        return sum(solid[value] for value in marked) > SOLID * self.pixels(marked)

    def pixels(self, values: Sequence[int]) -> int:
        """Count the pixels of some values."""
        return sum(self.counts[value] for value in values)

    def path(self, value: int) -> str:
        """Name a file that holds a value."""
        return next((one.path for one in self.files if value in one.of(self.way)), self.files[0].path)

    def say(self, values: Sequence[Values], reason: str) -> MaskMeaning:
        """Make the meaning of these values."""
        return MaskMeaning(self.way, tuple(values), self.names, reason)

    def halves(self, whole: int, reason: str) -> MaskMeaning:
        """Make the meaning that is cut at one half."""
        return self.say([Values(0, whole // 2, 0), Values(whole // 2 + 1, whole, 1)], reason)

    def in_order(self) -> MaskMeaning | None:
        """Take the values in their order, where there is a name for each."""
        if self.deep or len(self.names) != len(self.values) or self.values[0] != 0:
            return None
        values = [Values(value, value, index) for index, value in enumerate(self.values)]
        return self.say(values, "in their order, as there is a name for each")

    def as_they_are(self, reason: str) -> MaskMeaning:
        """Take the values as class indices."""
        return self.say([Values(value, value, value) for value in sorted({0, *self.values})], reason)


def _first_rule(all_: _Together) -> MaskMeaning:
    """Give the first meaning that fits; see the top of the file."""
    if not all_.lossless:
        return _of_jpegs(all_)
    if wrong := [value for value in all_.values if not 0 <= value <= 65535]:
        beyond = (value for value in all_.values if value > 255)
        raise unclear.no_class(all_.path(wrong[0]), sorted({*wrong, *beyond}), all_.setting)
    for rule in (_two_values, _black_and_white, _small_numbers, _one_far_value, _by_names, _labels):
        if (meaning := rule(all_)) is not None:
            return meaning
    odd = next((value for value in all_.values if value not in (0, all_.top)), all_.top)
    if odd > 255 and not all_.deep and all_.top != 65535:
        beyond = [value for value in all_.values if value > 255]
        raise unclear.no_class(all_.path(odd), beyond, all_.setting)
    raise unclear.gray_classes(all_.path(odd), all_.values, all_.whole, all_.setting)


def _of_jpegs(all_: _Together) -> MaskMeaning:
    middle, between, white = 0, 0, 0
    for one in all_.files:
        for value, count in one.of(all_.way).items():
            white += count * (value > 127)
            if 48 <= value <= 207:
                middle += count
                between += min(count, one.between.get(value, 0))
    if middle > white or (middle > GRAY_JPEG * max(white, 1) and between < SOFT * middle):  # a picture, or classes
        raise unclear.gray_jpeg(all_.files[0].path)
    return all_.halves(255, "JPEG: cut at one half")


def _two_values(all_: _Together) -> MaskMeaning | None:
    others = [value for value in all_.values if value]
    if all_.deep or len(others) > 1:
        return None
    other = others[0] if others else 1
    if other == 1:
        return all_.say([Values(0, 0, 0), Values(1, 1, 1)], "0 is background, 1 is foreground")
    if other == 65535 or 255 - QUIET <= other <= 255:
        return all_.halves(max(other, 255), "black and white: cut at one half")
    if len(all_.names) == 2 or (not all_.names and other > SMALL and not all_.labels):
        return all_.say([Values(0, 0, 0), Values(other, other, 1)], f"0 is background, {other} is foreground")
    return None


def _black_and_white(all_: _Together) -> MaskMeaning | None:
    whole = 255 if all_.top <= 255 else 65535  # of what is counted
    near, quiet = NOISE * whole // 255, QUIET * whole // 255
    if all_.top < whole - quiet or (len(all_.values) > 1 and all_.values[0] > whole // 2):  # nothing is black
        return None
    low = [value for value in all_.values if 0 < value <= near]
    high = [value for value in all_.values if whole - near <= value < whole]
    middle = [value for value in all_.values if near < value < whole - near]
    filled = all_.filled([*low, *(value for value in high if value < whole - quiet)])
    if middle:
        between = all_.summed(lambda one: one.between)
        soft = sum(min(all_.counts[value], between[value]) for value in middle)
        white = all_.pixels([value for value in all_.values if value > whole // 2])
        ringing = len(all_.values) > RINGING and all_.pixels(middle) < STRAY * white and not all_.filled(middle)
        lit = all_.pixels([value for value in all_.values if value > quiet])
        clean = all_.pixels([value for value in all_.values if value >= whole - quiet]) >= CLEAN * lit
        fits = not filled and (ringing or (clean and len(middle) > 1 and soft >= SOFT * all_.pixels(middle)))
        return all_.halves(all_.whole, "black and white with soft edges: cut at one half") if fits else None
    noisy = bool(high) or len(low) > MANY_GRAYS or all_.pixels(low) < FEW * all_.counts.total()
    if filled:
        noisy = len(low) > MANY_GRAYS and len(high) > MANY_GRAYS and filled[-1] <= quiet
    return all_.halves(all_.whole, "near black and near white: cut at one half") if noisy else None


def _is_small(values: Sequence[int]) -> bool:
    return values[-1] <= SMALL or (values[-1] < 255 and len(values) > values[-1] / 2)


def _small_numbers(all_: _Together) -> MaskMeaning | None:
    if all_.deep or not _is_small(all_.values) or not all_.has_regions():
        return None
    ordered = all_.in_order() if len(all_.values) <= all_.top else None
    return ordered or all_.as_they_are("class indices as they are")


def _one_far_value(all_: _Together) -> MaskMeaning | None:
    """Take class indices below one value that is far from them."""
    rest, top, count = all_.values[:-1], all_.top, len(all_.names)
    if all_.deep or not any(rest) or not _is_small(rest) or top - rest[-1] < FAR:
        return None
    holding = [one for one in all_.lossless if top in one.of(all_.way)]
    beside = [one for one in holding if any(0 < value < top for value in one.of(all_.way))]
    if count and count in (len(rest), rest[-1] + 1) and len(beside) >= TOGETHER * len(holding):
        indices = range(len(rest)) if count == len(rest) else rest
        kept = [Values(value, value, index) for value, index in zip(rest, indices, strict=True)]
        reason = f"{top} is a rim that is not judged, as the {count} names are those of the other values"
        return all_.say([*kept, Values(top, top, NOT_JUDGED)], reason)
    if (ordered := all_.in_order()) is not None:
        return ordered
    raise unclear.far_value(all_.path(top), rest, top, all_.setting)


def _by_names(all_: _Together) -> MaskMeaning | None:
    return all_.in_order() if len(all_.values) <= MANY else None


def _labels(all_: _Together) -> MaskMeaning | None:
    fits = all_.labels and not all_.deep and all_.has_regions()
    return all_.as_they_are("labels as they are") if fits else None
