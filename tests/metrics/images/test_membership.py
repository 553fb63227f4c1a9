"""Truth: losses whose order is known, and scikit-learn's AUROC."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from meddiff.errors import InputError
from meddiff.metrics.images.loss_threshold import loss_threshold_attack


def test_losses_by_pencil():
    attack = loss_threshold_attack(np.array([1.0, 2, 3, 6]), np.array([4.0, 5, 7, 8]), false_positive_rate=0.25)
    assert attack.auroc == 14 / 16
    assert (attack.threshold, attack.false_positive_rate, attack.true_positive_rate) == (5.0, 0.25, 0.75)
    strict = loss_threshold_attack(np.array([1.0, 2, 3, 6]), np.array([4.0, 5, 7, 8]), false_positive_rate=0.0)
    assert (strict.true_positive_rate, strict.false_positive_rate) == (0.75, 0.0)


def test_it_is_scikit_learns_auroc_and_the_interval_holds_it():
    generator = np.random.default_rng(0)
    members, others = generator.normal(0, 1, 80).round(1), generator.normal(0.5, 1, 60).round(1)
    attack = loss_threshold_attack(members, others, resamples=500)
    truth = np.r_[np.ones(80), np.zeros(60)]
    assert attack.auroc == pytest.approx(roc_auc_score(truth, -np.r_[members, others]))
    assert attack.low < attack.auroc < attack.high
    assert attack.high - attack.low == pytest.approx(4 * 0.048, rel=0.3)  # Hanley & McNeil 1982, eq. 2


def test_images_of_one_patient_count_as_one():
    members, others = np.random.default_rng(1).normal(size=(2, 20))
    single = loss_threshold_attack(members, others, resamples=500)
    groups = np.repeat(np.arange(20), 5)
    repeated = loss_threshold_attack(members.repeat(5), others.repeat(5), member_groups=groups,
                                     non_member_groups=groups, resamples=500)  # fmt: skip
    assert repeated.high - repeated.low == pytest.approx(single.high - single.low, rel=0.15)


def test_bad_input():
    with pytest.raises(InputError, match="non-member losses"):
        loss_threshold_attack(np.ones(3), np.array([np.nan]))
    with pytest.raises(InputError, match="groups"):
        loss_threshold_attack(np.ones(3), np.ones(3), member_groups=np.arange(2))
    with pytest.raises(InputError, match="false-positive rate"):
        loss_threshold_attack(np.ones(3), np.ones(3), false_positive_rate=1.0)
