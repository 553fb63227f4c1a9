"""A set of images with all that is measured on it: pixels of one size, features made once, and of whom each image is.

Features are kept in a file whose name is the hash of what they were made from: the contents of the images in their
order, how they were resized, and the extractor with its weights. So they are never stale; moving or renaming a data
set does not compute them again, and another file of weights does. Only sets of one `Space` can be compared.

A set of volumes with all that is measured on it: features of the whole volume, and three planes to look at.

The planes take the place of the colors of a picture: what is measured of pixels (spectrum, brightness, similarity of
pairs, pixel copies) is measured of the axial, coronal and sagittal plane through the middle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor

from meddiff.cache.contents import fingerprints
from meddiff.cache.image_array import decode
from meddiff.cache.store import default_folder
from meddiff.errors import InputError, Problems
from meddiff.evaluation.images.given import VolumeCase
from meddiff.files.bad import reason_of
from meddiff.files.content import content_of
from meddiff.files.writing import write_atomically
from meddiff.formats.volume import Volume
from meddiff.images.cube import cube_of, middle_planes
from meddiff.images.intensity import to_model_range
from meddiff.images.prepare import Transform
from meddiff.manifest.row import ManifestRow

FORMAT = 1
"""Raise it when what an extractor makes of the same pixels changes."""
RESIZE_FILTER = "Pillow bicubic, antialiased"
Progress = Callable[[Iterable, int], Iterable]


class Extractor(Protocol):
    """A network that turns images [B, 3, H, W] in [-1, 1] into features [B, F]."""

    preprocessing: str
    """How it resizes and scales what it is given, in words."""

    def features(self, image: Tensor, /) -> Tensor:
        """Compute [B, F]."""
        ...


@dataclass(frozen=True)
class Space:
    """The making of features: figures of different spaces have nothing to do with each other."""

    extractor: str
    """Its name."""
    weights: str
    """SHA-256 of its weights file; empty where it has learned nothing."""
    resolution: int
    """Side of the square that every image is brought to first, in pixels."""
    fit: str
    """crop, pad or stretch: how an oblong image becomes that square."""
    preprocessing: str
    """What the extractor then does itself."""
    resize_filter: str = RESIZE_FILTER
    volumes: bool = False
    """Whether the images are volumes, of which pixels shows the three middle planes."""
    stretched: bool = False
    """Whether all pictures are scaled by their own percentiles, because some have 8 bits and others more."""

    def __str__(self) -> str:
        """Describe it in one line, for tables and messages."""
        size = f"{self.resolution} {'voxels' if self.volumes else 'px'}"
        return f"{self.extractor} ({self.weights[:8] or 'no weights'}), {size}, {self.fit}, {self.resize_filter}"


@dataclass(frozen=True)
class ImageSet:
    """Images, their features and their groups, in one order."""

    rows: tuple[ManifestRow, ...]
    pixels: np.ndarray  # [N, 3, S, S] uint8 or uint16, memory-mapped; of volumes three planes instead of colors
    features: np.ndarray  # [N, F] float32, memory-mapped
    contents: tuple[str, ...]
    """Hash of each image's file (and slice)."""
    space: Space
    skipped: tuple[tuple[ManifestRow, str], ...] = ()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.rows)

    @property
    def groups(self) -> np.ndarray:
        """[N] the patient, else the lesion, else the image itself."""
        return np.array([row.group for row in self.rows])

    @property
    def labels(self) -> np.ndarray | None:
        """[N] what each image shows; None where one of them does not tell."""
        labels = [row.label for row in self.rows]
        return np.array(labels) if all(labels) else None

    def images(self, which: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return some of the images [n, 3, S, S] float32 in [-1, 1]."""
        return to_model_range(np.asarray(self.pixels[which])).numpy()

    def chosen(self, which: np.ndarray) -> ImageSet:
        """Return the images at these positions."""
        at = np.arange(len(self))[which]
        rows, contents = (tuple(part[position] for position in at) for part in (self.rows, self.contents))
        return ImageSet(rows, np.asarray(self.pixels[at]), np.asarray(self.features[at]), contents, self.space)


class Reading(TypedDict, total=False):
    """The reading of files (see `meddiff.cache.image_array.decode`)."""

    on_bad_file: str
    progress: Progress | None


def image_set(
    rows: Sequence[ManifestRow],
    extractor: Extractor,
    space: Space,
    *,
    device: str = "cpu",
    batch_size: int = 32,
    folder: Path | None = None,
    computing: Progress | None = None,
    **reading: Unpack[Reading],
) -> ImageSet:
    """Return the images of these rows with their features, from the cache where they are there.

    ``progress`` of the reading wraps (iterable, total) of the images that are read, ``computing`` of the batches that
    features are made of.

    Raises:
        InputError: files that cannot be read, or a cache that cannot be written.
    """
    top = folder or default_folder()
    square = Transform(space.resolution, space.fit, stretch=space.stretched or None)
    array = decode(rows, square, folder=top, **reading)
    contents = tuple(content.text for content in fingerprints(array.rows, with_masks=False, memory=top))
    path = features_file(top, space, contents, str(array.images.dtype))
    features = stored_array(path, len(array.rows))
    if features is None:
        features = _computed(array.images, extractor, device, batch_size, computing)
        store_array(path, features)
    return ImageSet(array.rows, array.images, features, contents, space, array.skipped)


def check_comparable(*sets: ImageSet) -> None:
    """Refuse sets whose features were made in different ways."""
    spaces = list(dict.fromkeys(entry.space for entry in sets))
    if len(spaces) > 1:
        raise InputError(
            f"these features cannot be compared: {' and '.join(str(space) for space in spaces)}. Make all of them with "
            "one extractor, one file of weights and one resolution"
        )


def features_file(folder: Path, space: Space, contents: Sequence[str], kind: str) -> Path:
    """Name the file of features of these contents; ``kind``: what else they depend on."""
    digest = hashlib.sha256(json.dumps([FORMAT, asdict(space), kind, list(contents)]).encode())
    return folder / "features" / f"{digest.hexdigest()[:32]}.npy"


def stored_array(path: Path, count: int) -> np.ndarray | None:
    """Return an array of the cache, memory-mapped; None where it is missing, damaged or of another number of images."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.ndim > 1 and len(array) == count else None


def store_array(path: Path, array: np.ndarray) -> None:
    """Put an array into the cache."""
    write_atomically(path, lambda file: np.save(file, array, allow_pickle=False))


@torch.inference_mode()
def _computed(
    pixels: np.ndarray, extractor: Extractor, device: str, batch_size: int, progress: Progress | None
) -> np.ndarray:
    starts = range(0, len(pixels), batch_size)
    return np.concatenate(
        [
            extractor.features(to_model_range(np.asarray(pixels[start : start + batch_size])).to(device))
            .float().cpu().numpy()
            for start in (progress(starts, len(starts)) if progress else starts)
        ]
    )  # fmt: skip


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
    """Compute the volumes with their features, from the cache where they are there; ``extractor`` sees [1, 1, S, S, S].

    One volume is in memory at a time.

    Raises:
        InputError: files that cannot be read (with on_bad_file stop), none that can, or a cache that cannot be written.
    """
    top = folder or default_folder()
    contents = tuple(content_of(case.files) for case in cases)
    path = features_file(top, space, contents, "volumes")
    planes_path = path.with_suffix(".planes.npy")
    features, planes = stored_array(path, len(cases)), stored_array(planes_path, len(cases))
    if features is not None and planes is not None:
        return ImageSet(tuple(case.row for case in cases), planes, features, contents, space)
    usable, skipped = [], []
    for position, (case, cube) in enumerate(_cubes(cases, space, progress)):
        if isinstance(cube, str):
            skipped.append((case.row, cube))
            continue
        tensor = torch.from_numpy(cube)[None, None].to(device)
        usable.append((position, middle_planes(cube), extractor.features(tensor)[0].cpu().numpy()))
    if skipped and (on_bad_file == "stop" or not usable):
        _refuse(skipped, len(cases))
    kept, planes, features = zip(*usable, strict=True)
    planes, features = np.rint((np.stack(planes) + 1) * 32767.5).astype(np.uint16), np.stack(features)
    if not skipped:  # a file that failed for a moment must not be left out for good
        store_array(path, features)
        store_array(planes_path, planes)
    rows, contents = (tuple(part[at] for at in kept) for part in ([case.row for case in cases], contents))
    return ImageSet(rows, planes, features, contents, space, tuple(skipped))


def _cubes(
    cases: Sequence[VolumeCase], space: Space, progress: Progress | None
) -> Iterator[tuple[VolumeCase, np.ndarray | str]]:
    """Compute each volume as a cube, or why it is none."""
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


def _refuse(skipped: Sequence[tuple[ManifestRow, str]], count: int) -> None:
    problems = Problems(f"{len(skipped)} of {count} volumes cannot be used")
    for _, reason in skipped:
        problems.add("bad file", reason, "Put good copies in their place, or leave them out: --on-bad-file skip.")
    problems.raise_if_any()
