"""Small drawn volumes: a bent body with a thick head and a thin tail in textured tissue, cut out around it, with masks.

They stand in for hippocampus MRI where there are none, so that the path of volumes can be seen and tested: sizes of box
and body differ between patients, the labels are 1 anterior and 2 posterior, voxels are 1 mm in RAS order. Nothing in
them is a patient. A row is all that a volume needs.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from meddiff.formats.nifti import save_volume
from meddiff.manifest.row import ManifestRow
from meddiff.seeds import child_seed
from meddiff.sources.phantom.people import GENERATOR
from meddiff.sources.source import StandIn, real_row

MARGIN = (13, 11, 13)  # voxels around the body
HEAD = 0.42  # share of the length that is anterior
TISSUE, BODY, WATER = 0.72, 0.5, 0.12


def volume_rows(*, seed: int, count: int) -> list[ManifestRow]:
    """Return the first ``count`` volumes of the set with this seed, each of a patient of its own; draws nothing."""
    rows = []
    for number in range(1, count + 1):
        row_id = f"hippocampus-{seed}-{number:05d}"
        path = f"phantom/hippocampus/{row_id}"
        known = {f"spacing_mm_{axis}": 1.0 for axis in range(3)} | {
            "dataset": "phantom", "patient_id": f"hippocampus-{seed}-P{number:04d}", "modality": "MR",
            "mask_path": f"{path}_mask.nii.gz", "source": "phantom", "license": "CC0-1.0", "generator": GENERATOR,
            "seed": child_seed(seed, "phantom", "hippocampus", number) % 2**31,
        }  # fmt: skip
        rows.append(real_row(Path(), row_id, f"{path}.nii.gz", **known))
    return rows


def draw_volume(row: ManifestRow) -> tuple[np.ndarray, np.ndarray]:
    """Draw the volume of a row: image [I, J, K] uint16 and mask uint8 with 1 anterior and 2 posterior."""
    from scipy.ndimage import gaussian_filter
    from scipy.spatial import KDTree

    generator = np.random.default_rng(row.seed)
    length, radius, bend = generator.uniform(26, 36), generator.uniform(4.2, 6.2), generator.uniform(2, 6)
    along = np.linspace(0, 1, 60)  # from the head to the tail
    course = np.stack([bend * np.sin(np.pi * along), length * (0.5 - along), bend * (along - 0.5) ** 2 * 6], axis=1)
    reach = np.ptp(course, axis=0) + 2 * np.array(MARGIN)
    shape = tuple(int(side) for side in np.rint(reach + generator.uniform(-3, 3, 3)))
    middle = (course.max(0) + course.min(0)) / 2
    points = np.moveaxis(np.indices(shape), 0, -1) - (np.array(shape) - 1) / 2 + middle
    distance, nearest = KDTree(course).query(points)
    depth = radius * (1.15 - 0.6 * along[nearest]) - distance  # above 0 inside
    texture = [gaussian_filter(generator.standard_normal(shape), width) * width**1.5 for width in (0.7, 2.5)]
    wave = texture[1] + 0.6 * np.sin(points[..., 2] / generator.uniform(4, 6) + points[..., 0] / 7)
    image = TISSUE - 0.12 * (wave > 0.3) + 0.02 * texture[0]
    rim = np.exp(-(((depth + 1.2) / 0.8) ** 2)) * (points[..., 2] > middle[2])  # water above the body
    image += (WATER - image) * rim
    image += (BODY + 0.02 * texture[0] - image) / (1 + np.exp(-4 * depth))
    light = 1 + 0.1 * points[..., 1] / length
    gain = generator.uniform(300, 3000)  # MRI has no unit
    mask = np.where(depth > 0, np.where(along[nearest] < HEAD, 1, 2), 0).astype(np.uint8)
    return np.clip(gain * light * image, 0, 65535).astype(np.uint16), mask


def write_volumes(
    rows: Sequence[ManifestRow], folder: str | Path, *, progress: Callable | None = None
) -> list[ManifestRow]:
    """Draw the volumes and masks that are not yet in ``folder`` and return the rows with it as their root.

    Raises:
        InputError: a full or read-only disk.
    """
    rows = [replace(row, root=Path(folder)) for row in rows]
    for row in progress(rows, len(rows)) if progress else rows:
        if row.mask_file is not None and not (row.image_file.is_file() and row.mask_file.is_file()):
            for array, file in zip(draw_volume(row), (row.image_file, row.mask_file), strict=True):
                save_volume(array, file, affine=np.eye(4))
    return rows


def write_first(folder: Path, count: int, *, progress: Callable | None = None) -> list[ManifestRow]:
    """Draw the first ``count`` volumes into a folder; returns their rows."""
    return write_volumes(volume_rows(seed=0, count=count), folder, progress=progress)


HIPPOCAMPUS = StandIn("hippocampus", "volumes", write_first)
