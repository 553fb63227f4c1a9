"""Single slices to one grid: from positions and orientations alone, never from a slice thickness.

A slice at position p with directions r (along a row) and c (along a column) puts pixel (column i, row j) at
p + i * spacing * r + j * spacing * c, in millimeters to the left, back and head (DICOM PS3.3 C.7.6.2.1.1). Slices are
ordered along the normal r x c. They are one grid when the steps between neighbors are all alike; the step may lean
(a tilted gantry), which the affine holds exactly. Everything else is refused with the names of the files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meddiff.errors import InputError

SAME_DIRECTION = 1e-3  # largest difference of direction cosines that writers round differently
SAME_PLACE_MM = 1e-2
UNEVEN = 0.02  # of the slice distance; scanners write positions with two decimals at worst
TILT_DEGREES = 0.5  # less is rounding
_TO_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Frame:
    """One slice of a file."""

    file: Path
    index: int
    """Which frame of the file, from 0."""
    corner: tuple[int, int]
    """First row and column of the slice in the stored picture; not (0, 0) in a mosaic."""
    shape: tuple[int, int]
    """Rows and columns."""
    position: np.ndarray
    """[3] center of the first pixel, LPS millimeters."""
    directions: np.ndarray
    """[2, 3] unit vectors along a row (growing column) and along a column (growing row)."""
    spacing_mm: tuple[float, float]
    """Between columns, and between rows."""
    kind: tuple = ()
    """What must be the same all over a volume: echo, b-value, frame type."""
    order: tuple = ()
    """What sorts several volumes: time, acquisition, number."""
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def name(self) -> str:
        """For messages."""
        return self.file.name + (f" frame {self.index}" if self.index else "")


@dataclass(frozen=True)
class Stack:
    """Slices on one grid."""

    volumes: tuple[tuple[Frame, ...], ...]
    """For each volume its slices, in the order of the third axis."""
    affine: np.ndarray
    """4 x 4, index (column, row, slice) -> RAS millimeters."""
    notes: tuple[str, ...] = ()


def arrange(frames: Sequence[Frame], where: object) -> Stack:
    """The grid that these slices form.

    Args:
        frames: slices of one series, in any order.
        where: the folder or file, for messages.

    Raises:
        InputError: sizes, spacings or orientations differ (a localizer), several slices at one place that cannot be
            told apart, missing slices, uneven distances; with the names of the files.
    """
    _check_alike(frames, where)
    normal = np.cross(*frames[0].directions)
    places = _places(frames, normal)
    notes = []
    volumes = _volumes(places, where)
    if len(volumes) > 1:
        notes.append(f"{len(volumes)} volumes on one grid{_differing(volumes)}")
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


def _refuse(where: object, reason: str, cure: str = "Choose files of one volume.") -> InputError:
    return InputError(f"{where}: {reason}. {cure}")


def _names(frames: Sequence[Frame], limit: int = 6) -> str:
    names = list(dict.fromkeys(frame.name for frame in frames))
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


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
        told = "; ".join(_names(group, 3) for group in kinds[:4])
        raise _refuse(where, f"the slices lie in {len(kinds)} different orientations, as in a localizer ({told})")
    for what, key in (("sizes (rows, columns)", _size), ("pixel spacings in mm", _rounded_spacing)):
        groups: dict[tuple[float, ...], list[Frame]] = {}
        for frame in frames:
            groups.setdefault(key(frame), []).append(frame)
        if len(groups) > 1:
            told = "; ".join(f"{value}: {_names(group, 3)}" for value, group in groups.items())
            raise _refuse(where, f"the slices have {len(groups)} different {what} ({told})")


def _size(frame: Frame) -> tuple[float, ...]:
    return frame.shape


def _rounded_spacing(frame: Frame) -> tuple[float, ...]:
    return tuple(round(value, 4) for value in frame.spacing_mm)


def _places(frames: Sequence[Frame], normal: np.ndarray) -> list[list[Frame]]:
    """Frames by their place along the normal."""
    places: list[list[Frame]] = []
    last = -np.inf
    for depth, _, frame in sorted((float(f.position @ normal), number, f) for number, f in enumerate(frames)):
        if depth - last > SAME_PLACE_MM:
            places.append([])
        places[-1].append(frame)
        last = depth
    return places


def _volumes(places: Sequence[Sequence[Frame]], where: object) -> list[tuple[Frame, ...]]:
    counts = [len(place) for place in places]
    count = max(set(counts), key=counts.count)
    odd = [frame for place in places if len(place) != count for frame in place]
    if odd:
        raise _refuse(
            where,
            f"most places hold {count} slices, but {sum(number != count for number in counts)} of {len(places)} "
            f"hold another number: {_names(odd)}",
            "Remove the duplicates or add what is missing.",
        )
    if len(places) == 1 and count > 1:
        raise _refuse(where, f"all {count} slices lie at the same place, so they are no volume ({_names(places[0])})")
    ordered = [sorted(place, key=lambda frame: frame.order) for place in places]
    for place in ordered:
        if len({frame.order for frame in place}) < count:
            reason = f"{count} slices lie at each place, and neither time nor number tells them apart"
            raise _refuse(where, f"{reason} ({_names(place)})", "Remove the duplicates.")
    volumes = list(zip(*ordered, strict=True))
    for volume in volumes:
        if len({frame.kind for frame in volume}) > 1:
            raise _refuse(
                where, f"{count} slices lie at each place and cannot be sorted into volumes ({_names(ordered[0])})"
            )
        apart = [np.linalg.norm(one.position - two.position) for one, two in zip(volume, volumes[0], strict=True)]
        if max(apart) > SAME_PLACE_MM:
            raise _refuse(where, f"volumes of the series are shifted by {max(apart):.3f} mm ({_names(volume)})")
    return volumes


def _differing(volumes: Sequence[Sequence[Frame]]) -> str:
    kinds = [volume[0].kind for volume in volumes]
    told = [str(value) for kind in zip(*kinds, strict=True) if len(set(kind)) > 1 for value in dict.fromkeys(kind)]
    return f" (they differ in {', '.join(told[:6])})" if told else ""


def _step(volume: Sequence[Frame], normal: np.ndarray, where: object) -> tuple[np.ndarray, float]:
    """From one slice to the next, and the angle in degrees by which it leans against the normal (0 if none)."""
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
        raise _refuse(where, f"{what}: {usual:.3f} mm is usual, but {between}", cure)
    fitted = positions[0] + np.arange(len(volume))[:, None] * step
    if np.linalg.norm(positions - fitted, axis=1).max() > tolerance:
        raise _refuse(where, f"the slices do not lie on a straight line ({_names(volume)})")
    tilt = float(np.degrees(np.arccos(min(1.0, step @ normal / np.linalg.norm(step)))))
    return step, tilt if tilt > TILT_DEGREES else 0.0
