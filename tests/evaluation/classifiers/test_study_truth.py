"""Does the study tell the truth? Made studies in which synthetic images help, hurt or do nothing, by known amounts.

The truth of a metric is its value on 20,000 patients. 25 studies of 150 patients and 3 seeds per case; of 60 such
studies the 95% intervals of all 30 metrics and classes held the truth in 90% to 100%, those of differences in 95% or
more.
"""

import numpy as np
import pytest

from meddiff.evaluation import summary_sentence
from meddiff.evaluation.classifiers.scores import differences_of, scores_of
from meddiff.evaluation.classifiers.study import read_study, resampled_scores
from meddiff.evaluation.classifiers.tests import paired_tests
from meddiff.metrics.resampling import Resampling
from tests.evaluation.classifiers.predictions import CLASSES, study

METRICS = ("balanced_accuracy", "macro_auroc", "weighted_auprc", "expected_calibration_error", "brier_score")
STUDIES = 25


def made(skill, seed, images=300):
    """A study with validation predictions, and its resampled scores."""
    drawn = {"real": 1.0, "real_synthetic": skill}
    whole = read_study(study(drawn, images=images, seed=seed), CLASSES, study(drawn, images=images, seed=1000 + seed))
    return whole, resampled_scores(whole, resampling=Resampling(200, seed=seed), metrics=METRICS)


def truth_of(skill):
    """Every metric of an arm of that skill, by a study so large that chance is out of it."""
    large = read_study(study({"arm": skill}, images=20_000, per_patient=1, seeds=(0,), seed=99), CLASSES)
    return resampled_scores(large, resampling=Resampling(1, seed=0), metrics=METRICS)[0, 0, 0]


@pytest.mark.parametrize(
    ("skill", "verdict"), [(2.2, "helped"), (0.0, "they hurt"), (1.0, "No help by synthetic images was shown")]
)
def test_intervals_and_verdict(skill, verdict):
    truth, without = truth_of(skill), truth_of(1.0)
    held, held_difference, said, significant = [], [], [], []
    for seed in range(STUDIES):
        whole, values = made(skill, seed)
        scores = (
            scores_of(whole, values, metrics=METRICS, resampling=Resampling(seed=seed))
            .set_index("arm")
            .loc["real_synthetic"]
        )
        gaps = differences_of(whole, values, reference="real", metrics=METRICS, resampling=Resampling(seed=seed))
        gap = truth - without if skill != 1.0 else np.zeros(len(METRICS))
        held.append((scores["low"] <= truth) & (truth <= scores["high"]))
        held_difference.append((gaps["low"] <= gap) & (gap <= gaps["high"]))
        said.append(verdict in summary_sentence(gaps))
        tests = paired_tests(whole, reference="real")
        significant.append((tests.loc[tests["class_name"] == "", "p_holm"] < 0.05).any())
    assert (np.mean(held, 0) >= 0.8).all()  # 19 or fewer of 25 would be there once in 800 times at 95%
    assert (np.mean(held_difference, 0) >= 0.8).all()
    assert np.mean(said) >= 0.9
    assert np.mean(significant) <= 0.125 if skill == 1.0 else np.mean(significant) >= 0.9
