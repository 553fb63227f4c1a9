"""Maps of anomalies with a denoiser that knows the truth: healthy images are Gaussian around zero in each pixel."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from meddiff.build.tables import PREDICTIONS
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.schedule import cosine
from meddiff.inference.detectors import DiffusionDetector, FeatureDistance, IntensityDetector
from meddiff.inference.pseudo_healthy import METHODS, Healer, healed
from meddiff.metrics.anomaly_rates import pooled, smoothed

SPREAD = 0.1
"""Of healthy pixels."""
SHAPE = (1, 16, 16)


class Oracle(nn.Module):
    """E[x_0 | x_t] of pixels N(0, SPREAD**2); of the label 1 their mean is 0.5, of those untold 0.25."""

    def __init__(self, schedule):
        super().__init__()
        self.schedule = schedule
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x_t, t, condition):
        alpha, sigma = self.schedule.at(t, x_t)
        mean = (0.5 * (condition.label == 1) + 0.25 * (condition.label == -1)).view(-1, 1, 1, 1)
        return mean + alpha * SPREAD**2 / (alpha**2 * SPREAD**2 + sigma**2) * (x_t - alpha * mean)


def healer(**settings) -> Healer:
    schedule = cosine(200)
    return Healer(Denoiser(Oracle(schedule), schedule, PREDICTIONS["x_0"]), steps=40, **settings)


def images(count: int = 6) -> torch.Tensor:
    made = SPREAD * torch.randn((count, *SHAPE), generator=torch.Generator().manual_seed(0))
    made[:3, :, 4:8, 4:8] += 0.8
    return made.clamp(-1, 1)


@pytest.mark.parametrize("octaves", [0, 4])
@pytest.mark.parametrize("method", ["anoddpm", "multi_level"])
def test_a_lesion_stands_out_and_its_pseudo_healthy_image_has_none(method, octaves):
    shown = images()
    made = healed(healer(octaves=octaves), method, shown, 0.6, range(6), batch_size=4)
    assert made.map[:3, 4:8, 4:8].mean() > 3 * made.map[3:].mean()
    assert made.image[:3, :, 4:8, 4:8].mean() < 0.4 < shown[:3, :, 4:8, 4:8].mean()


def test_without_labels_ddim_gives_back_what_it_encoded_the_better_the_more_steps():
    shown = images()
    healers = [replace(healer(), steps=steps) for steps in (10, 160)]
    coarse, fine = (healed(one, "ddim_encoding", shown, 0.6, range(6), batch_size=6).map.mean() for one in healers)
    assert fine < coarse / 4
    assert fine < 0.02


@pytest.mark.parametrize("method", ["ddim_encoding", "counterfactual"])
def test_guidance_takes_the_lesion_away(method):
    shown = images()
    made = [healed(healer(guidance=scale), method, shown, 0.6, range(6), batch_size=6).image for scale in (1, 3)]
    one, more = (image[:3, :, 4:8, 4:8].mean() for image in made)
    assert more < one - 0.1


@pytest.mark.parametrize("octaves", [0, 4])
@pytest.mark.parametrize("method", METHODS)
def test_a_map_does_not_depend_on_its_batch(method, octaves):
    shown = images()
    alone = healed(healer(octaves=octaves), method, shown[4:5], 0.5, [4], batch_size=4)
    all_of_them = healed(healer(octaves=octaves), method, shown, 0.5, range(6), batch_size=4)
    assert torch.equal(alone.map[0], all_of_them.map[4])


def test_members_are_averaged_and_each_has_noise_of_its_own():
    detector = DiffusionDetector(
        healer(), "anoddpm", [0.4, 0.6], [2, 1, 3], lambda name, member: hash((name, member)) % 99
    )
    shown, names = images(), list("abcdef")
    made = list(detector.tried(shown, names))
    assert [(setting.level, setting.members) for setting, _ in made] == [
        (0.4, 2), (0.4, 1), (0.4, 3), (0.6, 2), (0.6, 1), (0.6, 3)
    ]  # fmt: skip
    for setting, maps in made:
        assert np.allclose(detector.healed(shown, names, setting).map.numpy(), maps, atol=1e-6)
    assert made[0][1][3:].var() < made[1][1][3:].var()


def test_a_deterministic_method_is_asked_once():
    detector = DiffusionDetector(healer(), "ddim_encoding", [0.5], [4, 1], lambda name, member: 0)
    assert [setting.members for setting, _ in detector.tried(images(), list("abcdef"))] == [1]


def test_plain_intensity_by_pencil():
    train = np.stack([np.full((2, 4, 4), value, np.float32) for value in (-1.0, 0.0, 1.0)])
    shown = torch.full((1, 2, 4, 4), 1.0)
    value, distance, z_score = (
        IntensityDetector.fitted(train, how).healed(shown, ["a"], next(IntensityDetector.fitted(train, how).tried(
            shown, ["a"]))[0]).map.unique().item() for how in ("value", "distance", "z_score")
    )  # fmt: skip
    assert (value, distance) == (1.0, 1.0)
    assert z_score == pytest.approx(1 / np.std([-1, 0, 1]))


def test_each_channel_is_tried():
    train = np.zeros((3, 2, 4, 4), np.float32)
    made = IntensityDetector.fitted(train, "value").tried(torch.zeros(1, 2, 4, 4), ["a"])
    assert [setting.channel for setting, _ in made] == [None, 0, 1]


def test_features_of_another_kind_are_far():
    generator = np.random.default_rng(0)
    train, like = (generator.normal(0, 0.1, (40, 1, 32, 32)).astype(np.float32) for _ in range(2))
    detector = FeatureDistance.fitted(train)
    assert detector.scores(like + 0.5).min() > detector.scores(like).max()


def test_the_median_takes_a_single_pixel_away_and_scores_are_means():
    maps = np.zeros((1, 10, 10))
    maps[0, 5, 5] = 1.0
    assert smoothed(maps, 3).max() == 0
    assert smoothed(maps, 1) is maps
    assert pooled(maps, "mean")[0] == pytest.approx(0.01)
    assert pooled(maps, "peak")[0] == pytest.approx(0.5)  # of the two highest of a hundred
