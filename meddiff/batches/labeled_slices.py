"""Slices of prepared volumes with their labels, one row each: volumes as pictures, turned alike whatever their files.

A slice stands as radiologists look at it: front or head at the top, the patient's right side (of a sagittal slice the
front) at the left. It lies in the middle of its square; what is larger is cut to its middle, what is smaller has -1
around it, as whole volumes in their box.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import floor

import numpy as np
import torch

from meddiff.batches.cuts import cut_image, middle_start
from meddiff.batches.images import Batch, label_numbers, to_model_range
from meddiff.batches.slices import with_side
from meddiff.cache.pictures import ImageArray
from meddiff.cache.volumes import CachedVolume, VolumeArray
from meddiff.errors import InputError
from meddiff.images.working_grid import WorkingGrid
from meddiff.manifest.manifest_row import ManifestRow


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
