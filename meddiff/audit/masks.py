"""Masks that contradict what a mask is: inverted, empty, full, of another size than their image.

- inverted: foreground holds most of the image's frame (`FRAME`), and background lies nearer to the center than
  foreground, on average over the pixels; or background touches the frame nowhere (but for `SLIVER` of the frame) and is
  more than `SPECK` of the image. A lesion that fills the image leaves background in the corners, not in the middle.
- empty: no foreground. Where slices without a structure are usual, empty masks are cases like others; only where at
  most `RARE` of the masks of a label are empty are they reported one by one. That all are empty is never right.
- full: at least `FULL` foreground. Lesions larger than the picture exist, so this asks for a look.

Foreground is every class but 0; what is not judged counts as background.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from meddiff.audit.finding import Finding, masks_of
from meddiff.manifest.row import ManifestRow

FRAME = 0.6
SLIVER = 0.02
SPECK = 0.005
FULL = 0.99
RARE = 0.05


@dataclass(frozen=True)
class MaskFacts:
    """Facts kept of a mask."""

    size: tuple[int, ...]
    share: float
    """Share of the pixels that are foreground."""
    inverted: bool


def mask_facts(classes: np.ndarray) -> MaskFacts:
    """Compute the facts of a mask, class indices [H, W] or [I, J, K]."""
    inside = classes > 0
    share = float(inside.mean())
    return MaskFacts(classes.shape, share, 0 < share < FULL and _is_inverted(inside))


def odd_masks(
    rows: Sequence[ManifestRow], facts: Sequence[MaskFacts], sizes: Sequence[tuple[int, ...]]
) -> list[Finding]:
    """List findings about masks; ``sizes`` are those of the images."""
    findings = []
    together = list(zip(rows, facts, sizes, strict=True))
    for row, fact, size in together:
        if fact.size != size:
            says = f"the mask is {fact.size[0]} x {fact.size[1]} pixels high and wide, its image {size[0]} x {size[1]}"
            findings.append(Finding("mask of another size", masks_of([row]), says, "serious"))
        if fact.inverted:
            says = f"{fact.share:.0%} of the mask is foreground, with background in the middle: it seems inverted"
            findings.append(Finding("mask inverted", masks_of([row]), says, "serious"))
        if fact.share >= FULL:
            says = f"{fact.share:.1%} of the mask is foreground: look whether the structure really fills the image"
            findings.append(Finding("mask full", masks_of([row]), says, "warning"))
    return findings + _empty(rows, facts)


def _empty(rows: Sequence[ManifestRow], facts: Sequence[MaskFacts]) -> list[Finding]:
    every = Counter(row.label for row in rows)
    empty = [row for row, fact in zip(rows, facts, strict=True) if fact.share == 0]
    if rows and len(empty) == len(rows):
        says = f"all {len(rows)} masks are empty: nothing can be learned from them. Were they stored in another way?"
        return [Finding("masks empty", masks_of(empty), says, "serious")]
    counts = Counter(row.label for row in empty)
    findings = []
    for label, count in counts.items():
        files = masks_of(row for row in empty if row.label == label)
        of = f"{count} of {every[label]} masks{f' of {label}' if label else ''}"
        if count <= max(1, RARE * every[label]):
            says = f"the mask is empty, which only {of} are: is there nothing to see, or was the mask lost?"
            findings += [Finding("mask empty", (file,), says, "serious") for file in files]
        else:
            findings.append(
                Finding("masks empty", files, f"{of} are empty: fine if many images hold no structure", "note")
            )
    return findings


def _is_inverted(inside: np.ndarray) -> bool:
    places = [np.abs(np.arange(side) - (side - 1) / 2) / side for side in inside.shape]
    frame = inside[~_interior(inside.shape)]
    if frame.mean() < FRAME:
        return False
    if frame.mean() >= 1 - SLIVER and (~inside).mean() > SPECK:
        return True
    distance = reduce(np.maximum, np.meshgrid(*places, indexing="ij", sparse=True))
    return bool(distance[~inside].mean() < distance[inside].mean())


def _interior(shape: tuple[int, ...]) -> np.ndarray:
    """Mark all but the outermost pixels."""
    inner = np.zeros(shape, dtype=bool)
    inner[(slice(1, -1),) * len(shape)] = True
    return inner
