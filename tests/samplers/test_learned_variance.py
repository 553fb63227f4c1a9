"""Ancestral sampling with a learned variance: between beta~ and beta, in the logarithm."""

import pytest
import torch
from torch import nn

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser, bind
from meddiff.diffusion.guidance import guide
from meddiff.diffusion.noise import PerSampleNoise
from meddiff.diffusion.prediction import X_0
from meddiff.diffusion.process import posterior, transition
from meddiff.diffusion.schedule import cosine
from meddiff.errors import InputError
from meddiff.samplers.ddpm import ddpm


class GaussianNetwork(nn.Module):
    """The exact denoiser of N(0, std**2), and a variance at a fixed place between its bounds (or the exact one)."""

    def __init__(self, schedule, std, raw, stride=50):
        super().__init__()
        self.schedule, self.std, self.raw, self.stride = schedule, std, raw, stride

    def forward(self, x_t, t, condition):
        alpha, sigma = self.schedule.at(t, x_t)
        variance = alpha**2 * self.std**2 + sigma**2
        raw = torch.full_like(x_t, self.raw) if self.raw is not None else 2 * self.exact_fraction(x_t, t) - 1
        return torch.cat([alpha * self.std**2 / variance * x_t, raw], dim=1)

    def exact_fraction(self, x_t, t):
        """The true variance of q(x_s | x_t): beta~ plus what x_0's own variance adds."""
        scales = *self.schedule.at(t, x_t), *self.schedule.at((t - self.stride).clamp(min=1), x_t)
        _, from_x_0, small = posterior(*scales)
        large = transition(*scales)[1]
        unknown = self.std**2 * scales[1] ** 2 / (scales[0] ** 2 * self.std**2 + scales[1] ** 2)
        fraction = ((small + from_x_0**2 * unknown).log() - small.log()) / (large.log() - small.log())
        return fraction.expand_as(x_t)


def sample(variance, raw=-1.0, std=0.3, learned=True):
    schedule = cosine()
    denoiser = Denoiser(GaussianNetwork(schedule, std, raw), schedule, X_0, learned_variance=learned)
    noise = PerSampleNoise(range(8), (1, 2048))
    *_, last = ddpm(bind(denoiser, Condition()), schedule, noise(0), schedule.timesteps(20), noise, variance=variance)
    return last.x


@pytest.mark.parametrize(("raw", "fixed"), [(-1.0, "small"), (1.0, "large")])
def test_the_ends_are_the_fixed_variances(raw, fixed):
    assert torch.allclose(sample("learned", raw), sample(fixed, raw), atol=1e-5)


def test_the_true_variance_gives_the_true_deviation_with_few_steps():
    """20 steps: the fixed variances miss the std of the data; the one that the data imply meets it but for the last."""
    small, learned = sample("small").std().item(), sample("learned", raw=None).std().item()
    assert abs(learned - 0.3) < 0.25 * abs(small - 0.3)


def test_it_needs_a_denoiser_that_learned_one():
    with pytest.raises(InputError, match="learned its variance"):
        sample("learned", learned=False)
    schedule = cosine()
    denoiser = Denoiser(GaussianNetwork(schedule, 0.3, 0.0), schedule, X_0, learned_variance=True)
    condition = Condition(label=torch.zeros(2, dtype=torch.int64))
    guided = guide(bind(denoiser, condition), bind(denoiser, condition.untold()), 2.0)
    with pytest.raises(InputError, match="unguided"):
        next(
            ddpm(guided, schedule, torch.zeros(2, 1, 3), [1000, 0], lambda k: torch.zeros(2, 1, 3), variance="learned")
        )
