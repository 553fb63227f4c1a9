"""Truth: scikit-learn, with and without sample weights; and a table that a pencil can check."""

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    recall_score,
    roc_auc_score,
)

from meddiff.errors import InputError
from meddiff.metrics.classifiers.discrimination import (
    auprc,
    auroc,
    balanced_accuracy,
    macro_auroc,
    mean_of_present,
    resampled_accuracy,
    resampled_auprc,
    resampled_auroc,
    resampled_counts,
    resampled_sensitivity,
    sensitivity,
)


def _predictions(images=300, classes=4, decimals=None, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), generator.choice(classes, images - classes, p=[0.6, 0.25, 0.1, 0.05])])
    logits = generator.normal(size=(images, classes))
    logits[np.arange(images), labels] += 1.0
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    if decimals is not None:  # ties
        probabilities = np.round(probabilities, decimals)
        probabilities[:, -1] = 1 - probabilities[:, :-1].sum(1)
    return labels, probabilities


def test_pencil():
    labels = np.array([0, 0, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.4, 0.6]])
    assert sensitivity(labels, probabilities).tolist() == [2 / 3, 1.0]
    assert balanced_accuracy(labels, probabilities) == pytest.approx(5 / 6)
    assert auroc(labels, probabilities) == pytest.approx([2 / 3, 2 / 3])  # the positive beats 2 of 3 negatives


def test_average_precision_by_pencil():
    # of class 1, from the top: 0.7 is wrong, 0.6 is right (precision 1/2, all found)
    labels, score = np.array([0, 0, 0, 1]), np.array([0.1, 0.4, 0.7, 0.6])
    assert auprc(labels, np.stack([1 - score, score], 1)) == pytest.approx([(1 + 1 + 3 / 4) / 3, 1 / 2])


def test_a_tie_counts_half():
    labels, score = np.array([0, 1]), np.array([0.5, 0.5])
    assert auroc(labels, np.stack([1 - score, score], 1)).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("decimals", [None, 1])
def test_equals_scikit_learn(decimals):
    labels, probabilities = _predictions(decimals=decimals)
    called = probabilities.argmax(1)
    assert sensitivity(labels, probabilities) == pytest.approx(recall_score(labels, called, average=None), abs=1e-12)
    assert balanced_accuracy(labels, probabilities) == pytest.approx(balanced_accuracy_score(labels, called), abs=1e-12)
    expected = roc_auc_score(labels, probabilities, multi_class="ovr", average=None)
    assert auroc(labels, probabilities) == pytest.approx(expected, abs=1e-12)
    assert macro_auroc(labels, probabilities) == pytest.approx(expected.mean(), abs=1e-12)
    precision = average_precision_score(np.eye(4)[labels], probabilities, average=None)
    assert auprc(labels, probabilities) == pytest.approx(precision, abs=1e-12)


@pytest.mark.parametrize("decimals", [None, 1])
def test_every_resample_equals_scikit_learn_with_sample_weights(decimals):
    labels, probabilities = _predictions(decimals=decimals)
    generator = np.random.default_rng(1)
    group = generator.integers(40, size=len(labels))
    weights = generator.multinomial(40, np.full(40, 1 / 40), size=5).T * 1.25  # [groups, resamples], zeros among them
    found_sensitivity = resampled_sensitivity(labels, probabilities, group, weights)
    found_auroc = resampled_auroc(labels, probabilities, group, weights)
    found_auprc = resampled_auprc(labels, probabilities, group, weights)
    counts = resampled_counts(labels, probabilities, group, weights)
    for resample, column in enumerate(weights.T):
        weight = column[group]
        recall = recall_score(labels, probabilities.argmax(1), average=None, sample_weight=weight)
        assert found_sensitivity[resample] == pytest.approx(recall, abs=1e-12)
        for index in range(4):
            area = roc_auc_score(labels == index, probabilities[:, index], sample_weight=weight)
            assert found_auroc[resample, index] == pytest.approx(area, abs=1e-12)
            precision = average_precision_score(labels == index, probabilities[:, index], sample_weight=weight)
            assert found_auprc[resample, index] == pytest.approx(precision, abs=1e-12)
        right = accuracy_score(labels, probabilities.argmax(1), sample_weight=weight)
        assert resampled_accuracy(labels, probabilities, group, weights)[resample] == pytest.approx(right)
        for metric, found in ((roc_auc_score, found_auroc), (average_precision_score, found_auprc)):
            for average, shares in (("macro", None), ("weighted", counts)):
                expected = metric(np.eye(4)[labels], probabilities, average=average, sample_weight=weight)
                assert mean_of_present(found, shares)[resample] == pytest.approx(expected, abs=1e-12)


def test_weights_of_a_group_repeat_its_images():
    labels, probabilities = _predictions(images=60)
    group = np.arange(60) // 3
    weights = np.random.default_rng(2).integers(0, 4, size=(20, 1)).astype(float)
    repeated = np.repeat(np.arange(60), weights[group, 0].astype(int))
    assert resampled_auroc(labels, probabilities, group, weights)[0] == pytest.approx(
        auroc(labels[repeated], probabilities[repeated]), abs=1e-12, nan_ok=True
    )


def test_an_absent_class_is_nan_and_left_out_of_the_mean():
    labels, probabilities = _predictions()
    kept = labels != 3
    assert np.isnan(sensitivity(labels[kept], probabilities[kept])[3])
    assert np.isnan(auroc(labels[kept], probabilities[kept])[3])
    assert np.isnan(auprc(labels[kept], probabilities[kept])[3])
    shares = np.array([[3.0, 1.0]])
    assert mean_of_present(np.array([[0.5, 1.0]]), shares).tolist() == [0.625]
    assert macro_auroc(labels[kept], probabilities[kept]) == np.nanmean(auroc(labels[kept], probabilities[kept]))
    with np.errstate(all="raise"):
        assert np.isnan(macro_auroc(np.zeros(3, int), np.ones((3, 2)) / 2))
    assert mean_of_present(np.array([[1.0, np.nan], [2.0, 4.0]])).tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("labels", "probabilities", "sentence"),
    [
        (np.array([0, 1]), np.array([[0.5, 0.5]]), "one label and one row"),
        (np.array([], int), np.zeros((0, 2)), "at least one image"),
        (np.array([0]), np.array([[np.nan, 0.5]]), "NaN"),
        (np.array([2]), np.array([[0.5, 0.5]]), "class indices"),
    ],
)
def test_bad_input(labels, probabilities, sentence):
    with pytest.raises(InputError, match=sentence):
        auroc(labels, probabilities)
