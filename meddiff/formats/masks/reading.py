"""Masks as class indices, and what the masks of a data set hold together: each is looked at once, and remembered."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from meddiff.errors import InputError
from meddiff.files.bad import bad_file, reason_of
from meddiff.files.writing import write_atomically
from meddiff.formats.arrays import changed, is_of_volume, open_volume
from meddiff.formats.dicom.drawn import drawing_of, is_drawn
from meddiff.formats.drawing import Drawing
from meddiff.formats.masks.by_name import STRICT, NameRules
from meddiff.formats.masks.decide import decide
from meddiff.formats.masks.levels import Levels, levels_of
from meddiff.formats.masks.meaning import MaskMeaning
from meddiff.formats.masks.stored import StoredMask, read_stored, stored_drawing, stored_volume
from meddiff.formats.open import load_volume
from meddiff.manifest.row import ManifestRow, MaskPart, on_disk

WORKERS = min(8, os.cpu_count() or 1)  # masks in memory at a time
FORMAT = 2  # raise it when what levels() counts changes
NO_PIXELS = (".json", ".xml", ".svg", ".csv", ".txt", ".npy", ".npz", ".mat", ".geojson")
"""Endings of other files that hold masks."""
Progress = Callable[[Iterable, int], Iterable]


@dataclass(frozen=True)
class MaskAt:
    """A mask: its files, and which slice or page of them."""

    parts: tuple[MaskPart, ...]
    axis: int | None = None
    index: int | None = None
    image: Path | None = None
    """The image that it was drawn on, where its files alone do not say on which voxels (SEG, RTSTRUCT)."""

    @classmethod
    def of(cls, row: ManifestRow) -> MaskAt:
        """Take the mask of a row."""
        image = row.image_files[0] if any(is_drawn(part.path) for part in row.mask_parts) else None
        return cls(row.mask_parts, row.slice_axis, row.slice_index, image)

    @classmethod
    def file(cls, path: Path, image: Path | None = None) -> MaskAt:
        """Take the mask that is one file."""
        return cls((MaskPart(path),), image=image)

    @property
    def path(self) -> Path:
        """The first of its files."""
        return self.parts[0].path

    @property
    def whole(self) -> MaskAt:
        """Itself without the slice, where slices are those of a volume: all of them are one mask."""
        flat = self.axis is None or not is_of_volume(self.path)
        return self if flat else replace(self, axis=None, index=None)

    @property
    def name(self) -> str:
        """Name of the mask among all, as `Levels` bear it."""
        files = ";".join(str(part.path) for part in self.parts)
        return files if self.index is None else f"{files}[{self.index}]"


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
    return classes_of(replace(MaskAt.file(Path(path)), axis=axis, index=index), meaning)


def classes_of(mask: MaskAt, meaning: MaskMeaning | None = None) -> np.ndarray:
    """Load class indices uint8 [H, W] of a picture or slice; all else as `load_mask`.

    Raises:
        InputError: as `load_mask`.
    """
    if meaning is None:
        meaning = decide([_levels(mask.whole)])
    return meaning(stored_at(mask))


def stored_at(mask: MaskAt, *, volume: bool = False) -> StoredMask:
    """Read a mask as it is stored, from one file or from several of one class each.

    Args:
        mask: which.
        volume: whether all of a volume is meant, [I, J, K], and no picture or slice.

    Raises:
        InputError: a file cannot be read; a file of one class that holds several; files of different sizes; a SEG or
            RTSTRUCT of another image.
    """
    if is_drawn(mask.path):
        return _drawn(mask, volume)
    if not mask.parts[0].name:
        return _of_file(mask.path, mask, volume)
    drawing, places = None, []
    for part in mask.parts:
        stored = _of_file(part.path, mask, volume)
        marked = _of_one_class(stored, part)
        drawing = drawing or Drawing(mask.path, marked.shape)
        drawing.add(part.name, marked)
        places += stored.places
    return stored_drawing(drawing or Drawing(mask.path, ()), tuple(places))


def _of_file(path: Path, mask: MaskAt, volume: bool) -> StoredMask:
    if path.suffix.lower() in NO_PIXELS:
        raise bad_file(path, "a mask is a picture or a volume, and outlines (COCO, LabelMe, VOC) or arrays are none: "
                             "write them as PNG or NIfTI, with a number per class")  # fmt: skip
    if is_drawn(path):
        raise bad_file(path, "a DICOM object names its classes itself, and is one mask: give its path alone")
    if volume and is_of_volume(path):
        return stored_volume(load_volume(path), path)
    return read_stored(path, axis=mask.axis, index=mask.index)


def _of_one_class(stored: StoredMask, part: MaskPart) -> np.ndarray:
    """Read a file that holds one class, however it is stored: bool [*S]."""
    meaning = decide([levels_of(stored)], names=("background", part.name))
    if not meaning.is_binary:
        raise bad_file(part.path, f"as the mask of {part.name!r} it holds two values, background and that class; it "
                                  f"has {meaning.allowed()}")  # fmt: skip
    return meaning(stored) > 0


def _drawn(mask: MaskAt, volume: bool) -> StoredMask:
    if len(mask.parts) > 1 or any(part.name for part in mask.parts):
        raise bad_file(mask.path, "a DICOM object names its classes itself, and is one mask: give its path alone")
    if mask.image is None:
        raise bad_file(mask.path, "a DICOM SEG or RTSTRUCT is read on the voxels of its image: name that too")
    if volume:
        return stored_drawing(drawing_of(mask.path, load_volume(mask.image), mask.image))
    drawing = _drawing(mask.path, mask.image, (changed(mask.path), changed(mask.image)))
    axis, index = (2, 0) if mask.axis is None or mask.index is None else (mask.axis, mask.index)
    return stored_drawing(drawing.plane(axis, index))


@lru_cache(maxsize=2)  # rows come volume by volume
def _drawing(path: Path, image: Path, _changed: object) -> Drawing:
    return drawing_of(path, open_volume(image), image)


def masks_of_rows(rows: Iterable[ManifestRow]) -> list[MaskAt]:
    """List the masks of these rows, each once; of a volume all slices are one."""
    return list(dict.fromkeys(MaskAt.of(row).whole for row in rows if row.mask_path is not None))


def masks_found(
    wanted: Sequence[MaskAt], *, memory: Path | None = None, progress: Progress | None = None
) -> MasksFound:
    """Look at what these masks hold; those that cannot be read are left to who uses them.

    Args:
        wanted: as of `masks_of_rows`.
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
    rows: Iterable[ManifestRow],
    *,
    text: str = "",
    rules: NameRules = STRICT,
    memory: Path | None = None,
    progress: Progress | None = None,
) -> MaskMeaning:
    """Decide what the masks of these rows mean.

    Raises:
        InputError: as `decide`, and where none of the masks can be read.
    """
    held = masks_found(masks_of_rows(rows), memory=memory, progress=progress)
    if not held.levels and held.bad:
        raise InputError(f"none of the masks can be read; the first: {held.bad[0]}")
    return decide(held.levels, text=text, rules=rules)


def _levels(mask: MaskAt) -> Levels:
    return replace(levels_of(stored_at(mask, volume=mask.index is None)), path=mask.name)


def _looked_at(mask: MaskAt) -> Levels | str:
    try:
        return _levels(mask)
    except InputError as error:
        return reason_of(error)


def _state_of(wanted: Sequence[MaskAt]) -> str:
    states: list[list] = [[FORMAT]]
    for mask in wanted:
        images = [] if mask.image is None else [("", mask.image)]
        for name, path in [*((part.name, part.path) for part in mask.parts), *images]:
            for one in _files(on_disk(path)):
                try:
                    state = one.stat()
                    about = [state.st_size, state.st_mtime_ns, state.st_ctime_ns]
                except OSError:
                    about = []
                states.append([str(one.absolute()), name, mask.index, *about])
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
