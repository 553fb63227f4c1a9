"""Pictures of one size: every one is decoded once and kept as raw bytes in one memory-mapped file.

A folder of the cache holds the pictures of these rows in their order. Only a window of images is in memory at a time.
"""

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from meddiff.cache.contents import Fingerprint, fingerprints
from meddiff.cache.store import Progress, build_once, check_on_bad_file, default_folder, refuse
from meddiff.errors import InputError
from meddiff.files.bad import BadFile
from meddiff.formats.masks import IGNORED, meaning_of
from meddiff.images.prepare import Transform, mask_misfit, prepare
from meddiff.manifest.row import ManifestRow

FORMAT = 1  # raise it when what prepare() returns changes


@dataclass(frozen=True)
class CachedPicture:
    """One picture as it was prepared."""

    image: np.ndarray
    """[C, H, W] uint8 or uint16; 0 is -1 for the model, the largest value 1."""
    mask: np.ndarray | None
    """[H, W] uint8 class indices, IGNORED is not judged; None where it was prepared without mask."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width."""
        return self.image.shape[1:]

    @property
    def largest_class(self) -> int:
        """The largest class index in the mask; 0 without mask."""
        return 0 if self.mask is None else int(self.mask[self.mask != IGNORED].max(initial=0))


@dataclass(frozen=True)
class ImageArray:
    """Decoded images, memory-mapped; image i belongs to row i."""

    images: np.memmap
    """[N, C, H, W] uint8, or uint16 where a file has more than 8 bits; 0 is -1 for the model, the largest value 1."""
    masks: np.memmap | None
    """[N, 1, H, W] uint8 class indices, IGNORED is not judged."""
    rows: tuple[ManifestRow, ...]
    """The rows that could be read."""
    skipped: tuple[tuple[ManifestRow, str], ...]
    """Rows that could not, each with the reason (on_bad_file="skip")."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.rows)

    def __getitem__(self, index: int) -> CachedPicture:
        """Return the picture of row ``index``."""
        return CachedPicture(np.asarray(self.images)[index], None if self.masks is None else self.masks[index][0])

    def __iter__(self) -> Iterator[CachedPicture]:
        """Return the pictures in the order of the rows."""
        return (self[index] for index in range(len(self)))

    def at(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return images [B, C, H, W] and masks [B, 1, H, W] at these positions."""
        masks = None if self.masks is None else np.asarray(self.masks)[positions]
        return np.asarray(self.images)[positions], masks


def decode(
    rows: Sequence[ManifestRow],
    transform: Transform,
    *,
    on_bad_file: str = "stop",
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> ImageArray:
    """Return the images of these rows as one array, from the cache where it is there.

    Args:
        rows: one image each.
        transform: what to make of each. With masks every row must have one, and without a meaning these rows are all
            masks of the data set; whether pixels are deep is said by the files.
        on_bad_file: stop refuses rows that cannot be read, after trying all; skip lists and leaves them out.
        folder: of the cache; None is XDG_CACHE_HOME/meddiff.
        progress: wraps (iterable, total) while images are decoded, for a progress bar.

    Raises:
        InputError: files that cannot be read (with on_bad_file="stop"), masks of another size than their image, no
            readable image at all, or a cache folder that cannot be written.
    """
    check_on_bad_file(on_bad_file)
    if transform.with_masks and transform.meaning is None and any(row.mask_path for row in rows):
        meaning = meaning_of(rows, memory=Path(folder) if folder else default_folder())
        transform = replace(transform, meaning=meaning)
    transform = transform if transform.with_masks else replace(transform, meaning=None)
    home, transform, bad = _cached(rows, transform, folder, progress)
    if bad and (on_bad_file == "stop" or len(bad) == len(rows)):
        refuse(list(bad.values()), len(rows))
    return _opened(home, rows, transform, bad)


def unusable(
    rows: Sequence[ManifestRow],
    transform: Transform,
    *,
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> list[tuple[ManifestRow, str]]:
    """Return the rows whose image cannot be read or whose mask has another size, with the reason.

    The other images are in the cache afterwards. Arguments as in decode.
    """
    _, _, bad = _cached(rows, transform, folder, progress)
    misfits = {position: reason for position, reason in enumerate(_in_order(mask_misfit, rows)) if reason}
    return [(rows[position], reason) for position, reason in sorted((misfits | bad).items())]


def _cached(
    rows: Sequence[ManifestRow], transform: Transform, folder: str | Path | None, progress: Progress | None
) -> tuple[Path, Transform, dict[int, str]]:
    """Find the array, how it was made, and position and reason of the rows it lacks; build it if need be."""
    if not rows:
        raise InputError("there is no image to decode: no row is left. Check the manifest and its split column.")
    top = Path(folder) if folder else default_folder()
    prints = fingerprints(rows, with_masks=transform.with_masks, memory=top)
    slices = transform.slices if any(row.slice_axis is not None for row in rows) else None
    transform = replace(transform, deep=bool(transform.stretch) or any(print_.deep for print_ in prints), slices=slices)
    home = top / _key(prints, transform)
    bad = _read_index(home, rows, transform)
    if bad is None:
        build_once(
            home, lambda: _read_index(home, rows, transform) is not None,
            lambda part: _write(part, rows, transform, progress),
        )  # fmt: skip
        bad = _read_index(home, rows, transform)
    if bad is None:
        raise InputError(f"{home}: the cache changed while it was written. Run again.")
    return home, transform, bad


def _key(prints: Sequence[Fingerprint], transform: Transform) -> str:
    settings = {name: value for name, value in asdict(transform).items() if value is not None}
    settings |= {"meaning": transform.meaning.text} if transform.meaning else {}
    digest = hashlib.sha256(json.dumps([FORMAT, settings]).encode())
    for print_ in prints:
        digest.update(print_.text.encode())
    return digest.hexdigest()[:32]


def _shapes(transform: Transform, count: int) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    """Return file name -> dtype and shape."""
    side = transform.image_size
    dtype = np.dtype(np.uint16 if transform.deep else np.uint8)
    shapes = {"images.bin": (dtype, (count, transform.channels, side, side))}
    return shapes | ({"masks.bin": (np.dtype(np.uint8), (count, 1, side, side))} if transform.with_masks else {})


def _read_index(home: Path, rows: Sequence[ManifestRow], transform: Transform) -> dict[int, str] | None:
    """Read the position and reason of the rows that a finished array lacks; None where it must be built (again).

    That is where it is missing, cut off, its files have another size, or a row it lacks can be read by now: a disk
    that failed for a moment must not hide an image for good.
    """
    try:
        index = json.loads((home / "index.json").read_text())
        for name, (dtype, shape) in _shapes(transform, len(rows) - len(index["bad"])).items():
            if (home / name).stat().st_size != dtype.itemsize * int(np.prod(shape)):
                return None
        again = {position: _try(rows[position], transform) for position in index["bad"]}
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    bad = {position: reason for position, reason in again.items() if isinstance(reason, str)}
    return bad if len(bad) == len(again) else None


def _write(part: Path, rows: Sequence[ManifestRow], transform: Transform, progress: Progress | None) -> None:
    done = _in_order(lambda row: _try(row, transform), rows)
    bad: list[int] = []
    with ExitStack() as stack:
        files = [stack.enter_context((part / name).open("wb")) for name in _shapes(transform, 0)]
        for position, result in enumerate(progress(done, len(rows)) if progress else done):
            if isinstance(result, str):
                bad.append(position)
            else:
                for file, pixels in zip(files, result, strict=False):  # there is no file for a mask that is None
                    file.write(pixels.tobytes())
        for file in files:
            file.flush()
            os.fsync(file.fileno())
    (part / "index.json").write_text(json.dumps({"bad": bad}))


def _try(row: ManifestRow, transform: Transform) -> tuple[np.ndarray, np.ndarray | None] | str:
    """Return the prepared image and mask, or why there are none."""
    try:
        return prepare(row, transform)
    except BadFile as error:
        return error.reason
    except InputError as error:
        return str(error)


def _in_order(work: Callable, items: Iterable) -> Iterator:
    """Run ``map`` in threads (decoders free the interpreter lock), with few results waiting however long the list."""
    workers = _workers()
    todo = iter(items)
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque(pool.submit(work, item) for item in islice(todo, 4 * workers))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(work, item) for item in islice(todo, 1))
            yield result


def _workers() -> int:
    """Return threads that decode: one per core that this process may use."""
    return min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _opened(home: Path, rows: Sequence[ManifestRow], transform: Transform, bad: dict[int, str]) -> ImageArray:
    good = tuple(row for position, row in enumerate(rows) if position not in bad)
    maps = {
        name: np.memmap(home / name, dtype=dtype, mode="r", shape=shape)
        for name, (dtype, shape) in _shapes(transform, len(good)).items()
    }
    skipped = tuple((rows[position], reason) for position, reason in bad.items())
    return ImageArray(maps["images.bin"], maps.get("masks.bin"), good, skipped)
