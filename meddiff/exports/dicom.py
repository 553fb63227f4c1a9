"""Synthetic images as DICOM Secondary Capture: every file says in every place that it shows no patient.

A volume becomes a series of its axial slices, from the feet up; where its voxels lie stays in its NIfTI file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from rich.console import Console

from meddiff.errors import InputError
from meddiff.exports.new_folder import write_new
from meddiff.formats import load_image
from meddiff.formats.dicom.capture import save_secondary_capture
from meddiff.formats.open import load_volume
from meddiff.formats.pictures import is_picture
from meddiff.jobs.progress import bar
from meddiff.manifest.row import ManifestRow
from meddiff.manifest.table import read_manifest
from meddiff.recipe.exports import Dicom
from meddiff.run import RunFolder, root_of_manifest


def write(settings: Dicom, console: Console) -> list[str]:
    """Write every image of a run's synthetic manifest; returns what is to be said of them.

    Raises:
        InputError: no synthetic images, or real ones among them.
    """
    place = Path(settings.run).expanduser()
    manifest = place if place.suffix.lower() == ".csv" else RunFolder(place).synthetic_manifest
    rows = read_manifest(manifest, root=root_of_manifest(manifest))
    if real := next((row for row in rows if row.source != "synthetic"), None):
        raise InputError(f"{real.image_file} is {real.source}: images of patients keep the DICOM files they came in, "
                         "and this writes what a model has drawn")  # fmt: skip
    shown = bar(console, "writing", unit="images", stays=False)
    folder = write_new(settings.out, lambda part: _fill(part, shown(rows, len(rows))))
    return [f"{len(rows)} synthetic images: {folder}"]


def _fill(folder: Path, rows: Iterable[ManifestRow]) -> None:
    for count, row in enumerate(rows, start=1):
        pictures = _slices(row)
        for number, pixels in enumerate(pictures, start=1):
            save_secondary_capture(
                pixels,
                folder / (f"{row.row_id}.dcm" if len(pictures) == 1 else f"{row.row_id}/{number:04d}.dcm"),
                generator=row.generator or "meddiff",
                seed=row.seed or 0,
                label=row.label or "",
                collection="" if len(pictures) == 1 else f"{row.generator} {row.row_id}",
                number=count if len(pictures) == 1 else number,
            )


def _slices(row: ManifestRow) -> list[np.ndarray]:
    """Return the pictures of a row: one, or the axial slices [H, W] of a volume's first sequence.

    Slices have the front up and the right on the left.
    """
    if is_picture(row.image_path):
        return [load_image(row.image_file)]
    array = load_volume(row.image_file).array
    voxels = array if array.ndim == 3 else array[..., 0]
    return [voxels[::-1, ::-1, number].T for number in range(voxels.shape[2])]
