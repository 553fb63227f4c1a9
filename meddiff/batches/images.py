"""Images with their labels, ready for batches: decoded pictures, small whole volumes, slices of volumes.

A volume lies in the middle of its box. What is larger is cut to its middle, what is smaller has -1 around it, the value
of the darkest tissue and of air: a generator learns both, and draws them.

A slice stands as radiologists look at it: front or head at the top, the patient's right side (of a sagittal slice the
front) at the left. It lies in the middle of its square; what is larger is cut to its middle, what is smaller has -1
around it, as whole volumes in their box.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import floor
from typing import Protocol

import numpy as np
import torch

from meddiff.batches.batch import Batch
from meddiff.batches.cuts import Size, cut_image, cut_mask, middle_start, with_side
from meddiff.cache.pictures import ImageArray
from meddiff.cache.volumes import CachedVolume, VolumeArray
from meddiff.errors import InputError, Problems
from meddiff.images.intensity import to_model_range
from meddiff.images.working_grid import WorkingGrid
from meddiff.manifest.row import ManifestRow


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


SAME_SPACING = 0.01  # relative: headers of one protocol differ in the third digit


class LabeledVolumes:
    """Volumes with their labels as numbers; batches are read straight from the memory maps.

    Args:
        array: the prepared volumes.
        class_names: label k is class_names[k]; empty where the volumes have no labels.
        size: voxels (D, H, W) of the box that each is cut or padded to.

    Raises:
        InputError: a row without a label or with one that is no class.
    """

    pixel_dtype = "uint16"

    def __init__(self, array: VolumeArray, class_names: Sequence[str], size: Size):
        self.array = array
        self.class_names = tuple(class_names)
        self.size = size
        self.labels = label_numbers(array.rows, self.class_names)
        """[N] int64; -1 (not told) where there are no classes."""

    def __len__(self) -> int:
        """Number of volumes."""
        return len(self.array)

    @property
    def rows(self) -> tuple[ManifestRow, ...]:
        """The row of each volume."""
        return self.array.rows

    @property
    def skipped(self) -> tuple[tuple[ManifestRow, str], ...]:
        """Rows whose volume could not be read, with the reason."""
        return self.array.skipped

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, D, H, W) of one volume in its box."""
        return (self.array[0].channels, *self.size)

    @property
    def cut(self) -> int:
        """How many volumes are larger than the box along some axis."""
        return sum(any(np.greater(case.shape, self.size)) for case in self.array)

    @property
    def spacing_mm(self) -> tuple[float, ...] | None:
        """Size of a voxel to the patient's right, front and head; None where no volume tells it.

        Raises:
            InputError: volumes with voxels of several sizes, or some that do not tell it: one image of both means
                nothing in millimeters.
        """
        found = {case.grid.spacing_mm: row.row_id for case, row in zip(self.array, self.rows, strict=True)}
        first = next(iter(found))
        if all(None in spacing for spacing in found):
            return None
        if any(not _alike(spacing, first) for spacing in found):
            shown = "; ".join(f"{_told(spacing)} in {row_id!r}" for spacing, row_id in list(found.items())[:4])
            raise InputError(
                f"the volumes have voxels of several sizes ({shown}), and a generated one has a single size. Give it "
                "with --volume.spacing_mm [1,1,1], to which all are resampled"
            )
        return tuple(float(mm) for mm in first if mm is not None)

    def batch(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """The volumes at these positions, in this order."""
        at = np.asarray(indices, dtype=np.int64)
        cases = [self.array[int(index)] for index in at]
        starts = [middle_start(case.shape, self.size) for case in cases]
        images = [cut_image(case, start, self.size) for case, start in zip(cases, starts, strict=True)]
        masks = [cut_mask(case, start, self.size) for case, start in zip(cases, starts, strict=True)]
        known = [mask for mask in masks if mask is not None]
        return Batch(
            image=to_model_range(np.stack(images)),
            label=torch.from_numpy(self.labels[at]) if self.class_names else None,
            mask=torch.from_numpy(np.stack(known)[:, None].astype(np.int64)) if len(known) == len(at) else None,
            index=torch.from_numpy(at),
        )


def _alike(one: Sequence[float | None], two: Sequence[float | None]) -> bool:
    pairs = list(zip(one, two, strict=True))
    return all(a is not None and b is not None and abs(a - b) <= SAME_SPACING * b for a, b in pairs)


def _told(spacing: Sequence[float | None]) -> str:
    return " x ".join("unknown" if mm is None else f"{mm:.3g}" for mm in spacing) + " mm"


def standing_free(spacing_mm: Sequence[float], size: Sequence[int]) -> np.ndarray:
    """4 x 4 of a volume that lies in no patient: axes to the right, front and head, its middle at the origin."""
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = -(np.asarray(size) - 1) / 2 * spacing_mm
    return affine


def slice_rows(row: ManifestRow, case: CachedVolume, axis: int) -> list[ManifestRow]:
    """The rows of a volume's slices, with its label and its patient (else lesion, else itself as one patient).

    Raises:
        InputError: several sequences, which no picture holds; slices closer than those of the file.
    """
    if case.channels > 1:
        raise InputError(
            f"row {row.row_id!r} has {case.channels} sequences, and the picture of a slice holds one: name one of them "
            "per row in a --manifest, or generate whole volumes with --dimensions 3"
        )
    indices = _native_indices(case.grid, axis)
    if len(set(indices)) < len(indices):
        raise InputError(
            f"row {row.row_id!r}: volume.spacing_mm asks for slices closer than those of the file. Ask for their "
            f"distance ({case.grid.native_spacing_mm[case.grid.order[axis]]} mm) or more along that axis"
        )
    whose = {"patient_id": row.group, "slice_axis": case.grid.order[axis]}
    return [replace(row, row_id=f"{row.row_id}_{index:03d}", slice_index=index, **whose) for index in indices]


def whole(row: ManifestRow) -> ManifestRow:
    """The row of the volume that a slice is of."""
    return replace(row, slice_axis=None, slice_index=None)


class LabeledSlices:
    """Slices with their labels as numbers; batches are read straight from the memory maps of their volumes.

    Args:
        rows: slices as `slice_rows` names them, and pictures that were drawn like them.
        class_names: label k is class_names[k]; empty where the slices have no labels.
        volumes: the prepared volumes of the slices; None for none.
        drawn: the pictures, as squares of the same size; None for none.
        axis: slices lie across it, see `slices.AXES`.
        size: side of the square, in voxels.

    Raises:
        InputError: a row without a label or with one that is no class.
    """

    pixel_dtype = "uint16"
    spacing_mm = None  # as for pictures

    def __init__(
        self,
        rows: Sequence[ManifestRow],
        class_names: Sequence[str],
        *,
        volumes: VolumeArray | None,
        drawn: ImageArray | None,
        axis: int,
        size: int,
    ):
        self.class_names, self.axis, self.size = tuple(class_names), axis, size
        self.skipped = (*(volumes.skipped if volumes else ()), *(drawn.skipped if drawn else ()))
        self._drawn = drawn
        pictures = {row: position for position, row in enumerate(drawn.rows if drawn else ())}
        cases = {
            row.image_file: (case, _native_indices(case.grid, axis))
            for row, case in (zip(volumes.rows, volumes, strict=True) if volumes else ())
        }
        self.rows = tuple(row for row in rows if row in pictures or row.image_file in cases)
        self._places = [pictures[row] if row in pictures else _place(row, *cases[row.image_file]) for row in self.rows]
        self.labels = label_numbers(self.rows, self.class_names)
        """[N] int64; -1 (not told) where there are no classes."""

    def __len__(self) -> int:
        """Number of slices."""
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """(1, H, W) of one slice."""
        return 1, self.size, self.size

    @property
    def cut(self) -> int:
        """How many slices are larger than the square."""
        cases = [place[0] for place in self._places if not isinstance(place, int)]
        return sum(max(with_side(case.shape, self.axis, 0)) > self.size for case in cases)

    def batch(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """The slices at these positions, in this order."""
        at = np.asarray(indices, dtype=np.int64)
        return Batch(
            image=to_model_range(np.stack([self._pixels(self._places[int(index)]) for index in at])),
            label=torch.from_numpy(self.labels[at]) if self.class_names else None,
            mask=None,
            index=torch.from_numpy(at),
        )

    def _pixels(self, place: int | tuple[CachedVolume, int]) -> np.ndarray:
        """[1, H, W] uint16."""
        if isinstance(place, int):
            assert self._drawn is not None
            return np.asarray(self._drawn.images[place])
        case, number = place
        block = with_side((self.size, self.size, self.size), self.axis, 1)
        start = with_side(middle_start(case.shape, block), self.axis, number)
        return _upright(cut_image(case, start, block).squeeze(self.axis + 1))


def _place(row: ManifestRow, case: CachedVolume, indices: Sequence[int]) -> tuple[CachedVolume, int]:
    """The volume of a slice, and its number there.

    Raises:
        InputError: the volume has no such slice.
    """
    if row.slice_index not in indices:
        raise InputError(
            f"row {row.row_id!r} is slice {row.slice_index} of a volume that was cut otherwise. Make the manifest "
            "again with these settings of volume"
        )
    return case, indices.index(row.slice_index)


def _upright(planes: np.ndarray) -> np.ndarray:
    """[C, H, W] whose axes lead to the right and front, right and head, or front and head, as they are looked at."""
    return planes.swapaxes(1, 2)[:, ::-1, ::-1]


def _native_indices(grid: WorkingGrid, axis: int) -> list[int]:
    """The file's slice that each working slice lies in."""
    scale, offset = grid.to_native_index[grid.order[axis], [axis, 3]]
    return [floor(scale * number + offset + 0.5) for number in range(grid.shape[axis])]
