"""Masks as class indices, and what the masks of a data set hold together: each is looked at once, and remembered."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meddiff.errors import InputError
from meddiff.files.bad import bad_file, reason_of
from meddiff.files.writing import write_atomically
from meddiff.formats.arrays import is_of_volume
from meddiff.formats.dicom.series import kind_of
from meddiff.formats.masks.decide import decide
from meddiff.formats.masks.levels import Levels, levels_of
from meddiff.formats.masks.meaning import MaskMeaning
from meddiff.formats.masks.stored import read_stored, stored_volume
from meddiff.formats.open import load_volume
from meddiff.manifest.row import ManifestRow, on_disk

WORKERS = min(8, os.cpu_count() or 1)  # masks in memory at a time
OBJECTS = {
    "1.2.840.10008.5.1.4.1.1.66.4": "Segmentation (SEG)",
    "1.2.840.10008.5.1.4.1.1.66.7": "Segmentation (SEG)",
    "1.2.840.10008.5.1.4.1.1.481.3": "RT Structure Set (RTSTRUCT)",
}
"""Objects of DICOM that hold masks in a way of their own, by their class."""
FORMAT = 1  # raise it when what levels() counts changes
Progress = Callable[[Iterable, int], Iterable]
Place = tuple[Path, int | None]
"""A mask: a file, and which page of it; of a volume all slices are one mask."""


@dataclass(frozen=True)
class MasksFound:
    """The values that the masks of a data set hold."""

    levels: tuple[Levels, ...]
    bad: tuple[str, ...] = ()
    """The reasons why some could not be read."""


def load_mask(
    path: str | Path, *, axis: int | None = None, index: int | None = None, meaning: MaskMeaning | None = None
) -> np.ndarray:
    """Load class indices uint8 [H, W], 0 is background, IGNORED is not judged; of a slice where one is named.

    Args:
        path: the file.
        axis: of a volume that the slice lies across, or 0 for the page of a TIFF.
        index: of the slice or page.
        meaning: of all masks of the data set; without it the file (of a slice its whole volume) is one of its own.

    Raises:
        InputError: as `read_stored`; values that have no meaning, or several.
    """
    if meaning is None:
        meaning = decide([_levels((Path(path), _page(Path(path), axis, index)))])
    return meaning(read_stored(path, axis=axis, index=index))


def places(rows: Iterable[ManifestRow]) -> list[Place]:
    """List the masks of these rows, each once."""
    return list(
        dict.fromkeys(
            (row.mask_file, _page(row.mask_file, row.slice_axis, row.slice_index))
            for row in rows
            if row.mask_file is not None
        )
    )


def masks_found(wanted: Sequence[Place], *, memory: Path | None = None, progress: Progress | None = None) -> MasksFound:
    """Look at what these masks hold; those that cannot be read are left to who uses them.

    Args:
        wanted: as of `places`.
        memory: the folder that remembers it, per path, size and time of the files.
        progress: wraps (iterable, total), for a progress bar.
    """
    remembered = memory and memory / f"masks-{_state_of(wanted)}.json"
    if remembered is not None and (known := _recalled(remembered)) is not None:
        return known
    with ThreadPoolExecutor(WORKERS) as pool:  # decoders free the interpreter lock
        looked = pool.map(_looked_at, wanted)
        results = list(progress(looked, len(wanted)) if progress else looked)
    good = tuple(one for one in results if isinstance(one, Levels))
    held = MasksFound(good, tuple(one for one in results if isinstance(one, str)))
    if remembered is not None:
        _remember(held, remembered)
    return held


def meaning_of(
    rows: Iterable[ManifestRow], *, text: str = "", memory: Path | None = None, progress: Progress | None = None
) -> MaskMeaning:
    """Decide what the masks of these rows mean.

    Raises:
        InputError: as `decide`, and where none of the masks can be read.
    """
    held = masks_found(places(rows), memory=memory, progress=progress)
    if not held.levels and held.bad:
        raise InputError(f"none of the masks can be read; the first: {held.bad[0]}")
    return decide(held.levels, text=text)


def _page(path: Path, axis: int | None, index: int | None) -> int | None:
    return None if axis is None or is_of_volume(path) else index


def _levels(place: Place) -> Levels:
    path, page = place
    if (kind := OBJECTS.get(kind_of(path))) is not None:
        raise bad_file(path, f"a DICOM {kind} is not read as a mask: convert it to NIfTI on the voxels of its image, "
                             "one value per class and no voxel in two of them (3D Slicer and dcmqi do)")  # fmt: skip
    if is_of_volume(path):
        return levels_of(stored_volume(load_volume(path), path))
    return levels_of(read_stored(path, axis=None if page is None else 0, index=page))


def _looked_at(place: Place) -> Levels | str:
    try:
        return _levels(place)
    except InputError as error:
        return reason_of(error)


def _state_of(wanted: Sequence[Place]) -> str:
    states: list[list] = [[FORMAT]]
    for path, page in wanted:
        file = on_disk(path)
        for one in _files(file):
            try:
                state = one.stat()
                states.append([str(one.absolute()), page, state.st_size, state.st_mtime_ns, state.st_ctime_ns])
            except OSError:
                states.append([str(one.absolute()), page])
    return hashlib.sha256(json.dumps(states).encode()).hexdigest()[:32]


def _files(path: Path) -> Iterator[Path]:
    """List the file, all files of a folder, and the voxels beside a header."""
    if path.is_dir():
        yield from sorted(file for file in path.rglob("*") if file.is_file())
        return
    yield path
    if path.suffix.lower() in (".hdr", ".mhd", ".nhdr", ".img"):
        yield from sorted(file for file in path.parent.glob(f"{path.stem}.*") if file != path)


def _recalled(remembered: Path) -> MasksFound | None:
    try:
        plain = json.loads(remembered.read_text(encoding="utf-8"))
        return MasksFound(tuple(Levels.from_json(one) for one in plain))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _remember(held: MasksFound, remembered: Path) -> None:
    if held.bad:  # a disk that failed for a moment is asked again
        return
    try:
        remembered.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps([one.as_json() for one in held.levels])
        write_atomically(remembered, lambda file: file.write(text.encode()), durable=False)
    except (InputError, OSError):
        return  # a cache that may only be read serves as well
