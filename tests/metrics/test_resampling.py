"""Truth: the variances that the theory promises."""

import numpy as np
import pytest

from meddiff.errors import InputError
from meddiff.metrics.resampling import bootstrap_weights, half_samples, percentile_interval, rarest_class


def test_weights_keep_every_stratum_and_its_size():
    strata = np.array([0, 0, 0, 1, 1, 2])
    weights = bootstrap_weights(strata, 500, np.random.default_rng(0))
    assert weights.shape == (6, 501)
    assert (weights[:, 0] == 1).all()
    for stratum, size in ((0, 3), (1, 2), (2, 1)):
        assert weights[strata == stratum].sum(0) == pytest.approx(size)
    assert (weights[5] == 1).all()  # alone in its stratum
    assert weights.mean(1) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("n", [2, 3, 20])
def test_variance_of_a_mean_is_unbiased_for_few_units(n):
    """Rao & Wu: the variance over resamples is s^2 / n, where a bootstrap of n of n gives (n - 1)/n of it."""
    values = np.random.default_rng(1).normal(size=n)
    weights = bootstrap_weights(np.zeros(n, int), 20_000, np.random.default_rng(0))[:, 1:]
    assert np.var(values @ weights / n) == pytest.approx(np.var(values, ddof=1) / n, rel=0.05)


def test_half_samples_give_the_standard_error_of_a_mean_and_cut_no_group():
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), 3)
    values = np.repeat(generator.normal(size=100), 3)
    halves = half_samples(groups, 4000, generator)
    assert (halves[0::3] == halves[1::3]).all()
    assert (halves.sum(0) == 150).all()
    means = (values @ halves) / halves.sum(0)
    assert np.std(means) == pytest.approx(np.std(values[::3], ddof=1) / 10, rel=0.05)
    with pytest.raises(InputError, match="at least 4"):
        half_samples(np.array([1, 1, 2, 2]), 3, generator)


def test_rarest_class_of_a_patient():
    labels = np.array([0, 0, 1, 0, 0, 2])
    group = np.array([0, 1, 1, 2, 3, 3])
    assert rarest_class(labels, group, 3).tolist() == [0, 1, 0, 2]


def test_percentiles():
    assert percentile_interval(np.arange(101.0), 0.9) == pytest.approx((5, 95))
    assert percentile_interval(np.array([1.0, np.nan, 3.0]), 0.5) == (1.5, 2.5)
    assert np.isnan(percentile_interval(np.array([np.nan]), 0.9)).all()
    with pytest.raises(InputError, match=r"0\.95"):
        percentile_interval(np.ones(3), 95)
