"""Memorization: are synthetic images copies of training images?

An image that lies nearer to some training image than real images of other patients ever do has been copied, not
drawn. So the distance of each synthetic image to its nearest training image is read against the same distance of
held-out real images: `copy_threshold` is a low quantile of the latter, and states the share of honest images that
it would call copies (its false positive rate).
"""

from dataclasses import dataclass

import numpy as np

from meddiff.errors import InputError

SYMMETRIES = ("as is", "rotated 90", "rotated 180", "rotated 270",
              "mirrored", "mirrored, rotated 90", "mirrored, rotated 180", "mirrored, rotated 270")  # fmt: skip
"""The eight symmetries of the square, in the order of the index that `nearest_image` returns."""
BLOCK = 256
"""Queries compared at a time: bounds the memory to a few copies of BLOCK images and BLOCK x M scores."""
CANDIDATES = 4
"""References per query whose distance is computed exactly, at most."""
ROUNDING = 1e-5
"""Error of a float32 squared distance as a share of the squared lengths: eps sqrt(F) for F = 10,000 values."""


def nearest(queries: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the nearest reference of each query: queries [N, F], references [M, F] -> Euclidean distance [N], index [N].

    The search is one float32 matrix product, by ``|q - r|^2 = |q|^2 - 2 q.r + |r|^2`` about the references' mean. That
    form loses all digits for near-copies, the very pairs of interest, so it only proposes: the distances of all
    references that its rounding leaves in question (at most CANDIDATES) are computed anew from the differences in
    float64. An exact copy has distance 0.
    """
    _check(queries, references)
    return _search(queries, _prepared(references), skip_same=False)


def nearest_other(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the nearest other point of each point: points [N, F] -> distance [N], index [N].

    0 for one that is there twice.
    """
    _check(points, points[1:])
    return _search(points, _prepared(points), skip_same=True)


def nearest_image(queries: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the nearest reference image of each query image, also when turned or mirrored; volumes when mirrored.

    queries [N, C, H, W], references [M, C, H, W], square; or volumes [N, C, D, H, W] and [M, C, D, H, W] -> distance
    [N] (root mean square difference per value, in the images' own unit), index [N] of the reference, symmetry [N] of
    the query (index into ``SYMMETRIES``; of a volume a binary number: 1 is mirrored along W, 2 along H, 4 along D).
    """
    square = queries.ndim == 5 or (queries.ndim == 4 and queries.shape[2] == queries.shape[3])
    if not square or queries.shape[1:] != references.shape[1:]:
        raise InputError(
            f"got images {queries.shape} and {references.shape}: give square images [images, channels, side, side], "
            "or volumes, of one size"
        )
    flat = references.reshape(len(references), -1)
    _check(queries.reshape(len(queries), -1), flat)
    prepared = _prepared(flat)
    searches = [_search(turned.reshape(len(queries), -1), prepared, skip_same=False) for turned in _turned(queries)]
    distance, index = (np.stack(part) for part in zip(*searches, strict=True))  # [8, N]
    best = distance.argmin(0)
    row = np.arange(len(queries))
    return distance[best, row] / np.sqrt(flat.shape[1]), index[best, row], best


def copy_threshold(held_out_distances: np.ndarray, quantile: float) -> float:
    """Find the distance below which an image is called a copy: the ``quantile`` (0..1) of what held-out images have.

    ``held_out_distances`` [N] are those of real images, of patients that are not in the training set, to their
    nearest training image. The quantile is the false positive rate; with fewer than 1 / quantile images it is
    bounded by their smallest distance alone, so give as many as there are.
    """
    if held_out_distances.size == 0 or not np.isfinite(held_out_distances).all():
        raise InputError(
            f"got {held_out_distances.size} held-out distances, or NaN among them: a copy can only be told from "
            "an original with real images that were not trained on; keep some patients out of training"
        )
    if not 0 <= quantile <= 1:
        raise InputError(f"got quantile {quantile}: give a share between 0 and 1, such as 0.01")
    return float(np.quantile(held_out_distances, quantile))


@dataclass(frozen=True)
class _Prepared:
    references: np.ndarray  # [M, F] as given
    mean: np.ndarray  # [F] float32
    centered: np.ndarray  # [M, F] float32
    square: np.ndarray  # [M] squared lengths of centered


def _prepared(references: np.ndarray) -> _Prepared:
    mean = references.mean(0, dtype=np.float64).astype(np.float32)
    centered = references.astype(np.float32) - mean
    return _Prepared(references, mean, centered, np.einsum("mf,mf->m", centered, centered))


def _search(queries: np.ndarray, prepared: _Prepared, *, skip_same: bool) -> tuple[np.ndarray, np.ndarray]:
    """Compute the distance and index of the nearest reference.

    ``skip_same``: not the one at the query's own position.
    """
    kept = min(CANDIDATES, len(prepared.references) - skip_same)
    distance, index = np.empty(len(queries)), np.empty(len(queries), dtype=np.int64)
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK]
        row = np.arange(len(block))
        centered = block.astype(np.float32) - prepared.mean
        square = (
            np.einsum("nf,nf->n", centered, centered)[:, None] + prepared.square - 2 * centered @ prepared.centered.T
        )
        if skip_same:
            square[row, start + row] = np.inf
        candidates = np.argpartition(square, kept - 1, axis=1)[:, :kept]
        distances = np.take_along_axis(square, candidates, 1)
        longest = np.einsum("nf,nf->n", centered, centered) + prepared.square[candidates].max(1)
        open_question = distances <= (distances.min(1) + ROUNDING * longest)[:, None]
        exact = np.full(candidates.shape, np.inf)
        for column in range(kept):
            asked = open_question[:, column]
            exact[asked, column] = _distance(block[asked], prepared.references[candidates[asked, column]])
        best = exact.argmin(1)
        distance[start : start + BLOCK], index[start : start + BLOCK] = exact[row, best], candidates[row, best]
    return distance, index


def _turned(images: np.ndarray) -> list[np.ndarray]:
    if images.ndim == 5:
        axes = [tuple(4 - axis for axis in range(3) if number >> axis & 1) for number in range(8)]
        return [np.flip(images, mirrored) for mirrored in axes]
    mirrored = images[..., ::-1]
    return [np.rot90(side, turns, axes=(2, 3)) for side in (images, mirrored) for turns in range(4)]


def _distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    difference = first.astype(np.float64) - second
    return np.sqrt(np.einsum("nf,nf->n", difference, difference))


def _check(queries: np.ndarray, references: np.ndarray) -> None:
    if queries.ndim != 2 or references.ndim != 2 or queries.shape[1] != references.shape[1]:
        raise InputError(
            f"got queries {queries.shape} and references {references.shape}: give [images, features] twice, with the "
            "same features"
        )
    if len(references) == 0:
        raise InputError("got no reference images: give the training images that the queries may copy")
    for name, values in (("queries", queries), ("references", references)):
        if not np.isfinite(values.sum(dtype=np.float64)):  # NaN and infinity go through a sum
            raise InputError(f"the {name} contain NaN or infinity: check the images or the feature extractor")
