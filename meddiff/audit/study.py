"""All checks over the rows of a study. Each file is read once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from meddiff.audit import copies, shift
from meddiff.audit.facts import Facts, facts_of
from meddiff.audit.finding import SEVERITIES, Finding, images_of, masks_of
from meddiff.audit.leaks import leaks, split_of
from meddiff.audit.masks import odd_masks
from meddiff.audit.pixels import odd_images
from meddiff.errors import InputError
from meddiff.files.bad import reason_of
from meddiff.manifest.row import ManifestRow

Progress = Callable[[Iterable[ManifestRow], int], Iterable[ManifestRow]]


def audit(rows: Sequence[ManifestRow], *, progress: Progress | None = None) -> list[Finding]:
    """What is odd about the rows, the worst first.

    Args:
        rows: of pictures, slices of volumes and whole volumes.
        progress: called as progress(rows, total) for a bar around the reading.
    """
    facts, found = [], leaks(rows, [split_of(row) for row in rows])
    for row in progress(rows, len(rows)) if progress else rows:
        try:
            facts.append(facts_of(row))
        except InputError as error:
            found.append(Finding("unreadable", images_of([row]), reason_of(error), "serious"))
    own = [fact.row for fact in facts]
    found += odd_images(own, [fact.pixels for fact in facts])
    if facts:
        pairs = copies.near_pairs(np.stack([fact.hash for fact in facts]), np.stack([fact.thumbnail for fact in facts]))
        found += copies.copies(own, [split_of(row) for row in own], pairs)
    found += _of_masks(facts)
    return sorted(found, key=lambda one: (SEVERITIES.index(one.severity), one.kind))


def _of_masks(facts: Sequence[Facts]) -> list[Finding]:
    unusable = [(fact.row, fact.mask_problem) for fact in facts if fact.mask_problem is not None]
    found = [Finding("mask unusable", masks_of([row]), reason, "serious") for row, reason in unusable]
    masked = [fact for fact in facts if fact.mask is not None]
    masks = [fact.mask for fact in masked if fact.mask is not None]
    found += odd_masks([fact.row for fact in masked], masks, [fact.size for fact in masked])
    # the border of an inverted or a full mask says nothing of a shift
    placed = [(fact.row, fact.offset) for fact in masked if fact.offset and fact.mask and not fact.mask.inverted]
    return found + shift.shifted([row for row, _ in placed], [place for _, place in placed])
