"""Prepared images with what is known of them, as batches: pictures, volumes and their slices alike."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import cast

import numpy as np
import torch
from torch import Tensor

from meddiff.batches.batch import Batch
from meddiff.batches.cuts import WHOLE, Cut, Draw
from meddiff.batches.handed_on import HandedOn
from meddiff.batches.image_attributes import PLAIN, Described, learned_from, values_of_all
from meddiff.batches.order import Order
from meddiff.cache.image_array import ImageArray
from meddiff.cache.store import Prepared
from meddiff.cache.volume_array import CachedVolume
from meddiff.errors import InputError, Problems
from meddiff.formats.masks import IGNORED
from meddiff.images.intensity import to_model_range
from meddiff.manifest.row import ManifestRow

SAME_SPACING = 0.01  # relative: headers of one protocol differ in the third digit


class Images(HandedOn):
    """Prepared images with their labels as numbers; a batch shows of each what the cut chooses.

    Args:
        prepared: the images and their rows, from the cache.
        class_names: label k is class_names[k]; empty where the images have no labels.
        cut: which part of each image is shown.
        described: by what, beside their class.

    Raises:
        InputError: a row without a label or with one that is no class.
    """

    def __init__(
        self, prepared: Prepared | ImageArray, class_names: Sequence[str] = (), cut: Cut = WHOLE,
        described: Described = PLAIN,
    ) -> None:  # fmt: skip
        self.prepared, self.cut, self.described = prepared, cut, described
        self.rows = prepared.rows
        self.skipped = prepared.skipped
        """Rows whose image could not be read, with the reason."""
        self.class_names = tuple(class_names)
        self.labels = label_numbers(self.rows, self.class_names)
        """[N] int64; -1 (unknown) where there are no classes."""
        self._orders: dict[float, Order] = {}

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.rows)

    def batch(self, positions: Sequence[int] | np.ndarray, draws: Sequence[Draw] | None = None) -> Batch:
        """Return the images at these positions, in this order.

        Args:
            positions: of the images.
            draws: what the cut of each draws from; by default a function of the position alone.
        """
        at = np.asarray(positions, dtype=np.int64)
        images, masks = self._shown(at, draws or [Draw(0, int(position)) for position in at])
        label = torch.from_numpy(self.labels[at]) if self.class_names else None
        mask = None if masks is None else torch.from_numpy(masks.astype(np.int64))
        attributes = self.described.features(at)
        return Batch(to_model_range(images), label, mask, torch.from_numpy(at), ignores(masks), attributes)

    def drawn(
        self, step: int, *, batch_size: int, seed: int, class_balance: float = 0.0, part: slice = slice(None)
    ) -> Batch:
        """Draw the batch number ``step`` of a training, a function of the images, the seed and the step alone.

        Args:
            step: number of the batch, from 0.
            batch_size: images of the whole batch.
            seed: of the whole order.
            class_balance: as of `Order`; without labels by the largest class in each mask.
            part: the places in the batch that are wanted: one process's share of them.
        """
        at = self._order(class_balance).positions(step, batch_size=batch_size, seed=seed)
        places = range(batch_size)[part]
        return self.batch(at[part], [Draw(seed, step * batch_size + place) for place in places])

    def pair(self, position: int) -> tuple[Tensor, np.ndarray]:
        """Return image [C, *S] in [-1, 1] and mask [*S] uint8 of all of one image, whatever the cut.

        Raises:
            InputError: there is no mask.
        """
        case = self.prepared[position]
        if (mask := case.mask) is None:
            raise InputError(
                "segmentation learns from masks: these images have none. Fill in mask_path in the manifest."
            )
        return to_model_range(np.asarray(case.image)), np.asarray(mask)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """(C, *S) of one image as a batch shows it."""
        return self.cut(self.prepared[0], Draw(0, 0))[0].shape

    @property
    def pixel_dtype(self) -> str:
        """uint8 or uint16: what the images are stored as, and what is drawn like them is saved as."""
        return str(self.prepared[0].image.dtype)

    @cached_property
    def spacing_mm(self) -> tuple[float, ...] | None:
        """Distance of neighbors along *S; None for pictures and slices, and for volumes of which nobody knows it.

        Raises:
            InputError: volumes with voxels of several sizes, or some that do not tell it: one image of both means
                nothing in millimeters.
        """
        if len(self.shape) == 3:
            return None  # squares are scaled, each by another factor
        volumes = cast(Prepared[CachedVolume], self.prepared)
        return _common_spacing({case.grid.spacing_mm: row.row_id for case, row in zip(volumes, self.rows, strict=True)})

    @cached_property
    def largest_classes(self) -> np.ndarray:
        """[N] int64: the largest class index in each mask, 0 without masks."""
        return np.array([case.largest_class for case in self.prepared], dtype=np.int64)

    @property
    def clipped(self) -> int:
        """Number of images that are larger than what the cut shows of them."""
        box = self.cut.size or ()
        return sum(any(np.greater(case.shape, box)) for case in self.prepared if len(case.shape) == len(box))

    def _order(self, class_balance: float) -> Order:
        if class_balance not in self._orders:
            unlabeled = self.largest_classes if class_balance and not self.class_names else self.labels
            self._orders[class_balance] = Order(unlabeled, class_balance=class_balance)
        return self._orders[class_balance]

    def _shown(self, at: np.ndarray, draws: Sequence[Draw]) -> tuple[np.ndarray, np.ndarray | None]:
        """Return images [B, C, *S] and masks [B, 1, *S] in the stored type."""
        if self.cut.size is None and isinstance(self.prepared, ImageArray):  # one index into one array is faster
            return self.prepared.at(at)
        shown = [self.cut(self.prepared[int(position)], draw) for position, draw in zip(at, draws, strict=True)]
        masks = [mask for _, mask in shown if mask is not None]
        return np.stack([image for image, _ in shown]), np.stack(masks)[:, None] if len(masks) == len(shown) else None


def described_by(images: Images, names: Sequence[str]) -> Images:
    """Return the same images, described by these attributes, which are learned from them.

    Raises:
        InputError: there is nothing to learn.
    """
    if not names:
        return images
    values = values_of_all(images.prepared, names)
    attributes = learned_from(names, values)
    return Images(images.prepared, images.class_names, images.cut, Described(attributes, attributes.numbers(values)))


def ignores(masks: np.ndarray | None) -> bool:
    """Tell whether some pixel of masks is not judged."""
    return masks is not None and bool((masks == IGNORED).any())


def label_numbers(rows: Sequence[ManifestRow], class_names: tuple[str, ...]) -> np.ndarray:
    """Return the position of each row's label in the class names, [N] int64; -1 for all where there are no classes.

    Raises:
        InputError: a row without a label or with one that is no class.
    """
    if not class_names:
        return np.full(len(rows), -1, dtype=np.int64)
    number = {name: index for index, name in enumerate(class_names)}
    problems = Problems("labels")
    for row in rows:
        if row.label not in number:
            detail = f"row {row.row_id!r} has {'no label' if row.label is None else repr(row.label)}"
            cure = f"Use one of {', '.join(class_names)}, or leave the row out of the manifest."
            problems.add("label outside the classes", detail, cure)
    problems.raise_if_any()
    return np.array([number[row.label or ""] for row in rows], dtype=np.int64)


def _common_spacing(rows_of: dict[tuple[float | None, ...], str]) -> tuple[float, ...] | None:
    """Return the one spacing of volumes, of the spacings there are and a row of each; None where no volume tells it."""
    first = next(iter(rows_of))
    if all(None in spacing for spacing in rows_of):
        return None
    if any(not _alike(spacing, first) for spacing in rows_of):
        shown = "; ".join(f"{_in_words(spacing)} in {row_id!r}" for spacing, row_id in list(rows_of.items())[:4])
        raise InputError(
            f"the volumes have voxels of several sizes ({shown}), and a generated one has a single size. Give it "
            "with --volume.spacing_mm [1,1,1], to which all are resampled"
        )
    return tuple(float(mm) for mm in first if mm is not None)


def _alike(one: Sequence[float | None], two: Sequence[float | None]) -> bool:
    pairs = list(zip(one, two, strict=True))
    return all(a is not None and b is not None and abs(a - b) <= SAME_SPACING * b for a, b in pairs)


def _in_words(spacing: Sequence[float | None]) -> str:
    return " x ".join("unknown" if mm is None else f"{mm:.3g}" for mm in spacing) + " mm"
