"""The prepared images of a run, split by split; opened when a stage first asks and kept for the others."""

from __future__ import annotations

from collections.abc import Callable

from meddiff import build
from meddiff.batches.images import Images
from meddiff.build import segmentation
from meddiff.recipe import Recipe, SegmentRecipe
from meddiff.run import Run


def labeled(run: Run[Recipe], split: str, *, progress: Callable | None = None) -> Images:
    """Return the images of a split with their labels, which are the classes of the run."""
    return run.keep(("images", split), lambda: build.images(run.of(split), run.recipe, run.classes, progress=progress))


def masked(run: Run[SegmentRecipe], split: str) -> Images:
    """Return the images of a split with their masks."""
    return run.keep(("images", split), lambda: segmentation.images(run.of(split), run.recipe))


def mask_classes(run: Run[SegmentRecipe]) -> list[str]:
    """Return the names of the classes of the masks, background first.

    Raises:
        InputError: values in the masks of some split that are no classes.
    """

    def checked() -> list[str]:
        names = segmentation.class_names(run.recipe, masked(run, "train"))
        for split in [name for name in ("val", "test") if run.of(name)]:
            segmentation.check_classes(masked(run, split), names)
        return names

    return run.keep("mask classes", checked)
