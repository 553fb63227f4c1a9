"""A recipe and manifest rows -> images ready for batches: decoded pictures, prepared volumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from meddiff.batches.batch import Batch
from meddiff.batches.cuts import AXES, Middle, Slice, square
from meddiff.batches.images import Images
from meddiff.batches.volume_slices import row_of_volume, slice_rows
from meddiff.batches.volume_slices import slices_of as prepared_slices
from meddiff.build.tables import DRAWN, source
from meddiff.cache.image_array import ImageArray, decode
from meddiff.cache.image_array import unusable as unusable_images
from meddiff.cache.store import Prepared
from meddiff.cache.volume_array import CachedVolume, cache_volumes, in_order_of
from meddiff.formats.masks import MaskMeaning, meaning_of
from meddiff.images.prepare import Transform, VolumeTransform
from meddiff.manifest.row import ManifestRow
from meddiff.recipe import AnyRecipe, ImageRecipe, TrainingRecipe, of_volumes


def images(
    rows: Sequence[ManifestRow], recipe: ImageRecipe, class_names: Sequence[str], *, progress: Callable | None = None,
    meaning: MaskMeaning | None = None,
) -> Images:  # fmt: skip
    """Return the rows' images, prepared once into the cache; with their masks where it is known what these mean."""
    if recipe.data.slice_axis is not None:
        return _slices(rows, recipe, class_names, progress, meaning)
    if recipe.dimensions == 3:
        return Images(_volumes(rows, recipe, progress, meaning), class_names, Middle(recipe.volume.patch_size))
    return Images(_squares(rows, recipe, progress, meaning), class_names)


def shares(
    images: Images, settings: TrainingRecipe, seed: int, class_balance: float, rank: int = 0, ranks: int = 1
) -> Callable[[int, int], Batch]:
    """Deal out the images of each step: (step, micro-batch) -> this process's share, a function of the seed alone.

    ``rank`` is the number of the process, of ``ranks``.
    """
    size, accumulate = settings.batch_size, settings.accumulate

    def share(step: int, micro: int) -> Batch:
        start = (rank * accumulate + micro) * size
        return images.drawn(
            step, batch_size=size * accumulate * ranks, seed=seed, class_balance=class_balance,
            part=slice(start, start + size),
        )  # fmt: skip

    return share


def slices_of(rows: Sequence[ManifestRow], recipe: ImageRecipe) -> list[ManifestRow]:
    """Return the rows of all slices of these volumes, across the recipe's axis.

    Raises:
        InputError: volumes of several sequences, a spacing finer than that of the slices.
    """
    axis, array = AXES[recipe.data.slice_axis or ""], _volumes(rows, recipe, None)
    return [one for row, case in zip(array.rows, array, strict=True) for one in slice_rows(row, case, axis)]


def _slices(
    rows: Sequence[ManifestRow], recipe: ImageRecipe, class_names: Sequence[str], progress: Callable | None,
    meaning: MaskMeaning | None,
) -> Images:  # fmt: skip
    drawn = [row for row in rows if row.source == "synthetic"]
    volumes = list({row.image_file: row_of_volume(row) for row in rows if row.source != "synthetic"}.values())
    axis, side = AXES[recipe.data.slice_axis or ""], recipe.data.image_size
    prepared = prepared_slices(
        rows,
        volumes=_volumes(volumes, recipe, progress, meaning) if volumes else None,
        drawn=_squares(drawn, recipe, progress, meaning) if drawn else None,
        axis=axis,
    )
    return Images(prepared, class_names, Slice(axis, Middle(square(axis, side)), upright=True))


def _squares(
    rows: Sequence[ManifestRow], recipe: ImageRecipe, progress: Callable | None, meaning: MaskMeaning | None = None
) -> ImageArray:
    return decode(
        rows,
        _with_masks(recipe, meaning),
        on_bad_file=recipe.data.on_bad_file,
        folder=recipe.data.cache or None,
        progress=progress,
    )


def masks(rows: Sequence[ManifestRow], recipe: ImageRecipe, every: Sequence[ManifestRow]) -> ImageArray:
    """Return the rows' pictures with their masks, whose values mean what they mean in ``every`` row of the data set."""
    return _squares(rows, recipe, None, meaning_of(every))


def picture_square(recipe: ImageRecipe) -> Transform:
    """Build what makes a square of a picture."""
    return Transform(recipe.data.image_size, recipe.data.fit, channels(recipe), slices=slice_transform(recipe))


def _with_masks(recipe: ImageRecipe, meaning: MaskMeaning | None) -> Transform:
    square = picture_square(recipe)
    return square if meaning is None else replace(square, with_masks=True, meaning=meaning)


def unusable(
    rows: Sequence[ManifestRow], recipe: ImageRecipe, meaning: MaskMeaning | None = None, *,
    progress: Callable | None = None,
) -> Sequence[tuple[ManifestRow, str]]:  # fmt: skip
    """Return the rows whose image or mask cannot be used, with the reason.

    The other images are in the cache afterwards.
    """
    if of_volumes(recipe):
        skipping = replace(recipe, data=replace(recipe.data, on_bad_file="skip"))
        return _volumes(rows, skipping, progress, meaning).skipped
    return unusable_images(
        rows,
        _with_masks(recipe, meaning),
        folder=recipe.data.cache or None,
        progress=progress,
    )


def prepared(
    rows: Sequence[ManifestRow], recipe: ImageRecipe, meaning: MaskMeaning | None = None
) -> Prepared[CachedVolume] | ImageArray:
    """Return the whole images of the rows, without labels: pictures, or volumes that are not cut yet."""
    return (_volumes if of_volumes(recipe) else _squares)(rows, recipe, None, meaning)


def slice_transform(recipe: AnyRecipe) -> VolumeTransform | None:
    """Build what scales slices that a manifest names before they stand upright.

    None takes them as the array has them.
    """
    return volume_transform(recipe) if recipe.data.slices == "upright" else None


def channels(recipe: AnyRecipe) -> int:
    """Return channels of the training pictures: 3 for photographs, 1 for slices of MRI, unless the recipe tells."""
    if recipe.data.slice_axis is not None:
        return 1  # several sequences are refused, see slice_rows
    return recipe.data.channels or source(recipe.dataset).channels


def _volumes(
    rows: Sequence[ManifestRow], recipe: ImageRecipe, progress: Callable | None, meaning: MaskMeaning | None = None
) -> Prepared[CachedVolume]:
    """Return real volumes by the recipe's settings.

    Those that a model drew are in its range and on its grid already.
    """
    settings: dict[str, Any] = {
        "on_bad_file": recipe.data.on_bad_file, "folder": recipe.data.cache or None, "progress": progress,
        "with_masks": meaning is not None, "meaning": meaning,
    }  # fmt: skip
    drawn = [row for row in rows if row.source == "synthetic"]
    real = [row for row in rows if row.source != "synthetic"]
    parts = [cache_volumes(drawn, DRAWN, **settings)] if drawn else []
    if real or not drawn:
        parts.insert(0, cache_volumes(real, volume_transform(recipe), **settings))
    return in_order_of(rows, parts)


def volume_transform(recipe: AnyRecipe) -> VolumeTransform:
    """Build what brings a volume onto its working grid."""
    settings = recipe.volume
    return VolumeTransform(
        spacing_mm=settings.spacing_mm,
        intensity=settings.intensity,
        window=settings.window_hu if settings.intensity == "window" else None,
        bias_correction=settings.bias_correction,
    )
