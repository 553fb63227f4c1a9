"""One case of the volume cache: which files it is made from, their hashes, and writing it whole or not at all."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from meddiff.cache.contents import fingerprints
from meddiff.errors import InputError
from meddiff.files.writing import told_plainly
from meddiff.formats.open import files_below, load_volume
from meddiff.formats.pictures import bad_file
from meddiff.images.prepare import VolumeTransform, mask_on_grid, prepare_volume
from meddiff.images.sequences import load_sequences
from meddiff.manifest.manifest_row import SERIES, ManifestRow
from meddiff.seeds import child_seed

REMEMBERED = 10_000  # voxels of each class, for choosing patches without reading the mask
_PAIRS = (".hdr", ".img", ".mhd", ".nhdr")  # headers whose voxels lie in another file of the same name


def fingerprint_cases(rows: Sequence[ManifestRow], *, with_masks: bool, memory: Path) -> list[str]:
    """The hashes of all files that each row's image (and mask) is read from, in one text per row."""
    files = [[*_files_of(row.image_files), None, *_files_of(_mask_files(row, with_masks))] for row in rows]
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


def _mask_files(row: ManifestRow, with_masks: bool) -> list[Path]:
    return [row.mask_file] if with_masks and row.mask_file is not None else []


def _files_of(paths: Sequence[Path]) -> list[Path]:
    found = []
    for path in paths:
        if path.is_dir():
            found += files_below(path)
        elif path.name.endswith(SERIES):
            found += sorted(file for file in path.parent.iterdir() if file.is_file())
        elif any(path.name.lower().endswith((suffix, f"{suffix}.gz")) for suffix in _PAIRS):
            stem = path.name.partition(".")[0]
            found += sorted(file for file in path.parent.glob(f"{stem}.*") if file.is_file()) or [path]
        else:
            found.append(path)
    return found


def read_case(home: Path) -> dict[str, Any] | None:
    """What case.json tells of a finished case; None where it is missing, cut off, or its files have another size."""
    try:
        told = json.loads((home / "case.json").read_text())
        for name, size in told["sizes"].items():
            if (home / name).stat().st_size != size:
                return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return told


def build_once(home: Path, row: ManifestRow, transform: VolumeTransform, *, with_masks: bool) -> None:
    """Build the case unless another process does so meanwhile, which is waited for.

    Raises:
        InputError: what is wrong with the row's files; or, with an OSError as its cause, with the cache's folder.
    """
    from filelock import FileLock

    with told_plainly(home, option="--data.cache"):
        home.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(home.with_suffix(".lock")):  # the system frees it when its holder is killed
            if read_case(home) is not None:
                return
            for leftover in home.parent.glob(f".{home.name}.*"):  # of a killed build; a living one holds the lock
                shutil.rmtree(leftover)
            arrays, told = _prepare(row, transform, with_masks=with_masks)
            part = home.with_name(f".{home.name}.{uuid.uuid4().hex}")
            try:
                part.mkdir()
                _write(part, arrays, told)
                if home.exists():  # damaged
                    shutil.rmtree(home)
                part.rename(home)
            finally:
                shutil.rmtree(part, ignore_errors=True)


def _prepare(
    row: ManifestRow, transform: VolumeTransform, *, with_masks: bool
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """File name -> array, and what case.json tells beside their sizes."""
    if row.slice_axis is not None:
        raise InputError(
            f"row {row.row_id!r} is slice {row.slice_index} of a volume, whole volumes are needed. Leave slice_axis "
            "and slice_index empty, with one row per volume."
        )
    _check_hash(row)
    prepared = prepare_volume(load_sequences(row.image_files), transform, name=row.image_file)
    pixels = np.rint((prepared.image + 1) * np.float32(65535 / 2)).astype(np.uint16)
    told: dict[str, Any] = {"channels": len(pixels), "grid": prepared.grid.as_json(), "counts": None, "positions": []}
    if not with_masks:
        return {"image.bin": pixels}, told
    if row.mask_file is None:
        raise InputError(f"row {row.row_id!r} has no mask. Fill in its mask_path, or take the row out.")
    mask = mask_on_grid(load_volume(row.mask_file), prepared.grid, name=row.mask_file, image=row.image_file)
    found, counts = np.unique(mask, return_counts=True)
    told["counts"] = [[int(index), int(count)] for index, count in zip(found, counts, strict=True)]
    voxels = {int(index): _some_voxels(mask, int(index)) for index in found if index > 0}
    told["positions"] = [[index, len(some)] for index, some in voxels.items()]
    positions = np.concatenate([np.zeros(0, dtype=np.int64), *voxels.values()])
    return {"image.bin": pixels, "mask.bin": mask, "foreground.bin": positions}, told


def _some_voxels(mask: np.ndarray, index: int) -> np.ndarray:
    """Flat positions of a class, all of them or a random choice that is always the same."""
    flat = np.flatnonzero(mask == index).astype(np.int64)
    if len(flat) <= REMEMBERED:
        return flat
    return np.sort(np.random.default_rng(child_seed(index, "remembered voxels")).choice(flat, REMEMBERED, False))


def _check_hash(row: ManifestRow) -> None:
    if row.sha256 is not None and row.image_file.is_file():
        with row.image_file.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != row.sha256:
            raise bad_file(row.image_file, f"the file is not the one of the manifest: its sha256 is {found[:12]}...")


def _write(part: Path, arrays: dict[str, np.ndarray], told: dict[str, Any]) -> None:
    for name, array in arrays.items():
        with (part / name).open("wb") as file:
            file.write(np.ascontiguousarray(array).data)
            file.flush()
            os.fsync(file.fileno())
    sizes = {name: array.nbytes for name, array in arrays.items()}
    (part / "case.json").write_text(json.dumps(told | {"sizes": sizes}))
