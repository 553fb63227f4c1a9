"""Images with their masks, of run folders and manifests, as other programs number them: one meaning of classes for all.

A slice of a volume stands for its whole volume, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from meddiff.errors import InputError, Problems
from meddiff.formats import load_image, load_slice
from meddiff.formats.arrays import is_of_volume
from meddiff.formats.masks import MaskMeaning, NameRules, decide, masks_found, masks_of_rows
from meddiff.formats.masks.meaning import NOT_JUDGED, read_meaning
from meddiff.formats.open import stem_of
from meddiff.formats.volume import Volume
from meddiff.images.prepare import classes_on, load_sequences, picture_classes
from meddiff.jobs.segment.evaluate import file_stems
from meddiff.manifest.row import ManifestRow
from meddiff.manifest.table import read_manifest
from meddiff.recipe import SegmentRecipe, from_dict
from meddiff.run import RunFolder, kind_of, root_of_manifest, settings_in

TEST = "test"
SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class MaskedCase:
    """One image, and what its mask means."""

    name: str
    """As its files are called."""
    row: ManifestRow
    """The row of the image; of a volume whose slices are rows the first of them, without the slice."""
    meaning: MaskMeaning

    @property
    def is_volume(self) -> bool:
        """True where it is a volume, and no picture."""
        return self.row.slice_axis is None and is_of_volume(self.row.image_files[0])

    @property
    def is_test(self) -> bool:
        """True where it is kept from training; what a model has drawn tests nobody."""
        return self.row.split == TEST and not self.is_synthetic

    @property
    def is_synthetic(self) -> bool:
        """True where a model has drawn it."""
        return self.row.source == SYNTHETIC

    @property
    def has_mask(self) -> bool:
        """True where somebody has drawn its mask."""
        return self.row.mask_path is not None

    def picture(self) -> np.ndarray:
        """Read the pixels [H, W] or [H, W, 3] of a picture."""
        row = self.row
        if row.slice_axis is None or row.slice_index is None:
            return load_image(row.image_file)
        return load_slice(row.image_file, row.slice_axis, row.slice_index)

    def volume(self) -> Volume:
        """Read a volume with all its sequences."""
        return load_sequences(self.row.image_files)

    def classes(self, image: Volume | np.ndarray) -> np.ndarray:
        """Read the mask as class indices uint8 on the grid of its image; IGNORED is not judged."""
        if isinstance(image, Volume):
            return classes_on(self.row, image.place, self.meaning)
        return picture_classes(self.row, (image.shape[0], image.shape[1]), self.meaning)


@dataclass(frozen=True)
class MaskedCases:
    """All cases, and the classes of their masks."""

    cases: tuple[MaskedCase, ...]
    class_names: tuple[str, ...]
    """Class k is class_names[k]; 0 is background."""
    ignores: bool
    """True where a mask may hold pixels that nobody judged."""
    without_mask: int = 0
    """Images for training that have no mask, and are left out."""


def gather(places: Sequence[str], mask_values: str = "", data_root: str = "") -> MaskedCases:
    """Read the cases of run folders and manifests; those of the first say what the classes are called.

    Raises:
        InputError: no run and no manifest, no mask, masks of other classes, cases of one name.
    """
    cases: list[MaskedCase] = []
    names: tuple[str, ...] = ()
    without, ignores = 0, False
    for manifest in [one for place in places for one in _manifests(Path(place).expanduser())]:
        root = Path(data_root).expanduser() if data_root else root_of_manifest(manifest)
        rows = _whole(read_manifest(manifest, root=root))
        masked = [row for row in rows if row.mask_path is not None]
        usable = [row for row in rows if row.mask_path is not None or row.split == TEST]
        without += len(rows) - len(usable)
        if not masked:
            continue
        meaning = _meaning(manifest, masked, mask_values, names)
        names = names or _class_names(manifest, meaning)
        ignores = ignores or any(one.index == NOT_JUDGED for one in meaning.values)
        cases += _named(usable, meaning)
    if not any(case.has_mask and not case.is_test for case in cases):
        raise InputError(f"{', '.join(places)}: no image for training has a mask: fill in mask_path in the manifest")
    _refuse_equal_names(cases, places)
    return MaskedCases(tuple(cases), names, ignores, without)


def _manifests(place: Path) -> list[Path]:
    """List the manifests of a run folder, that of its synthetic images too, or the one that is named."""
    if place.suffix.lower() == ".csv":
        return [place]
    settings_in(RunFolder(place))
    folder = RunFolder(place)
    return [folder.manifest, *([folder.synthetic_manifest] if folder.synthetic_manifest.is_file() else [])]


def _whole(rows: Sequence[ManifestRow]) -> list[ManifestRow]:
    """Return a row per image file or page of one: of the slices of a volume one, named by the volume's file."""
    whole = {}
    for row in rows:
        if row.slice_axis is not None and is_of_volume(row.image_file):
            name = stem_of(row.image_file.name)
            row = replace(row, row_id=name, slice_axis=None, slice_index=None, label=None)
        whole.setdefault((row.image_path, row.slice_index), row)
    return list(whole.values())


def _meaning(manifest: Path, rows: Sequence[ManifestRow], text: str, names: Sequence[str]) -> MaskMeaning:
    """Return what the run has decided, or decide it from all masks, of the classes ``names`` if there are any."""
    folder = RunFolder(manifest.parent)
    if folder.mask_values.is_file() and manifest.name == folder.manifest.name:
        return read_meaning(folder.mask_values)
    recipe = _recipe(folder)
    held = masks_found(masks_of_rows(rows))
    if not held.levels:
        raise InputError(f"{manifest}: none of the masks can be read; the first: {held.bad[0]}")
    rules = NameRules(recipe.data.mask_overlap, recipe.data.mask_missing)
    return decide(held.levels, names=names or recipe.classes, text=text, setting="mask_values", rules=rules)


def _recipe(folder: RunFolder) -> SegmentRecipe:
    """Return the recipe of the run that a manifest lies in, if it segments; else the usual one."""
    if not folder.recipe.is_file() or kind_of(values := settings_in(folder)) is not SegmentRecipe:
        return SegmentRecipe()
    return from_dict(SegmentRecipe, values)


def _class_names(manifest: Path, meaning: MaskMeaning) -> tuple[str, ...]:
    most = max(one.index for one in meaning.values)
    known = _recipe(RunFolder(manifest.parent)).classes or meaning.names
    return tuple(known) or ("background", *(f"class {index}" for index in range(1, most + 1)))


def _named(rows: Sequence[ManifestRow], meaning: MaskMeaning) -> list[MaskedCase]:
    stems = file_stems([row.row_id for row in rows])
    return [MaskedCase(f"{SYNTHETIC}_" * (row.source == SYNTHETIC) + stems[row.row_id], row, meaning) for row in rows]


def _refuse_equal_names(cases: Sequence[MaskedCase], places: Sequence[str]) -> None:
    problems, known = Problems(", ".join(places)), {}
    for case in cases:
        if (other := known.setdefault(case.name.casefold(), case)) is not case:
            both = f"{case.name!r} of {other.row.image_file} and of {case.row.image_file}"
            problems.add("two cases of one name", both, "Change a row_id, or leave one of the manifests out.")
    problems.raise_if_any()
