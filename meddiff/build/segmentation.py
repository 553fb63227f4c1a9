"""A segmentation recipe and manifest rows -> images with their masks, as cases and in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from meddiff import build
from meddiff.batches.batch import Batch
from meddiff.batches.cuts import AXES, draw_patches, slice_batch
from meddiff.batches.images import LabeledImages
from meddiff.batches.order import draw_indices
from meddiff.build import volume_transform
from meddiff.cache.pictures import decode
from meddiff.cache.volumes import VolumeArray, cache_volumes
from meddiff.errors import InputError
from meddiff.images.case import Case, picture_case, volume_case
from meddiff.images.intensity import to_model_range
from meddiff.images.prepare import Transform
from meddiff.manifest.row import ManifestRow
from meddiff.recipe import of_volumes
from meddiff.recipe.segment import SegmentRecipe
from meddiff.tasks.segment import classes_of

Images = LabeledImages | VolumeArray
"""What is learned from: squares in memory order, or volumes."""


def picture_transform(recipe: SegmentRecipe, *, deep: bool) -> Transform:
    """How a picture becomes a square."""
    return Transform(recipe.data.image_size, recipe.data.fit, build.channels(recipe), True, deep)


def case(recipe: SegmentRecipe, row: ManifestRow, *, deep: bool = False) -> Case:
    """One image as the network takes it, with the way back; ``deep`` as in training (see `is_deep`)."""
    if of_volumes(recipe):
        return volume_case(row, volume_transform(recipe))
    return picture_case(row, picture_transform(recipe, deep=deep))


def images(rows: Sequence[ManifestRow], recipe: SegmentRecipe, *, progress: Callable | None = None) -> Images:
    """The rows' images and masks, prepared once into the cache."""
    how = {"on_bad_file": recipe.data.on_bad_file, "folder": recipe.data.cache or None, "progress": progress}
    if of_volumes(recipe):
        return cache_volumes(rows, volume_transform(recipe), with_masks=True, **how)  # type: ignore[arg-type]
    square = {"image_size": recipe.data.image_size, "fit": recipe.data.fit}
    channels = build.channels(recipe)
    return LabeledImages(decode(rows, **square, channels=channels, with_masks=True, **how), ())  # type: ignore[arg-type]


def unusable(
    rows: Sequence[ManifestRow], recipe: SegmentRecipe, *, progress: Callable | None = None
) -> tuple[tuple[ManifestRow, str], ...]:
    """The rows whose image or mask cannot be used, with the reason; the others are in the cache afterwards."""
    return images(rows, replace(recipe, data=replace(recipe.data, on_bad_file="skip")), progress=progress).skipped


def batches(found: Images, recipe: SegmentRecipe, *, seed: int, rank: int = 0, ranks: int = 1) -> Callable:
    """(step, micro-batch) -> this process's share of the images of that step, a function of the seed alone.

    ``training.class_balance`` balances pictures by the largest class in their masks: 1 draws slices without any lesion
    no more often than those with one. Patches and slices of volumes are balanced by ``volume.foreground_share``.
    """
    size, accumulate = recipe.training.batch_size, recipe.training.accumulate

    balance = recipe.training.class_balance
    kinds = np.array([_largest(found, number) if balance else 0 for number in range(len(found))], dtype=np.int64)

    def pictures(step: int, micro: int) -> Batch:
        assert isinstance(found, LabeledImages)
        chosen = draw_indices(kinds, batch_size=size * accumulate * ranks, step=step, seed=seed, class_balance=balance)
        start = (rank * accumulate + micro) * size
        return found.batch(chosen[start : start + size])

    def volumes(step: int, micro: int) -> Batch:
        assert isinstance(found, VolumeArray)
        number = (step * ranks + rank) * accumulate + micro
        how = {"batch_size": size, "step": number, "seed": seed, "foreground_share": recipe.volume.foreground_share}
        if recipe.data.slice_axis is None:
            return draw_patches(found, patch_size=recipe.volume.patch_size, **how)
        side, axis = recipe.data.image_size, AXES[recipe.data.slice_axis]
        return slice_batch(found, axis=axis, size=(side, side), neighbors=recipe.data.neighbors, **how)

    return volumes if of_volumes(recipe) else pictures


def network_channels(found: Images, recipe: SegmentRecipe) -> int:
    """Channels that the network is told: of a picture, or the sequences of a volume, of each slice in a stack."""
    if isinstance(found, VolumeArray):
        return found[0].channels * (2 * recipe.data.neighbors + 1)
    return found.shape[0]


def pair(found: Images, number: int) -> tuple[torch.Tensor, np.ndarray]:
    """Image [C, *S] in [-1, 1] and mask [*S] of a case, on the network's grid."""
    if isinstance(found, VolumeArray):
        return to_model_range(np.asarray(found[number].image)), np.asarray(found[number].mask)
    batch = found.batch([number])
    return batch.image[0], classes_of(batch)[0].numpy()


def class_names(recipe: SegmentRecipe, found: Images) -> list[str]:
    """The recipe's class names, or ``background, class 1, class 2 ...`` up to the largest value in the masks.

    Raises:
        InputError: a mask holds a value that is no class; the files and values are named.
    """
    names = list(recipe.classes)
    if not names:
        most = max(_largest(found, number) for number in range(len(found)))
        names = ["background", *(f"class {index}" for index in range(1, max(1, most) + 1))]
    check_classes(found, names)
    return names


def check_classes(found: Images, names: Sequence[str]) -> None:
    """Refuse masks that hold a value which is no class.

    Raises:
        InputError: the first of them, how many there are, and the classes.
    """
    largest = [_largest(found, number) for number in range(len(found))]
    beyond = [(row, most) for row, most in zip(found.rows, largest, strict=True) if most >= len(names)]
    if beyond:
        row, most = beyond[0]
        raise InputError(
            f"mask {row.mask_file} holds the value {most}, but there are {len(names)} classes "
            f"({', '.join(names)}, numbered from 0); {len(beyond)} masks hold such values. Name all classes "
            "with --classes, or mend the masks."
        )


def _largest(found: Images, number: int) -> int:
    if isinstance(found, VolumeArray):
        return max((index for index, _ in found[number].counts or ()), default=0)
    masks = found.array.masks
    return 0 if masks is None else int(np.asarray(masks[number]).max())
