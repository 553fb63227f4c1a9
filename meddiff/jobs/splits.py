"""The prepared images of a run: opened when a stage first asks for them, and kept for the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from meddiff import build
from meddiff.batches.images import Images, described_by
from meddiff.build import segmenting
from meddiff.cache.store import Prepared
from meddiff.formats.masks import MaskMeaning
from meddiff.formats.masks.meaning import read_meaning
from meddiff.manifest.row import ManifestRow
from meddiff.recipe import AutoencodeRecipe, MaskedRecipe, Recipe, SegmentRecipe, TranslateRecipe
from meddiff.run import Run


def labeled(run: Run[Recipe], split: str, *, progress: Callable | None = None) -> Images:
    """Return the images of a split with their labels, which are the classes of the run.

    Those of the training split are described by the recipe's attributes. Where masks are drawn too, all have theirs.
    """

    def prepared() -> Images:
        meaning = mask_meaning(run) if run.recipe.classes else None
        images = build.images(run.of(split), run.recipe, run.classes, progress=progress, meaning=meaning)
        return described_by(images, run.recipe.diffusion.attributes) if split == "train" else images

    return run.keep(("images", split), prepared)


def labeled_rows(run: Run[Recipe], rows: Sequence[ManifestRow], *, progress: Callable | None = None) -> Images:
    """Return images of the training split and drawn ones, in the order of their rows.

    Those that a stage has asked for before are not prepared again. Drawn images have the depth of the training images.
    """
    train = labeled(run, "train")
    cases = run.keep("cases by row", lambda: dict(zip(train.rows, train.prepared, strict=True)))
    skipped: dict[ManifestRow, str] = run.keep("skipped rows", dict)
    if new := [row for row in rows if row not in cases and row not in skipped]:
        images = build.images(new, run.recipe, run.classes, progress=progress)
        cases.update(zip(images.rows, images.prepared, strict=True))
        skipped.update(images.skipped)
    usable = tuple(row for row in rows if row in cases)
    left_out = tuple((row, skipped[row]) for row in rows if row in skipped)
    return Images(Prepared(tuple(cases[row] for row in usable), usable, left_out), run.classes, train.cut)


def plain(run: Run[TranslateRecipe] | Run[AutoencodeRecipe], split: str, *, progress: Callable | None = None) -> Images:
    """Return the images of a split without labels; with their masks where these are what images are drawn by."""

    def prepared() -> Images:
        meaning = mask_meaning(run) if getattr(run.recipe, "by_masks", False) else None
        return build.images(run.of(split), run.recipe, (), progress=progress, meaning=meaning)

    return run.keep(("images", split), prepared)


def masked(run: Run[SegmentRecipe], split: str) -> Images:
    """Return the images of a split with their masks."""
    return run.keep(("images", split), lambda: segmenting.images(run.of(split), run.recipe, mask_meaning(run)))


def mask_meaning(run: Run[MaskedRecipe]) -> MaskMeaning:
    """Return what the values of the masks mean, as the run's folder says; decided anew where it does not.

    Raises:
        InputError: the file is damaged, or the values may mean this or that.
    """

    def kept() -> MaskMeaning:
        if run.folder.mask_values.is_file():
            return read_meaning(run.folder.mask_values)
        return segmenting.meaning(segmenting.mask_levels(run.rows, run.recipe), run.recipe)

    return run.keep("mask meaning", kept)


def mask_classes(run: Run[Any], images: Callable[[Run[Any], str], Images] = masked) -> list[str]:
    """Return the names of the classes of the masks, background first.

    Raises:
        InputError: values in the masks of some split that are no classes.
    """

    def checked() -> list[str]:
        names = segmenting.class_names(run.recipe, images(run, "train"), mask_meaning(run))
        for split in [name for name in ("val", "test") if run.of(name)]:
            segmenting.check_classes(images(run, split), names)
        return names

    return run.keep("mask classes", checked)


def classes_drawn_by(run: Run[TranslateRecipe]) -> list[str]:
    """Return the names of the classes that images are drawn by; none where they are not drawn by masks.

    Raises:
        InputError: as `mask_classes`.
    """
    return mask_classes(run, plain) if run.recipe.by_masks else []
