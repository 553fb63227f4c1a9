"""Changes of training images, by what the images show: one policy per kind of image, asked by all that trains.

``square`` (the eight symmetries) is for what has no side that is up: skin, microscopy. ``mirror`` is for what has one,
and is the same seen in a mirror: heads in axial slices. ``upright`` is for all else: small turns, zooms, shifts, light.
What draws images has of a policy the part that moves pixels and blurs none, because its samples would show the blur:
of ``upright`` nothing. What names classes or masks has all of it (benchmarks/results/augmentation.txt: what a wrong
policy costs).
"""

from __future__ import annotations

import csv
from collections.abc import Collection
from functools import partial
from pathlib import Path

from meddiff.batches import turns
from meddiff.build.tables import CLASSICAL, source
from meddiff.errors import InputError
from meddiff.recipe import AnyRecipe, of_volumes
from meddiff.training.loop import Augment

FREELY_TURNED = {"dermoscopy", "photography", "clinical", "xc", "microscopy", "histology", "pathology", "gm", "sm"}
"""Modalities, DICOM's among them, whose images have no side that is up, in lower case."""
POLICIES = ("none", "mirror", "upright", "square")
"""What a recipe may ask for; of images without a side that is up a study tries everything in CLASSICAL."""


def policy_of(recipe: AnyRecipe, modalities: Collection[str] = ()) -> str:
    """Return the policy that the recipe asks for, or that of its kind of image.

    Args:
        recipe: of any kind of run.
        modalities: those of the images, where a manifest says them; else they are those of the data set.
    """
    if recipe.training.augment != "auto":
        return recipe.training.augment
    if of_volumes(recipe):
        return "none"
    known = source(recipe.dataset)
    if set(modalities) <= {known.modality}:
        return known.augment
    return "square" if {name.lower() for name in modalities} <= FREELY_TURNED else "upright"


def modalities_in(manifest: str) -> set[str]:
    """Return the modalities that a manifest names; none where it cannot be read, which whoever reads it all says."""
    try:
        with Path(manifest).open(encoding="utf-8-sig", newline="") as lines:
            return {(row.get("modality") or "").strip() for row in csv.DictReader(lines)} - {""}
    except (OSError, UnicodeDecodeError, csv.Error):
        return set()


def augmentation(recipe: AnyRecipe) -> Augment | None:
    """Return what changes the training images of a run's networks, by its policy; None where nothing does.

    Raises:
        InputError: the symmetries of the square, asked for of volumes; a mirror that no sagittal slice has.
    """
    wanted = policy_of(recipe)
    if wanted == "square" and of_volumes(recipe):
        raise InputError("training.augment square turns pictures; for volumes and their slices use mirror or none")
    if wanted == "mirror" and recipe.data.slice_axis == "sagittal":
        raise InputError("training.augment mirror changes left and right, and a sagittal slice has neither: use none")
    if wanted == "mirror" and of_volumes(recipe) and not (recipe.dimensions == 2 and recipe.SLICES_STAND_UPRIGHT):
        return partial(turns.random_flips, axes=(0,))
    if wanted == "upright" and recipe.DRAWS_IMAGES:
        return None
    if wanted == "upright" and recipe.dimensions == 3:
        return turns.classical_volume_augmentation
    return CLASSICAL[wanted]


def classical_choices(recipe: AnyRecipe) -> tuple[str, ...]:
    """List the classical augmentations that a study of pictures or slices chooses among."""
    return tuple(CLASSICAL) if policy_of(recipe) == "square" else POLICIES
