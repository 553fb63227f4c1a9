"""Generators broken on purpose, on phantoms: each is exposed by the metric meant for it, and an honest one by none."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from meddiff.metrics.classifiers.discrimination import balanced_accuracy
from meddiff.metrics.images.copying import authentic_share, copying_statistic
from meddiff.metrics.images.diversity import vendi_score
from meddiff.metrics.images.manifold import manifold_scores
from meddiff.metrics.images.memorization import copy_threshold, nearest_image
from meddiff.metrics.images.spectrum import spectrum_distance_db
from meddiff.sources import phantom

pytestmark = pytest.mark.slow  # 360 phantoms are drawn
COUNT, SIDE = 120, 32


def drawn(seed):
    """Phantoms as images [N, 3, 32, 32] in [-1, 1], and their labels as numbers."""
    rows = phantom.rows("dermoscopy", seed=seed, count=COUNT)
    images = np.stack([phantom.draw(row, SIDE)[0].transpose(2, 0, 1) for row in rows]) / 127.5 - 1
    return images.astype(np.float32), np.array([row.label for row in rows])


def features(images):
    """Means of 4 x 4 pixels: 192 numbers."""
    return images.reshape(len(images), 3, 8, 4, 8, 4).mean((3, 5)).reshape(len(images), -1)


@pytest.fixture(scope="module")
def sets():
    generator = np.random.default_rng(0)
    train, held_out, honest = drawn(0), drawn(1), drawn(2)
    copies = train[0][generator.permutation(COUNT)][..., ::-1] + 0.02 * generator.normal(size=train[0].shape)
    collapsed = honest[0][np.arange(COUNT) % 5] + 0.02 * generator.normal(size=honest[0].shape)
    return {
        "train": train,
        "held_out": held_out,
        "honest": honest,
        "memorizer": (copies.astype(np.float32), train[1]),
        "collapsed": (collapsed.astype(np.float32), honest[1]),
        "blurred": (gaussian_filter(honest[0], (0, 0, 1, 1)), honest[1]),
        "mislabeled": (honest[0], generator.permutation(honest[1])),
    }


def test_collapse_shows_in_coverage_and_in_the_number_of_different_images(sets):
    real = features(sets["held_out"][0])
    center = real.mean(0)
    honest, collapsed = features(sets["honest"][0]), features(sets["collapsed"][0])
    assert manifold_scores(real, honest).coverage > 0.8
    assert manifold_scores(real, collapsed).coverage < 0.4
    assert vendi_score(collapsed - center) < 0.6 * vendi_score(honest - center)
    assert vendi_score(honest - center) > 0.8 * vendi_score(real - center)


def test_copies_show_also_when_mirrored(sets):
    train, held_out = sets["train"][0], sets["held_out"][0]
    threshold = copy_threshold(nearest_image(held_out, train)[0], 0.05)
    assert (nearest_image(sets["memorizer"][0], train)[0] < threshold).mean() == 1.0
    assert (nearest_image(sets["honest"][0], train)[0] < threshold).mean() < 0.15
    mirrored_back = features(sets["memorizer"][0][..., ::-1])
    reference, other, honest = features(train), features(held_out), features(sets["honest"][0])
    assert authentic_share(reference, mirrored_back) < 0.05 < authentic_share(reference, honest)
    assert copying_statistic(reference, other, mirrored_back, cells=1) < -10
    assert abs(copying_statistic(reference, other, honest, cells=1)) < 4


def test_blur_shows_in_the_spectrum(sets):
    held_out = sets["held_out"][0]
    honest = spectrum_distance_db(held_out, sets["honest"][0])
    assert honest < 1.5
    assert spectrum_distance_db(held_out, sets["blurred"][0]) > 5 * honest


def test_wrong_labels_show_to_a_classifier_of_real_images(sets):
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500, class_weight="balanced"))
    classifier.fit(features(sets["train"][0]), sets["train"][1])

    def agreement(name):
        images, labels = sets[name]
        numbers = np.array([list(classifier.classes_).index(label) for label in labels])
        return balanced_accuracy(numbers, classifier.predict_proba(features(images)))

    chance = 1 / len(classifier.classes_)
    assert agreement("honest") > chance + 0.15
    assert agreement("mislabeled") < chance + 0.1
