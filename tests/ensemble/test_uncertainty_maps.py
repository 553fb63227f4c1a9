"""Truth by pencil, and failures of a simulated ensemble that its uncertainty has to find."""

import numpy as np
import pytest

from meddiff.ensemble.uncertainty_maps import (
    CASE_SCORES,
    case_uncertainty,
    dice_to_fused,
    entropy,
    expected_dice,
    mutual_information,
    pairwise_dice,
    standard_deviation,
)
from meddiff.errors import InputError
from meddiff.metrics.masks.overlap import overlap
from meddiff.metrics.masks.uncertainty import failure_auroc


def certain(*class_maps, classes=2):
    return np.stack([np.moveaxis(np.eye(classes)[np.asarray(entry)], -1, 0) for entry in class_maps])


def test_maps_by_pencil():
    members = np.array([[[1.0, 0.5], [0.0, 0.5]], [[0.0, 0.5], [1.0, 0.5]]])  # two members, two classes, two pixels
    assert standard_deviation(members).tolist() == [0.5, 0.0]
    assert entropy(members.mean(0)) == pytest.approx([1.0, 1.0])
    assert mutual_information(members) == pytest.approx([1.0, 0.0]), "the second pixel is unsure but undisputed"
    assert entropy(members[0])[0] == 0
    assert (standard_deviation(members[:1]) == 0).all()
    assert (mutual_information(members[:1]) == 0).all()


def test_dice_of_members_equals_that_of_the_metrics():
    generator = np.random.default_rng(0)
    maps = generator.integers(3, size=(4, 6, 7))
    members = certain(*maps, classes=3)
    pairs = [overlap(maps[i] == k, maps[j] == k).dice for i in range(4) for j in range(i) for k in (1, 2)]
    assert pairwise_dice(members) == pytest.approx(np.mean(pairs))
    fused = members.mean(0)
    expected = np.mean([overlap(fused.argmax(0) == k, entry == k).dice for entry in maps for k in (1, 2)])
    assert dice_to_fused(members, fused) == pytest.approx(expected)


def test_expected_dice_by_pencil():
    foreground = np.array([0.9, 0.6, 0.3, 0.0])
    assert expected_dice(np.stack([1 - foreground, foreground])) == pytest.approx(2 * 1.5 / (2 + 1.8))
    sure = np.array([1.0, 1.0, 0.0])
    assert expected_dice(np.stack([1 - sure, sure])) == 1.0
    nothing = np.array([0.2, 0.1, 0.0])
    assert expected_dice(np.stack([1 - nothing, nothing])) == pytest.approx(0.8)


def test_expected_dice_is_the_mean_dice_of_truths_drawn_from_the_probabilities():
    generator = np.random.default_rng(1)
    foreground = np.clip(generator.normal(0.4, 0.4, size=5000), 0, 1)
    truths = generator.random((50, 5000)) < foreground
    drawn = np.mean([overlap(truth, foreground > 0.5).dice for truth in truths])
    assert expected_dice(np.stack([1 - foreground, foreground])) == pytest.approx(drawn, abs=0.005)


@pytest.mark.parametrize("how", CASE_SCORES)
def test_agreement_is_certainty(how):
    lesion = np.zeros((6, 6), int)
    lesion[2:4, 2:5] = 1
    for members in (certain(lesion, lesion, lesion), certain(lesion), certain(lesion * 0, lesion * 0)):
        assert case_uncertainty(members, members.mean(0), how) == pytest.approx(0, abs=1e-12)
    apart = certain(lesion, lesion.T * 0, np.roll(lesion, 3, 0))
    assert case_uncertainty(apart, apart.mean(0), how) > 0.3


@pytest.mark.parametrize("how", CASE_SCORES)
def test_failures_are_found(how):
    """Members scatter around a place that is the farther from the truth the more they scatter."""
    generator, grid, failed, uncertainty = np.random.default_rng(2), np.indices((32, 32)), [], []
    for _ in range(80):
        spread = generator.uniform(0, 5)
        centers = 16 + spread * (generator.normal(size=2) + generator.normal(size=(7, 2)))
        maps = [((grid - center[:, None, None]) ** 2).sum(0) < 36 for center in centers]
        members = certain(*np.array(maps, int))
        fused = members.mean(0)
        truth = ((grid - 16) ** 2).sum(0) < 36
        failed.append(overlap(truth, fused.argmax(0) == 1).dice < 0.8)
        uncertainty.append(case_uncertainty(members, fused, how))
    assert 10 < sum(failed) < 70
    assert failure_auroc(np.array(failed), -np.array(uncertainty)) > 0.85


def test_bad_input():
    members = certain(np.zeros((3, 3), int))
    with pytest.raises(InputError, match="expected_dice, pairwise, to_fused"):
        case_uncertainty(members, members[0], "variance")
    with pytest.raises(InputError, match="fused"):
        case_uncertainty(members, members, "pairwise")
