"""Every metric keeps the contract of a metric."""

import numpy as np
import pytest

from meddiff.metrics.classifiers import calibration, discrimination
from meddiff.metrics.images import fidelity
from tests.contracts import check_metric

GENERATOR = np.random.default_rng(0)
LABELS = np.array([0, 1, 2] * 8)
PROBABILITIES = GENERATOR.dirichlet(np.ones(3), size=24)
RIGHT = (LABELS, np.eye(3)[LABELS])
REAL, SYNTHETIC = GENERATOR.normal(size=(24, 5)), GENERATOR.normal(size=(24, 5))


@pytest.mark.parametrize(
    ("metric", "best"),
    [
        (discrimination.sensitivity, 1.0),
        (discrimination.balanced_accuracy, 1.0),
        (discrimination.auroc, 1.0),
        (discrimination.macro_auroc, 1.0),
        (discrimination.auprc, 1.0),
        (calibration.expected_calibration_error, 0.0),
    ],
)
def test_metrics_of_predictions(metric, best):
    check_metric(metric, LABELS, PROBABILITIES, perfect=(*RIGHT, best))


@pytest.mark.parametrize("metric", [fidelity.frechet_distance, fidelity.kernel_distance])
def test_metrics_of_two_sets(metric):
    perfect = (REAL, REAL, 0.0) if metric is fidelity.frechet_distance else None
    check_metric(metric, REAL, SYNTHETIC, perfect=perfect)
