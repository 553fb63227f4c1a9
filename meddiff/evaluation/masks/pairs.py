"""Two folders of masks, of any tools: which file belongs to which, and what a file holds.

A case is named by its file without suffix. Where the names of truth and prediction differ, what tools add to them is
taken off on both sides: ``_segmentation`` (ISIC), ``_lesion`` (PH2), ``_0000`` (nnU-Net's channel), ``_mask``,
``_seg``, ``_label``, ``_gt``, ``_truth``, ``_pred``, ``_prediction``. Two files that come to one name are refused,
never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meddiff.errors import InputError
from meddiff.formats.open import files_below, load_volume, reader_of
from meddiff.formats.pictures import PICTURE_SUFFIXES, bad_file, is_picture, read_mask_picture, read_pixels

_ADDED = re.compile(
    r"[_-](segmentation|seg|mask|labels?|gt|ground_?truth|truth|pred|prediction|lesion|0000)$", re.IGNORECASE
)
BESIDE = re.compile(r"(.+)_(probability_.+|member_\d+|deviation|entropy)")
"""Files that `segment predict` writes beside a mask; see soft_masks.py."""
SAME_PLACE = 0.01  # of a voxel's shortest edge: affines that move a corner by less than this are one


@dataclass(frozen=True)
class Matching:
    """Pairs of files by the name of their case."""

    pairs: dict[str, tuple[Path, Path]]
    missing: dict[str, Path]
    """Truths without a prediction."""
    extra: list[Path]
    """Predictions without a truth; nobody can score them."""
    renamed: int
    """How many pairs have names that differ, and are one after taking off what tools add."""


@dataclass(frozen=True)
class MaskFile:
    """A mask as it is stored: whole numbers, and where its pixels lie if the file tells."""

    path: Path
    values: np.ndarray
    """Whole numbers [*S]; axes of one voxel are taken off volumes, so that a slice is a picture."""
    spacing_mm: tuple[float, ...] | None
    affine: np.ndarray | None
    """Of the file's three axes."""
    grid: tuple[int, ...]
    """Pixels along the file's own axes."""


def match_folders(truth: Path, prediction: Path) -> Matching:
    """Pair the masks of two folders, all below them included.

    Raises:
        InputError: a folder that is not there or holds no mask, two files of one name, no pair at all.
    """
    truths, predictions = masks_below(truth), masks_below(prediction)
    exact = {name: (truths[name], predictions[name]) for name in truths if name in predictions}
    rest = (_bare(name for name in truths if name not in exact), _bare(set(predictions) - set(exact)))
    renamed = {
        rest[0][bare]: (truths[rest[0][bare]], predictions[rest[1][bare]]) for bare in rest[0] if bare in rest[1]
    }
    pairs = exact | renamed
    if not pairs:
        raise InputError(
            f"no mask of {truth} (such as {next(iter(truths))}) has the name of one in {prediction} (such as "
            f"{next(iter(predictions))}): name the files of a case alike; _mask, _segmentation, _pred and the like "
            "at the end do not matter"
        )
    used = {second for _, second in pairs.values()}
    missing = {name: path for name, path in truths.items() if name not in pairs}
    extra = [path for path in predictions.values() if path not in used]
    return Matching({name: pairs[name] for name in truths if name in pairs}, missing, extra, len(renamed))


def masks_below(folder: Path) -> dict[str, Path]:
    """Masks by the name of their case (the file without suffix), sorted; files of other kinds are no masks."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: name a folder of masks")
    found: dict[str, Path] = {}
    for path in files_below(folder):
        name = case_name(path)
        if name is None or BESIDE.fullmatch(name):
            continue
        if name in found:
            raise InputError(f"{found[name]} and {path} are both of case {name!r}: keep one of them in {folder}")
        found[name] = path
    if not found:
        raise InputError(
            f"{folder} holds no mask: these are {', '.join(PICTURE_SUFFIXES)}, NIfTI, NRRD, MetaImage and MGH"
        )
    return found


def case_name(path: Path) -> str | None:
    """The file's name without suffix (.nii.gz is one); None for a file that is no picture or volume."""
    if is_picture(path):
        return path.stem
    if reader_of(path) is None or path.suffix.lower() in (".hdr", ".raw"):
        return None
    stem = path.name[: -len(".gz")] if path.name.lower().endswith(".gz") else path.name
    return stem[: stem.rindex(".")]


def read_mask(path: Path) -> MaskFile:
    """A mask of any kind. Black and white pictures become 0 and 1 whatever they are stored as.

    Raises:
        InputError: damaged files, colors, several volumes in one file, numbers that are not whole.
    """
    if is_picture(path):
        values = _read_picture(path)
        return MaskFile(path, values, None, None, values.shape)
    volume = load_volume(path)
    if volume.color or volume.count > 1:
        raise bad_file(path, f"a mask is one volume of whole numbers, this is {volume.array.shape}")
    values = volume.array.reshape(volume.shape)
    whole = np.rint(values)
    if not (np.isfinite(values).all() and (whole == values).all() and values.min() >= 0 and values.max() < 2**15):
        raise bad_file(
            path, f"a mask holds whole numbers from 0, this one has {values.min():.4g} to {values.max():.4g}"
        )
    kept = [axis for axis, length in enumerate(values.shape) if length > 1] if 1 in values.shape else [0, 1, 2]
    kept = kept if len(kept) >= 2 else [0, 1]
    spacing = tuple(volume.spacing_mm[axis] for axis in kept)
    told = None if None in spacing else tuple(float(edge) for edge in spacing if edge is not None)
    shape = tuple(values.shape[axis] for axis in kept)
    return MaskFile(path, whole.astype(np.int16).reshape(shape), told, volume.affine, volume.shape)


def check_pair(truth: MaskFile, prediction: MaskFile, *, geometry: bool = True) -> None:
    """InputError, by name, for masks that are not of one grid; ``geometry`` compares affines where both are told."""
    if is_picture(truth.path) != is_picture(prediction.path):
        raise InputError(
            f"{truth.path} and {prediction.path} are a picture and a volume, whose axes have another order: convert one"
        )
    if truth.grid != prediction.grid:
        raise InputError(
            f"{truth.path} is {truth.grid} and {prediction.path} is {prediction.grid}: bring the "
            "prediction to the grid of the truth first (nearest neighbor); nothing is resized here"
        )
    if not geometry or truth.affine is None or prediction.affine is None:
        return
    corners = np.array([[*corner, 1] for corner in np.ndindex(2, 2, 2)]) * [*(edge - 1 for edge in truth.grid), 1]
    moved = np.linalg.norm((corners @ (truth.affine - prediction.affine).T)[:, :3], axis=1).max()
    shortest = np.linalg.norm(truth.affine[:3, :3], axis=0).min()
    if moved > SAME_PLACE * shortest:
        raise InputError(
            f"{prediction.path} lies elsewhere than {truth.path}: a corner is {moved:.4g} mm away. Resample the "
            "prediction to the truth, or say --ignore-geometry if only its header is wrong"
        )


def class_indices(mask: MaskFile, classes: dict[int, str]) -> np.ndarray:
    """Stored values -> 0 for background, 1 .. for the classes in their order; InputError for a value of none."""
    lookup = {0: 0} | {value: index for index, value in enumerate(classes, 1)}
    found = np.unique(mask.values)
    unknown = [int(value) for value in found if int(value) not in lookup]
    if unknown:
        told = ", ".join(f"{value}={name}" for value, name in classes.items())
        raise InputError(f"{mask.path} has the values {unknown[:5]}, which are none of {told}: name all with --classes")
    table = np.zeros(int(found.max()) + 1, np.int16)
    table[[int(value) for value in found]] = [lookup[int(value)] for value in found]
    return table[mask.values]


def _read_picture(path: Path) -> np.ndarray:
    """As `meddiff.formats.pictures.read_mask_picture`, but three gray values up to 255 are not made black and white."""
    values = read_mask_picture(path)
    if values.max(initial=0) == 1 and path.suffix.lower() not in (".jpg", ".jpeg"):
        levels = np.unique(read_pixels(path)[0])
        if 2 < len(levels) <= 16 and levels.max() > 127:
            raise bad_file(path, f"the gray values {levels.tolist()} could be classes or soft edges: store 0, 1, 2 ...")
    return values.astype(np.int16)


def bare_name(name: str) -> str:
    """The name of a case without what tools add to it."""
    before = ""
    while name != before:
        before, name = name, _ADDED.sub("", name)
    return name


def _bare(names: Iterable[str]) -> dict[str, str]:
    """Name without what tools add -> name; InputError where two come to one."""
    found: dict[str, str] = {}
    for name in sorted(names):
        bare = bare_name(name)
        if bare in found:
            raise InputError(f"{found[bare]!r} and {name!r} are both of case {bare!r}: rename one, or move it away")
        found[bare] = name
    return found
