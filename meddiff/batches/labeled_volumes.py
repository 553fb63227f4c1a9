"""Prepared volumes with their labels, as whole small volumes of one size: the 3D counterpart of LabeledImages.

A volume lies in the middle of its box. What is larger is cut to its middle, what is smaller has -1 around it, the value
of the darkest tissue and of air: a generator learns both, and draws them.
"""

from collections.abc import Sequence

import numpy as np
import torch

from meddiff.batches.cuts import Size, cut_image, cut_mask, middle_start
from meddiff.batches.images import Batch, label_numbers, to_model_range
from meddiff.cache.volumes import VolumeArray
from meddiff.errors import InputError
from meddiff.manifest.manifest_row import ManifestRow

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
