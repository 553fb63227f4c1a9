"""Slices of volumes as images of their own: a row each, named as in the file, and where each lies in its volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import floor

import numpy as np

from meddiff.batches.cuts import Size, with_side
from meddiff.cache.image_array import CachedPicture, ImageArray
from meddiff.cache.store import Prepared
from meddiff.cache.volume_array import CachedVolume
from meddiff.errors import InputError
from meddiff.formats.masks import IGNORED
from meddiff.images.working_grid import WorkingGrid
from meddiff.manifest.row import ManifestRow


def slice_rows(row: ManifestRow, case: CachedVolume, axis: int) -> list[ManifestRow]:
    """Return the rows of a volume's slices, with its label and its patient (else lesion, else itself as one patient).

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


def row_of_volume(row: ManifestRow) -> ManifestRow:
    """Return the row of the volume that a slice is of."""
    return replace(row, slice_axis=None, slice_index=None)


@dataclass(frozen=True)
class VolumeSlice:
    """One slice of a prepared volume: a volume that is one voxel thick."""

    volume: CachedVolume
    axis: int
    number: int
    """Of the slice along the axis of the working grid."""

    @property
    def shape(self) -> Size:
        """Voxels along each axis."""
        return with_side(self.volume.shape, self.axis, 1)

    @property
    def image(self) -> np.ndarray:
        """[C, I, J, K] uint16; nothing is read yet."""
        return self.volume.image[(slice(None), *self._place)]

    @property
    def mask(self) -> np.ndarray | None:
        """[I, J, K] uint8 class indices, IGNORED is not judged; None without masks."""
        mask = self.volume.mask
        return None if mask is None else mask[self._place]

    @property
    def largest_class(self) -> int:
        """The largest class index in the slice's mask; 0 without mask."""
        mask = self.mask
        return 0 if mask is None else int(mask[mask != IGNORED].max(initial=0))

    @property
    def _place(self) -> tuple[slice, ...]:
        return tuple(slice(self.number, self.number + 1) if a == self.axis else slice(None) for a in range(3))


def slices_of(
    rows: Sequence[ManifestRow], *, volumes: Prepared[CachedVolume] | None, drawn: ImageArray | None, axis: int
) -> Prepared[VolumeSlice | CachedPicture]:
    """Return slices, and pictures drawn like them, in the order of their rows.

    Those that could not be read are left out.

    Args:
        rows: slices as `slice_rows` names them, and drawn pictures.
        volumes: the prepared volumes of the slices; None for none.
        drawn: the pictures, as squares; None for none.
        axis: slices lie across it, see `cuts.AXES`.

    Raises:
        InputError: a volume has no such slice.
    """
    pictures = dict(zip(drawn.rows, drawn, strict=True)) if drawn else {}
    cases = {
        row.image_file: (case, _native_indices(case.grid, axis))
        for row, case in (zip(volumes.rows, volumes, strict=True) if volumes else ())
    }
    usable = tuple(row for row in rows if row in pictures or row.image_file in cases)
    places = [pictures[row] if row in pictures else _slice(row, *cases[row.image_file], axis=axis) for row in usable]
    skipped = (*(volumes.skipped if volumes else ()), *(drawn.skipped if drawn else ()))
    return Prepared(tuple(places), usable, skipped)


def _slice(row: ManifestRow, case: CachedVolume, indices: Sequence[int], *, axis: int) -> VolumeSlice:
    if row.slice_index not in indices:
        raise InputError(
            f"row {row.row_id!r} is slice {row.slice_index} of a volume that was cut otherwise. Make the manifest "
            "again with these settings of volume"
        )
    return VolumeSlice(case, axis, indices.index(row.slice_index))


def _native_indices(grid: WorkingGrid, axis: int) -> list[int]:
    """Return the file's slice that each working slice lies in."""
    scale, offset = grid.to_native_index[grid.order[axis], [axis, 3]]
    return [floor(scale * number + offset + 0.5) for number in range(grid.shape[axis])]
