"""Single slices to one grid: from positions and orientations alone, never from a slice thickness.

A slice at position p with directions r (along a row) and c (along a column) puts pixel (column i, row j) at
p + i * spacing * r + j * spacing * c, in millimeters to the left, back and head (DICOM PS3.3 C.7.6.2.1.1). Slices are
ordered along the normal r x c. They are one grid when the steps between neighbors are all alike; the step may lean
(a tilted gantry), which the affine holds exactly. Everything else is refused with the names of the files.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meddiff.formats.dicom.grid.frame import ONE_VOLUME, SAME_PLACE_MM, Frame, names, refused
from meddiff.formats.dicom.grid.marks import differing, written
from meddiff.formats.dicom.grid.sorting import how_to_name, named, volumes_of

SAME_DIRECTION = 1e-3  # largest difference of direction cosines that writers round differently
UNEVEN = 0.02  # of the slice distance; scanners write positions with two decimals at worst
TILT_DEGREES = 0.5  # less is rounding
_TO_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Stack:
    """Slices on one grid."""

    volumes: tuple[tuple[Frame, ...], ...]
    """For each volume its slices, in the order of the third axis."""
    affine: np.ndarray
    """4 x 4, index (column, row, slice) -> RAS millimeters."""
    notes: tuple[str, ...] = ()


def arrange(frames: Sequence[Frame], where: object, volume: str = "") -> Stack:
    """Find the grid that these slices form.

    Args:
        frames: slices of one series, in any order.
        where: the folder or file, for messages.
        volume: of several, the one that is meant: its number, from 1, or a mark as in EchoTime=2.3, or some of these
            with # between them. Empty takes all.

    Raises:
        InputError: sizes, spacings, orientations or frames of reference differ (a localizer), several slices at one
            place that nothing sorts, missing slices, uneven distances; with the names of the files. No such
            volume.
    """
    words = [word for word in volume.split("#") if word]
    for word in words:
        frames = frames if word.isdigit() else named(frames, word, where)
    _check_alike(frames, where)
    normal = np.cross(*frames[0].directions)
    places = _places(frames, normal)
    notes = list(_several_spaces(frames, where))
    volumes = volumes_of(places, where)
    for number in (int(word) for word in words if word.isdigit()):
        if not 1 <= number <= len(volumes):
            raise refused(where, f"there is no volume {number}, the series holds {len(volumes)}", "Correct the number.")
        volumes = [volumes[number - 1]]
    if len(volumes) > 1:
        notes.append(f"{len(volumes)} volumes on one grid{_differing(volumes)}")
        notes.append(f"#1 to #{len(volumes)} behind the name of the series names one volume of it, as in --series '#1'")
    step, tilt = _step(volumes[0], normal, where)
    if tilt:
        notes.append(f"slices are sheared by {tilt:.1f} degrees (tilted gantry): the affine holds it")
    if len(places) == 1:
        notes.append("a single slice: the distance to a neighbor is unknown")
    first = volumes[0][0]
    columns = [first.directions[0] * first.spacing_mm[0], first.directions[1] * first.spacing_mm[1], step]
    affine = np.eye(4)
    affine[:3, :3] = _TO_RAS @ np.stack(columns, axis=1)
    affine[:3, 3] = _TO_RAS @ first.position
    return Stack(tuple(volumes), affine, tuple(notes))


def _several_spaces(frames: Sequence[Frame], where: object) -> tuple[str, ...]:
    """Note frames of reference, and refuse two: their slices lie at places that do not compare.

    Some programs that take out patients' names give each file a frame of reference of its own.
    """
    spaces = dict.fromkeys(frame.space for frame in frames if frame.space)
    if len(spaces) < 2:
        return ()
    if len(spaces) == len({frame.file for frame in frames}):
        return ("each file names a frame of reference of its own: that they lie in one is taken from their positions",)
    groups = [[frame for frame in frames if frame.space == space] for space in spaces]
    files = "; ".join(names(group, 3) for group in groups[:4])
    reason = f"the slices lie in {len(spaces)} frames of reference, whose positions do not compare ({files})"
    raise refused(where, reason, how_to_name(frames, groups) or ONE_VOLUME)


def _check_alike(frames: Sequence[Frame], where: object) -> None:
    kinds: list[list[Frame]] = []
    for frame in frames:
        for group in kinds:
            if np.abs(group[0].directions - frame.directions).max() < SAME_DIRECTION:
                group.append(frame)
                break
        else:
            kinds.append([frame])
    if len(kinds) > 1:
        files = "; ".join(names(group, 3) for group in kinds[:4])
        reason = f"the slices lie in {len(kinds)} different orientations, as in a localizer ({files})"
        raise refused(where, reason, how_to_name(frames, kinds) or ONE_VOLUME)
    for what, key in (("sizes (rows, columns)", _size), ("pixel spacings in mm", _rounded_spacing)):
        groups: dict[tuple[float, ...], list[Frame]] = {}
        for frame in frames:
            groups.setdefault(key(frame), []).append(frame)
        if len(groups) > 1:
            files = "; ".join(f"{value}: {names(group, 3)}" for value, group in groups.items())
            cure = how_to_name(frames, list(groups.values())) or ONE_VOLUME
            raise refused(where, f"the slices have {len(groups)} different {what} ({files})", cure)


def _size(frame: Frame) -> tuple[float, ...]:
    return frame.shape


def _rounded_spacing(frame: Frame) -> tuple[float, ...]:
    return tuple(round(value, 4) for value in frame.spacing_mm)


def _places(frames: Sequence[Frame], normal: np.ndarray) -> list[list[Frame]]:
    """Group frames by their place along the normal."""
    places: list[list[Frame]] = []
    last = -np.inf
    for depth, _, frame in sorted((float(f.position @ normal), number, f) for number, f in enumerate(frames)):
        if depth - last > SAME_PLACE_MM:
            places.append([])
        places[-1].append(frame)
        last = depth
    return places


def _differing(volumes: Sequence[Sequence[Frame]]) -> str:
    """Say in which marks volumes differ, with their values; indices count where nothing else tells."""
    values_of = {name: ", ".join(written(value) for value in list(dict.fromkeys(values))[:6])
            for name, values in differing([volume[0].marks for volume in volumes]).items()}  # fmt: skip
    plain = [f"{name}: {values}" for name, values in values_of.items() if "[" not in name]
    shown = plain or [f"{name}: {values}" for name, values in values_of.items()]
    return f" (they differ in {'; '.join(shown[:3])})" if shown else ""


def _step(volume: Sequence[Frame], normal: np.ndarray, where: object) -> tuple[np.ndarray, float]:
    """Measure the step from one slice to the next, and its angle against the normal in degrees (0 if none)."""
    if len(volume) == 1:
        return normal / np.linalg.norm(normal), 0.0
    positions = np.stack([frame.position for frame in volume])
    step = (positions[-1] - positions[0]) / (len(volume) - 1)
    gaps = np.diff(positions @ normal)
    usual = float(np.median(gaps))
    tolerance = UNEVEN * usual + SAME_PLACE_MM
    uneven = np.flatnonzero(np.abs(gaps - usual) > tolerance)
    if len(uneven):
        between = "; ".join(f"{gaps[k]:.3f} mm between {volume[k].name} and {volume[k + 1].name}" for k in uneven[:3])
        whole = np.abs(gaps / usual - np.round(gaps / usual)).max() < 0.05
        what = "slices are missing" if whole else "the slice distances are uneven"
        cure = "Add the missing files, or choose a part without gaps." if whole else "Resample it with care, by hand."
        cure = f"{cure} {how_to_name(volume)}".strip()
        raise refused(where, f"{what}: {usual:.3f} mm is usual, but {between}", cure)
    fitted = positions[0] + np.arange(len(volume))[:, None] * step
    if np.linalg.norm(positions - fitted, axis=1).max() > tolerance:
        raise refused(where, f"the slices do not lie on a straight line ({names(volume)})")
    tilt = float(np.degrees(np.arccos(min(1.0, step @ normal / np.linalg.norm(step)))))
    return step, tilt if tilt > TILT_DEGREES else 0.0
