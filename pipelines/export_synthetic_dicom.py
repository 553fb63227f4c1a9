"""The synthetic images of a run as DICOM Secondary Capture, through the public API.

    python pipelines/export_synthetic_dicom.py RUN FOLDER

RUN is the folder of `python -m meddiff.pipelines.augment` (or synthesize). Each file says in every place that it is
synthetic, bears no patient's name or UID, and holds generator, seed and label in a private block. A volume becomes a
series of its axial slices, from the feet up; where its voxels lie stays in its NIfTI file.
"""

import sys
from pathlib import Path

import numpy as np

from meddiff import ManifestRow, RunFolder, read_manifest
from meddiff.errors import InputError
from meddiff.formats import load_image
from meddiff.formats.dicom.capture import save_secondary_capture
from meddiff.formats.open import load_volume
from meddiff.formats.pictures import is_picture


def slices(row: ManifestRow) -> list[np.ndarray]:
    """The pictures of a row: one, or the axial slices [H, W] of a volume's first sequence, front up and right left."""
    if is_picture(row.image_path):
        return [load_image(row.image_file)]
    array = load_volume(row.image_file).array
    voxels = array if array.ndim == 3 else array[..., 0]
    return [voxels[::-1, ::-1, number].T for number in range(voxels.shape[2])]


def main(run: str, folder: str) -> None:
    """Export every image of the run's synthetic manifest."""
    rows = read_manifest(RunFolder(Path(run)).synthetic_manifest)
    for count, row in enumerate(rows, start=1):
        pictures = slices(row)
        for number, pixels in enumerate(pictures, start=1):
            save_secondary_capture(
                pixels,
                Path(folder) / (f"{row.row_id}.dcm" if len(pictures) == 1 else f"{row.row_id}/{number:04d}.dcm"),
                generator=row.generator or "meddiff",
                seed=row.seed or 0,
                label=row.label or "",
                collection="" if len(pictures) == 1 else f"{row.generator} {row.row_id}",
                number=count if len(pictures) == 1 else number,
            )
    print(f"{len(rows)} synthetic images: {folder}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:3])
    except InputError as error:
        sys.exit(f"error: {error}")
