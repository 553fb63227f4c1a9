"""Classes by size: in which third of a data set a volume lies by what its mask marks, in cubic millimeters.

For volumes that come with masks and without a label. The class says what it is in its name (``under 2871 mm3``), is
counted on the mask's own voxels, and its limits are those of the whole data set: they define the class, and nothing is
learned from them. Where images are cut out around the structure, their size goes with the class and gives it away.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from meddiff.errors import InputError, Problems
from meddiff.formats.masks import IGNORED, MaskAt, MaskMeaning, decide, levels_of, meaning_of, stored_at
from meddiff.formats.pictures import is_picture
from meddiff.images.prepare import load_sequences
from meddiff.manifest.row import ManifestRow

FEWEST = 12  # volumes: each third can then be in all three splits


def labeled_by_size(rows: Sequence[ManifestRow]) -> list[ManifestRow]:
    """Return the rows, each labeled by the third that its mask's volume lies in.

    Raises:
        InputError: a mask that is missing or whose voxel size is unknown, too few volumes, or so many of one size
            that there are no thirds.
    """
    sizes = _sizes(rows)
    if len(rows) < FEWEST:
        raise InputError(f"{len(rows)} volumes are too few for thirds by size: give {FEWEST} or more, or --label none")
    low, high = (round(float(limit)) for limit in np.quantile(sizes, (1 / 3, 2 / 3)))
    names = (f"under {low} mm3", f"{low} to {high} mm3", f"{high} mm3 or more")
    thirds = np.digitize(sizes, (low, high))
    if len(set(thirds.tolist())) < 3:
        raise InputError(
            f"the masks mark {sizes.min():.0f} to {sizes.max():.0f} mm3, too many of them the same for thirds by size. "
            "Fill in the label column of a manifest, or use --label none"
        )
    return [replace(row, label=names[third]) for row, third in zip(rows, thirds, strict=True)]


def mask_mm3(row: ManifestRow, meaning: MaskMeaning | None = None) -> float:
    """Measure what the row's mask marks (all classes but background), in cubic millimeters.

    ``meaning`` is that of all masks of the data set; without it this one is a data set of its own.

    Raises:
        InputError: no mask, one that cannot be read, or one that does not tell the size of its voxels.
    """
    if row.mask_path is None:
        raise InputError(f"row {row.row_id!r} has no mask")
    stored = stored_at(MaskAt.of(row), volume=True)
    place = stored.places[0][1] if stored.places else load_sequences(row.image_files).place
    if place.affine is None and None in place.spacing_mm:
        raise InputError(f"{row.mask_file} does not tell the size of its voxels")
    edges = np.diag([mm or 1.0 for mm in place.spacing_mm]) if place.affine is None else place.affine[:3, :3]
    classes = (meaning or decide([levels_of(stored)]))(stored)
    return float(np.count_nonzero((classes > 0) & (classes != IGNORED)) * abs(np.linalg.det(edges)))


def mask_shares(rows: Sequence[ManifestRow]) -> dict[str, float]:
    """Measure which share of its image each row's mask marks, 0 to 1, by the row's id; rows without mask have none.

    Raises:
        InputError: a mask that cannot be read.
    """
    masked = [row for row in rows if row.mask_path]
    meaning = meaning_of(masked) if masked else None
    shares = {}
    for row in masked:
        classes = meaning(stored_at(MaskAt.of(row), volume=not is_flat(row))) if meaning else np.zeros(0)
        judged = classes[classes != IGNORED]
        shares[row.row_id] = float(np.count_nonzero(judged)) / max(judged.size, 1)
    return shares


def is_flat(row: ManifestRow) -> bool:
    """Say whether a row is a picture or a slice, and no volume."""
    return row.slice_axis is not None or is_picture(row.image_path)


def _sizes(rows: Sequence[ManifestRow]) -> np.ndarray:
    problems = Problems("--label size")
    sizes = []
    meaning = meaning_of(rows) if any(row.mask_path for row in rows) else None
    for row in rows:
        try:
            sizes.append(mask_mm3(row, meaning))
        except InputError as error:
            problems.add("mask without a size", str(error), "Mend it, take the row out, or use --label none.")
    problems.raise_if_any()
    return np.array(sizes)
