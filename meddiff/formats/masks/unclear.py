"""Masks whose values may mean this or that: the sentences, each with what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from meddiff.errors import InputError
from meddiff.files.bad import bad_file
from meddiff.formats.masks.meaning import IGNORE
from meddiff.formats.masks.stored import in_colors
from meddiff.formats.masks.value_names import BACKGROUND

SHOWN = 8


def say_each(values: Sequence[str], setting: str) -> str:
    """Give the setting that says what each value is, with names to be replaced."""
    names = [BACKGROUND, *(f"class {number}" for number in range(1, SHOWN))]
    parts = ",".join(f"{value}={name}" for value, name in zip(values[:SHOWN], names, strict=False))
    return f'say which is which with --{setting} "{parts}{",..." if len(values) > SHOWN else ""}"'


def colored(path: str, colors: Sequence[int], setting: str) -> InputError:
    """Refuse masks in colors."""
    return in_colors(Path(path), say_each([f"#{color:06x}" for color in colors], setting))


def unlike_palettes(path: str, colors: Sequence[int], setting: str) -> InputError:
    """Refuse palettes whose entries are no numbers of classes."""
    cure = say_each([f"#{color:06x}" for color in colors], setting)
    return InputError(f"{path}: the palettes of the masks differ, or their first color is no background: {cure}")


def no_class(path: str, values: Sequence[int], setting: str) -> InputError:
    """Refuse numbers that are no class indices."""
    odd = ", ".join(map(str, values[:5])) + (" ..." if len(values) > 5 else "")
    return bad_file(
        Path(path),
        f"a mask holds whole numbers from 0 to 255, one per class; this one has {odd}. Give class indices, or say what "
        f"each value means with --{setting}",
    )


def lossy(path: str) -> str:
    """Call a way of compressing pictures with loss by its name."""
    return {".webp": "lossy WebP", ".jp2": "lossy JPEG 2000"}.get(Path(path).suffix.lower(), "JPEG")


def gray_jpeg(path: str) -> InputError:
    """Refuse JPEGs that hold more than black and white."""
    kind = lossy(path)
    return bad_file(
        Path(path),
        f"the {kind} masks hold regions that are neither black nor white, and a {kind} cannot hold classes: give them "
        "as PNG or TIFF, or make them black and white",
    )


def far_value(path: str, rest: Sequence[int], top: int, setting: str) -> InputError:
    """Refuse class indices with one value far above them."""
    listed = ",".join(map(str, rest[:SHOWN])) + (",..." if len(rest) > SHOWN else "")
    names = [BACKGROUND, *(f"class {number}" for number in range(1, SHOWN))]
    parts = ",".join(f"{value}={name}" for value, name in zip(rest[:SHOWN], names, strict=False))
    return InputError(
        f"{path}: the masks hold {listed} and {top}: is {top} a class, a rim that is not judged, or another way to "
        f'write one of them? Say so with --{setting} "{parts},{top}={IGNORE}"'
    )


def gray_classes(path: str, values: Sequence[int], whole: int, setting: str) -> InputError:
    """Refuse grays that are classes or soft edges; ``whole`` is white."""
    many = len(values) > 16
    shown = [*values[:8], "...", *values[-4:]] if many else values
    half = f"0-{whole // 2}={BACKGROUND},{whole // 2 + 1}-{whole}=foreground"
    cure = say_each([str(value) for value in values], setting)
    cure = f'cut them at one half with --{setting} "{half}"' if many else cure
    return InputError(
        f"{path}: the gray values [{', '.join(map(str, shown))}] could be classes or soft edges: store 0, 1, 2 ..., or "
        f"{cure}"
    )


def unnamed(path: str, values: Sequence[str], allowed: str, setting: str) -> InputError:
    """Refuse values that were not named where others were."""
    return InputError(
        f"mask {path} holds the value{'s' * (len(values) > 1)} {', '.join(values[:SHOWN])}, and --{setting} says "
        f"{allowed}: say what each value means, or that it is not judged (={IGNORE})"
    )


def beside(setting: str, what: str) -> str:
    """Name the setting mask_overlap or mask_missing that stands beside this one."""
    return f"{'data.' * setting.startswith('data.')}mask_{what}"


def shared(path: str, one: str, other: str, voxels: int, setting: str) -> InputError:
    """Refuse shapes that overlap; of one class they are two opinions of it."""
    return InputError(
        f"{path}: {one!r} and {other!r} share {voxels} voxels, and a voxel has one class: say with "
        f"--{beside(setting, 'overlap')} that it is the later one in the order of --classes (later) or not judged "
        "(ignore). Masks of several raters are no classes: choose one of them, or fuse them first"
    )


def missing(path: str, names: Sequence[str], setting: str) -> InputError:
    """Refuse a mask that does not name a class which others have."""
    absent = ", ".join(map(repr, names[:SHOWN]))
    return InputError(
        f"{path}: it names no {absent}, which other masks do: if nothing of it was there, say "
        f"--{beside(setting, 'missing')} empty; if nobody looked, add it or leave the image out"
    )


def marks_nothing(path: str, name: str, reason: str, setting: str) -> InputError:
    """Refuse a shape that marks no voxels and is to be a class."""
    return bad_file(
        Path(path), f'{name!r} {reason}: close it, or leave it out with --{setting} "{name}={BACKGROUND},..."'
    )
