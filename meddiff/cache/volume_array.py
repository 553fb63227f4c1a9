"""Volumes of any size: each is prepared once, one memory-mapped file for its image and one for its mask.

A folder of the cache holds one volume, so a split, a fold or an added patient prepares nothing twice, and two processes
build different ones at the same time. Files are mapped when they are asked for and let go afterwards: memory does not
grow with the number of volumes.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from meddiff.cache.contents import fingerprints
from meddiff.cache.store import Prepared, Progress, build_once, check_on_bad_file, default_folder, refuse
from meddiff.errors import InputError
from meddiff.files.bad import BadFile
from meddiff.formats.masks import IGNORED, MaskMeaning, meaning_of
from meddiff.formats.open import files_of
from meddiff.images.intensity import to_stored
from meddiff.images.prepare import VolumeTransform, check_content, classes_on, load_sequences, prepare_volume
from meddiff.images.working_grid import WorkingGrid, grid_from_json
from meddiff.manifest.row import ManifestRow
from meddiff.seeds import child_seed

REMEMBERED = 10_000  # voxels of each class, for choosing patches without reading the mask


def fingerprint_cases(rows: Sequence[ManifestRow], *, with_masks: bool, memory: Path) -> list[str]:
    """Return the hashes of all files that each row's image (and mask) is read from, in one text per row."""
    files = [[*_all_files(row.image_files), None, *_all_files(_mask_files(row, with_masks))] for row in rows]
    single = [
        replace(row, image_path=str(path.absolute()), mask_path=None, root=Path())
        for row, paths in zip(rows, files, strict=True)
        for path in paths
        if path is not None
    ]
    content = iter(fingerprints(single, with_masks=False, memory=memory))
    texts = []
    for row, paths in zip(rows, files, strict=True):
        parts = ["mask" if path is None else f"{path.suffix} {next(content).text}" for path in paths]
        texts.append("\n".join([f"{row.slice_axis} {len(row.image_files)}", *parts]))
    return texts


def _all_files(paths: Sequence[Path]) -> list[Path]:
    return [file for path in paths for file in files_of(path)]


def _mask_files(row: ManifestRow, with_masks: bool) -> list[Path]:
    return [part.path for part in row.mask_parts] if with_masks else []


def read_case(home: Path) -> dict[str, Any] | None:
    """Read what case.json says of a finished case.

    None where it is missing, cut off, or its files have another size.
    """
    try:
        facts = json.loads((home / "case.json").read_text())
        for name, size in facts["sizes"].items():
            if (home / name).stat().st_size != size:
                return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return facts


def _prepare(
    row: ManifestRow, transform: VolumeTransform, meaning: MaskMeaning | None, *, with_masks: bool
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return file name -> array, and what case.json tells beside their sizes."""
    if row.slice_axis is not None:
        raise InputError(
            f"row {row.row_id!r} is slice {row.slice_index} of a volume, whole volumes are needed. Leave slice_axis "
            "and slice_index empty, with one row per volume."
        )
    check_content(row)
    prepared = prepare_volume(load_sequences(row.image_files), transform, name=row.image_file)
    pixels = to_stored(prepared.image)
    facts: dict[str, Any] = {"channels": len(pixels), "grid": asdict(prepared.grid), "counts": None, "positions": []}
    if not with_masks:
        return {"image.bin": pixels}, facts
    mask = prepared.grid.labels_to_working(classes_on(row, prepared.grid.native_place, meaning))
    classes, counts = np.unique(mask[mask != IGNORED], return_counts=True)
    facts["counts"] = [[int(index), int(count)] for index, count in zip(classes, counts, strict=True)]
    voxels = {int(index): _some_voxels(mask, int(index)) for index in classes if index > 0}
    facts["positions"] = [[index, len(some)] for index, some in voxels.items()]
    positions = np.concatenate([np.zeros(0, dtype=np.int64), *voxels.values()])
    return {"image.bin": pixels, "mask.bin": mask, "foreground.bin": positions}, facts


def _some_voxels(mask: np.ndarray, index: int) -> np.ndarray:
    """Return flat positions of a class, all of them or a random choice that is always the same."""
    flat = np.flatnonzero(mask == index).astype(np.int64)
    if len(flat) <= REMEMBERED:
        return flat
    return np.sort(np.random.default_rng(child_seed(index, "remembered voxels")).choice(flat, REMEMBERED, False))


def _write(part: Path, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
    for name, array in arrays.items():
        with (part / name).open("wb") as file:
            file.write(np.ascontiguousarray(array).data)
            file.flush()
            os.fsync(file.fileno())
    sizes = {name: array.nbytes for name, array in arrays.items()}
    (part / "case.json").write_text(json.dumps(facts | {"sizes": sizes}))


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
    """Class index and number of voxels on the working grid, for the classes that the mask holds (IGNORED is none); None
    without mask."""
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
        """[I, J, K] uint8 class indices, IGNORED is not judged; None where the case was prepared without mask."""
        return None if self.counts is None else np.memmap(self.folder / "mask.bin", np.uint8, "r", shape=self.shape)

    @property
    def largest_class(self) -> int:
        """The largest class index in the mask; 0 without mask."""
        return max((index for index, _ in self.counts or ()), default=0)

    @property
    def affine(self) -> np.ndarray | None:
        """4 x 4, working index -> RAS millimeters; None where the orientation is unknown."""
        return self.grid.affine

    def foreground_voxel(self, generator: np.random.Generator) -> tuple[int, int, int] | None:
        """Return a random voxel of a random class that is not background, all classes alike.

        None where there is none.
        """
        if not self.positions:
            return None
        chosen = int(generator.integers(len(self.positions)))
        start = sum(count for _, count in self.positions[:chosen])
        at = start + int(generator.integers(self.positions[chosen][1]))
        flat = int(np.fromfile(self.folder / "foreground.bin", np.int64, count=1, offset=8 * at)[0])
        i, j, k = np.unravel_index(flat, self.shape)
        return int(i), int(j), int(k)


def cache_volumes(
    rows: Sequence[ManifestRow],
    transform: VolumeTransform,
    *,
    with_masks: bool = False,
    meaning: MaskMeaning | None = None,
    classes: int | None = None,
    on_bad_file: str = "stop",
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> Prepared[CachedVolume]:
    """Return the volumes of these rows, from the cache where they are there.

    Args:
        rows: one volume each, without slice_axis and slice_index.
        transform: what to make of them.
        with_masks: whether masks are prepared too; every row must then have one.
        meaning: of all masks of the data set; without it these rows are all of it.
        classes: how many classes masks may hold, with the background; None takes any.
        on_bad_file: stop refuses rows that cannot be used, after trying all; skip lists and leaves them out.
        folder: of the cache; None is XDG_CACHE_HOME/meddiff.
        progress: wraps (iterable, total) while volumes are prepared, for a progress bar.

    Raises:
        InputError: files that cannot be used (with on_bad_file="stop"), no usable volume at all, volumes with unequal
            numbers of channels, or a cache folder that cannot be written.
    """
    check_on_bad_file(on_bad_file)
    if not rows:
        raise InputError("there is no volume to prepare: no row is left. Check the manifest and its split column.")
    top = (Path(folder) if folder else default_folder()) / "volumes"
    if with_masks and meaning is None and any(row.mask_path for row in rows):
        meaning = meaning_of(rows, memory=top)
    make = _Maker(transform, meaning, classes, with_masks=with_masks)
    homes = [top / key for key in make.keys(rows, memory=top)]
    results = _all(make, rows, homes, progress)
    bad = [(row, result) for row, result in zip(rows, results, strict=True) if isinstance(result, str)]
    if bad and (on_bad_file == "stop" or len(bad) == len(rows)):
        refuse([reason for _, reason in bad], len(rows), "volumes")
    cases = tuple(result for result in results if isinstance(result, CachedVolume))
    good = tuple(row for row, result in zip(rows, results, strict=True) if isinstance(result, CachedVolume))
    _check_channels(cases, good)
    return Prepared(cases, good, tuple(bad))


@dataclass(frozen=True)
class _Maker:
    """The making of cases, each in a folder of its own."""

    transform: VolumeTransform
    meaning: MaskMeaning | None
    classes: int | None
    with_masks: bool = field(kw_only=True)

    def keys(self, rows: Sequence[ManifestRow], *, memory: Path) -> list[str]:
        """Name the folder of each row by what is made into it."""
        means = [self.meaning.text] if self.with_masks and self.meaning else []
        start = hashlib.sha256(json.dumps([FORMAT, asdict(self.transform), self.with_masks, *means]).encode())
        keys = []
        for text in fingerprint_cases(rows, with_masks=self.with_masks, memory=memory):
            digest = start.copy()
            digest.update(text.encode())
            keys.append(digest.hexdigest()[:32])
        return keys

    def __call__(self, row: ManifestRow, home: Path) -> CachedVolume | str:
        """Return the case of a row, made if need be, or why there is none."""

        def write(part: Path) -> None:
            _write(part, *_prepare(row, self.transform, self.meaning, with_masks=self.with_masks))

        try:
            if read_case(home) is None:
                build_once(home, lambda: read_case(home) is not None, write)
            return _checked(_opened(home), row, self.classes)
        except BadFile as error:
            return error.reason
        except InputError as error:
            if isinstance(error.__cause__, OSError):  # the disk of the cache, not the user's file
                raise
            return str(error)


def in_order_of(rows: Sequence[ManifestRow], parts: Sequence[Prepared[CachedVolume]]) -> Prepared[CachedVolume]:
    """Return arrays that were prepared by different transforms as one, in the order of the rows.

    Raises:
        InputError: unequal numbers of channels.
    """
    by_row = {row: case for part in parts for case, row in zip(part.cases, part.rows, strict=True)}
    good = tuple(row for row in rows if row in by_row)
    cases = tuple(by_row[row] for row in good)
    _check_channels(cases, good)
    return Prepared(cases, good, tuple(one for part in parts for one in part.skipped))


def _all(make: _Maker, rows: Sequence[ManifestRow], homes: Sequence[Path], progress: Progress | None) -> list:
    with ThreadPoolExecutor(WORKERS) as pool:  # decoders and interpolation free the interpreter lock
        done = pool.map(make, rows, homes)
        try:
            return list(progress(done, len(rows)) if progress else done)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _opened(home: Path) -> CachedVolume:
    facts = read_case(home)
    if facts is None:
        raise InputError(f"{home}: the cache changed while it was written. Run again.")
    counts = None if facts["counts"] is None else tuple((int(index), int(count)) for index, count in facts["counts"])
    positions = tuple((int(index), int(count)) for index, count in facts["positions"])
    return CachedVolume(home, facts["channels"], grid_from_json(facts["grid"]), counts, positions)


def _checked(case: CachedVolume, row: ManifestRow, classes: int | None) -> CachedVolume | str:
    """Return the case, or why its mask does not fit the classes."""
    beyond = [index for index, _ in case.counts or () if classes is not None and index >= classes]
    if not beyond:
        return case
    values = f"the values {', '.join(map(str, beyond))}" if len(beyond) > 1 else f"the value {beyond[0]}"
    return f"mask {row.mask_file} holds {values}; the classes are 0 to {(classes or 0) - 1}"


def _check_channels(cases: Sequence[CachedVolume], rows: Sequence[ManifestRow]) -> None:
    numbers: dict[int, str] = {}
    for case, row in zip(cases, rows, strict=True):
        numbers.setdefault(case.channels, row.row_id)
    if len(numbers) > 1:
        they = ", ".join(f"{number} in {row_id!r}" for number, row_id in sorted(numbers.items()))
        raise InputError(f"the volumes have unequal numbers of sequences: {they}. Use rows with the same sequences.")
