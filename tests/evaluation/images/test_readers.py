"""Scores of readers against values computed by hand, and answers that are not of the study."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, binomtest

from meddiff.errors import InputError
from meddiff.evaluation.images.readers import ANSWERS, KEY, findable, fleiss_kappa, reader_scores, study_of, verdict
from meddiff.metrics.resampling import Resampling

N = 40


def key_of(n: int = N, study: str = "s1") -> pd.DataFrame:
    """The first half is real."""
    rows = [(study, at + 1, "real" if at < n // 2 else "synthetic", "", f"r{at}", f"p{at}", "") for at in range(n)]
    return pd.DataFrame(rows, columns=list(KEY))


def answers_of(ratings, reader: str = "AB", study: str = "s1") -> pd.DataFrame:
    rows = [(study, reader, at + 1, rating, 1.0) for at, rating in enumerate(ratings)]
    return pd.DataFrame(rows, columns=list(ANSWERS))


def scored(*ratings, n: int = N) -> pd.DataFrame:
    tables = [answers_of(own, f"reader {at}") for at, own in enumerate(ratings)]
    return reader_scores(study_of(key_of(n), tables, ["file"] * len(tables)), Resampling(400))


def test_one_reader_by_hand():
    """12 of 20 real images called real, 15 of 20 synthetic called synthetic."""
    ratings = [1] * 12 + [5] * 8 + [6] * 15 + [2] * 5
    line = scored(ratings).iloc[0]
    exact = binomtest(27, 40)
    assert (line["images"], line["accuracy"]) == (40, 27 / 40)
    assert (line["specificity"], line["sensitivity"]) == (12 / 20, 15 / 20)
    assert line["p"] == pytest.approx(exact.pvalue)
    assert (line["low"], line["high"]) == pytest.approx(tuple(exact.proportion_ci(0.95, method="exact")))
    real, drawn = ratings[:20], ratings[20:]
    pairs = [(a < b) + 0.5 * (a == b) for a, b in itertools.product(real, drawn)]
    assert line["auroc"] == pytest.approx(np.mean(pairs))


def test_images_that_were_left_out_do_not_count():
    table = answers_of([1] * 10 + [6] * 20)  # 10 real right, then 10 real wrong, then 10 synthetic right
    line = reader_scores(study_of(key_of(), [table], ["file"]), Resampling(400)).iloc[0]
    assert (line["images"], line["accuracy"]) == (30, 20 / 30)


def test_all_readers_together_are_their_mean_and_wider_with_few_patients():
    generator = np.random.default_rng(0)
    ratings = generator.integers(1, 7, (4, N))
    table = scored(*ratings)
    assert table.iloc[-1]["reader"] == "all readers"
    assert table.iloc[-1]["accuracy"] == pytest.approx(table.iloc[:-1]["accuracy"].mean())
    assert table.iloc[-1]["low"] < table.iloc[-1]["accuracy"] < table.iloc[-1]["high"]
    same_patient = key_of().assign(group=[f"p{at % 2 + 2 * (at >= N // 2)}" for at in range(N)])
    tables = [answers_of(own, f"reader {at}") for at, own in enumerate(ratings)]
    clustered = reader_scores(study_of(same_patient, tables, ["file"] * 4), Resampling(400)).iloc[-1]
    assert clustered["accuracy"] == pytest.approx(table.iloc[-1]["accuracy"])
    assert clustered["low"] != table.iloc[-1]["low"]


def test_the_interval_of_three_readers_holds_the_truth():
    """Readers with a skill of their own around 0.6: 95% intervals of their mean hold it in about 95% of studies."""
    generator, held = np.random.default_rng(1), 0
    synthetic = np.arange(60) >= 30
    for _ in range(200):
        skills = generator.normal(0.6, 0.05, 5).clip(0, 1)
        right = generator.random((5, 60)) < skills[:, None]
        ratings = np.where(right == synthetic, 5, 2)
        table = reader_scores(
            study_of(key_of(60), [answers_of(own, f"r{at}") for at, own in enumerate(ratings)], ["f"] * 5),
            Resampling(200),
        )
        held += table.iloc[-1]["low"] <= 0.6 <= table.iloc[-1]["high"]
    assert 180 <= held <= 200


def test_what_a_study_finds_is_what_the_binomial_test_says():
    """60 calls: 39 right are the least with p <= 0.05."""
    detected = [k for k in range(61) if k > 30 and binomtest(k, 60).pvalue <= 0.05]
    assert detected[0] == 39
    accuracy = findable(60, 0.05)
    assert binom.sf(38, 60, accuracy) >= 0.8 > binom.sf(38, 60, accuracy - 0.01)
    assert np.isnan(findable(4, 0.05))


def test_agreement_is_that_of_fleiss():
    """The example of Fleiss 1971 has five categories; of two: perfect, none beyond chance, and one by hand."""
    assert fleiss_kappa(np.array([[1, 0, 1], [1, 0, 1]])) == 1
    assert np.isnan(fleiss_kappa(np.ones((2, 3))))
    calls = np.array([[1, 1, 0, 0], [1, 0, 0, 1], [1, 1, 0, 0]])
    observed = (1 + 1 / 3 + 1 + 1 / 3) / 4
    share = 6 / 12
    chance = share**2 + (1 - share) ** 2
    assert fleiss_kappa(calls) == pytest.approx((observed - chance) / (1 - chance))


@pytest.mark.parametrize(
    ("ratings", "sentence"),
    [
        ([1] * 20 + [6] * 20, "The reader could tell synthetic images from real ones: 100% of 40 images right"),
        ([6] * 20 + [1] * 20, "took synthetic images for real ones"),
        ([1, 6] * 20, "was not shown: the reader called 50% of 40 images right"),
    ],
)
def test_the_verdict_says_what_was_shown(ratings, sentence):
    assert sentence in verdict(scored(ratings))


def test_a_verdict_of_nothing_says_what_could_have_been_found():
    assert f"An accuracy of {100 * findable(N, 0.05):.0f}% or more would have been" in verdict(scored([1, 6] * 20))
    table = reader_scores(study_of(key_of(2), [answers_of([1, 6])], ["f"]), Resampling(200))
    assert "Not even a perfect reader would have been found" in verdict(table)


def test_readers_who_are_all_right_are_not_certain():
    together = scored([1] * 20 + [6] * 20, [2] * 20 + [5] * 20, [3] * 20 + [4] * 20).iloc[-1]
    assert (together["accuracy"], together["high"]) == (1, 1)
    assert 0.9 < together["low"] < 0.95


def broken(**changes) -> pd.DataFrame:
    table = answers_of([1, 6] * 20)
    for column, (at, value) in changes.items():
        table[column] = table[column].astype(object)
        table.loc[at, column] = value
    return table


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ([answers_of([1, 6] * 20, study="s2")], "answers of another study"),
        ([answers_of([1, 6] * 20), answers_of([6, 1] * 20)], "two files of one reader"),
        ([broken(number=(0, 99))], "no image of the study"),
        ([broken(rating=(0, 7))], "bad rating"),
        ([broken(rating=(0, 2.5))], "bad rating"),
        ([broken(rating=(0, float("nan")))], "bad rating"),
        ([broken(number=(0, 2))], "image rated twice"),
        ([answers_of([1] * 20)], "has not rated both real and synthetic images"),
        ([], "there are no answers"),
    ],
)
def test_what_is_no_answer_is_refused(tables, said):
    with pytest.raises(InputError, match=said):
        study_of(key_of(), tables, [f"file{at}.csv" for at in range(len(tables))])
