"""Guidance beyond the plain formula: interval, rescale, autoguidance, classifier guidance with its exact answer."""

import pytest
import torch
from oracle import gaussian, mixture, moments_at
from torch import nn

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser, bind
from meddiff.diffusion.exact import gaussian_mixture, log_membership
from meddiff.diffusion.guidance import classifier_guide, guide, rescale_x_0
from meddiff.diffusion.prediction import X_0
from meddiff.diffusion.schedule import cosine, edm, linear
from meddiff.diffusion.times import time_of_all
from meddiff.inference.sampling import Sampling, walk
from meddiff.samplers.ddim import ddim
from meddiff.samplers.dpm_solver import dpm_solver
from meddiff.samplers.heun import heun


class Constant(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value, self.calls = value, 0

    def forward(self, x_t, t, condition):
        self.calls += 1
        return torch.full_like(x_t, self.value)


def test_autoguidance_calls_each_network_once():
    good, weak = (Denoiser(Constant(value), cosine(), X_0) for value in (3.0, 2.0))
    condition = Condition(label=torch.tensor([0, 1]))
    guided = guide(bind(good, condition), bind(weak, condition), 2.0)
    assert torch.equal(guided(torch.zeros(2, 3), torch.tensor([5, 5])), torch.full((2, 3), 4.0))
    assert (good.network.calls, weak.network.calls) == (1, 1)


def test_interval_is_per_sample():
    guided = guide(lambda x, t: x + 1, lambda x, t: x, 3.0, interval=(100, 500))
    x_0 = guided(torch.zeros(4, 2), torch.tensor([100, 101, 500, 501]))
    assert x_0[:, 0].tolist() == [1, 3, 3, 1]


def test_outside_the_interval_nothing_untold_is_asked_for():
    denoiser = Denoiser(Constant(3.0), cosine(), X_0)
    sizes = []
    denoiser.network.register_forward_hook(lambda _network, given, _output: sizes.append(len(given[0])))
    condition = Condition(label=torch.tensor([0, 1]))
    guided = guide(bind(denoiser, condition), bind(denoiser, condition.untold()), 2.0, interval=(100, 500))
    for t in (50, 300, 900):
        guided(torch.zeros(2, 3), torch.tensor([t, t]))
    assert sizes == [2, 4, 2]


def test_rescale_brings_back_the_told_deviation():
    told, untold = torch.randn(2, 3, 4, 8, 8)
    for amount in (1.0, 0.7):
        plain = guide(lambda x, t: told, lambda x, t: untold, 4.0)(told, None)
        guided = guide(lambda x, t: told, lambda x, t: untold, 4.0, rescale=amount)(told, None)
        std = lambda x: x.std(dim=(1, 2, 3))  # noqa: E731
        expected = amount * std(told) + (1 - amount) * std(plain)
        assert torch.allclose(std(guided), expected, rtol=1e-4)


def test_classifier_guidance_of_a_mixture_gives_its_component():
    """Bayes: the denoiser of a mixture, guided by the true log p(component | x_t), is the component's denoiser."""
    schedule, means, std, weights = cosine(), [-0.5, 0.5], 0.2, [0.4, 0.6]

    def log_probability(x_t, t):
        alpha, sigma = schedule.at(t, x_t)
        variance = alpha**2 * std**2 + sigma**2
        logits = torch.stack(
            [
                torch.tensor(w).log() - (x_t - alpha * m) ** 2 / (2 * variance)
                for m, w in zip(means, weights, strict=True)
            ]
        )
        return logits.log_softmax(0)[1].sum(1)

    guided = classifier_guide(mixture(schedule, means, std, weights), log_probability, schedule, 1.0)
    x_t, t = torch.randn(5, 3, dtype=torch.float64), torch.tensor([5, 100, 400, 700, 990])
    with torch.inference_mode():
        got = guided(x_t, t)
    assert torch.allclose(got, gaussian(schedule, 0.5, std)(x_t, t), atol=1e-7)
    mean, deviation = moments_at(schedule, 1000, 0.5, std)
    x_T = mean + deviation * torch.randn(4000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    *_, last = ddim(guided, schedule, x_T, schedule.timesteps(100))
    assert last.x.mean().item() == pytest.approx(0.5, abs=0.02)
    assert last.x.std().item() == pytest.approx(std, rel=0.1)


def test_classifier_guidance_has_the_right_gradient():
    schedule, t = cosine(), torch.tensor([300, 600])
    x_t = torch.randn(2, 3, dtype=torch.float64)
    shift = classifier_guide(lambda x, t: torch.zeros_like(x), lambda x, t: x.sin().sum(1), schedule, 2.0)(x_t, t)
    alpha, sigma = schedule.at(t, x_t)
    assert torch.allclose(shift, 2 * sigma**2 / alpha * x_t.cos())


class Names(torch.nn.Module):
    """A network of two channels: the exact logits of a mixture's two parts at every pixel."""

    def __init__(self, schedule, means):
        super().__init__()
        self.schedule, self.means = schedule, means

    def forward(self, x_t, t, condition):
        parts = [log_membership(self.schedule, self.means, 0.2, torch.tensor([part]))(x_t, t) for part in (0, 1)]
        return torch.stack(parts, dim=1)[:, :, None, None]


class Mixed(torch.nn.Module):
    """The untold network of the same mixture, that predicts x_0."""

    def __init__(self, schedule, means):
        super().__init__()
        self.denoise = gaussian_mixture(schedule, means, 0.2)

    def forward(self, x_t, t, condition):
        return self.denoise(x_t, t)


@pytest.mark.parametrize("schedule", [cosine(), linear(), edm()])
def test_sampling_guided_by_the_exact_classifier_is_that_of_the_class(schedule):
    means = torch.tensor([[-0.5, 0.3], [0.4, -0.2]], dtype=torch.float64).view(2, 2, 1, 1)
    untold = Denoiser(Mixed(schedule, means), schedule, X_0)
    names = Denoiser(Names(schedule, means), schedule, X_0)
    by_name = Sampling(ddim, 20, guidance=0.0, classifier=names, classifier_scale=1.0)
    x_t = schedule.sigma[-1] * torch.randn(6, 2, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    label = torch.tensor([0, 1, 1, 0, 1, 0])
    with torch.inference_mode():
        *_, last = walk(by_name.denoise(untold, Condition(label=label)), schedule, by_name, lambda _: x_t)
    for part in (0, 1):
        alone = gaussian_mixture(schedule, means[part : part + 1], 0.2)
        *_, wanted = walk(alone, schedule, by_name, lambda _: x_t)
        torch.testing.assert_close(last.x[label == part], wanted.x[label == part], atol=1e-6, rtol=0)


def test_dynamic_thresholding():
    inside = torch.linspace(-0.9, 0.9, 100).view(1, 100)
    outside = torch.cat([inside[:, :-2], torch.tensor([[4.0, -8.0]])], dim=1)
    both = rescale_x_0(lambda x, t: x, quantile=0.99)(torch.cat([inside, outside]), None)
    assert torch.equal(both[:1], inside), "an image within the bound is left alone"
    assert both[1].abs().max() == 1
    assert both[1, 0].abs() < 0.9 / 3


@pytest.mark.parametrize("sampler", [ddim, heun, dpm_solver])
def test_on_a_device_whose_values_nobody_sees_the_untold_estimate_is_made_inside_the_interval_alone(sampler):
    """The meta device has no values: what asked it where t lies would fail, and not asking would call every time."""
    schedule, asked = linear(), []

    def untold(x, t):
        asked.append(float(time_of_all(t)))
        return x

    guided = guide(lambda x, t: x / 2, untold, 3.0, interval=(200, 700))
    x_T = torch.zeros(2, 1, 4, 4, device="meta")
    list(sampler(guided, schedule, x_T, schedule.timesteps(10), None))
    assert asked
    assert all(200 < t <= 700 for t in asked)
