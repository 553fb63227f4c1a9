"""Maps of where an ensemble is unsure, and numbers for a whole case.

Maps, one value for each pixel:

- `standard_deviation` of the members' probabilities (largest of the classes; for two classes they are equal): 0 to 1/2
- `entropy` of the fused probabilities, divided by log K: 0 to 1; all uncertainty, that of one member as well
- `mutual_information`, the entropy of the mean minus the mean entropy, divided by log K: what members disagree about,
  without what each of them is unsure of (Gal, Islam & Ghahramani 2017, "Deep Bayesian active learning", eq. 1)

Scores of a case (`CASE_SCORES`), 0 to 1, large where failure is likely. They ask for the Dice that one may expect,
because that is what the failure is counted in; background does not count, so a small lesion is not drowned in sure
pixels as it is in a mean entropy:

- ``expected_dice``: one minus `expected_dice` of the fused probabilities. A single deterministic model has one as well.
- ``pairwise``: one minus the mean Dice of all pairs of members (Roy et al. 2019, "Bayesian QuickNAT", section 2.5);
  0 for a single member.
- ``to_fused``: one minus the mean Dice of the members with the fused class map; 0 for a single member.

Dice is averaged over the foreground classes; a class that is in neither of two masks counts 1, as in
`meddiff.metrics.masks.overlap`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import entr

from meddiff.ensemble.fusion import called
from meddiff.errors import InputError


def standard_deviation(members: np.ndarray) -> np.ndarray:
    """Compute the spread of the members' probabilities (divided by M): [M, K, *S] -> [*S]; 0 for a single member."""
    return members.std(0).max(0)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Compute the entropy over the classes as a share of the largest possible: [K, *S] -> [*S] in [0, 1]."""
    return np.clip(entr(probabilities).sum(0) / np.log(len(probabilities)), 0, 1)


def mutual_information(members: np.ndarray) -> np.ndarray:
    """Compute the entropy of the mean minus mean entropy, as a share of log K: [M, K, *S] -> [*S] in [0, 1]."""
    each = sum(entropy(member) for member in members) / len(members)
    return np.clip(entropy(members.mean(0)) - each, 0, 1)  # rounding alone makes it negative


def expected_dice(probabilities: np.ndarray) -> float:
    """Compute the Dice that the class map of these probabilities may expect if they can be trusted: [K, *S] -> [0, 1].

    Of class k, called in the pixels A: ``2 sum_A p / (|A| + sum p)``, the expected overlap and the expected size
    put in for both. Where the class is called nowhere it is right to be empty with probability ``1 - max p``, that of
    pixels which belong together, and Dice is 1 then.
    """
    called = probabilities.argmax(0)
    dice = []
    for index in range(1, len(probabilities)):
        inside, probability = called == index, probabilities[index]
        size = np.count_nonzero(inside)
        if size:
            overlap = float(probability[inside].sum(dtype=np.float64))
            dice.append(2 * overlap / (size + float(probability.sum(dtype=np.float64))))
        else:
            dice.append(1 - float(probability.max()))
    return float(np.clip(np.mean(dice), 0, 1))


def pairwise_dice(members: np.ndarray) -> float:
    """Compute the mean Dice of all pairs of members' class maps: [M, K, *S] -> [0, 1]; 1 for a single member."""
    votes, count = _votes(members), len(members)
    if count == 1:
        return 1.0
    pairs = np.triu_indices(count, 1)
    return float(np.mean([_dice_matrix(votes == index)[pairs].mean() for index in range(1, members.shape[1])]))


def dice_to_fused(members: np.ndarray, fused: np.ndarray) -> float:
    """Compute the mean Dice of the members' class maps with the fused one: [M, K, *S], [K, *S] -> [0, 1]."""
    called = np.concatenate([fused.argmax(0).reshape(1, -1), _votes(members)])
    return float(np.mean([_dice_matrix(called == index)[0, 1:].mean() for index in range(1, len(fused))]))


CASE_SCORES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "expected_dice": lambda members, fused: 1 - expected_dice(fused),
    "pairwise": lambda members, fused: 1 - pairwise_dice(members),
    "to_fused": lambda members, fused: 1 - dice_to_fused(members, fused),
}
"""Name -> (members' probabilities [M, K, *S], fused [K, *S]) to the uncertainty of the case in [0, 1]."""


def case_uncertainty(members: np.ndarray, fused: np.ndarray, how: str) -> float:
    """Compute the uncertainty of a case by a name of `CASE_SCORES`."""
    if how not in CASE_SCORES:
        raise InputError(f"there is no case uncertainty {how!r}: choose one of {', '.join(CASE_SCORES)}")
    if members.ndim < 3 or not len(members) or members.shape[1:] != fused.shape or len(fused) < 2:
        raise InputError(f"got members {members.shape} and fused {fused.shape}: give [M, K, *S] and [K, *S], K >= 2")
    return CASE_SCORES[how](members, fused)


def _votes(members: np.ndarray) -> np.ndarray:
    return called(members).reshape(len(members), -1)


def _dice_matrix(masks: np.ndarray) -> np.ndarray:
    """Compute Dice of all pairs of flat masks: bool [N, V] -> [N, N].

    Only pixels that any of them has are looked at.
    """
    chosen = masks[:, masks.any(0)].astype(np.float32 if masks.shape[1] < 2**24 else np.float64)  # counts stay exact
    common = (chosen @ chosen.T).astype(np.float64)
    sizes = np.diag(common)[:, None] + np.diag(common)[None]
    return np.where(sizes > 0, 2 * common / np.maximum(sizes, 1), 1.0)
