"""A set of volumes with all that is measured on it: features of the whole volume, and three planes to look at.

The planes take the place of the colors of a picture: what is measured of pixels (spectrum, brightness, similarity of
pairs, pixel copies) is measured of the axial, coronal and sagittal plane through the middle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from meddiff.cache.pictures import default_folder
from meddiff.errors import InputError
from meddiff.evaluation.images.sets import (
    Extractor,
    ImageSet,
    Progress,
    Space,
    features_file,
    store_array,
    stored_array,
)
from meddiff.formats.pictures import reason_of
from meddiff.formats.volume import Volume
from meddiff.formats.volume_listing import VolumeCase
from meddiff.images.cube import cube_of, middle_planes
from meddiff.manifest.manifest_row import ManifestRow
from meddiff.problems import Problems

FEWEST_SLICES = 8
"""Along every axis: what has fewer is a picture, or a few of them, and no volume to a network."""


def volume_set(
    cases: Sequence[VolumeCase],
    extractor: Extractor,
    space: Space,
    *,
    device: str = "cpu",
    on_bad_file: str = "stop",
    folder: Path | None = None,
    progress: Progress | None = None,
) -> ImageSet:
    """The volumes with their features, from the cache where they are there; ``extractor`` sees [1, 1, S, S, S].

    One volume is in memory at a time.

    Raises:
        InputError: files that cannot be read (with on_bad_file stop), none that can, or a cache that cannot be written.
    """
    top = folder or default_folder()
    contents = tuple(_content(case) for case in cases)
    path = features_file(top, space, contents, "volumes")
    planes_path = path.with_suffix(".planes.npy")
    features, planes = stored_array(path, len(cases)), stored_array(planes_path, len(cases))
    if features is not None and planes is not None:
        return ImageSet(tuple(case.row for case in cases), planes, features, contents, space)
    found, skipped = [], []
    for position, (case, cube) in enumerate(_cubes(cases, space, progress)):
        if isinstance(cube, str):
            skipped.append((case.row, cube))
            continue
        tensor = torch.from_numpy(cube)[None, None].to(device)
        found.append((position, middle_planes(cube), extractor.features(tensor)[0].cpu().numpy()))
    if skipped and (on_bad_file == "stop" or not found):
        _refuse(skipped, len(cases))
    kept, planes, features = zip(*found, strict=True)
    planes, features = np.rint((np.stack(planes) + 1) * 32767.5).astype(np.uint16), np.stack(features)
    if not skipped:  # a file that failed for a moment must not be left out for good
        store_array(path, features)
        store_array(planes_path, planes)
    rows, contents = (tuple(part[at] for at in kept) for part in ([case.row for case in cases], contents))
    return ImageSet(rows, planes, features, contents, space, tuple(skipped))


def _cubes(
    cases: Sequence[VolumeCase], space: Space, progress: Progress | None
) -> Iterator[tuple[VolumeCase, np.ndarray | str]]:
    """Each volume as a cube, or why it is none."""
    for case in progress(cases, len(cases)) if progress else cases:
        try:
            volume = case.read()
            _check_thick(volume, case.row)
            yield case, cube_of(volume, space.resolution, fit=space.fit, name=case.row.image_file)
        except InputError as error:
            yield case, reason_of(error)


def _check_thick(volume: Volume, row: ManifestRow) -> None:
    if min(volume.shape) < FEWEST_SLICES:
        raise InputError(
            f"{row.image_file} has {' x '.join(map(str, volume.shape))} voxels: a volume has at least {FEWEST_SLICES} "
            "along every axis. Compare single slices as pictures: PNG or TIFF files, or a manifest with slice_axis "
            "and slice_index"
        )


def _content(case: VolumeCase) -> str:
    """Hash of all files of a volume."""
    digest = hashlib.sha256()
    for file in case.files:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def _refuse(skipped: Sequence[tuple[ManifestRow, str]], count: int) -> None:
    problems = Problems(f"{len(skipped)} of {count} volumes cannot be used")
    for _, reason in skipped:
        problems.add("bad file", reason, "Put good copies in their place, or leave them out: --on-bad-file skip.")
    problems.raise_if_any()
