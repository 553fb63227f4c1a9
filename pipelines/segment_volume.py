"""A NIfTI volume to a mask on its own grid, through the public API: whole, or slice by slice.

    python pipelines/segment_volume.py RUN VOLUME MASK.nii.gz [AXIS]

RUN is the folder of `python -m meddiff.pipelines.segment train`. A network of volumes segments the volume whole; a
network of pictures slice by slice along AXIS (of the array; the last one unless told).
"""

import sys
from pathlib import Path

import numpy as np

from meddiff import load
from meddiff.build.segmenting import picture_transform
from meddiff.errors import InputError
from meddiff.formats.nifti import save_volume
from meddiff.formats.open import load_volume
from meddiff.images.case import slice_cases


def main(run: str, path: str, mask: str, axis: str = "2") -> None:
    """Segment one volume."""
    model, volume = load(run), load_volume(path)
    if model.recipe.dimensions == 3:
        classes = model(model.volume(path)).classes
    else:
        slices = slice_cases(Path(path).name, volume, int(axis), picture_transform(model.recipe, deep=model.deep))
        classes = np.stack([model(case).classes for case in slices], axis=int(axis))
    save_volume(classes, mask, affine=volume.affine)
    for index, name in enumerate(model.class_names[1:], start=1):
        print(f"{name}: {np.count_nonzero(classes == index)} voxels")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:5])
    except InputError as error:
        sys.exit(f"error: {error}")
