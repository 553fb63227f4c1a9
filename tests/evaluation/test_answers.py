"""Scores of answers by pencil and paper and beside scikit-image; differences that are paired by patient."""

import numpy as np
import pandas as pd
import pytest
from skimage.metrics import structural_similarity

from meddiff.errors import InputError
from meddiff.evaluation.answers import differences_of, means_of, scores_of
from meddiff.metrics.images.restoration import detail_db, psnr_db, ssim
from meddiff.metrics.resampling import Resampling

GENERATOR = np.random.default_rng(0)
TRUTH = GENERATOR.uniform(-1, 1, (3, 24, 24)).astype(np.float32)


def test_a_constant_error_has_the_psnr_of_its_square():
    assert psnr_db(TRUTH, TRUTH + 0.2, data_range=2) == pytest.approx(20, abs=1e-4)
    assert psnr_db(TRUTH, TRUTH, data_range=2) == np.inf
    hole = np.zeros(TRUTH.shape, bool)
    hole[:, :4] = True
    wrong = TRUTH + np.where(hole, 0.02, 0.2).astype(np.float32)
    assert psnr_db(TRUTH, wrong, data_range=2, where=hole) == pytest.approx(40, abs=1e-3)
    with pytest.raises(InputError, match="give two images of one shape"):
        psnr_db(TRUTH, TRUTH[:1], data_range=2)


def test_structural_similarity_is_that_of_another_library():
    answer = (TRUTH + GENERATOR.normal(0, 0.2, TRUTH.shape)).astype(np.float32)
    _, other = structural_similarity(TRUTH, answer, data_range=2, channel_axis=0, gaussian_weights=True, sigma=1.5,
                                     use_sample_covariance=False, full=True)  # fmt: skip
    assert ssim(TRUTH, answer, data_range=2) == pytest.approx(other[:, 5:-5, 5:-5].mean(), abs=1e-4)


def test_detail_says_what_is_blurred_and_what_is_noise():
    blurred = TRUTH.copy()
    blurred[:, 1:] = (TRUTH[:, 1:] + TRUTH[:, :-1]) / 2
    assert detail_db(TRUTH, TRUTH) == 0
    assert detail_db(TRUTH, blurred) < -1
    assert detail_db(TRUTH / 2, TRUTH) == pytest.approx(20 * np.log10(2), abs=0.01)
    assert np.isnan(detail_db(TRUTH[:, :10], TRUTH[:, :10]))


def test_the_mean_of_members_has_the_smaller_error_and_members_the_detail():
    members = (TRUTH + GENERATOR.normal(0, 0.3, (8, *TRUTH.shape))).astype(np.float32)
    single, mean = scores_of(members, TRUTH), scores_of(members.mean(0, keepdims=True), TRUTH)
    assert mean["psnr_db"] == pytest.approx(single["psnr_db"] + 10 * np.log10(8), abs=0.5)
    assert single["spread"] == pytest.approx(0.15, rel=0.1)
    assert mean["spread"] is None
    assert scores_of(members, TRUTH)["consistency_db"] is None


def table(gap: float, patients: int = 30, cases: int = 2) -> pd.DataFrame:
    """Two models whose difference is ``gap``, with noise that both have of each patient."""
    generator = np.random.default_rng(1)
    lines = []
    for patient in range(patients):
        level = generator.normal(30, 5)
        for case in range(cases):
            about = {"case": f"c{patient}-{case}", "patient": f"p{patient}", "ssim": np.nan, "detail_db": np.nan,
                     "consistency_db": np.nan, "spread": np.nan}  # fmt: skip
            own = gap + generator.normal(0, 0.5)
            lines += [{"model": "bicubic", "psnr_db": level} | about, {"model": "ours", "psnr_db": level + own} | about]
    return pd.DataFrame(lines)


@pytest.mark.parametrize(("gap", "shown"), [(0.5, True), (0.0, False)])
def test_a_difference_is_paired_so_that_what_patients_differ_in_does_not_count(gap, shown):
    row = differences_of(table(gap), ["bicubic"], resampling=Resampling(1000)).to_dict("records")[0]
    assert row["difference"] == pytest.approx(gap, abs=0.2)
    assert (row["low"] > 0) is shown
    assert row["smallest"] == pytest.approx(2.8 * 0.5 / np.sqrt(60), rel=0.3), "one in which both models are not paired"
    alone = means_of(table(gap), resampling=Resampling(1000)).query("model == 'ours' and metric == 'psnr_db'")
    assert float(alone["high"].iloc[0] - alone["low"].iloc[0]) > 2


def test_models_on_other_cases_are_not_compared():
    cases = table(0.5)
    cases.loc[1, "case"] = "another"
    with pytest.raises(InputError, match="scored on other cases"):
        differences_of(cases, ["bicubic"])
