"""Several sequences of one patient on one grid (T1, T2, FLAIR ... of MRI) to one volume with a last axis for them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from meddiff.formats.open import load_volume
from meddiff.formats.volume import Volume
from meddiff.images.prepare import check_same_grid
from meddiff.images.working_grid import working_grid


def load_sequences(paths: Sequence[Path]) -> Volume:
    """The volume of one file, or of several that lie on one grid, in their order.

    Raises:
        InputError: as load_volume; files that lie on different grids.
    """
    volumes = [load_volume(path) for path in paths]
    if len(volumes) == 1:
        return volumes[0]
    grid = working_grid(volumes[0], None)
    for volume, path in zip(volumes[1:], paths[1:], strict=True):
        check_same_grid(volume, grid, path, paths[0], cure="Register the sequences to one grid first.")
    arrays = [volume.array[..., None] if volume.array.ndim == 3 else volume.array for volume in volumes]
    return replace(volumes[0], array=np.concatenate(arrays, axis=3), color=False)
