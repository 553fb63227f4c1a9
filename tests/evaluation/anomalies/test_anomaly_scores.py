"""Detectors side by side: what is known beforehand comes out, and what cannot be judged is said."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from meddiff.evaluation.anomalies.anomaly_scores import anomaly_scores, by_kind, calls, judges_nothing, verdict
from meddiff.evaluation.anomalies.choosing import alarm
from meddiff.evaluation.anomalies.truth import Findings, Truth
from meddiff.metrics.resampling import Resampling

SIDE = 8


def truth(count: int = 120, *, mapped: bool = True, patients: int = 40) -> Truth:
    anomalous = np.arange(count) % 2 == 0
    masks = np.zeros((count, SIDE, SIDE), bool)
    masks[anomalous, 2:5, 2:5] = True
    kinds = tuple("healthy" if not ill else ("a", "b")[number % 4 // 2] for number, ill in enumerate(anomalous))
    names = tuple(f"case{number}" for number in range(count))
    return Truth(names, tuple(f"p{number % patients}" for number in range(count)), kinds, anomalous,
                 masks, ~anomalous | mapped)  # fmt: skip


def findings(known: Truth, strength: float, seed: int = 0) -> Findings:
    generator = np.random.default_rng(seed)
    maps = generator.normal(size=known.masks.shape) + strength * known.masks
    scores = generator.normal(size=len(known.cases)) + strength * known.anomalous
    return Findings(scores, maps, threshold=strength / 2, alarm=1.0)


def test_estimates_are_scikit_learns_and_the_better_detector_is_better():
    known = truth()
    found = {"good": findings(known, 2.0), "weak": findings(known, 0.5, seed=1), "blind": findings(known, 0.0, seed=2)}
    scores, gaps = anomaly_scores(known, found, ["weak", "blind"], resampling=Resampling(300))
    own = scores.set_index(["model", "metric"])["estimate"]
    assert own["good", "auroc"] == pytest.approx(roc_auc_score(known.anomalous, found["good"].scores))
    assert own["good", "pixel_auroc"] == pytest.approx(
        roc_auc_score(known.masks.ravel(), found["good"].maps.ravel()), abs=1e-3
    )
    assert own["good", "dice"] <= own["good", "best_dice"] + 1e-3  # no threshold beats the oracle's
    row = gaps.set_index("metric").loc["auroc"]
    assert row["against"] == "weak"  # the best of those without diffusion
    assert row["low"] > 0
    assert row["detectable"] > 0
    assert "better" in verdict(known, scores, gaps, "good")


def test_two_detectors_that_are_one_do_not_differ():
    known = truth()
    found = {"one": findings(known, 1.0), "same": findings(known, 1.0)}
    scores, gaps = anomaly_scores(known, found, ["same"], resampling=Resampling(200))
    assert (gaps["difference"] == 0).all()
    assert (gaps["high"] == 0).all()
    assert "not shown to differ" in verdict(known, scores, gaps, "one")


def test_maps_are_judged_where_somebody_marked_the_anomalies():
    known = truth(mapped=False)
    scores, _ = anomaly_scores(known, {"one": findings(known, 1.0)}, [], resampling=Resampling(100))
    assert set(scores["metric"]) == {"auroc", "average_precision", "false_alarms"}


def test_few_patients_judge_nothing():
    known = truth(patients=4)
    found = {"one": findings(known, 1.0), "other": findings(known, 1.0, seed=1)}
    assert "judge nothing" in verdict(known, *anomaly_scores(known, found, ["other"]), "one")
    assert not judges_nothing(truth())


def test_kinds_are_judged_each_against_all_healthy_images():
    known = truth()
    scores = known.anomalous * (np.array(known.kinds) == "a")  # b looks healthy
    table = by_kind(known, {"one": Findings(scores.astype(float))}).set_index("kind")["auroc"]
    assert table["a"] == 1
    assert table["b"] == 0.5


def test_false_alarms_at_the_threshold_are_those_of_healthy_test_images():
    known = truth()
    scores = np.where(known.anomalous, 2.0, 0.0)
    scores[1] = 3.0  # one of 60 healthy images
    fitted = alarm(np.linspace(0, 1, 99), 0.05)
    table = calls(known, {"one": Findings(scores)}, {"one": fitted}).iloc[0]
    assert table["false_alarms"] == pytest.approx(1 / 60)
    assert table["sensitivity"] == 1
