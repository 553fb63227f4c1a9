"""Slices of a series to volumes: which of those at one place belong together.

Slices at one place are sorted by what they say of themselves (`marks.MARKS`): an attribute divides a series where each
of its values is held by the same number of slices at every place. Times that differ from slice to slice sort by their
order at each place. The numbers of files and frames count last, and only where they run in a regular way, volume by
volume or place by place: scanners and archives number as they like, and volumes that are sorted by a jumbled number
hold slices of several directions or times.
"""

from collections.abc import Hashable, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from meddiff.formats.dicom.grid.frame import ONE_VOLUME, SAME_PLACE_MM, Frame, names, refused
from meddiff.formats.dicom.grid.marks import ALIKE, TIMES, differing, names_in, written

Group = list[list[Frame]]
"""For each place, the slices there that are not yet sorted: as many at each."""
_SAME_VALUE = 5e-3  # of the larger one; a scanner writes echo times and b-values with three digits at worst
_SAME_COSINE = 2e-2
_SHOWN = 12


def volumes_of(places: Sequence[Sequence[Frame]], where: object) -> list[tuple[Frame, ...]]:
    """Sort slices into volumes, each with one slice of every place.

    Args:
        places: slices by their place along the normal.
        where: the folder or file, for messages.

    Raises:
        InputError: some places hold more slices than others, nothing tells those at one place apart, or a volume would
            hold slices of several kinds.
    """
    _check_counts(places, where)
    if len(places) == 1 and len(places[0]) > 1:
        reason = f"all {len(places[0])} slices lie at the same place, so they are no volume ({names(places[0])})"
        raise refused(where, reason, how_to_name(places[0]) or ONE_VOLUME)
    groups: list[Group] = [[list(place) for place in places]]
    for name in names_in(frame.marks for place in places for frame in place):
        divide = _by_value_or_time if name in TIMES else _by_value
        groups = [part for group in groups for part in divide(group, name)]
    groups = [part for group in groups for part in _by_number(group, where)]
    volumes = [tuple(place[0] for place in group) for group in groups]
    for volume in volumes:
        _check_alike(volume, len(volumes), where)
        apart = [np.linalg.norm(one.position - two.position) for one, two in zip(volume, volumes[0], strict=True)]
        if max(apart) > SAME_PLACE_MM:
            raise refused(where, f"volumes of the series are shifted by {max(apart):.3f} mm ({names(volume)})")
    return volumes


def how_to_name(frames: Sequence[Frame], apart: Sequence[Sequence[Frame]] = ()) -> str:
    """Say how a part of a series is named by a mark in which its slices differ; empty where there is none.

    Args:
        frames: of the series.
        apart: sets of slices that no part may mix.
    """
    for name, values in differing([frame.marks for frame in frames]).items():
        known = [written(value) for value in dict.fromkeys(values) if value is not None]
        inside = [{frame.marks.get(name) for frame in group} for group in apart]
        mixed = len(set().union(*inside)) < sum(map(len, inside))
        if 1 < len(known) <= _SHOWN and name not in TIMES and not mixed:
            either = " or ".join(f"#{name}={value}" for value in known[:3]) + (" or ..." if len(known) > 3 else "")
            how = f"as in --series '#{name}={known[0]}'"
            return f"To read a part of it, put {either} behind the name of the series, {how}."
    return ""


def named(frames: Sequence[Frame], wanted: str, where: object) -> list[Frame]:
    """Choose the slices with a mark of this value, as in EchoTime=2.3; of several words (ImageType) one is enough.

    Raises:
        InputError: no slice has it.
    """
    name, _, text = wanted.partition("=")
    fits = [frame for frame in frames if _fits(frame.marks.get(name), text)]
    if not fits:
        values = differing([frame.marks for frame in frames]).items()
        shown = {name: [written(one) for one in dict.fromkeys(some)][:6] for name, some in values}
        known = [f"{name}={' or '.join(some)}" for name, some in shown.items()]
        raise refused(where, f"no slice has {wanted}", f"Its slices differ in {'; '.join(known) or 'nothing known'}.")
    return fits


def _fits(value: Any, text: str) -> bool:
    if isinstance(value, float):
        try:
            return _same(value, float(text))
        except ValueError:
            return False
    words = written(value).lower().split("\\") if value is not None else []
    return text.lower() in (*words, "\\".join(words))


def _check_counts(places: Sequence[Sequence[Frame]], where: object) -> None:
    counts = [len(place) for place in places]
    count = max(set(counts), key=counts.count)
    odd = [frame for place in places if len(place) != count for frame in place]
    if odd:
        reason = f"most places hold {count} slices, but {sum(number != count for number in counts)} of {len(places)} "
        cure = "Add the slices that are missing; where two files hold the same slice, keep one of them."
        hint = how_to_name([frame for place in places for frame in place])
        raise refused(where, f"{reason}hold another number: {names(odd)}", f"{cure} {hint}".strip())


def _by_value(group: Group, name: str) -> list[Group]:
    """Find the parts into which a mark divides a group; the group itself where it does not.

    Values count as they are written, else as far as they differ in earnest: an echo of 2.301 ms among those of 2.3 is
    none of its own.
    """
    count = len(group[0])
    values = dict.fromkeys(frame.marks.get(name) for place in group for frame in place)
    for kinds in ({value: value for value in values}, _together(list(values))):
        parts: dict[Hashable, Group] = {}
        if not 1 < len(set(kinds.values())) <= count:
            continue
        for number, place in enumerate(group):
            for frame in place:
                parts.setdefault(kinds[frame.marks.get(name)], [[] for _ in group])[number].append(frame)
        if all(len({len(place) for place in part}) == 1 for part in parts.values()):
            return sorted(parts.values(), key=lambda part: _rank(part, name))
    return [group]


def _rank(part: Group, name: str) -> tuple:
    """Give what sorts the parts: unknown first, then by value; directions in the order of their numbers."""
    value = part[0][0].marks.get(name)
    if isinstance(value, tuple):
        if isinstance(value[0], float):
            return 3, min(frame.number for place in part for frame in place)
        return 2, tuple(map(str, value))
    return (0,) if value is None else (1, value)


def _together(values: Sequence[Any]) -> dict[Any, Any]:
    """Find for each value the one that stands for it and for all that are the same but for rounding."""
    kinds: dict[Any, Any] = {}
    kept: list[Any] = []
    for value in sorted((one for one in values if isinstance(one, float)), key=float):
        if not (kept and _same(kept[-1], value)):
            kept.append(value)
        kinds[value] = kept[-1]
    others: list[Any] = []
    for value in values:
        if value not in kinds:
            kinds[value] = next((one for one in others if _same(one, value)), value)
            others += [value] if kinds[value] is value else []
    return kinds


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, float) and isinstance(two, float):
        return abs(one - two) <= _SAME_VALUE * max(abs(one), abs(two))
    if isinstance(one, tuple) and isinstance(two, tuple) and len(one) == len(two):
        pairs = list(zip(one, two, strict=True))
        if all(isinstance(value, float) for pair in pairs for value in pair):
            return all(abs(left - right) <= _SAME_COSINE for left, right in pairs)
    return one == two


def _by_value_or_time(group: Group, name: str) -> list[Group]:
    """Divide as `_by_value`; where each slice has a time of its own, the order of the times at each place counts."""
    parts = _by_value(group, name)
    if len(parts) > 1 or len(group[0]) == 1:
        return parts
    times = [[frame.marks.get(name) for frame in place] for place in group]
    if any(None in place or len(set(place)) < len(place) for place in times):
        return [group]
    ordered = [sorted(place, key=lambda frame: frame.marks[name]) for place in group]
    return [[[frame] for frame in volume] for volume in zip(*ordered, strict=True)]


def _by_number(group: Group, where: object) -> list[Group]:
    """Find the volumes of what nothing but the numbers of its slices tells apart."""
    count = len(group[0])
    if count == 1:
        return [group]
    files = names(group[0])
    if any(len({frame.number for frame in place}) < count for place in group):
        reason = f"{count} slices lie at each place, and neither time nor number tells them apart ({files})"
        cure = "If they are copies, keep one of each. If they are several volumes (times, echoes, directions), the "
        raise refused(where, reason, f"{cure}files lack what says so: export them again with all their attributes.")
    numbered = sorted((frame.number, place) for place, frames in enumerate(group) for frame in frames)
    if not _regular([place for _, place in numbered], len(group)):
        reason = f"{count} slices lie at each place and cannot be sorted into volumes: only their numbers tell them "
        cure = "Export them again with all their attributes (times, echoes, directions)."
        raise refused(where, f"{reason}apart, which jump from place to place ({files})", cure)
    ordered = [sorted(place, key=lambda frame: frame.number) for place in group]
    return [[[frame] for frame in volume] for volume in zip(*ordered, strict=True)]


def _regular(places: Sequence[int], count: int) -> bool:
    """Tell whether slices, by the places of their numbers, go through all places again and again in one order.

    At each place they may stay for a while, as where all times of a slice come before the next slice.
    """
    runs = [(place, len(list(run))) for place, run in groupby(places)]
    first = [place for place, _ in runs[:count]]
    again = [place for place, _ in runs] == first * (len(runs) // count)
    return again and len(set(first)) == count and len({length for _, length in runs}) == 1


def _check_alike(volume: Sequence[Frame], count: int, where: object) -> None:
    for name, values in differing([frame.marks for frame in volume]).items():
        kinds = _together(values)
        if name in ALIKE and len(set(kinds.values())) > 1:
            shown = ", ".join(written(value) for value in dict.fromkeys(kinds.values()))
            reason = f"{count} slices lie at each place" if count > 1 else "a single slice lies at each place"
            reason += f" and they cannot be sorted into volumes: {name} differs within one ({shown[:200]})"
            cure = how_to_name(volume) or ONE_VOLUME
            raise refused(where, f"{reason} ({names(volume)})", cure)
