"""All checks over the rows of a study. Each file is read once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from meddiff.audit import duplicates, shift
from meddiff.audit.finding import SEVERITIES, Finding, images_of, masks_of
from meddiff.audit.image_facts import Facts, facts_of, facts_of_prepared
from meddiff.audit.leaks import leaks, split_of
from meddiff.audit.masks import odd_masks
from meddiff.audit.odd_images import odd_images
from meddiff.errors import InputError
from meddiff.files.bad import reason_of
from meddiff.formats.masks import MaskMeaning, NameRules, decide, masks_found, masks_of_rows
from meddiff.formats.masks.by_name import STRICT
from meddiff.manifest.row import ManifestRow

Shown = tuple[ManifestRow, np.ndarray]
"""An image with its row: [C, *S] uint8 or uint16, as it was prepared."""
Progress = Callable[[Iterable[ManifestRow], int], Iterable[ManifestRow]]


def audit(
    rows: Sequence[ManifestRow], *, meaning: MaskMeaning | None = None, rules: NameRules = STRICT,
    progress: Progress | None = None,
) -> list[Finding]:  # fmt: skip
    """List what is odd about the rows, the worst first.

    Args:
        rows: of pictures, slices of volumes and whole volumes.
        meaning: of the masks, where it was decided; else it is decided here, from all of them.
        rules: for what the names of masks' shapes leave open.
        progress: called as progress(rows, total) for a bar around the reading.
    """
    facts, listed = [], leaks(rows, [split_of(row) for row in rows])
    unclear = None
    if meaning is None:
        meaning, unclear = _meaning(rows, rules)
    if unclear is not None:
        listed.append(Finding("mask values unclear", masks_of(rows), unclear, "serious"))
        rows = [replace(row, mask_path=None) for row in rows]
    for row in progress(rows, len(rows)) if progress else rows:
        try:
            facts.append(facts_of(row, meaning))
        except InputError as error:
            listed.append(Finding("unreadable", images_of([row]), reason_of(error), "serious"))
    return in_order(listed + findings(facts, with_turned(facts, pairs_of(facts))))


def findings(facts: Sequence[Facts], pairs: np.ndarray) -> list[Finding]:
    """List what is odd about images by the facts kept of them; ``pairs`` [P, 2] are the near-duplicates among them."""
    rows = [fact.row for fact in facts]
    listed = odd_images(rows, [fact.pixels for fact in facts])
    listed += duplicates.copies(rows, [split_of(row) for row in rows], pairs)
    return listed + _of_masks(facts)


def pairs_of(facts: Sequence[Facts]) -> np.ndarray:
    """Find the near-duplicates [P, 2] among images, lower position first."""
    if not facts:
        return np.empty((0, 2), dtype=np.int64)
    hashes, thumbnails = (np.stack([getattr(fact, name) for fact in facts]) for name in ("hash", "thumbnail"))
    pairs = duplicates.near_pairs(hashes, thumbnails)
    strangers = np.array([_are_strangers(facts[one].row, facts[other].row) for one, other in pairs], dtype=bool)
    return pairs[~strangers | duplicates.are_same(pairs, hashes, thumbnails, **duplicates.STRANGERS)]


def with_turned(facts: Sequence[Facts], pairs: np.ndarray) -> np.ndarray:
    """Add to the near-duplicates [P, 2] those that are turned or mirrored; images drawn by code are left out."""
    taken = np.array([place for place, fact in enumerate(facts) if fact.row.source != "phantom"], dtype=np.int64)
    if not len(taken):
        return pairs
    turned = duplicates.turned_pairs(np.stack([facts[place].thumbnail for place in taken]))
    return np.unique(np.concatenate([pairs, taken[turned]]), axis=0) if len(turned) else pairs


def repeated(shown: Iterable[Shown], others: Iterable[Shown]) -> np.ndarray:
    """Tell which of the images, prepared for training, are copies or near-copies of one of the others: bool [N]."""
    facts = [facts_of_prepared(row, image, None) for row, image in shown]
    count = len(facts)
    pairs = pairs_of([*facts, *(facts_of_prepared(row, image, None) for row, image in others)])
    copied = np.zeros(count, dtype=bool)
    copied[pairs[(pairs[:, 0] < count) & (pairs[:, 1] >= count), 0]] = True
    return copied


def _are_strangers(one: ManifestRow, other: ManifestRow) -> bool:
    """Tell whether both were drawn by code, of different people: alike by chance."""
    return one.source == other.source == "phantom" and one.group != other.group


def in_order(listed: Sequence[Finding]) -> list[Finding]:
    """Sort the findings, the worst first."""
    return sorted(listed, key=lambda one: (SEVERITIES.index(one.severity), one.kind))


def _meaning(rows: Sequence[ManifestRow], rules: NameRules) -> tuple[MaskMeaning | None, str | None]:
    """Decide what the masks mean, or why that cannot be known; neither where none can be read, said of each file."""
    held = masks_found(masks_of_rows(rows)).levels
    try:
        return (decide(held, rules=rules) if held else None), None
    except InputError as error:
        return None, reason_of(error)


def _of_masks(facts: Sequence[Facts]) -> list[Finding]:
    unusable = [(fact.row, fact.mask_problem) for fact in facts if fact.mask_problem is not None]
    listed = [Finding("mask unusable", masks_of([row]), reason, "serious") for row, reason in unusable]
    masked = [fact for fact in facts if fact.mask is not None]
    masks = [fact.mask for fact in masked if fact.mask is not None]
    listed += odd_masks([fact.row for fact in masked], masks, [fact.size for fact in masked])
    # the border of an inverted or a full mask says nothing of a shift
    placed = [(fact.row, fact.offset) for fact in masked if fact.offset and fact.mask and not fact.mask.inverted]
    return listed + shift.shifted([row for row, _ in placed], [place for _, place in placed])
