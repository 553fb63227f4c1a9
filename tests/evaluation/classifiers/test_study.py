"""Every metric that `score` scores keeps the contract: one value per resample, the best for a perfect classifier."""

import numpy as np
import pytest

from meddiff.evaluation.classifiers.metrics import METRICS, Judged
from meddiff.evaluation.classifiers.study import over_seeds
from meddiff.metrics.resampling import Resampling


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("name", METRICS)
def test_metric(name, validated):
    metric, generator = METRICS[name], np.random.default_rng(0)
    labels, group = np.arange(30) % 3, np.arange(30) // 2
    weights = np.concatenate([np.ones((15, 1)), generator.integers(1, 4, size=(15, 6))], axis=1)
    shape = (7, 3) if metric.per_class else (7,)

    def judged(probabilities):
        return Judged(labels, probabilities, group, weights, (labels, probabilities) if validated else None)

    values = metric.values(judged(generator.dirichlet(np.ones(3), size=30)))
    assert values.shape == shape
    assert (values >= 0).all()
    assert (values <= metric.largest).all()
    assert (values != metric.best).any()
    perfect = metric.values(judged(np.eye(3)[labels]))
    assert ((perfect == 1) | ((perfect >= 0.9) & (not validated))).all() if metric.best else (perfect == 0).all()


def test_seeds_alone_give_the_t_interval():
    """Where patients do not matter, the percentiles are those of Student's t: mean -+ 4.303 s / sqrt(3)."""
    scores = np.array([0.70, 0.72, 0.77])
    values = np.broadcast_to(scores[:, None, None], (3, 100_001, 1))
    spread = over_seeds(values, Resampling())[:, 0]
    assert spread[0] == pytest.approx(scores.mean())
    margin = 4.303 * scores.std(ddof=1) / np.sqrt(3)
    low, high = np.quantile(spread[1:], [0.025, 0.975])
    assert [low, high] == pytest.approx([scores.mean() - margin, scores.mean() + margin], abs=0.005)
    assert (over_seeds(values[:1], Resampling()) == 0.70).all()
