"""Batches of decoded images for the model, and which images are in the k-th batch.

The choice is stateless: batch k is a function of (labels, seed, k) and of nothing else. A run that is resumed at
step k therefore sees what a run that was never killed would have seen, and has no loader state to save.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from meddiff.cache.pictures import ImageArray
from meddiff.errors import InputError
from meddiff.manifest.manifest_row import ManifestRow
from meddiff.problems import Problems
from meddiff.seeds import child_seed


@dataclass(frozen=True)
class Batch:
    """What a task is handed."""

    image: Tensor
    """[B, C, *S] float32 in [-1, 1]."""
    label: Tensor | None
    """[B] int64, position in the class names."""
    mask: Tensor | None
    """[B, 1, *S] int64 class indices, 0 is background."""
    index: Tensor
    """[B] int64, position of each image in its LabeledImages or LabeledVolumes."""

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        label = None if self.label is None else self.label.to(device, non_blocking=True)
        mask = None if self.mask is None else self.mask.to(device, non_blocking=True)
        return Batch(self.image.to(device, non_blocking=True), label, mask, self.index.to(device, non_blocking=True))


class Labeled(Protocol):
    """Images with their labels as numbers, pictures or volumes: what training, filter and study see of the data."""

    class_names: tuple[str, ...]
    """Label k is class_names[k]; empty where the images have no labels."""
    labels: np.ndarray
    """[N] int64; -1 (not told) where there are no classes."""

    def __len__(self) -> int:
        """Number of images."""
        ...

    @property
    def rows(self) -> tuple[ManifestRow, ...]:
        """The row of each image."""
        ...

    @property
    def skipped(self) -> tuple[tuple[ManifestRow, str], ...]:
        """Rows whose image could not be read, with the reason."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, *S) of one image."""
        ...

    @property
    def pixel_dtype(self) -> str:
        """uint8 or uint16: what the images are stored as, and what is drawn like them is saved as."""
        ...

    @property
    def spacing_mm(self) -> tuple[float, ...] | None:
        """Distance of neighbors along *S; None for pictures, and for volumes of which nobody knows it."""
        ...

    def batch(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """The images at these positions, in this order."""
        ...


class LabeledImages:
    """Decoded images with their labels as numbers; batches are read straight from the memory map.

    Args:
        array: the decoded images.
        class_names: label k is class_names[k]; empty where the images have no labels.

    Raises:
        InputError: a row without a label or with one that is no class.
    """

    def __init__(self, array: ImageArray, class_names: Sequence[str]):
        self.array = array
        self.class_names = tuple(class_names)
        self.labels = label_numbers(array.rows, self.class_names)
        """[N] int64; -1 (not told) where there are no classes."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.array.rows)

    @property
    def rows(self) -> tuple[ManifestRow, ...]:
        """The row of each image."""
        return self.array.rows

    @property
    def skipped(self) -> tuple[tuple[ManifestRow, str], ...]:
        """Rows whose image could not be read, with the reason."""
        return self.array.skipped

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of one image."""
        return self.array.images.shape[1:]

    @property
    def pixel_dtype(self) -> str:
        """uint8, or uint16 where a file has more than 8 bits."""
        return str(self.array.images.dtype)

    @property
    def spacing_mm(self) -> None:
        """Unknown: squares are scaled, each by another factor."""
        return None

    def batch(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """The images at these positions, in this order."""
        at = np.asarray(indices, dtype=np.int64)
        masks = self.array.masks
        return Batch(
            image=to_model_range(np.asarray(self.array.images)[at]),
            label=torch.from_numpy(self.labels[at]) if self.class_names else None,
            mask=None if masks is None else torch.from_numpy(np.asarray(masks)[at].astype(np.int64)),
            index=torch.from_numpy(at),
        )


def to_model_range(pixels: np.ndarray) -> Tensor:
    """uint8 or uint16 pixels as float32 in [-1, 1]: 0 is -1, the largest value of the type is 1."""
    half = np.iinfo(pixels.dtype).max / 2
    return torch.from_numpy(pixels.astype(np.float32)).div_(half).sub_(1)


def draw_indices(
    labels: np.ndarray, *, batch_size: int, step: int, seed: int, class_balance: float = 0.0
) -> np.ndarray:
    """Positions of the images of batch number ``step``.

    Args:
        labels: [N] class of each image.
        batch_size: images per batch.
        step: number of the batch, from 0.
        seed: of the whole order.
        class_balance: 0 goes through shuffled epochs, each image once per epoch, batches running on from one epoch
            into the next. Above 0 images are drawn with replacement, a class of n images in proportion to
            n ** (1 - class_balance): 1 draws all classes alike.

    Returns:
        [batch_size] int64.
    """
    if not len(labels):
        raise InputError("there is no image to draw a batch from. Check the split: no row is left for this purpose.")
    if not 0 <= class_balance <= 1:
        raise InputError(f"class_balance is {class_balance}. It goes from 0 (as they come) to 1 (all classes alike).")
    if class_balance == 0:
        epoch, position = np.divmod(np.arange(step * batch_size, (step + 1) * batch_size), len(labels))
        return np.array([_epoch(len(labels), seed, int(e))[p] for e, p in zip(epoch, position, strict=True)])
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    edges = np.cumsum(counts[inverse].astype(np.float64) ** -class_balance)
    generator = np.random.default_rng(child_seed(seed, "balanced batch", step))
    drawn = np.searchsorted(edges, generator.random(batch_size) * edges[-1], side="right")
    return np.minimum(drawn, len(labels) - 1)  # rounding may put the last draw one past the end


@lru_cache(maxsize=4)  # a batch touches two epochs at most, unless it is larger than the data
def _epoch(count: int, seed: int, epoch: int) -> np.ndarray:
    order = np.random.default_rng(child_seed(seed, "epoch", epoch)).permutation(count)
    order.setflags(write=False)
    return order


def label_numbers(rows: Sequence[ManifestRow], class_names: tuple[str, ...]) -> np.ndarray:
    """The position of each row's label in the class names, [N] int64; -1 for all where there are no classes.

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
