"""Two folders of masks, of any tools: which file belongs to which, and what a file holds.

A case is named by its file without suffix. Where the names of truth and prediction differ, what tools add to them is
taken off on both sides: ``_segmentation`` (ISIC), ``_lesion`` (PH2), ``_0000`` (nnU-Net's channel), ``_mask``,
``_seg``, ``_label``, ``_gt``, ``_truth``, ``_pred``, ``_prediction``. Two files that come to one name are refused,
never guessed. Several files of one class each are one mask where the other folder, or that of the images, has the name
of their case alone (``p1_liver``, ``p1/liver``, ``liver/p1`` and ``p1``), or where they say so (``p1_mask_liver``).

What lies beside the masks of a folder: probabilities, members of an ensemble, uncertainties of the cases.

As `segment predict` writes them, so that any tool can: ``CASE_probability_CLASS`` (a picture whose largest value is 1,
or a float volume in [0, 1]), ``CASE_member_00`` (class values as in the masks), and a table predictions.csv with the
columns name and uncertainty. As nnU-Net writes them: ``CASE.npz``, the probabilities of all classes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from meddiff.errors import InputError
from meddiff.files.bad import bad_file
from meddiff.files.long_tables import read_table
from meddiff.files.walk import files_below
from meddiff.formats.dicom.drawn import is_drawn
from meddiff.formats.find import find
from meddiff.formats.masks import MaskAt, MaskMeaning, decide, levels_of, read_stored, stored_at, stored_volume
from meddiff.formats.open import is_volume, load_volume, stem_of
from meddiff.formats.pictures import PICTURE_SUFFIXES, is_picture, read_pixels
from meddiff.formats.softmax import holds_softmax, read_softmax
from meddiff.formats.volume import corners_apart_mm, same_place
from meddiff.manifest.mask_cells import image_of_mask, owner_of
from meddiff.manifest.row import SERIES, MaskPart

_ADDED = re.compile(
    r"[_-](segmentation|seg|mask|labels?|gt|ground_?truth|truth|pred|prediction|lesion|0000)$", re.IGNORECASE
)
BESIDE = re.compile(r"(.+)_(probability_.+|member_\d+|overlay|deviation|entropy)")
"""Files that `segment predict` writes beside a mask; see `soft_masks`."""


@dataclass(frozen=True)
class Matching:
    """Pairs of files by the name of their case."""

    pairs: dict[str, tuple[Path, Path]]
    missing: dict[str, Path]
    """Truths without a prediction."""
    extra: list[Path]
    """Predictions without a truth; nobody can score them."""
    renamed: int
    """Number of pairs whose names differ, and are one after taking off what tools add."""
    by_path: bool = False
    """Whether cases are named by their path, as several subfolders hold files of one name."""
    several: Mapping[Path, tuple[MaskPart, ...]] = field(default_factory=dict)
    """All files of a mask, and the class that each holds, by the first one; of masks that are several files."""


@dataclass(frozen=True)
class MaskFile:
    """A mask, and where its pixels lie if the file tells."""

    path: Path
    values: np.ndarray
    """Class indices uint8 [*S], IGNORED is not judged; axes of one voxel are taken off: a slice is a picture."""
    spacing_mm: tuple[float, ...] | None
    affine: np.ndarray | None
    """Affine of the file's three axes."""
    grid: tuple[int, ...]
    """Pixels along the file's own axes."""


def match_folders(truth: Path, prediction: Path, images: Collection[str] = ()) -> Matching:
    """Pair the masks of two folders, all below them included; the names of the ``images`` are those of cases.

    Raises:
        InputError: a folder that is not there or holds no mask, two files of one name, no pair at all.
    """
    by_path = any(_has_equal_names(folder) for folder in (truth, prediction))
    several: dict[Path, tuple[MaskPart, ...]] = {}
    both = masks_below(truth, by_path=by_path), masks_below(prediction, by_path=by_path)
    truths, predictions = (
        _of_cases(own, images or other, several) for own, other in ((both[0], both[1]), (both[1], both[0]))
    )
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
    pairs = {name: pairs[name] for name in truths if name in pairs}
    return Matching(pairs, missing, extra, len(renamed), by_path, several)


def _of_cases(
    masks: Mapping[str, Path], known: Collection[str], several: dict[Path, tuple[MaskPart, ...]]
) -> dict[str, Path]:
    """Return masks by case, files of one class each as one, which goes into ``several``.

    Raises:
        InputError: a file of one class beside one of all.
    """
    cases: dict[str, set[str]] = {}
    said = {name: owner[0] for name in masks
            if (owner := image_of_mask(bare_name(name))) and re.search(r"\D", owner[1])}  # fmt: skip
    for name in (*known, *map(bare_name, known), *said.values()):
        place, _, stem = name.rpartition("/")
        cases.setdefault(place, set()).add(stem)
    for name in said:  # that of a class, whatever the other folder calls so
        place, _, stem = bare_name(name).rpartition("/")
        cases[place].discard(stem)
    grouped: dict[str, list[MaskPart]] = {}
    alone: dict[str, Path] = {}
    for name, path in masks.items():
        place, _, stem = bare_name(name).rpartition("/")
        owner = None if name in known and name not in said else owner_of(place, stem, cases)
        if owner is None or not owner[2]:
            alone[name] = path
        else:
            grouped.setdefault("/".join(filter(None, owner[:2])), []).append(MaskPart(path, owner[2]))
    whole = {case for name in alone for case in (name, bare_name(name))} & set(grouped)
    if whole == set(grouped):
        return dict(masks)  # names that begin with those of other cases, and are cases of their own
    if whole:
        case = min(whole)
        raise InputError(f"{grouped[case][0].path} is of one class of {case!r}, and another file of all its classes: "
                         "take one of them out")  # fmt: skip
    several |= {parts[0].path: tuple(parts) for parts in grouped.values()}
    return alone | {case: parts[0].path for case, parts in grouped.items()}


def _has_equal_names(folder: Path) -> bool:
    """Tell whether masks of one name lie in several subfolders of a folder."""
    named = [(case_name(path), path.parent) for path in files_below(folder)] if folder.is_dir() else []
    counts = Counter(name for name, _ in dict.fromkeys(named) if name is not None and not BESIDE.fullmatch(name))
    return max(counts.values(), default=0) > 1


def masks_below(folder: Path, *, by_path: bool = False) -> dict[str, Path]:
    """Return masks by the name of their case, sorted; files of other kinds are no masks.

    The name is that of the file without suffix; ``by_path`` it is its path below the folder, without suffix.

    Raises:
        InputError: there is no such folder, or no mask in it; two masks of one case.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: name a folder of masks")
    named: dict[str, Path] = {}
    for path in files_below(folder):
        name = case_name(path)
        sheet = path == folder / "overview.png" and (folder / TABLE).is_file()  # of all masks, by `segment predict`
        if name is None or BESIDE.fullmatch(name) or sheet:
            continue
        name = path.parent.relative_to(folder).joinpath(name).as_posix() if by_path else name
        if name in named:
            raise InputError(f"{named[name]} and {path} are both of case {name!r}: keep one of them in {folder}")
        named[name] = path
    if not named:
        raise InputError(
            f"{folder} holds no mask: these are {', '.join(PICTURE_SUFFIXES)}, NIfTI, NRRD, MetaImage, MGH, "
            "DICOM SEG and RTSTRUCT"
        )
    return named


def case_name(path: Path) -> str | None:
    """Return the file's name without suffix (.nii.gz is one); None for what is no picture, volume, SEG or RTSTRUCT."""
    if is_picture(path) or is_volume(path):
        return stem_of(path.name)
    return path.name.removesuffix(".dcm") if is_drawn(path) else None


def images_below(folder: Path) -> dict[str, Path]:
    """Return pictures, volumes and DICOM series by the name of their case: that of the file, or of a series' folder."""
    images = {name: one.path for one in find(folder) if one.kind in ("picture", "volume") and (name := one.stem)}
    series = [one for one in find(folder) if one.series is not None]
    alone = Counter(one.path.parent for one in series)
    for one in series:
        many = alone[one.path.parent] > 1 or len(one.files) == 1
        images[one.path.parent.name] = one.path.with_name(one.path.name + SERIES) if many else one.path.parent
    return images


def read_as(matchings: Iterable[Matching], images: Mapping[str, Path]) -> dict[Path, MaskAt]:
    """Say how masks are read that are more than a file: several files, or a SEG or RTSTRUCT on the voxels of an image.

    Where there is no image of the case it is the other mask.

    Raises:
        InputError: there is none for one of them.
    """
    wanted: dict[Path, MaskAt] = {}
    for matching in matchings:
        wanted |= {path: MaskAt(parts) for path, parts in matching.several.items()}
        pairs = [*matching.pairs.items(), *((case, (path, None)) for case, path in matching.missing.items())]
        for case, (truth, prediction) in pairs:
            for one, other in ((truth, prediction), (prediction, truth)):
                if one is None or one in wanted or not is_drawn(one):
                    continue
                image = images.get(case) or images.get(bare_name(case))
                image = image or (other if other is not None and not is_drawn(other) else None)
                if image is None:
                    raise InputError(
                        f"{one} is read on the voxels of the image it was drawn on: name the folder of the images with "
                        f"--images, in it {case!r} as a volume or a folder with its series"
                    )
                wanted[one] = MaskAt.file(one, image)
    return wanted


def read_mask(path: Path, meaning: MaskMeaning | None = None, mask: MaskAt | None = None) -> MaskFile:
    """Read a mask of any kind, as class indices.

    Args:
        path: the file.
        meaning: of all masks of its folder; without it the file is a folder of its own.
        mask: what it is, where it is more than this file (see `read_as`).

    Raises:
        InputError: damaged files, colors, several volumes in one file, values that mean no class.
    """
    if is_picture(path):
        stored = read_stored(path) if mask is None else stored_at(mask)
        values = (meaning or decide([levels_of(stored)], labels=True))(stored)
        return MaskFile(path, values, None, None, values.shape)
    volume = load_volume(path if mask is None or mask.image is None else mask.image)
    stored = stored_volume(volume, path) if mask is None else stored_at(mask, volume=True)
    for part, place in stored.places:
        if place.affine is None or volume.affine is None:
            continue
        if not same_place(place.affine, volume.affine, volume.shape):
            raise InputError(f"{part} lies elsewhere than {path}, and both are of one mask: resample one to the other")
    values = (meaning or decide([levels_of(stored)], labels=True))(stored)
    kept = [axis for axis, length in enumerate(values.shape) if length > 1] if 1 in values.shape else [0, 1, 2]
    kept = kept if len(kept) >= 2 else [0, 1]
    spacing = tuple(volume.spacing_mm[axis] for axis in kept)
    stated = None if None in spacing else tuple(float(edge) for edge in spacing if edge is not None)
    shape = tuple(values.shape[axis] for axis in kept)
    return MaskFile(path, values.reshape(shape), stated, volume.affine, volume.shape)


def check_pair(truth: MaskFile, prediction: MaskFile, *, geometry: bool = True) -> None:
    """Refuse masks that are not of one grid, by name; ``geometry`` compares affines where both are known.

    Raises:
        InputError: another kind of file, another grid, another place.
    """
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
    if not same_place(truth.affine, prediction.affine, truth.grid):
        moved = corners_apart_mm(truth.affine, prediction.affine, truth.grid)
        raise InputError(
            f"{prediction.path} lies elsewhere than {truth.path}: a corner is {moved:.4g} mm away. Resample the "
            "prediction to the truth, or say --ignore-geometry if only its header is wrong"
        )


def bare_name(name: str) -> str:
    """Return the name of a case without what tools add to it."""
    before = ""
    while name != before:
        before, name = name, _ADDED.sub("", name)
    return name


def _bare(names: Iterable[str]) -> dict[str, str]:
    """Map each name without what tools add to the name itself; raise InputError where two come to one."""
    named: dict[str, str] = {}
    for name in sorted(names):
        bare = bare_name(name)
        if bare in named:
            raise InputError(f"{named[bare]!r} and {name!r} are both of case {bare!r}: rename one, or move it away")
        named[bare] = name
    return named


TABLE = "predictions.csv"
SOFTMAX = "softmax"
"""Stands for all classes, where one file holds their probabilities."""
AGREEING = 0.9
"""Share of a mask whose class must have the largest probability; what cleans masks takes parts of them away."""
SUM_OFF = 0.02
"""Probabilities of all classes may miss 1 by this much: they were stored with few digits, perhaps."""


@dataclass(frozen=True)
class SoftMasks:
    """Files and values that lie beside the masks, by the bare name of the case."""

    probabilities: dict[str, dict[str, Path]] = field(default_factory=dict)
    """Case -> class, as files name it -> file; SOFTMAX -> a file of all classes."""
    members: dict[str, list[Path]] = field(default_factory=dict)
    uncertainty: dict[str, float] = field(default_factory=dict)


def soft_masks(folder: Path, *, by_path: bool = False) -> SoftMasks:
    """Find what lies beside the masks of a folder, all below it included; ``by_path`` as in `masks_below`.

    Raises:
        InputError: a predictions.csv that is no table.
    """
    soft = SoftMasks()
    for path in files_below(folder):
        match = BESIDE.fullmatch(case_name(path) or "")
        if match is None and not holds_softmax(path):
            continue
        case, what = (bare_name(match[1]), match[2]) if match else (bare_name(path.stem), f"probability_{SOFTMAX}")
        case = path.parent.relative_to(folder).joinpath(case).as_posix() if by_path else case
        if what.startswith("probability_"):
            soft.probabilities.setdefault(case, {})[what.removeprefix("probability_")] = path
        elif what.startswith("member_"):
            soft.members.setdefault(case, []).append(path)
    table = folder / TABLE
    if table.is_file():
        lines = read_table(table, ("name", "uncertainty"), as_text=True).to_dict("records")
        for name, text in ((line["name"], line["uncertainty"]) for line in lines if line["uncertainty"]):
            case = bare_name(name if by_path else Path(name).name)
            soft.uncertainty[case] = _number(text, f"{table}: the uncertainty of {name}")
    return soft


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{what} is {text[:40]!r}, no number") from None


def read_probabilities(files: dict[str, Path], class_names: Sequence[str], truth: MaskFile) -> np.ndarray:
    """Read probabilities [K, *S] in the order of the classes, background first, on the grid of the truth.

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


def probabilities_beside(path: Path, classes: Mapping[int, str], truth: MaskFile, mask: np.ndarray) -> np.ndarray:
    """Read the probabilities [K, *S] that nnU-Net has stored beside a mask, background first, on the grid of the truth.

    Args:
        path: the file.
        classes: number of the class -> name, without background.
        truth: the mask that says which grid.
        mask: class indices [*S] of the prediction.

    Raises:
        InputError: another grid, fewer classes, no softmax, or the probabilities of another mask.
    """
    stored = read_softmax(path)
    values = stored[:, 0] if is_picture(truth.path) and stored.ndim == 4 else stored
    values = values if is_picture(truth.path) else stored.transpose(0, *range(stored.ndim - 1, 0, -1))
    if values.shape[1:] != truth.grid:
        raise bad_file(path, f"its grid is {values.shape[1:]}, that of the truth {truth.path} is {truth.grid}")
    numbers = [*classes] if max(classes) < len(values) else [*range(1, len(classes) + 1)]
    off = np.abs(values.sum(axis=0, dtype=np.float32) - 1).max()
    if len(values) <= max(numbers) or not off <= SUM_OFF:
        raise bad_file(path, f"it holds {len(values)} channels, and they are no softmax of background and "
                             f"{', '.join(classes.values())}: regions that overlap cannot be calibrated")  # fmt: skip
    foreground = values[numbers].reshape(-1, *truth.values.shape).astype(np.float64).clip(0, 1)
    probabilities = np.concatenate([1 - foreground.sum(axis=0, keepdims=True), foreground]).clip(0, 1)
    marked = (mask > 0) & (mask < len(probabilities))
    if marked.any() and (probabilities.argmax(axis=0) == mask)[marked].mean() < AGREEING:
        raise bad_file(path, "the largest probability is seldom that of the mask beside it: of another mask, or stored "
                             "in another orientation (NibabelIOWithReorient); predict with SimpleITKIO")  # fmt: skip
    return probabilities / probabilities.sum(axis=0)


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
    """Return a class's name as files can bear it."""
    return re.sub(r"[ /]", "_", name.strip().lower())
