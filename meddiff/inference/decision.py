"""From the members of an ensemble to one answer on the image's own grid, with its uncertainty.

Members are fused on the network's grid, the fused probabilities are calibrated by one temperature, brought back to
the image's own grid, and the class of the largest probability is called there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meddiff.ensemble.components import cleaned
from meddiff.ensemble.fusion import fuse
from meddiff.ensemble.temperature import apply_temperature
from meddiff.ensemble.uncertainty_maps import case_uncertainty, entropy, standard_deviation
from meddiff.images.case import Case
from meddiff.inference.likeness import Verdict


@dataclass(frozen=True)
class Decision:
    """The way from members to an answer."""

    fusion: str = "mean"
    temperature: float = 1.0
    uncertainty: str = "expected_dice"
    """Which score of a case (`ensemble.uncertainty_maps.CASE_SCORES`)."""
    largest_component: bool = False
    fill_holes: bool = False


@dataclass(frozen=True)
class Answer:
    """The answer for one image, on its own grid."""

    classes: np.ndarray
    """[*S] uint8 class indices."""
    probabilities: np.ndarray
    """[K, *S] float32."""
    deviation: np.ndarray
    """[*S] float32: standard deviation of the members' probabilities, 0 to 1/2."""
    entropy: np.ndarray
    """[*S] float32: of the probabilities, 0 to 1."""
    members: np.ndarray
    """[M, *S'] uint8 class indices of each member, on the network's grid; `member_classes` brings them back."""
    uncertainty: float
    """Of the whole case, 0 to 1, large where failure is likely."""
    verdict: Verdict | None = None
    """Whether the image is unlike those of training; None where the run cannot tell."""


def fused(members: np.ndarray, decision: Decision) -> np.ndarray:
    """Return calibrated probabilities [K, *S'] of members [M, K, *S'], on the network's grid."""
    return apply_temperature(fuse(members, decision.fusion), decision.temperature)


def decide(members: np.ndarray, case: Case, decision: Decision) -> Answer:
    """Return one answer of members [M, K, *S'] on the case's network grid."""
    probabilities = fused(members, decision)
    native = case.restore(probabilities.astype(np.float32)).clip(0, 1)
    native /= native.sum(axis=0, keepdims=True)
    classes = cleaned(
        native.argmax(axis=0).astype(np.uint8), largest_only=decision.largest_component, holes=decision.fill_holes
    )
    deviation, doubt = case.restore(np.stack([standard_deviation(members), entropy(probabilities)]).astype(np.float32))
    uncertainty = case_uncertainty(members, probabilities, decision.uncertainty)
    return Answer(classes, native, deviation, doubt, members.argmax(axis=1).astype(np.uint8), uncertainty)


def member_classes(answer: Answer, case: Case) -> np.ndarray:
    """Return class indices uint8 [M, *S] of each member on the image's own grid."""
    count = answer.probabilities.shape[0]
    return np.stack(
        [case.restore(np.eye(count, dtype=np.float32)[member].transpose(-1, *range(member.ndim))).argmax(axis=0)
         for member in answer.members]
    ).astype(np.uint8)  # fmt: skip
