"""Every volume is prepared once and kept uncompressed, one memory-mapped file for its image and one for its mask.

The name of a cached case is the hash of what it was made from: the contents of its files and the transform. So it is
never stale, another case is another folder, and a split, a fold or an added patient prepares nothing twice. A case is
built in a folder with a temporary name, under a lock, and renamed when it is whole: a killed build leaves nothing
that could be taken for a case, and two processes build different cases at the same time. Files are mapped when they
are asked for and let go afterwards: memory does not grow with the number of volumes.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from meddiff.cache.pictures import Progress, default_folder
from meddiff.cache.volume_cases import build_once, fingerprint_cases, read_case
from meddiff.errors import InputError
from meddiff.formats.pictures import BadFile
from meddiff.images.prepare import VolumeTransform, restore
from meddiff.images.working_grid import WorkingGrid
from meddiff.manifest.manifest_row import ManifestRow
from meddiff.problems import Problems

FORMAT = 1  # raise it when what prepare_volume() or prepare_mask() return changes
WORKERS = min(4, os.cpu_count() or 1)  # volumes in memory at a time while they are prepared


@dataclass(frozen=True)
class CachedVolume:
    """One prepared case on disk."""

    folder: Path
    channels: int
    grid: WorkingGrid
    """Its working grid, and the way back to its own."""
    counts: tuple[tuple[int, int], ...] | None
    """Class index and number of voxels on the working grid, for the classes that the mask holds; None without mask."""
    positions: tuple[tuple[int, int], ...]
    """Class index and number of remembered voxels, in the order of the file; background is not remembered."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Working voxels along each axis."""
        return self.grid.shape

    @property
    def image(self) -> np.memmap:
        """[C, I, J, K] uint16, 0 is -1 and 65535 is 1 for the model; mapped anew, nothing is read yet."""
        return np.memmap(self.folder / "image.bin", np.uint16, "r", shape=(self.channels, *self.shape))

    @property
    def mask(self) -> np.memmap | None:
        """[I, J, K] uint8 class indices; None where the case was prepared without mask."""
        return None if self.counts is None else np.memmap(self.folder / "mask.bin", np.uint8, "r", shape=self.shape)

    @property
    def affine(self) -> np.ndarray | None:
        """4 x 4, working index -> RAS millimeters; None where the orientation is unknown."""
        return self.grid.affine

    def foreground_voxel(self, generator: np.random.Generator) -> tuple[int, int, int] | None:
        """A random voxel of a random class that is not background, all classes alike; None where there is none."""
        if not self.positions:
            return None
        chosen = int(generator.integers(len(self.positions)))
        start = sum(count for _, count in self.positions[:chosen])
        at = start + int(generator.integers(self.positions[chosen][1]))
        flat = int(np.fromfile(self.folder / "foreground.bin", np.int64, count=1, offset=8 * at)[0])
        i, j, k = np.unravel_index(flat, self.shape)
        return int(i), int(j), int(k)

    def restore(self, probabilities: np.ndarray) -> np.ndarray:
        """Values [N, I, J, K] on the working grid as float32 [N, *shape of the volume], interpolated linearly."""
        return restore(probabilities, self.grid)

    def restore_labels(self, labels: np.ndarray) -> np.ndarray:
        """Class indices [I, J, K] on the working grid as [*shape of the volume], from the nearest working voxel."""
        return self.grid.labels_to_native(labels)


@dataclass(frozen=True)
class VolumeArray:
    """Prepared volumes of any sizes, on disk; case i belongs to row i."""

    cases: tuple[CachedVolume, ...]
    rows: tuple[ManifestRow, ...]
    """The rows that could be read."""
    skipped: tuple[tuple[ManifestRow, str], ...]
    """Rows that could not, each with the reason (on_bad_file="skip")."""

    def __len__(self) -> int:
        """Number of volumes."""
        return len(self.cases)

    def __getitem__(self, index: int) -> CachedVolume:
        """The case of row ``index``."""
        return self.cases[index]

    def __iter__(self) -> Iterator[CachedVolume]:
        """The cases in the order of the rows."""
        return iter(self.cases)


def cache_volumes(
    rows: Sequence[ManifestRow],
    transform: VolumeTransform,
    *,
    with_masks: bool = False,
    classes: int | None = None,
    on_bad_file: str = "stop",
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> VolumeArray:
    """The volumes of these rows, from the cache where they are there.

    Args:
        rows: one volume each, without slice_axis and slice_index.
        transform: what to make of them.
        with_masks: whether masks are prepared too; every row must then have one.
        classes: how many classes masks may hold, with the background; None takes any.
        on_bad_file: stop refuses rows that cannot be used, after trying all; skip lists and leaves them out.
        folder: of the cache; None is XDG_CACHE_HOME/meddiff.
        progress: wraps (iterable, total) while volumes are prepared, for a progress bar.

    Raises:
        InputError: files that cannot be used (with on_bad_file="stop"), no usable volume at all, volumes with unequal
            numbers of channels, or a cache folder that cannot be written.
    """
    if on_bad_file not in ("stop", "skip"):
        raise ValueError(f"on_bad_file is stop or skip, not {on_bad_file!r}")
    if not rows:
        raise InputError("there is no volume to prepare: no row is left. Check the manifest and its split column.")
    top = (Path(folder) if folder else default_folder()) / "volumes"
    prints = fingerprint_cases(rows, with_masks=with_masks, memory=top)
    start = hashlib.sha256(json.dumps([FORMAT, asdict(transform), with_masks]).encode())

    def case(row: ManifestRow, print_: str) -> CachedVolume | str:
        digest = start.copy()
        digest.update(print_.encode())
        home = top / digest.hexdigest()[:32]
        try:
            if read_case(home) is None:
                build_once(home, row, transform, with_masks=with_masks)
            return _checked(_opened(home), row, classes)
        except BadFile as error:
            return error.reason
        except InputError as error:
            if isinstance(error.__cause__, OSError):  # the disk of the cache, not the user's file
                raise
            return str(error)

    results = _all(case, rows, prints, progress)
    bad = [(row, result) for row, result in zip(rows, results, strict=True) if isinstance(result, str)]
    if bad and (on_bad_file == "stop" or len(bad) == len(rows)):
        _refuse([reason for _, reason in bad], len(rows))
    cases = tuple(result for result in results if isinstance(result, CachedVolume))
    good = tuple(row for row, result in zip(rows, results, strict=True) if isinstance(result, CachedVolume))
    _check_channels(cases, good)
    return VolumeArray(cases, good, tuple(bad))


def in_order_of(rows: Sequence[ManifestRow], parts: Sequence[VolumeArray]) -> VolumeArray:
    """Arrays that were prepared by different transforms as one, in the order of the rows.

    Raises:
        InputError: unequal numbers of channels.
    """
    found = {row: case for part in parts for case, row in zip(part.cases, part.rows, strict=True)}
    good = tuple(row for row in rows if row in found)
    cases = tuple(found[row] for row in good)
    _check_channels(cases, good)
    return VolumeArray(cases, good, tuple(one for part in parts for one in part.skipped))


def _all(case, rows: Sequence[ManifestRow], prints: Sequence[str], progress: Progress | None) -> list:
    with ThreadPoolExecutor(WORKERS) as pool:  # decoders and interpolation free the interpreter lock
        done = pool.map(case, rows, prints)
        try:
            return list(progress(done, len(rows)) if progress else done)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _opened(home: Path) -> CachedVolume:
    told = read_case(home)
    if told is None:
        raise InputError(f"{home}: the cache changed while it was written. Run again.")
    counts = None if told["counts"] is None else tuple((int(index), int(count)) for index, count in told["counts"])
    positions = tuple((int(index), int(count)) for index, count in told["positions"])
    return CachedVolume(home, told["channels"], WorkingGrid.from_json(told["grid"]), counts, positions)


def _checked(case: CachedVolume, row: ManifestRow, classes: int | None) -> CachedVolume | str:
    """The case, or why its mask does not fit the classes."""
    beyond = [index for index, _ in case.counts or () if classes is not None and index >= classes]
    if not beyond:
        return case
    told = f"the values {', '.join(map(str, beyond))}" if len(beyond) > 1 else f"the value {beyond[0]}"
    return f"mask {row.mask_file} holds {told}; the classes are 0 to {(classes or 0) - 1}"


def _refuse(reasons: Sequence[str], count: int) -> None:
    problems = Problems(f"{len(reasons)} of {count} volumes cannot be used")
    cure = "Put good copies in their place, or go on without them: --data.on_bad_file skip lists and skips them."
    for reason in reasons:
        problems.add("bad file", reason, cure if len(reasons) < count else "Check --data-root and the manifest.")
    problems.raise_if_any()


def _check_channels(cases: Sequence[CachedVolume], rows: Sequence[ManifestRow]) -> None:
    numbers: dict[int, str] = {}
    for case, row in zip(cases, rows, strict=True):
        numbers.setdefault(case.channels, row.row_id)
    if len(numbers) > 1:
        told = ", ".join(f"{number} in {row_id!r}" for number, row_id in sorted(numbers.items()))
        raise InputError(f"the volumes have unequal numbers of sequences: {told}. Use rows with the same sequences.")
