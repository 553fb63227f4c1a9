"""Near-duplicates: one picture under two names, also rescaled, recompressed or a little brighter.

Two looks, both of which must agree. First a perceptual hash (Zauner 2010, "Implementation and benchmarking of
perceptual image hash functions", section 3.2.1, there 8 x 8): the signs, against their median, of the `SIDE` x `SIDE`
lowest frequencies of the cosine transform of a 64 x 64 picture, without the mean. Then the correlation of 32 x 32
thumbnails.

Where the thresholds come from: unrelated pictures differ in half of the 255 bits, give or take 8. With at most 32 bits
and a correlation of 0.95 none of the 32 million pairs of HAM10000 (8,013 images) with different lesions is called a
copy, and 84 pairs of one lesion are. The usual 64 bits with at most 10 would have called thousands of pairs of brain
slices copies, because all heads look alike in so few frequencies.

What is kept of an image is 32 + 1024 bytes. All pairs are compared, in blocks: 20,000 images take seconds. Of more than
`MOST` only those of the same hash are, which finds copies in other formats, and not all that were changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from meddiff.audit.finding import Finding, images_of
from meddiff.manifest.row import ManifestRow

GRID = 64
"""Side of the picture that is hashed."""
SIDE = 16
BITS = SIDE * SIDE - 1
NEAR_BITS = 32
NEAR_CORRELATION = 0.95
SAME_BITS = 12
SAME_CORRELATION = 0.999
"""The effect of formats, bit depths and roundings: random blots differ in up to 6 bits by them, a JPEG of 70 in 14."""
STRANGERS: dict[str, Any] = {"bits": 24, "correlation": 0.97}
"""Limits for phantoms of different people, known to be no copies: the nearest of 800 heads differ in 30 bits."""
BLOCK = 1024
"""Images whose distances to all others are in memory at a time."""
MOST_TURNED = 30_000
"""Images of which turned and mirrored copies are looked for."""
MOST = 60_000
"""Images of which all pairs are compared, in a minute; of more, those of one hash."""


def perceptual_hash(gray: np.ndarray) -> np.ndarray:
    """Compute the hash uint8 [32] of a picture [64, 64]."""
    low = np.asarray(dctn(gray.astype(np.float64), norm="ortho"))[:SIDE, :SIDE].ravel()[1:]
    return np.packbits(low > np.median(low))


def thumbnail(gray: np.ndarray) -> np.ndarray:
    """Reduce a picture [64, 64] to uint8 [32, 32], stretched to its own range."""
    small = gray.reshape(GRID // 2, 2, GRID // 2, 2).mean(axis=(1, 3))
    span = float(small.max() - small.min())
    return np.rint((small - small.min()) * (255 / span if span > 0 else 0)).astype(np.uint8)


def near_pairs(hashes: np.ndarray, thumbnails: np.ndarray) -> np.ndarray:
    """Find the near-duplicates [P, 2], lower position first, of hashes [N, 32] and thumbnails [N, 32, 32].

    A picture without any contrast is nobody's copy.
    """
    candidates = _of_one_hash(hashes) if len(hashes) > MOST else _of_near_hashes(hashes)
    flat = thumbnails.reshape(len(thumbnails), -1)
    return candidates[_correlations(flat, candidates) >= NEAR_CORRELATION]


def turned_pairs(thumbnails: np.ndarray) -> np.ndarray:
    """Find the pictures [P, 2], lower position first, of which one is the other turned by a right angle or mirrored.

    A picture's hash turns with it: a mirror changes the sign of every other frequency, a quarter turn exchanges both
    axes as well. All is taken from the thumbnails [N, 32, 32], with the limits for strangers, as there are seven more
    chances to look alike. Of more than `MOST_TURNED` none are looked for.
    """
    pairs = [np.empty((0, 2), dtype=np.int64)]
    if len(thumbnails) > MOST_TURNED:
        return pairs[0]
    low = np.asarray(dctn(thumbnails.astype(np.float32), axes=(1, 2)))[:, :SIDE, :SIDE]
    signs = _signs(low)
    odd = np.where(np.arange(SIDE) % 2, -1, 1).astype(np.float32)
    for turn in range(1, 8):
        down, across, swapped = turn & 1, turn & 2, turn & 4
        turned = low * (odd[:, None] if down else 1) * (odd if across else 1)
        candidates = _near(signs, _signs(turned.transpose(0, 2, 1) if swapped else turned), STRANGERS["bits"])
        other = thumbnails[:, :: -1 if down else 1, :: -1 if across else 1]
        other = (other.transpose(0, 2, 1) if swapped else other).reshape(len(thumbnails), -1)
        alike = _correlations(thumbnails.reshape(len(thumbnails), -1), candidates, other)
        pairs.append(candidates[alike >= STRANGERS["correlation"]])
    return np.unique(np.concatenate(pairs), axis=0)


def _signs(low: np.ndarray) -> np.ndarray:
    """Turn the lowest frequencies [N, 16, 16] into hashes [N, bits] of 1 and -1."""
    values = low.reshape(len(low), -1)[:, 1:]
    return np.where(values > np.median(values, axis=1, keepdims=True), np.float32(1), np.float32(-1))


def are_same(
    pairs: np.ndarray,
    hashes: np.ndarray,
    thumbnails: np.ndarray,
    *,
    bits: int = SAME_BITS,
    correlation: float = SAME_CORRELATION,
) -> np.ndarray:
    """Tell which near-duplicates [P, 2] are one picture, but for its format, bit depth and roundings: bool [P]."""
    apart = np.unpackbits(np.bitwise_xor(hashes[pairs[:, 0]], hashes[pairs[:, 1]]), axis=1).sum(axis=1)
    alike = _correlations(thumbnails.reshape(len(thumbnails), -1), pairs)
    return (apart <= bits) & (alike >= correlation)


def _of_near_hashes(hashes: np.ndarray) -> np.ndarray:
    """Find the pairs [P, 2], lower position first, whose hashes differ in few bits."""
    signs = np.unpackbits(hashes, axis=1, count=BITS).astype(np.float32) * 2 - 1
    return _near(signs, signs, NEAR_BITS)


def _near(signs: np.ndarray, others: np.ndarray, bits: int) -> np.ndarray:
    """Find the positions [P, 2], lower first, at which hashes [N, bits] of 1 and -1 and others differ in few bits."""
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for first in range(0, len(signs), BLOCK):
        apart = (BITS - signs[first : first + BLOCK] @ others[first:].T) / 2
        one, other = np.nonzero(apart <= bits)
        kept = other > one
        pairs.append(np.stack([one[kept], other[kept]], axis=1) + first)
    return np.concatenate(pairs)


def _of_one_hash(hashes: np.ndarray) -> np.ndarray:
    """Return the pairs [P, 2] of each image and the next one with the same hash."""
    last: dict[bytes, int] = {}
    pairs = []
    for place, one in enumerate(hashes):
        if (before := last.get(one.tobytes())) is not None:
            pairs.append((before, place))
        last[one.tobytes()] = place
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def copies(rows: Sequence[ManifestRow], splits: Sequence[str | None], pairs: np.ndarray) -> list[Finding]:
    """List groups of near-duplicates that lie in several splits, could in one yet to be made, or bear several labels.

    Images of one lesion are expected to look alike, and neighboring slices of one patient may differ in label: a
    label that differs is reported only where the images are of different patients, or of none that is known.
    """
    findings = []
    for cluster in clusters(len(rows), pairs):
        members = [rows[place] for place in cluster]
        where = sorted({split for place in cluster if (split := splits[place]) is not None})
        labels = sorted({row.label for row in members if row.label is not None})
        if len(where) > 1:
            sentence = f"{len(members)} images are copies or near-copies of each other and lie in {' and '.join(where)}"
            cure = ": keep them in one split, or the test is on what was trained on"
            findings.append(Finding("copies across splits", images_of(members), sentence + cure, "serious"))
        if all(splits[place] is None for place in cluster) and len({row.group for row in members}) > 1:
            sentence = (
                f"{len(members)} images are copies or near-copies of each other, and no patient or lesion ties them"
            )
            cure = ": a split drawn by meddiff keeps them together, one drawn by others may not"
            findings.append(Finding("copies without a split", images_of(members), sentence + cure, "warning"))
        if len(labels) > 1 and not _of_one_owner(members):
            sentence = f"{len(members)} images are copies or near-copies of each other and are called {labels}"
            findings.append(Finding("copies with different labels", images_of(members), sentence, "serious"))
    return findings


def clusters(count: int, pairs: np.ndarray) -> list[list[int]]:
    """Group the positions that hang together through pairs, in the order of the first of each."""
    ones = np.ones(len(pairs), dtype=bool)
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, numbers = connected_components(graph, directed=False)
    together: dict[int, list[int]] = {}
    for place in sorted(set(pairs.ravel().tolist())):
        together.setdefault(int(numbers[place]), []).append(place)
    return list(together.values())


def _of_one_owner(members: Sequence[ManifestRow]) -> bool:
    owners = {row.patient_id or row.lesion_id for row in members}
    return len(owners) == 1 and None not in owners


def _correlations(flat: np.ndarray, pairs: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """Compute the correlation [P] of the pictures [N, values] of each pair; 0 where one has no contrast.

    The second of each pair is taken from the ``others``, where there are any.
    """
    values = np.zeros(len(pairs))
    for first in range(0, len(pairs), BLOCK):
        sides = (flat, flat if others is None else others)
        one, other = (of[pairs[first : first + BLOCK, side]].astype(np.float64) for side, of in enumerate(sides))
        one, other = (part - part.mean(axis=1, keepdims=True) for part in (one, other))
        size = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        values[first : first + BLOCK] = np.einsum("ij,ij->i", one, other) / np.where(size > 0, size, np.inf)
    return values
