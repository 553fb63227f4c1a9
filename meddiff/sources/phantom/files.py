"""Phantom rows -> pictures: drawn from the row alone, written once, found again, stamped."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from meddiff.errors import InputError
from meddiff.files.writing import write_atomically
from meddiff.manifest.row import ManifestRow
from meddiff.seeds import child_seed
from meddiff.sources.phantom.people import GENERATOR, LOOKS, rows
from meddiff.sources.source import Source, StandIn


def draw(row: ManifestRow, size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Draw the picture of a row, from the row alone: the same row and size give the same bytes.

    Returns:
        image [size, size, C] uint8 (C = 3 for dermoscopy, 1 for MR) and mask [size, size] uint8, 1 in the lesion.

    Raises:
        InputError: a row that ``rows`` did not make, or a size under 8 pixels.
    """
    if size < 8:
        raise InputError(f"a phantom of {size} pixels was asked for; the smallest is 8")
    known = any(look.modality == row.modality and row.label in look.shares for look in LOOKS.values())
    if not known or row.source != "phantom" or row.generator != GENERATOR or row.seed is None:
        raise InputError(
            f"row {row.row_id!r} (source {row.source}, generator {row.generator}, label {row.label}) is not one that "
            f"{GENERATOR} draws. Take rows from meddiff.sources.phantom.rows."
        )
    # scipy is imported where something is drawn: a command line that only asks for help should not wait for it
    if row.modality == "MR":
        from meddiff.sources.phantom.brain import draw_brain as paint
    else:
        from meddiff.sources.phantom.dermoscopy import draw_dermoscopy as paint
    return paint(
        label=str(row.label),
        patient=child_seed(0, "phantom", row.patient_id or row.row_id),
        lesion=child_seed(0, "phantom", row.lesion_id or row.group),
        view=row.seed,
        size=size,
    )


def write(
    rows: Sequence[ManifestRow],
    folder: str | Path,
    *,
    size: int = 128,
    workers: int = 2,
    progress: Callable | None = None,
) -> list[ManifestRow]:
    """Draw the images and masks that are not yet in ``folder`` and return the rows with it as their root.

    Args:
        rows: phantom rows; their paths are kept.
        folder: where the paths start; made if need be.
        size: side in pixels.
        workers: threads that draw.
        progress: called as progress(iterable, total) for a bar around the work; None draws without one.

    Raises:
        InputError: a file in the way that is another picture or the same in another size; a full or read-only disk.
    """
    rows = [replace(row, root=Path(folder)) for row in rows]

    def one(row: ManifestRow) -> ManifestRow:
        files = [file for file in (row.image_file, row.mask_file) if file is not None]
        if not all([_stands(file, row, size) for file in files]):  # noqa: C419 (every file that stands is looked at)
            for file, array in zip(files, draw(row, size), strict=False):
                write_atomically(file, lambda target, array=array: target.write(_png(array, row)))
        return row

    pool = ThreadPoolExecutor(workers)
    try:
        done: Iterable[ManifestRow] = pool.map(one, rows)
        return list(progress(done, len(rows)) if progress else done)
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C ends after the pictures in hand, not after all of them


def stamp(array: np.ndarray, text: str = "phantom") -> np.ndarray:
    """Return a copy of an image [H, W] or [H, W, C] uint8 with a small tag in its lower left corner, for reports."""
    image = Image.fromarray(array.squeeze() if array.shape[-1] == 1 else array)
    pen = ImageDraw.Draw(image)
    left, top, right, bottom = pen.textbbox((0, 0), text)
    high, wide = bottom - top + 4, right - left + 6
    pen.rectangle((0, image.height - high, wide, image.height), fill=0 if image.mode == "L" else (0, 0, 0))
    pen.text((3 - left, image.height - high + 2 - top), text, fill=255 if image.mode == "L" else (255, 255, 255))
    return np.asarray(image).reshape(array.shape)


def _identity(row: ManifestRow) -> str:
    return f"{row.generator} {row.label} {row.patient_id} {row.lesion_id} {row.seed}"


def _png(array: np.ndarray, row: ManifestRow) -> bytes:
    """Return PNG bytes; the file itself says that it is a phantom, and which."""
    notes = PngInfo()
    notes.add_text("Comment", "phantom: drawn by code, shows no patient")
    notes.add_text("Source", _identity(row))
    target = BytesIO()
    # masks have two values in the file too, 0 and 255, so that a person can look at them
    image = Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array if array.ndim == 3 else array * 255)
    image.save(target, "PNG", pnginfo=notes, compress_level=4)
    return target.getvalue()


def _stands(file: Path, row: ManifestRow, size: int) -> bool:
    """Say whether ``file`` is there; refuse one that is another picture than that of ``row`` at ``size``."""
    try:
        with Image.open(file) as image:
            source, got = image.info.get("Source"), image.size
    except FileNotFoundError:
        return False
    except UnidentifiedImageError:
        source, got = "not an image", (0, 0)
    if source != _identity(row) or got != (size, size):
        raise InputError(
            f"{file} is in the way: it holds {source or 'an image that is no phantom'} at {got[0]} x {got[1]} pixels, "
            f"wanted is {_identity(row)} at {size} x {size}. Name another folder, or delete this one's phantoms."
        )
    return True


def _rows_in(folder: Path) -> list[ManifestRow]:
    """Return the rows of the phantoms that ``write`` has put into ``folder``."""
    names: dict[tuple[str, int], set[str]] = {}
    for file in Path(folder).glob("phantom/*/*.png"):
        look, _, rest = file.stem.partition("-")
        seed, _, number = rest.partition("-")
        if look in LOOKS and seed.isdecimal() and number.isdecimal():
            names.setdefault((look, int(seed)), set()).add(file.stem)
    if not names:
        raise InputError(
            f"{folder}: there are no phantoms (looked for phantom/<look>/<look>-<seed>-<number>.png with look "
            f"{' or '.join(LOOKS)}). Draw some with meddiff.sources.phantom.write."
        )
    drawn = []
    for (look, seed), stems in sorted(names.items()):
        last = max(int(stem.rpartition("-")[2]) for stem in stems)
        drawn += [replace(row, root=Path(folder)) for row in rows(look, seed=seed, count=last) if row.row_id in stems]
    return sorted(drawn, key=lambda row: row.row_id)


def write_first(look: str, folder: Path, count: int, *, progress: Callable | None = None) -> list[ManifestRow]:
    """Draw the first ``count`` pictures of a look into a folder; returns their rows."""
    return write(rows(look, seed=0, count=count), folder, progress=progress)


DERMOSCOPY = StandIn("dermoscopy", "images", partial(write_first, "dermoscopy"))
BRAIN_MRI = StandIn("brain mri", "images", partial(write_first, "brain_mri"))
PHANTOM = Source(
    name="phantom",
    title="phantom images (drawn by code, showing no patient)",
    modality="dermoscopy",
    augment="square",
    channels=3,
    rows=_rows_in,
    how_to_get="Phantoms need no images: meddiff draws them from a seed (meddiff.sources.phantom). A folder that it "
    "has drawn into is recognized by phantom/dermoscopy/ or phantom/brain_mri/.",
    phantom=DERMOSCOPY,
)
