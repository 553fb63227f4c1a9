"""Choices on validation images: the best setting is found, nothing is chosen by nothing, thresholds keep their rate."""

import numpy as np
import pytest

from meddiff.evaluation.anomalies.choosing import (
    BY_IMAGES,
    BY_NOTHING,
    BY_PIXELS,
    Setting,
    alarm,
    choose,
    map_threshold,
)
from meddiff.evaluation.anomalies.truth import Truth


def truth(*, anomalous: bool = True, mapped: bool = True) -> Truth:
    ill = (np.arange(20) < 10) & anomalous
    masks = np.zeros((20, 16, 16), bool)
    masks[ill, 4:9, 4:9] = mapped
    names = tuple(map(str, range(20)))
    return Truth(names, names, tuple("ill" if one else "healthy" for one in ill), ill, masks, ~ill | mapped)


def tried(known: Truth):
    """One level sees lesions that are small and high, the other nothing."""
    generator = np.random.default_rng(0)
    noise = generator.random(known.masks.shape)
    seen = np.zeros_like(noise)
    seen[known.anomalous, 4:9, 4:9] = 1.5
    return [(Setting(0.5), noise), (Setting(0.25), noise + seen)]


@pytest.mark.parametrize(("mapped", "by"), [(True, BY_PIXELS), (False, BY_IMAGES)])
def test_the_level_that_sees_is_chosen(mapped, by):
    known = truth(mapped=mapped)
    choice, maps = choose(tried(known), known, [1, 3], ["mean", "peak"])
    assert choice.setting.level == 0.25
    assert choice.by == by
    assert maps.shape == known.masks.shape


def test_of_pixels_the_filter_that_takes_the_noise_away_is_chosen():
    known = truth()
    generator = np.random.default_rng(0)
    maps = generator.random(known.masks.shape) * 2 + known.masks
    assert choose([(Setting(0.5), maps)], known, [1, 3], ["mean"])[0].setting.median == 3


def test_healthy_images_alone_choose_nothing_and_the_first_setting_is_taken():
    known = truth(anomalous=False)
    choice, _ = choose(tried(known), known, [3, 1], ["peak", "mean"])
    assert (choice.by, choice.value) == (BY_NOTHING, None)
    assert choice.setting == Setting(0.5, median=3, pooling="peak")
    maps = np.arange(known.masks.size, dtype=float).reshape(known.masks.shape)
    assert np.mean(maps > map_threshold(maps, known)) == pytest.approx(0.01, abs=1e-3)


@pytest.mark.parametrize(("count", "rate"), [(19, 0.05), (100, 0.05), (200, 0.1)])
def test_a_new_healthy_image_is_called_no_more_often_than_asked(count, rate):
    generator = np.random.default_rng(1)
    rates = []
    for _ in range(2000):
        scores = generator.random(count)
        rates.append(1 - alarm(scores, rate).threshold)  # of a uniform score, the share above
    assert np.mean(rates) <= rate + 3 * np.std(rates) / np.sqrt(len(rates))
    fitted = alarm(scores, rate)
    inside = np.mean((fitted.low <= np.array(rates)) & (np.array(rates) <= fitted.high))
    assert inside == pytest.approx(0.95, abs=0.02)


def test_too_few_healthy_images_give_no_threshold():
    assert alarm(np.arange(18.0), 0.05) is None
    assert alarm(np.array([]), 0.05) is None
