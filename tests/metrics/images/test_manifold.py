"""Truth: a line that a pencil can measure, the definitions written out, and generators broken on purpose."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from meddiff.errors import InputError
from meddiff.metrics.images.manifold import manifold_scores
from tests.contracts import check_metric


def test_pencil():
    real = np.array([[0.0], [1.0], [2.0], [10.0]])  # radii to the nearest: 1, 1, 1, 8
    synthetic = np.array([[0.5], [2.5], [30.0]])  # radii: 2, 2, 27.5
    found = manifold_scores(real, synthetic, neighbors=1)
    assert found.precision == 2 / 3  # 30 lies in no real ball
    assert found.recall == 1.0  # the synthetic outlier's ball holds 10
    assert found.density == (2 + 2 + 0) / 3  # 0.5 in the balls of 0 and 1; 2.5 in those of 2 and 10 (2 to 18)
    assert found.coverage == 1.0


def test_equals_the_definitions():
    generator = np.random.default_rng(0)
    real, synthetic, k = generator.normal(size=(1100, 6)), generator.normal(size=(70, 6)) * 1.3, 4
    radius = [np.sort(cdist(points, points), axis=1)[:, k] for points in (real, synthetic)]
    between = cdist(synthetic, real)
    found = manifold_scores(real, synthetic, neighbors=k)
    assert found.precision == np.mean((between <= radius[0]).any(1))
    assert found.recall == np.mean((between <= radius[1][:, None]).any(0))
    assert found.density == pytest.approx((between <= radius[0]).sum() / (k * 70))
    assert found.coverage == np.mean(between.min(0) <= radius[0])


def test_same_distribution_gives_what_the_paper_says():
    generator = np.random.default_rng(0)
    found = manifold_scores(generator.normal(size=(1500, 8)), generator.normal(size=(1500, 8)), neighbors=5)
    assert found.density == pytest.approx(1.0, abs=0.06)
    assert found.coverage == pytest.approx(1 - 0.5**5, abs=0.02)


def test_each_failure_shows_in_its_own_score():
    generator = np.random.default_rng(0)
    real = np.concatenate([generator.normal(size=(200, 8)), generator.normal(size=(200, 8)) + 8])
    one_mode = manifold_scores(real, generator.normal(size=(400, 8)))
    assert one_mode.precision > 0.9
    assert one_mode.recall < 0.6
    assert one_mode.coverage < 0.6
    noisy = manifold_scores(real, real + 3 * generator.normal(size=real.shape))
    assert noisy.precision < 0.3
    assert noisy.density < 0.1


def test_contract_and_refusals():
    generator = np.random.default_rng(0)
    real, synthetic = generator.normal(size=(40, 3)), generator.normal(size=(30, 3))
    check_metric(lambda a, b: list(vars(manifold_scores(a, b)).values()), real, synthetic)
    with pytest.raises(InputError, match="more images than neighbors"):
        manifold_scores(real, synthetic[:5])
    with pytest.raises(InputError, match="same extractor"):
        manifold_scores(real, synthetic[:, :2])
