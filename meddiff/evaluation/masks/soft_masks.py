"""What lies beside the masks of a folder: probabilities, members of an ensemble, uncertainties of the cases.

As `segment predict` writes them, so that any tool can: ``CASE_probability_CLASS`` (a picture whose largest value is 1,
or a float volume in [0, 1]), ``CASE_member_00`` (class values as in the masks), and a table predictions.csv with the
columns name and uncertainty.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from meddiff.errors import InputError
from meddiff.evaluation.masks.pairs import BESIDE, MaskFile, bare_name, case_name
from meddiff.files.tables import read_table
from meddiff.formats.open import files_below, load_volume
from meddiff.formats.pictures import bad_file, is_picture, read_pixels

TABLE = "predictions.csv"
SUM_OFF = 0.02
"""Probabilities of all classes may miss 1 by this much: they were stored with few digits, perhaps."""


@dataclass(frozen=True)
class SoftMasks:
    """What was found beside the masks, by the bare name of the case."""

    probabilities: dict[str, dict[str, Path]] = field(default_factory=dict)
    """Case -> class, as files name it -> file."""
    members: dict[str, list[Path]] = field(default_factory=dict)
    uncertainty: dict[str, float] = field(default_factory=dict)


def soft_masks(folder: Path) -> SoftMasks:
    """What lies beside the masks of a folder, all below it included.

    Raises:
        InputError: a predictions.csv that is no table.
    """
    found = SoftMasks()
    for path in files_below(folder):
        match = BESIDE.fullmatch(case_name(path) or "")
        if match is None:
            continue
        case, what = bare_name(match[1]), match[2]
        if what.startswith("probability_"):
            found.probabilities.setdefault(case, {})[what.removeprefix("probability_")] = path
        elif what.startswith("member_"):
            found.members.setdefault(case, []).append(path)
    table = folder / TABLE
    if table.is_file():
        told = read_table(table, ("name", "uncertainty"))
        values = {bare_name(Path(str(row["name"])).name): row["uncertainty"] for row in told.to_dict("records")}
        found.uncertainty.update({name: float(value) for name, value in values.items() if value == value})
    return found


def read_probabilities(files: dict[str, Path], class_names: Sequence[str], truth: MaskFile) -> np.ndarray:
    """Probabilities [K, *S] in the order of the classes, background first, on the grid of the truth.

    Args:
        files: class, as the file names it -> file; background may be missing and is then what the others leave.
        class_names: of all classes, background first.
        truth: the mask that says which grid.

    Raises:
        InputError: a class without a file, another grid, values outside [0, 1], classes that do not sum to 1.
    """
    by_name = {_plain(name): path for name, path in files.items()}
    wanted = [_plain(name) for name in class_names]
    if len(wanted) == 2 and wanted[1] not in by_name:  # of one class it is plain which file is meant
        alone = [path for name, path in by_name.items() if name != "background"]
        by_name |= {wanted[1]: alone[0]} if len(alone) == 1 else {}
    if missing := [name for name in wanted[1:] if name not in by_name]:
        raise InputError(
            f"no probabilities of {', '.join(missing)} beside {next(iter(files.values()))}, but of "
            f"{', '.join(files)}: say with --classes 1=name,2=... which value of the masks is which of them"
        )
    foreground = [_read(by_name[name], truth) for name in wanted[1:]]
    rest = 1 - np.sum(foreground, axis=0)
    background = _read(by_name["background"], truth) if "background" in by_name else rest
    if np.abs(background - rest).max() > SUM_OFF or background.min() < -SUM_OFF:
        raise InputError(
            f"the probabilities of {', '.join(class_names)} beside {by_name[wanted[1]]} do not sum to 1: give those of "
            "one softmax, of all classes"
        )
    stacked = np.clip(np.stack([background, *foreground]), 0, 1)
    return stacked / stacked.sum(axis=0)


def _read(path: Path, truth: MaskFile) -> np.ndarray:
    if is_picture(path):
        pixels = read_pixels(path)[0]
        values, grid = pixels / (np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1), pixels.shape
    else:
        volume = load_volume(path)
        values, grid = volume.array, volume.shape
    if grid != truth.grid or values.size != truth.values.size:
        raise bad_file(path, f"its grid is {grid}, that of the truth {truth.path} is {truth.grid}")
    if not np.isfinite(values).all() or values.min() < -SUM_OFF or values.max() > 1 + SUM_OFF:
        raise bad_file(path, f"probabilities lie in [0, 1], these in [{values.min():.4g}, {values.max():.4g}]")
    return values.reshape(truth.values.shape).astype(np.float64)


def _plain(name: str) -> str:
    """A class's name as files can bear it."""
    return re.sub(r"[ /]", "_", name.strip().lower())
