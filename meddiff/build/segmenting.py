"""A segmentation recipe and manifest rows -> images with their masks, as cases and in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from meddiff import build
from meddiff.batches.batch import Batch
from meddiff.batches.cuts import AXES, WHOLE, Cut, Patch, Slice, square
from meddiff.batches.images import Images
from meddiff.build import volume_transform
from meddiff.build.images import slice_transform
from meddiff.cache.image_array import ImageArray, decode
from meddiff.cache.store import Prepared, default_folder
from meddiff.cache.volume_array import cache_volumes
from meddiff.errors import InputError, Problems
from meddiff.formats.masks import Levels, MaskMeaning, NameRules, decide, masks_found, masks_of_rows
from meddiff.images.case import Case, picture_case, volume_case
from meddiff.images.prepare import Transform
from meddiff.manifest.row import ManifestRow
from meddiff.recipe import MaskedRecipe, of_volumes
from meddiff.recipe.segment import SegmentRecipe


def picture_transform(recipe: SegmentRecipe, *, deep: bool) -> Transform:
    """Build what makes a square of a picture."""
    return Transform(
        recipe.data.image_size, recipe.data.fit, build.channels(recipe), True, deep, slice_transform(recipe)
    )


def case(recipe: SegmentRecipe, row: ManifestRow, *, deep: bool = False) -> Case:
    """Return one image as the network takes it, with the way back; ``deep`` as in training (see `is_deep`)."""
    if of_volumes(recipe):
        return volume_case(row, volume_transform(recipe))
    return picture_case(row, picture_transform(recipe, deep=deep))


def mask_levels(
    rows: Sequence[ManifestRow], recipe: MaskedRecipe, *, progress: Callable | None = None
) -> tuple[Levels, ...]:
    """Look at what the masks of these rows hold, each looked at once; those that cannot be read are left to `unusable`.

    Raises:
        InputError: none of them can be read.
    """
    memory = Path(recipe.data.cache) if recipe.data.cache else default_folder()
    held = masks_found(masks_of_rows(rows), memory=memory, progress=progress)
    if not held.levels:
        problems = Problems(f"{len(held.bad)} of {len(rows)} masks cannot be used")
        for reason in held.bad:
            problems.add("bad file", reason, "Check --data-root and the manifest.")
        problems.raise_if_any()
    return held.levels


def meaning(levels: Sequence[Levels], recipe: MaskedRecipe) -> MaskMeaning:
    """Decide what the values of all masks mean, by the recipe's classes and mask_values.

    Raises:
        InputError: values that may mean this or that.
    """
    return decide(levels, names=recipe.classes, text=recipe.data.mask_values, rules=rules_for_names(recipe))


def rules_for_names(recipe: MaskedRecipe) -> NameRules:
    """Return the recipe's rules for masks whose shapes have names."""
    return NameRules(recipe.data.mask_overlap, recipe.data.mask_missing)


def images(
    rows: Sequence[ManifestRow], recipe: SegmentRecipe, meaning: MaskMeaning | None = None, *,
    progress: Callable | None = None,
) -> Images:  # fmt: skip
    """Return the rows' images and masks, prepared once into the cache; without a meaning these masks are all."""
    how: dict[str, Any] = {
        "on_bad_file": recipe.data.on_bad_file, "folder": recipe.data.cache or None, "progress": progress,
    }  # fmt: skip
    if of_volumes(recipe):
        volumes = cache_volumes(rows, volume_transform(recipe), with_masks=True, meaning=meaning, **how)
        return Images(volumes, cut=_cut(recipe))
    square = replace(picture_transform(recipe, deep=False), meaning=meaning)
    return Images(decode(rows, square, **how), cut=_cut(recipe))


def prepared(
    rows: Sequence[ManifestRow], recipe: SegmentRecipe, meaning: MaskMeaning | None = None
) -> Prepared | ImageArray:
    """Return the whole images of the rows and their masks."""
    return images(rows, recipe, meaning).prepared


def _cut(recipe: SegmentRecipe) -> Cut:
    """Choose what the networks see: pictures, patches of volumes, or their slices with the neighbors."""
    if not of_volumes(recipe):
        return WHOLE
    share = recipe.volume.foreground_share
    if recipe.data.slice_axis is None:
        return Patch(recipe.volume.patch_size, share)
    axis = AXES[recipe.data.slice_axis]
    return Slice(axis, Patch(square(axis, recipe.data.image_size), share), recipe.data.neighbors)


def unusable(
    rows: Sequence[ManifestRow],
    recipe: SegmentRecipe,
    meaning: MaskMeaning | None = None,
    *,
    progress: Callable | None = None,
) -> tuple[tuple[ManifestRow, str], ...]:
    """Return the rows whose image or mask cannot be used, with the reason; the others are in the cache afterwards."""
    skipping = replace(recipe, data=replace(recipe.data, on_bad_file="skip"))
    return images(rows, skipping, meaning, progress=progress).skipped


def batches(
    images: Images, recipe: SegmentRecipe, seed: int, rank: int = 0, ranks: int = 1
) -> Callable[[int, int], Batch]:
    """Deal out the images and masks of each step, as `build.shares` does.

    ``training.class_balance`` balances pictures by the largest class in their masks: 1 draws slices without any lesion
    no more often than those with one. Patches and slices of volumes are balanced by ``volume.foreground_share``.
    """
    balance = 0.0 if of_volumes(recipe) else recipe.training.class_balance
    return build.shares(images, recipe.training, seed, balance, rank, ranks)


def class_names(recipe: MaskedRecipe, images: Images, meaning: MaskMeaning | None = None) -> list[str]:
    """Return the recipe's class names, those of the values, or ``background, class 1 ...`` up to the largest value.

    Raises:
        InputError: a mask holds a value that is no class; the files and values are named.
    """
    names = list(recipe.classes or (meaning.names if meaning else ()))
    if not names:
        most = int(images.largest_classes.max())
        names = ["background", *(f"class {index}" for index in range(1, max(1, most) + 1))]
    check_classes(images, names)
    return names


def check_classes(images: Images, names: Sequence[str]) -> None:
    """Refuse masks that hold a value which is no class.

    Raises:
        InputError: the first of them, how many there are, and the classes.
    """
    largest = images.largest_classes.tolist()
    beyond = [(row, most) for row, most in zip(images.rows, largest, strict=True) if most >= len(names)]
    if beyond:
        row, most = beyond[0]
        raise InputError(
            f"mask {row.mask_file} holds the value {most}, but there are {len(names)} classes "
            f"({', '.join(names)}, numbered from 0); {len(beyond)} masks hold such values. Name all classes "
            "with --classes, or mend the masks."
        )
