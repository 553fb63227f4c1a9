"""Images that are not like the others of their set: constant, colored or gray alone, far too bright, dark or flat.

- constant: the 99.8th and 0.2nd percentile are at most one gray level of 256 apart.
- color mode: what the pixels are counts, not what the file says (gray JPEGs are often stored as RGB): gray where the
  channels differ by at most `CHROMA` levels on average. Reported where at most `MINORITY` of the images differ from
  the rest. Modes other than L, RGB and 16 bit (CMYK, palettes, transparency) are reported in the same way.
- outliers: mean or log spread of the values is further than `FAR` robust standard deviations (1.4826 times the median
  absolute deviation) from the median of the set. Iglewicz & Hoaglin 1993, "How to detect and handle outliers", use 3.5
  for normal data; sets of photographs have longer tails, and thousands of images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meddiff.audit.finding import Finding, images_of
from meddiff.manifest.row import ManifestRow

FLAT = 1 / 255
CHROMA = 2 / 255
MINORITY = 0.1
FAR = 6.0
FEWEST = 20
"""Images that a set needs before one of them can be odd."""
NARROWEST = 0.01
"""A robust standard deviation below this (of the range; of the log) is raised to it: sets can be too uniform."""
USUAL_MODES = ("", "L", "RGB", "I;16", "I;16B", "I;16L", "I", "F", "1")


@dataclass(frozen=True)
class PixelFacts:
    """Facts kept of an image's values; the range of its kind is 0 to 1."""

    mean: float
    deviation: float
    constant: bool
    color: bool
    """True where it has any."""
    mode: str
    """The name that the file gives; "" for a slice of a volume."""


def pixel_facts(pixels: np.ndarray, mode: str) -> PixelFacts:
    """Compute the facts of an image [H, W] or [H, W, 3] in the range 0 to 1."""
    low, high = np.percentile(pixels, (0.2, 99.8))
    color = pixels.ndim == 3 and float((pixels.max(axis=2) - pixels.min(axis=2)).mean()) > CHROMA
    return PixelFacts(float(pixels.mean()), float(pixels.std()), bool(high - low <= FLAT), color, mode)


def odd_images(rows: Sequence[ManifestRow], facts: Sequence[PixelFacts]) -> list[Finding]:
    """List findings about values and color modes; images are compared with those of their own modality."""
    findings = []
    for row, fact in zip(rows, facts, strict=True):
        if fact.constant:
            says = (
                f"the image is constant (its values are {fact.mean:.3f} of the range): nothing can be learned from it"
            )
            findings.append(Finding("constant image", images_of([row]), says, "serious"))
    for modality in sorted({row.modality or "" for row in rows}):
        chosen = [place for place, row in enumerate(rows) if (row.modality or "") == modality]
        if len(chosen) >= FEWEST:
            own, its = [rows[place] for place in chosen], [facts[place] for place in chosen]
            findings += _colors(own, its) + _outliers(own, its)
    return findings


def _colors(rows: Sequence[ManifestRow], facts: Sequence[PixelFacts]) -> list[Finding]:
    findings = []
    kinds = Counter(fact.color for fact in facts if not fact.constant)
    for color, other in ((True, "gray"), (False, "in color")):
        if 0 < kinds[color] <= MINORITY * len(facts):
            odd = [row for row, fact in zip(rows, facts, strict=True) if fact.color == color and not fact.constant]
            says = f"{len(odd)} of {len(rows)} images are {'in color' if color else 'gray'}, the others {other}"
            findings.append(Finding("color mode", images_of(odd), says, "warning"))
    for mode, count in Counter(fact.mode for fact in facts).items():
        if mode not in USUAL_MODES and count <= MINORITY * len(facts):
            odd = [row for row, fact in zip(rows, facts, strict=True) if fact.mode == mode]
            says = f"{count} of {len(rows)} images are stored as {mode}: programs read that in different ways"
            findings.append(Finding("color mode", images_of(odd), says, "warning"))
    return findings


def _outliers(rows: Sequence[ManifestRow], facts: Sequence[PixelFacts]) -> list[Finding]:
    findings = []
    means = np.array([fact.mean for fact in facts])
    spreads = np.log(np.maximum([fact.deviation for fact in facts], FLAT))
    for name, values, words in (("mean", means, ("darker", "brighter")), ("spread", spreads, ("flatter", "harsher"))):
        distance = robust_distance(values)
        for row, fact, far in zip(rows, facts, distance, strict=True):
            if abs(far) > FAR and not fact.constant:
                says = f"far {words[int(far > 0)]} than the others: the {name} of its values is {abs(far):.1f} robust "
                says += "standard deviations from the median"
                findings.append(Finding("intensity outlier", images_of([row]), says, "warning"))
    return findings


def robust_distance(values: np.ndarray) -> np.ndarray:
    """Compute the distance of each value from the median in robust standard deviations, with its sign."""
    middle = np.median(values)
    return (values - middle) / max(NARROWEST, 1.4826 * float(np.median(np.abs(values - middle))))
