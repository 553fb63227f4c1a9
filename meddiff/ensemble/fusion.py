"""Members' class probabilities [M, K, *S] -> fused class probabilities [K, *S].

- ``mean``: the average of the members' probabilities.
- ``majority``: the share of members that call each class. The class map is its argmax; where classes are called
  equally often that is the one of the lowest index, as everywhere in numpy, so that background wins a tie.
- ``staple``: simultaneous truth and performance level estimation (Warfield, Zou & Wells 2004, "Simultaneous truth and
  performance level estimation (STAPLE)", section II), by SimpleITK. It estimates how sensitive and how specific each
  member is, and weights its votes accordingly; a member that errs often counts little. (MedSegDiff's published code has
  a function of that name that returns the square of the mean.)

STAPLE gives the probability of one structure. Every class is asked against all others, and the answers are divided by
their sum: so probabilities are kept, which multi-label STAPLE (labels alone) would lose. For K = 2 this is binary
STAPLE, whose answers for the two classes sum to 1 by themselves. Its prior is the share of pixels that members call,
over the whole image; where members invent much, that is too high, and all of them are thought less sensitive than they
are (measured: 0.87 for 0.95 where the called share is 0.11 and the true one 0.06).

Members that agree everywhere, and a single member, give their own map under ``majority`` and ``staple``; members that
are all empty give an empty map (STAPLE itself is 0/0 there, and SimpleITK answers NaN).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from meddiff.errors import InputError

ITERATIONS = 200  # of expectation maximization; it converges in about ten, ties between members may not


@dataclass(frozen=True)
class Consensus:
    """The answer of STAPLE on one structure: where it is, and how good each member is at finding it."""

    probability: np.ndarray  # [*S] float64
    sensitivity: np.ndarray  # [M]
    specificity: np.ndarray  # [M]


def mean(members: np.ndarray) -> np.ndarray:
    """Compute the average of the members' probabilities: [M, K, *S] -> [K, *S]."""
    _check(members)
    return members.mean(0)


def majority(members: np.ndarray) -> np.ndarray:
    """Compute the share of members whose most probable class it is: [M, K, *S] -> [K, *S], multiples of 1/M."""
    _check(members)
    votes = called(members)
    shares = np.stack([(votes == index).mean(0) for index in range(members.shape[1])])
    return shares.astype(members.dtype, copy=False)


def staple(members: np.ndarray) -> np.ndarray:
    """Compute STAPLE of every class against the others, divided by their sum: [M, K, *S] -> [K, *S].

    A pixel to which no class lays claim (each was called by members that STAPLE does not believe) keeps the share of
    the votes.
    """
    _check(members)
    votes = called(members)
    classes = members.shape[1]
    if classes == 2:
        foreground = consensus(votes == 1).probability
        return np.stack([1 - foreground, foreground]).astype(members.dtype, copy=False)
    claims = np.stack([consensus(votes == index).probability for index in range(classes)])
    whole = claims.sum(0)
    believed = whole > 1e-6
    fused = np.where(believed, claims / np.where(believed, whole, 1.0), majority(members))
    return fused.astype(members.dtype, copy=False)


def consensus(masks: np.ndarray) -> Consensus:
    """Compute binary STAPLE of members' masks, bool [M, *S] with two or three axes S."""
    if masks.dtype != bool or masks.ndim not in (3, 4) or not len(masks):
        raise InputError(
            f"got masks {masks.dtype} {masks.shape}: STAPLE needs bool [members, *S] with two or three axes S"
        )
    if (masks == masks[:1]).all():
        sensitivity = np.full(len(masks), 1.0 if masks[0].any() else np.nan)
        specificity = np.full(len(masks), np.nan if masks[0].all() else 1.0)
        return Consensus(masks[0].astype(np.float64), sensitivity, specificity)
    import SimpleITK

    algorithm = SimpleITK.STAPLEImageFilter()
    algorithm.SetForegroundValue(1)
    algorithm.SetMaximumIterations(ITERATIONS)
    agreed = algorithm.Execute([SimpleITK.GetImageFromArray(mask.astype(np.uint8)) for mask in masks])
    return Consensus(
        SimpleITK.GetArrayFromImage(agreed), np.array(algorithm.GetSensitivity()), np.array(algorithm.GetSpecificity())
    )


def called(members: np.ndarray) -> np.ndarray:
    """Name the class that each member calls: [M, K, *S] -> [M, *S], one by one, as int64 would be as large as all."""
    return np.stack([member.argmax(0).astype(np.int16) for member in members])


FUSIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"mean": mean, "majority": majority, "staple": staple}
"""Name -> members' probabilities [M, K, *S] to fused probabilities [K, *S]."""


def fuse(members: np.ndarray, how: str) -> np.ndarray:
    """Fuse by a name of `FUSIONS`."""
    if how not in FUSIONS:
        raise InputError(f"there is no fusion {how!r}: choose one of {', '.join(FUSIONS)}")
    return FUSIONS[how](members)


def _check(members: np.ndarray) -> None:
    if members.ndim < 3 or len(members) < 1 or members.shape[1] < 2 or members.dtype.kind != "f":
        raise InputError(
            f"got members {members.dtype} {members.shape}: give probabilities [members, classes, *S] of at least one "
            "member and two classes (background counts as one)"
        )
    if not np.isfinite(members).all():
        raise InputError("a member has NaN or infinity among its probabilities: leave that member out, or draw it anew")
