"""All checks over the rows of a study. Each file is read once; of each image about a kilobyte is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from meddiff.data.audit import copies, shift
from meddiff.data.audit.finding import SEVERITIES, Finding, images_of
from meddiff.data.audit.leaks import leaks, split_of
from meddiff.data.audit.masks import MaskFacts, mask_facts, odd_masks
from meddiff.data.audit.pixels import PixelFacts, odd_images, pixel_facts
from meddiff.data.image_io import load_mask, read_picture
from meddiff.data.pictures import DAMAGE
from meddiff.data.row import ManifestRow
from meddiff.data.volumes import reader_of
from meddiff.errors import InputError

Progress = Callable[[Iterable[ManifestRow], int], Iterable[ManifestRow]]


@dataclass(frozen=True)
class Facts:
    """What is kept of one row that could be read."""

    row: ManifestRow
    pixels: PixelFacts
    size: tuple[int, int]
    hash: np.ndarray
    thumbnail: np.ndarray
    mask: MaskFacts | None = None
    offset: shift.Offset | None = None


@dataclass
class _Read:
    """What reading all files gave."""

    facts: list[Facts] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    volumes: list[ManifestRow] = field(default_factory=list)


def audit(rows: Sequence[ManifestRow], *, progress: Progress | None = None) -> list[Finding]:
    """What is odd about the rows, the worst first.

    Args:
        rows: of pictures, and of slices of volumes; whole volumes are counted and not looked into.
        progress: called as progress(rows, total) for a bar around the reading.
    """
    read = _Read()
    for row in progress(rows, len(rows)) if progress else rows:
        _look(row, read)
    own = [fact.row for fact in read.facts]
    found = read.findings + leaks(rows, [split_of(row) for row in rows])
    found += odd_images(own, [fact.pixels for fact in read.facts])
    if read.facts:
        pairs = copies.near_pairs(
            np.stack([fact.hash for fact in read.facts]), np.stack([fact.thumbnail for fact in read.facts])
        )
        found += copies.copies(own, [split_of(row) for row in own], pairs)
    found += _of_masks(read.facts)
    if read.volumes:
        told = f"{len(read.volumes)} rows are whole volumes, or several files each, and not looked into"
        found.append(Finding("volumes not read", images_of(read.volumes), told, "note"))
    return sorted(found, key=lambda one: (SEVERITIES.index(one.severity), one.kind))


def facts_of(row: ManifestRow) -> Facts:
    """What is kept of a row.

    Raises:
        InputError: its image or mask cannot be read.
    """
    picture = read_picture(row.image_file, axis=row.slice_axis, index=row.slice_index, size_hint=shift.GRID)
    span = picture.high - picture.low
    pixels = np.clip((picture.pixels.astype(np.float32) - picture.low) / (span if span > 0 else 1), 0, 1)
    gray = pixels.mean(axis=2) if pixels.ndim == 3 else pixels
    small = _resized(gray, copies.GRID)
    basic = Facts(
        row, pixel_facts(pixels, _mode(row)), picture.size, copies.perceptual_hash(small), copies.thumbnail(small)
    )
    if row.mask_file is None:
        return basic
    classes = load_mask(row.mask_file, axis=row.slice_axis, index=row.slice_index)
    inside = _resized((classes > 0).astype(np.float32), shift.GRID) > 0.5
    place = shift.offset(_resized(gray, shift.GRID), inside) if classes.shape == picture.size else None
    return Facts(row, basic.pixels, basic.size, basic.hash, basic.thumbnail, mask_facts(classes), place)


def _look(row: ManifestRow, read: _Read) -> None:
    if len(row.image_files) > 1 or (row.slice_axis is None and reader_of(row.image_file) is not None):
        read.volumes.append(row)
        return
    try:
        read.facts.append(facts_of(row))
    except InputError as error:
        read.findings.append(Finding("unreadable", images_of([row]), getattr(error, "reason", str(error)), "serious"))


def _of_masks(facts: Sequence[Facts]) -> list[Finding]:
    masked = [fact for fact in facts if fact.mask is not None]
    masks = [fact.mask for fact in masked if fact.mask is not None]
    found = odd_masks([fact.row for fact in masked], masks, [fact.size for fact in masked])
    # the border of an inverted or a full mask says nothing of a shift
    placed = [(fact.row, fact.offset) for fact in masked if fact.offset and fact.mask and not fact.mask.inverted]
    return found + shift.shifted([row for row, _ in placed], [place for _, place in placed])


def _resized(values: np.ndarray, side: int) -> np.ndarray:
    """Float [H, W] as float32 [side, side], averaged over the area of each new pixel; the aspect is not kept."""
    image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BOX))


def _mode(row: ManifestRow) -> str:
    """The color mode that the file itself names; "" where it is no picture."""
    if row.slice_axis is not None:
        return ""
    try:
        with Image.open(row.image_file) as picture:
            return picture.mode
    except DAMAGE:
        return ""
