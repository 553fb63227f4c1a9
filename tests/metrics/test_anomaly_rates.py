"""Metrics of anomaly scores: scikit-learn says the same, with weights too, and pencil and paper do."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from meddiff.metrics.anomaly_rates import MOST_BINS, Rates, best_threshold, binned, pooled_dice


def drawn(count: int, *, ties: bool):
    generator = np.random.default_rng(3)
    anomalous = generator.random(count) < 0.3
    scores = generator.normal(size=count) + anomalous
    group = generator.integers(12, size=count)
    return (np.round(scores, 1) if ties else scores), anomalous, group


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("count", [60, 300])
def test_it_is_scikit_learns_with_the_weights_of_the_groups(count, ties):
    scores, anomalous, group = drawn(count, ties=ties)
    weights = np.random.default_rng(1).integers(0, 4, size=(12, 5)).astype(float)
    rates = binned(scores, anomalous, group, 12).resampled(weights)
    for number in range(5):
        own = weights[group, number]
        truth = roc_auc_score(anomalous, scores, sample_weight=own)
        assert rates.auroc()[number] == pytest.approx(truth)
        truth = average_precision_score(anomalous, scores, sample_weight=own)
        assert rates.average_precision()[number] == pytest.approx(truth)
        alarms, hits, _ = roc_curve(anomalous, scores, sample_weight=own, drop_intermediate=False)
        assert rates.false_alarms(0.95)[number] == pytest.approx(alarms[hits >= 0.95 - 1e-9][0])


def test_of_many_pixels_bins_move_nothing_that_is_shown():
    scores, anomalous, group = drawn(50_000, ties=False)
    rates = binned(scores, anomalous, group, 12).resampled(np.ones((12, 1)))
    assert rates.anomalous.shape[1] == MOST_BINS
    assert rates.auroc()[0] == pytest.approx(roc_auc_score(anomalous, scores), abs=5e-4)
    assert rates.average_precision()[0] == pytest.approx(average_precision_score(anomalous, scores), abs=5e-3)


def test_dice_by_pencil():
    scores, anomalous = np.array([0.9, 0.8, 0.8, 0.4, 0.1]), np.array([True, True, False, True, False])
    rates = binned(scores, anomalous, np.zeros(5, int), 1).resampled(np.ones((1, 1)))
    assert rates.best_dice()[0] == pytest.approx(6 / 7)  # from 0.4 on: 3 hits, 1 false alarm
    assert best_threshold(scores, anomalous) == 0.4
    called = scores >= 0.8
    assert pooled_dice(called, anomalous, np.zeros(5, int), np.ones((1, 1)))[0] == pytest.approx(4 / 6)


@pytest.mark.parametrize("metric", ["auroc", "average_precision", "best_dice", "false_alarms"])
def test_nothing_anomalous_is_no_number(metric):
    rates = Rates(np.zeros((1, 3)), np.ones((1, 3)))
    assert np.isnan(getattr(rates, metric)()[0])
