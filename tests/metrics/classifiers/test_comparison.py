"""Truth: the definitions written out, scikit-learn, tables that a pencil can check, and simulated false alarms."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from meddiff.errors import InputError
from meddiff.metrics.classifiers.comparison import delong, delong_macro, holm, mcnemar


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


def obuchowski(positive, first, second, group):
    """The variance of the difference as Obuchowski 1997 writes it, eq. for correlated curves, patient by patient."""

    def parts(score):
        x, y = score[positive][:, None], score[~positive]
        wins = (x > y) + 0.5 * (x == y)
        return wins.mean(1), wins.mean(0), wins.mean()

    pairs = [parts(score) for score in (first, second)]
    of_positive, of_negative = (pairs[1][k] - pairs[0][k] for k in (0, 1))
    difference = pairs[1][2] - pairs[0][2]
    names = np.unique(group)
    moved = [(of_positive - difference, group[positive]), (of_negative - difference, group[~positive])]
    sums = np.array([[values[owner == name].sum() for values, owner in moved] for name in names])
    with_positive, with_negative = (len(np.unique(group[part])) for part in (positive, ~positive))
    n, m = positive.sum(), (~positive).sum()
    return (
        with_positive / (with_positive - 1) * (sums[:, 0] ** 2).sum() / n**2
        + with_negative / (with_negative - 1) * (sums[:, 1] ** 2).sum() / m**2
        + 2 * len(names) / (len(names) - 1) * (sums[:, 0] * sums[:, 1]).sum() / (n * m)
    )


def test_several_images_of_a_patient():
    positive, first, second = cases(0, skill=(1.0, 1.5))
    group = np.random.default_rng(0).integers(50, size=100)
    found = delong(positive, first, second, group)
    assert found.difference == delong(positive, first, second).difference
    assert found.standard_error == pytest.approx(np.sqrt(obuchowski(positive, first, second, group)), rel=0.01)
    # every image ten times: with patients told the p-value stays, without it would shrink
    again = [np.tile(part, 10) for part in (positive, first, second, np.arange(100))]
    assert delong(*again).p_value == pytest.approx(delong(positive, first, second).p_value)
    assert delong(*again[:3]).p_value < 0.1 * delong(positive, first, second).p_value


def test_several_trainings_are_averaged():
    positive, first, second = cases(0, skill=(1.0, 1.5))
    twice = delong(positive, np.stack([first, first]), np.stack([second, second]))
    assert twice == delong(positive, first, second)
    mixed = delong(positive, np.stack([first, second]), np.stack([second, first]))
    assert (mixed.difference, mixed.p_value) == pytest.approx((0.0, 1.0))


def test_macro_auroc_of_two_classes_is_the_auroc():
    positive, first, second = cases(0, skill=(1.0, 1.5))
    both = (np.stack([-score, score], 1) for score in (first, second))
    found, expected = delong_macro(positive.astype(int), *both), delong(positive, first, second)
    assert found.difference == pytest.approx(expected.difference)
    assert found.standard_error == pytest.approx(expected.standard_error)


def test_macro_false_alarms():
    """Three classes, three trainings, two images per patient, equal skill: p below 0.05 in about 5% of 300 studies."""
    found = []
    for k in range(300):
        generator = np.random.default_rng(k)
        group = np.arange(120) // 2
        labels = np.concatenate([np.arange(3), generator.integers(3, size=57)])[group]
        ease = generator.normal(size=(60, 3))[group]
        first, second = (
            ease + 1.2 * np.eye(3)[labels] + generator.normal(size=(3, 120, 3)) for _ in range(2)
        )  # fmt: skip
        found.append(delong_macro(labels, first, second, group).p_value < 0.05)
    assert np.mean(found) == pytest.approx(0.05, abs=0.03)


def test_mcnemar_is_exact():
    generator = np.random.default_rng(0)
    first, second = generator.random(300) < 0.6, generator.random(300) < 0.7
    alone = int((second & ~first).sum())
    assert mcnemar(first, second) == pytest.approx(binomtest(alone, int((first != second).sum())).pvalue)
    # patients: one wins 3, one wins 1, one loses 1; of the eight sums +-3 +-1 +-1 six are 3 or further from 0
    group = np.array([0, 0, 0, 1, 2])
    assert mcnemar(np.array([0, 0, 0, 0, 1], bool), np.array([1, 1, 1, 1, 0], bool), group) == pytest.approx(6 / 8)
    # and of three trainings of one image likewise
    assert mcnemar(np.zeros((3, 1), bool), np.ones((3, 1), bool)) == 1.0


def test_mcnemar_by_patient_has_its_size():
    """Images of one patient are alike: counted as independent they cry wolf, by patient they do not."""
    alarms = []
    for k in range(300):
        generator = np.random.default_rng(k)
        first, second = (np.repeat(generator.random(60) < 0.7, 4) for _ in range(2))
        group = np.repeat(np.arange(60), 4)
        alarms.append([mcnemar(first, second) < 0.05, mcnemar(first, second, group) < 0.05])
    alone, by_patient = np.mean(alarms, 0)
    assert alone > 0.2
    assert by_patient <= 0.07


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
    with pytest.raises(InputError, match="give 2 of each"):
        delong(np.zeros(100, bool), first, second)
    with pytest.raises(InputError, match="NaN"):
        delong(positive, first * np.nan, second)
    with pytest.raises(InputError, match="one number per case"):
        delong(positive, first[:5], second)
    with pytest.raises(InputError, match="right or wrong"):
        mcnemar(positive, positive[:3])
    with pytest.raises(InputError, match="NaN is none"):
        holm(np.array([0.1, np.nan]))
