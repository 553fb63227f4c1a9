"""A DICOM series to a mask on its own grid, through the public API.

    python pipelines/segment_dicom_series.py RUN FOLDER MASK.nii.gz [SERIES]

RUN is the folder of `python -m meddiff.pipelines.segment train`; FOLDER holds the series, and SERIES (its UID, number
or description) says which one is meant where there are several. The mask is in the patient's coordinates: opened over
the series in 3D Slicer or ITK-SNAP it lies where it belongs.
"""

import sys

import numpy as np

from meddiff import load
from meddiff.build.segmenting import picture_transform
from meddiff.errors import InputError
from meddiff.formats.nifti import save_volume
from meddiff.formats.open import load_volume
from meddiff.images.case import slice_cases


def main(run: str, folder: str, mask: str, series: str | None = None) -> None:
    """Segment one series."""
    model, volume = load(run), load_volume(folder, series=series)
    if model.recipe.dimensions == 3:
        classes = model(model.volume(folder, series=series)).classes
    else:
        transform = picture_transform(model.recipe, deep=model.deep)
        classes = np.stack([model(case).classes for case in slice_cases("series", volume, 2, transform)], axis=2)
    save_volume(classes, mask, affine=volume.affine)
    print(f"{volume.modality or 'series'} of {' x '.join(map(str, volume.shape))}: {mask}")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:5])
    except InputError as error:
        sys.exit(f"error: {error}")
