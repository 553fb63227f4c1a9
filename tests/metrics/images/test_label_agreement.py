"""Truth: classes a line apart, labels shuffled by a known share, and scikit-learn's own pipeline."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from meddiff.errors import InputError
from meddiff.metrics.images.label_agreement import label_agreement


def sample(images, seed, classes=3, apart=3.0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(classes, size=images)
    features = generator.normal(size=(images, 10))
    features[np.arange(images), labels] += apart
    return features, np.array(["mel", "nv", "bcc"])[labels]


def test_right_labels_agree_and_shuffled_ones_are_chance():
    real, (features, labels) = sample(300, 0), sample(600, 1)
    assert label_agreement(*real, features, labels) > 0.9
    shuffled = np.random.default_rng(2).permutation(labels)
    assert label_agreement(*real, features, shuffled) == pytest.approx(1 / 3, abs=0.06)


def test_equals_scikit_learn():
    real, other = sample(80, 0, apart=1.0), sample(90, 1, apart=1.0)
    judge = make_pipeline(StandardScaler(), RidgeClassifier(alpha=10.0, class_weight="balanced")).fit(*real)
    assert label_agreement(*real, *other) == pytest.approx(balanced_accuracy_score(other[1], judge.predict(other[0])))


def test_a_class_that_real_images_lack_is_left_out():
    real = sample(200, 0, classes=2)
    features, labels = sample(300, 1)
    known = labels != "bcc"
    assert label_agreement(*real, features, labels) == label_agreement(*real, features[known], labels[known])


def test_bad_input():
    features, labels = sample(20, 0)
    with pytest.raises(InputError, match="share 1 classes"):
        label_agreement(features, labels, features[:2], np.array(["nv", "nv"]))
    with pytest.raises(InputError, match="a label each"):
        label_agreement(features, labels[:5], features, labels)
    with pytest.raises(InputError, match="NaN"):
        label_agreement(features * np.nan, labels, features, labels)
