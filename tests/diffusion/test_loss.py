"""Losses against their formulas: one loss of x_0, seen through three predictions."""

import pytest
import torch
from torch import nn

from meddiff.diffusion import loss as losses
from meddiff.diffusion.bound import bound_term
from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.loss import diffusion_loss
from meddiff.diffusion.prediction import EPS, SCORE, VELOCITY, X_0, V, edm
from meddiff.diffusion.schedule import cosine, linear
from meddiff.errors import InputError

T_VALUES = torch.tensor([1, 50, 400, 800, 999])


class Linear(nn.Module):
    """A small network that is wrong everywhere."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))

    def forward(self, x_t, t, condition):
        return self.scale * x_t + 0.1


@pytest.mark.parametrize("prediction", [EPS, X_0, V], ids=lambda prediction: prediction.name)
def test_l_simple_is_the_mean_squared_error_of_the_output(prediction):
    schedule = linear()
    denoiser = Denoiser(Linear(), schedule, prediction)
    x_0, eps = torch.randn(2, 5, 3, 4, 4, dtype=torch.float64)
    loss = diffusion_loss(denoiser, x_0, Condition(), T_VALUES, eps)
    assert loss.shape == (5,)
    alpha, sigma = schedule.at(T_VALUES, x_0)
    output = 0.3 * (alpha * x_0 + sigma * eps) + 0.1
    target = {"eps": eps, "x_0": x_0, "v": alpha * eps - sigma * x_0}[prediction.name]
    assert torch.allclose(loss, ((output - target) ** 2).mean(dim=(1, 2, 3)))
    loss.mean().backward()
    assert denoiser.network.scale.grad.abs() > 0


@pytest.mark.parametrize("prediction", [EPS, X_0, V], ids=lambda prediction: prediction.name)
def test_min_snr_weighs_the_x_0_error_alike_for_every_prediction(prediction):
    schedule, gamma = cosine(), 5.0
    denoiser = Denoiser(Linear(), schedule, prediction)
    x_0, eps = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    loss = diffusion_loss(denoiser, x_0, Condition(), T_VALUES, eps, weight=losses.min_snr(gamma))
    alpha, sigma = schedule.at(T_VALUES, x_0)
    estimate = denoiser(alpha * x_0 + sigma * eps, T_VALUES, Condition())
    snr = (alpha / sigma).flatten() ** 2
    assert torch.allclose(loss, snr.clamp(max=gamma) * ((estimate - x_0) ** 2).mean(dim=(1, 2)), rtol=1e-8)


ALL = (EPS, X_0, V, SCORE, VELOCITY, edm(0.5))


def weighted_like(prediction, schedule, weight, **options):
    denoiser = Denoiser(Linear(), schedule, prediction)
    x_0, eps = torch.randn(2, 5, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    loss = diffusion_loss(denoiser, x_0, Condition(), T_VALUES, eps, weight=weight, **options)
    alpha, sigma = schedule.at(T_VALUES, x_0)
    estimate = denoiser(alpha * x_0 + sigma * eps, T_VALUES, Condition())
    return loss, ((estimate - x_0) ** 2).mean(dim=(1, 2)), (alpha / sigma).flatten() ** 2


@pytest.mark.parametrize("prediction", ALL, ids=lambda prediction: prediction.name)
def test_a_weight_means_the_same_for_every_prediction(prediction):
    loss, x_0_error, _ = weighted_like(prediction, linear(), losses.x_0_error)
    assert torch.allclose(loss, x_0_error, rtol=1e-6)


def test_weights_of_the_papers_on_the_error_they_are_written_for():
    alpha, sigma = cosine().at(torch.arange(1, 1001), torch.zeros(1, dtype=torch.float64))
    snr = (alpha / sigma) ** 2

    def on_output(weight, prediction):
        return weight(snr) * prediction.x_0_gain(alpha, sigma) ** 2

    clamped = snr.clamp(max=5)
    assert torch.allclose(on_output(losses.min_snr(5), X_0), clamped)
    assert torch.allclose(on_output(losses.min_snr(5), EPS), clamped / snr)  # Hang et al. 2023
    assert torch.allclose(on_output(losses.min_snr(5), V), clamped / (snr + 1))
    assert torch.allclose(on_output(losses.eps_error, EPS), torch.ones_like(snr))
    assert torch.allclose(on_output(losses.p2(0.5, 2), EPS), 1 / (2 + snr) ** 0.5)  # Choi et al. 2022
    assert torch.allclose(on_output(losses.edm_weight(0.5), edm(0.5)), torch.ones_like(snr))  # lambda c_out**2 = 1
    sigmas = sigma / alpha
    karras = (sigmas**2 + 0.25) / (sigmas * 0.5) ** 2  # Karras et al. 2022, table 1
    assert torch.allclose(losses.edm_weight(0.5)(snr), karras)


def test_l_t_is_a_weighted_eps_error():
    """Ho et al. 2020, eq. 12: L_{t-1} = beta_t**2 / (2 sigma_t**2 alpha_t (1 - alpha_bar_t)) |eps - eps'|**2 + C."""
    schedule = linear()
    t = torch.tensor([2, 100, 900])
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)[t - 1]
    alpha_bar = schedule.alpha[t] ** 2
    x_0, eps, wrong = torch.randn(3, 3, 1, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    alpha, sigma = schedule.at(t, x_0)
    x_t = alpha * x_0 + sigma * eps
    estimate = EPS.to_x_0(wrong, x_t, alpha, sigma)
    for variance, sigma_2 in (("large", beta), ("small", beta * schedule.sigma[t - 1] ** 2 / schedule.sigma[t] ** 2)):
        factor = beta**2 / (2 * sigma_2 * (1 - beta) * (1 - alpha_bar))
        difference = bound_term(schedule, x_0, x_t, estimate, t, variance=variance)
        difference = difference - bound_term(schedule, x_0, x_t, x_0, t, variance=variance)
        expected = factor * ((eps - wrong) ** 2).mean(dim=(1, 2)) / torch.log(torch.tensor(2.0))
        assert torch.allclose(difference, expected, rtol=1e-6)


def test_denoising_score_matching_finds_the_score():
    """Vincent 2011: the best network for the denoising loss is the score of the noisy data (here N(m, s**2))."""
    schedule, t = linear(), torch.full((200_000,), 400)
    generator = torch.Generator().manual_seed(0)
    x_0 = 0.2 + 0.3 * torch.randn(200_000, 1, dtype=torch.float64, generator=generator)
    eps = torch.randn(200_000, 1, dtype=torch.float64, generator=generator)
    alpha, sigma = schedule.at(t[:1], x_0)
    x_t = alpha * x_0 + sigma * eps
    inputs = torch.cat([x_t, torch.ones_like(x_t)], dim=1)
    slope, constant = torch.linalg.lstsq(inputs, -eps / sigma).solution.flatten().tolist()
    variance = (alpha**2 * 0.09 + sigma**2).item()
    assert slope == pytest.approx(-1 / variance, rel=0.01)
    assert constant == pytest.approx(alpha.item() * 0.2 / variance, rel=0.1)


class TwoHeads(nn.Module):
    """A mean and a variance, one parameter each."""

    def __init__(self):
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
        self.variance = nn.Parameter(torch.tensor(0.1, dtype=torch.float64))

    def forward(self, x_t, t, condition):
        return torch.cat([self.mean * x_t, self.variance * torch.ones_like(x_t)], dim=1)


def test_hybrid_loss_reaches_the_variance_alone():
    network = TwoHeads()
    denoiser = Denoiser(network, cosine(), EPS, learned_variance=True)
    x_0, eps = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    simple = diffusion_loss(denoiser, x_0, Condition(), T_VALUES, eps)
    hybrid = diffusion_loss(denoiser, x_0, Condition(), T_VALUES, eps, variational=0.001)
    (hybrid - simple).sum().backward(retain_graph=True)
    assert network.variance.grad.abs() > 0
    assert network.mean.grad.abs() < 1e-12
    assert torch.allclose(simple, ((0.3 * cosine().diffuse(x_0, T_VALUES, eps) - eps) ** 2).mean(dim=(1, 2)))


def test_contradictions_are_refused():
    denoiser = Denoiser(Linear(), cosine(), EPS)
    x_0, eps = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    with pytest.raises(InputError, match="learned_variance=True"):
        diffusion_loss(denoiser, x_0, Condition(), T_VALUES, eps, variational=0.001)
