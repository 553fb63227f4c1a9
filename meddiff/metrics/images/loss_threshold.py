"""Membership inference: does a model's loss give away whether it was trained on an image?

The loss of a diffusion model at fixed noise and times is lower on what it has memorized. The attack calls an image a
member if its loss lies below a threshold (Yeom et al. 2018 in general; Matsumoto, Miura & Yanai 2023 and Carlini et
al. 2023, section 5.2, for diffusion models). Its AUROC over all thresholds is 0.5 where members and non-members cannot
be distinguished; what matters for privacy is the share of members found at a very low false-positive rate (Carlini et
al. 2022, "Membership inference attacks from first principles").

The non-members must come from the distribution of the members (held-out patients of the same set): an attack on other
images measures how different they look, not what was memorized.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from meddiff.errors import InputError
from meddiff.metrics.resampling import bootstrap_weights, percentile_interval


@dataclass(frozen=True)
class MembershipAttack:
    """The success of telling members from non-members by their loss."""

    auroc: float
    """0.5 for chance, 1 where every member has a lower loss than every non-member."""
    low: float
    high: float
    """Interval of the AUROC, by bootstrap over the groups of both sets."""
    true_positive_rate: float
    """Share of members found at the threshold."""
    false_positive_rate: float
    """Share of non-members that it calls members: at most what was asked for."""
    threshold: float
    """Losses below it are called members."""
    members: int
    non_members: int


def loss_threshold_attack(
    member_losses: np.ndarray,
    non_member_losses: np.ndarray,
    *,
    member_groups: np.ndarray | None = None,
    non_member_groups: np.ndarray | None = None,
    false_positive_rate: float = 0.01,
    resamples: int = 2000,
    confidence_level: float = 0.95,
    seed: int = 0,
) -> MembershipAttack:
    """Compute the attack on losses of members [N] and of non-members [M].

    Args:
        member_losses: [N] losses of images that were trained on.
        non_member_losses: [M] losses of images that were not.
        member_groups: [N] patient of each; None where no two images are of one patient.
        non_member_groups: [M] the same.
        false_positive_rate: the largest share of non-members that may be called members.
        resamples, confidence_level, seed: of the bootstrap.

    Raises:
        InputError: no losses, or NaN or infinity among them.
    """
    members, others = _checked(member_losses, "member"), _checked(non_member_losses, "non-member")
    if not 0 <= false_positive_rate < 1:
        raise InputError(f"got false-positive rate {false_positive_rate}: give a share from 0 to below 1, such as 0.01")
    generator = np.random.default_rng(seed)
    weights = [
        _weights(groups, len(losses), resamples, generator)
        for groups, losses in ((member_groups, members), (non_member_groups, others))
    ]
    below = (members[:, None] < others) + 0.5 * (members[:, None] == others)  # [N, M]
    resampled = np.einsum("nr,nr->r", weights[0], below @ weights[1]) / (weights[0].sum(0) * weights[1].sum(0))
    low, high = percentile_interval(resampled[1:], confidence_level)
    ranked = np.sort(others)
    threshold = float(ranked[int(np.floor(false_positive_rate * len(others)))])
    return MembershipAttack(
        _auroc(members, others), low, high, float((members < threshold).mean()), float((others < threshold).mean()),
        threshold, len(members), len(others),
    )  # fmt: skip


def _auroc(members: np.ndarray, others: np.ndarray) -> float:
    ranks = rankdata(np.concatenate([others, members]))[: len(others)]
    return float((ranks.sum() - len(others) * (len(others) + 1) / 2) / (len(members) * len(others)))


def _weights(groups: np.ndarray | None, count: int, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """Compute [N, resamples + 1] weight of each image, drawn by group."""
    member = np.arange(count) if groups is None else np.unique(groups, return_inverse=True)[1]
    if len(member) != count:
        raise InputError(f"got {len(member)} groups for {count} losses: give one each")
    return bootstrap_weights(np.zeros(member.max() + 1, dtype=int), resamples, generator)[member]


def _checked(losses: np.ndarray, name: str) -> np.ndarray:
    losses = np.asarray(losses, np.float64)
    if losses.ndim != 1 or len(losses) == 0 or not np.isfinite(losses).all():
        raise InputError(f"got {name} losses {losses.shape}: give one finite number for each of at least one image")
    return losses
