"""The synthetic images of a run as DICOM Secondary Capture, through the public API.

    python pipelines/export_synthetic_dicom.py RUN FOLDER

RUN is the folder of `python -m meddiff.pipelines.augment` (or synthesize). Each file says in every place that it is
synthetic, bears no patient's name or UID, and holds generator, seed and label in a private block.
"""

import sys
from pathlib import Path

from meddiff import RunFolder, read_manifest
from meddiff.data.image_io import load_image
from meddiff.data.image_io.secondary_capture import save_secondary_capture


def main(run: str, folder: str) -> None:
    """Export every image of the run's synthetic manifest."""
    rows = read_manifest(RunFolder(Path(run)).synthetic_manifest)
    for number, row in enumerate(rows, start=1):
        save_secondary_capture(
            load_image(row.image_file),
            Path(folder) / f"{row.row_id}.dcm",
            generator=row.generator or "meddiff",
            seed=row.seed or 0,
            label=row.label or "",
            number=number,
        )
    print(f"{len(rows)} synthetic images: {folder}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
