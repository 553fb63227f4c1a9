"""Truth: the definitions written out, scikit-learn, tables that a pencil can check, and simulated false alarms."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from meddiff.errors import InputError
from meddiff.metrics.comparison import delong, holm, mcnemar


def cases(seed, positives=40, negatives=60, skill=(1.0, 1.0)):
    """Two correlated scores, rounded so that there are ties."""
    generator = np.random.default_rng(seed)
    positive = np.arange(positives + negatives) < positives
    shared = generator.normal(size=len(positive))
    first, second = (np.round(shared + generator.normal(size=len(positive)) + level * positive, 1) for level in skill)
    return positive, first, second


def test_delong_equals_its_definition():
    positive, first, second = cases(0, skill=(1.0, 1.5))
    found = delong(positive, first, second)
    assert (found.first, found.second) == pytest.approx(
        (roc_auc_score(positive, first), roc_auc_score(positive, second))
    )

    def psi(score):
        x, y = score[positive][:, None], score[~positive]
        return (x > y) + 0.5 * (x == y)

    covariance = np.cov([psi(s).mean(1) for s in (first, second)]) / 40
    covariance += np.cov([psi(s).mean(0) for s in (first, second)]) / 60
    contrast = np.array([-1, 1])
    assert found.standard_error == pytest.approx(np.sqrt(contrast @ covariance @ contrast))


def test_delong_false_alarms():
    """Equal skill: p below 0.05 in about 5% of 400 studies; unequal skill is found."""
    assert np.mean([delong(*cases(k)).p_value < 0.05 for k in range(400)]) == pytest.approx(0.05, abs=0.03)
    assert delong(*cases(0, 200, 200, (0.5, 2.0))).p_value < 1e-3


def test_delong_of_equal_scores():
    positive, first, _ = cases(0)
    found = delong(positive, first, 2 * first + 1)
    assert (found.difference, found.standard_error, found.p_value) == (0.0, 0.0, 1.0)


def test_mcnemar_by_pencil():
    # 6 cases apart, all won by the second: 2 (1/2)^6
    first = np.array([1, 1, 0, 0, 0, 0, 0, 0, 0], bool)
    second = np.array([1, 1, 1, 1, 1, 1, 1, 1, 0], bool)
    assert mcnemar(first, second) == pytest.approx(2 / 64)
    assert mcnemar(first, first) == 1.0


def test_holm_by_pencil():
    assert holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
    assert holm(np.array([0.9, 0.8])) == pytest.approx([1.0, 1.0])
    assert holm(np.array([])).shape == (0,)


def test_bad_input():
    positive, first, second = cases(0)
    with pytest.raises(InputError, match="at least 2 of each"):
        delong(np.zeros(100, bool), first, second)
    with pytest.raises(InputError, match="NaN"):
        delong(positive, first * np.nan, second)
    with pytest.raises(InputError, match="one number per case"):
        delong(positive, first[:5], second)
    with pytest.raises(InputError, match="right or wrong"):
        mcnemar(positive, positive[:3])
    with pytest.raises(InputError, match="NaN is none"):
        holm(np.array([0.1, np.nan]))
