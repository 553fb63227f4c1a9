"""Truth: cases that a pencil can work out, and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from meddiff.errors import InputError
from meddiff.metrics.masks.uncertainty import (
    area_under_risk_coverage,
    failure_auroc,
    generalized_energy_distance,
    risk_coverage,
)
from tests.contracts import check_metric

EMPTY = np.zeros((6, 6), bool)
LEFT, RIGHT, BOTH = EMPTY.copy(), EMPTY.copy(), EMPTY.copy()
LEFT[:, :2], RIGHT[:, 4:] = True, True
BOTH[:] = LEFT | RIGHT


def test_energy_distance_by_pencil():
    # experts: left, right; samples: always left. E d(S,Y) = 1/2; E d(S,S') = 0; E d(Y,Y') = 1/2
    assert generalized_energy_distance(np.stack([LEFT, RIGHT]), np.stack([LEFT] * 3)) == pytest.approx(0.5)
    # samples: both sides at once: E d(S,Y) = 1/2 (IoU 12/24), and the same spread is missing
    assert generalized_energy_distance(np.stack([LEFT, RIGHT]), BOTH[None]) == pytest.approx(0.5)
    # samples like the experts
    assert generalized_energy_distance(np.stack([LEFT, RIGHT]), np.stack([RIGHT, LEFT])) == pytest.approx(0.0)


def test_energy_distance_of_empty_masks():
    assert generalized_energy_distance(np.stack([EMPTY, EMPTY]), EMPTY[None]) == 0.0
    assert generalized_energy_distance(EMPTY[None], LEFT[None]) == 2.0
    with pytest.raises(InputError, match="one grid"):
        generalized_energy_distance(EMPTY[None], EMPTY)


def test_risk_coverage_by_pencil():
    risk, confidence = np.array([0.0, 1.0, 0.5, 0.5]), np.array([0.9, 0.1, 0.5, 0.4])
    coverage, mean_risk = risk_coverage(risk, confidence)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert mean_risk == pytest.approx([0.0, 0.25, 1 / 3, 0.5])
    area, best, chance = area_under_risk_coverage(risk, confidence)
    assert area == best == pytest.approx(np.mean([0, 0.25, 1 / 3, 0.5]))
    assert chance == 0.5


def test_equal_confidence_tells_nothing():
    generator = np.random.default_rng(0)
    risk = generator.random(50)
    area, best, chance = area_under_risk_coverage(risk, np.ones(50))
    assert area == pytest.approx(chance)
    assert best < chance
    assert failure_auroc(risk > 0.5, np.ones(50)) == 0.5


def test_failure_auroc_equals_scikit_learn():
    generator = np.random.default_rng(0)
    failed, confidence = generator.random(200) < 0.2, np.round(generator.random(200), 1)
    assert failure_auroc(failed, confidence) == pytest.approx(roc_auc_score(failed, -confidence))
    assert np.isnan(failure_auroc(np.zeros(5, bool), np.arange(5.0)))


@pytest.mark.parametrize("metric", [failure_auroc, area_under_risk_coverage])
def test_contract(metric):
    generator = np.random.default_rng(0)
    check_metric(metric, (generator.random(30) < 0.4).astype(float), generator.random(30))
