"""Segmentation, stage 1: which images have masks, who trains and who judges, and what the classes are."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from meddiff.batches.images import Images
from meddiff.build import segmentation
from meddiff.errors import InputError
from meddiff.jobs.manifest import check_dimensions, find_rows, need, rows_of, with_room_to_judge, without_bad_files
from meddiff.jobs.stage import Stage
from meddiff.manifest.row import ManifestRow
from meddiff.manifest.split import SPLITS, assign_splits
from meddiff.manifest.table import write_manifest
from meddiff.recipe.segment import SegmentRecipe
from meddiff.run import RunFolder, digest
from meddiff.seeds import child_seed


def _inputs(recipe: SegmentRecipe, folder: RunFolder) -> str:
    own = Path(recipe.manifest) if recipe.manifest else None
    fractions = recipe.data.train_fraction, recipe.data.val_fraction
    return digest(recipe.dataset, recipe.data_root, own, recipe.data.phantom_images, fractions, recipe.dimensions,
                  recipe.data.slice_axis, recipe.data.on_bad_file, recipe.seed)  # fmt: skip


def _run(recipe: SegmentRecipe, folder: RunFolder, console: Console) -> list[Path]:
    rows = find_rows(recipe, folder, console)
    check_dimensions(rows, recipe)
    drawn = [row for row in rows if row.mask_path is not None]
    if not drawn:
        raise InputError(
            f"none of the {len(rows)} images has a mask, and masks are what segmentation learns from: add the masks of "
            "the data set to the folder, or give a --manifest with its mask_path column filled in"
        )
    if len(drawn) < len(rows):
        console.print(f"{len(rows) - len(drawn)} images without a mask are left out", soft_wrap=True)

    def split(rows: list[ManifestRow]) -> list[ManifestRow]:
        room = with_room_to_judge(rows, console)
        settings = {"train": recipe.data.train_fraction, "val": recipe.data.val_fraction}
        return assign_splits(room, **settings, seed=child_seed(recipe.seed, "split"))

    unusable = partial(_unusable, recipe)
    chosen = without_bad_files(drawn, split, unusable, recipe.data.on_bad_file, folder, console)
    write_manifest(chosen, folder.manifest)
    console.print(counts_table(chosen))
    return [folder.manifest]


def validation_cases(recipe: SegmentRecipe, count: int) -> list[int]:
    """Which of ``count`` validation cases are looked at: ``validation.cases`` of them, evenly spread; 0 is all."""
    wanted = min(recipe.validation.cases or count, count)
    return np.linspace(0, count - 1, wanted).round().astype(int).tolist()


def _unusable(recipe: SegmentRecipe, rows: list[ManifestRow], *, progress) -> tuple[tuple[ManifestRow, str], ...]:
    return segmentation.unusable(rows, recipe, progress=progress)


def _check(recipe: SegmentRecipe, folder: RunFolder) -> None:
    for split, why in (("train", "which the networks learn from"), ("val", "on which the best weights are chosen"),
                       ("test", "on which the masks are judged")):  # fmt: skip
        need(recipe, folder, split, why)
    train_images(recipe, folder)


def train_images(recipe: SegmentRecipe, folder: RunFolder) -> tuple[Images, list[str]]:
    """The training images and masks from the cache, and the names of the classes.

    Raises:
        InputError: values in the masks that are no classes.
    """
    images = segmentation.images(rows_of(recipe, folder, "train"), recipe)
    names = segmentation.class_names(recipe, images)
    for split in ("val", "test"):
        segmentation.check_classes(segmentation.images(rows_of(recipe, folder, split), recipe), names)
    return images, names


def counts_table(rows: list[ManifestRow]) -> Table:
    """Images per split, and the number of patients (or lesions) behind them."""
    table = Table("split", "images", "patients or lesions", title="images with masks")
    count = Counter(row.split for row in rows)
    for split in SPLITS:
        table.add_row(split, str(count[split]), str(len({row.group for row in rows if row.split == split})))
    return table


STAGE = Stage("manifest", "reading what images and masks there are, splitting them by patient or lesion", _inputs, _run)
