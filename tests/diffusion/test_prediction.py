"""Predictions against their papers' definitions, and into each other and back."""

import pytest
import torch
from contracts import check_prediction
from torch import nn

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.prediction import EPS, SCORE, VELOCITY, X_0, V, edm
from meddiff.diffusion.schedule import (
    NoiseSchedule,
    cosine,
    exponential,
    linear,
    rectified_flow,
    sub_vp,
    zero_terminal_snr,
)
from meddiff.diffusion.schedule import edm as edm_schedule
from meddiff.errors import InputError

ALL = (EPS, X_0, V, SCORE, VELOCITY, edm(0.5))


@pytest.mark.parametrize("prediction", ALL, ids=lambda prediction: prediction.name)
@pytest.mark.parametrize("make", [linear, cosine, exponential, edm_schedule, sub_vp], ids=lambda make: make.__name__)
def test_contract(prediction, make):
    check_prediction(prediction, make())


@pytest.mark.parametrize("prediction", [X_0, V, VELOCITY], ids=lambda prediction: prediction.name)
@pytest.mark.parametrize("schedule", [rectified_flow(), zero_terminal_snr(linear())], ids=["flow", "zero_snr"])
def test_contract_without_signal_at_the_end(prediction, schedule):
    check_prediction(prediction, schedule)


@pytest.mark.parametrize("prediction", [EPS, SCORE, edm()], ids=lambda prediction: prediction.name)
def test_noise_alone_says_nothing_about_data(prediction):
    with pytest.raises(InputError, match="use the prediction v"):
        Denoiser(nn.Identity(), rectified_flow(), prediction)


def test_all_into_each_other():
    """One pair (x_0, eps), said in six languages, is heard as the same pair."""
    schedule, t = linear(), torch.tensor([1, 500, 1000])
    x_0, eps = torch.randn(2, 3, 4, dtype=torch.float64)
    alpha, sigma = schedule.at(t, x_0)
    x_t = schedule.diffuse(x_0, t, eps)
    for one in ALL:
        output = one.target(x_0, eps, alpha, sigma)
        for other in ALL:
            estimate = one.to_x_0(output, x_t, alpha, sigma)
            heard = other.target(estimate, (x_t - alpha * estimate) / sigma, alpha, sigma)
            assert torch.allclose(heard, other.target(x_0, eps, alpha, sigma), atol=1e-8)


def test_score_is_minus_eps_over_sigma():
    eps = torch.randn(2, 5)
    alpha, sigma = linear().at(torch.tensor([10, 900]), eps)
    assert torch.allclose(SCORE.target(torch.randn(2, 5), eps, alpha, sigma), -eps / sigma)


def test_velocity_is_the_derivative_of_a_rectified_flow():
    schedule, t = rectified_flow(), torch.tensor([300.0, 700.0], dtype=torch.float64)
    x_0, eps = torch.randn(2, 2, 5, dtype=torch.float64)
    alpha, sigma = schedule.at(t, x_0)
    derivative = (schedule.diffuse(x_0, t + 100, eps) - schedule.diffuse(x_0, t - 100, eps)) / 0.2
    assert torch.allclose(VELOCITY.target(x_0, eps, alpha, sigma), derivative)


def test_edm_is_that_of_karras_et_al():
    """Table 1, written out; inputs and targets have unit variance for data of standard deviation sigma_data."""
    schedule, sigma_data = edm_schedule(), 0.5
    generator = torch.Generator().manual_seed(0)
    for level in (1, 300, 1000):
        t = torch.full((1,), level)
        x_0 = sigma_data * torch.randn(1, 100_000, generator=generator)
        eps = torch.randn(1, 100_000, generator=generator)
        alpha, sigma = schedule.at(t, x_0)
        x_t = schedule.diffuse(x_0, t, eps)
        given, noise_level = edm(sigma_data).inputs(x_t, alpha, sigma)
        assert given.std().item() == pytest.approx(1, rel=0.02)
        assert noise_level.item() == pytest.approx(sigma.log().item() / 4, rel=1e-5)
        target = edm(sigma_data).target(x_0, eps, alpha, sigma)
        assert target.std().item() == pytest.approx(1, rel=0.02)
        total = sigma**2 + sigma_data**2
        c_skip, c_out = sigma_data**2 / total, sigma * sigma_data / total.sqrt()
        assert torch.allclose(c_skip * x_t + c_out * target, x_0, atol=1e-3)
        assert torch.allclose(edm(sigma_data).to_x_0(target, x_t, alpha, sigma), x_0, atol=1e-3)


def test_edm_network_gets_its_own_inputs():
    seen = {}

    class Recorder(nn.Module):
        def forward(self, x, noise_level, condition):
            seen.update(x=x, noise_level=noise_level)
            return torch.zeros_like(x)

    schedule, t = cosine(), torch.tensor([100, 900])
    denoiser = Denoiser(Recorder(), schedule, edm(0.5, time_scale=250))
    x_t = torch.randn(2, 3)
    estimate = denoiser(x_t, t, Condition())
    alpha, sigma = schedule.at(t, x_t)
    rho = sigma / alpha
    assert torch.allclose(seen["x"], x_t / alpha / (rho**2 + 0.25).sqrt())
    assert torch.allclose(seen["noise_level"], 62.5 * rho.log().flatten())
    assert torch.allclose(estimate, 0.25 / (rho**2 + 0.25) * x_t / alpha)


def test_a_schedule_may_be_anything_that_falls():
    angle = torch.linspace(0, 1.5, 11, dtype=torch.float64) ** 2 / 1.5
    check_prediction(V, NoiseSchedule(3**-angle * angle.cos(), 3**-angle * angle.sin()))


def test_v_is_that_of_salimans_and_ho():
    x_0, eps = torch.randn(4, 3), torch.randn(4, 3)
    alpha, sigma = cosine().at(torch.tensor([1, 300, 700, 1000]), x_0)
    v = V.target(x_0, eps, alpha, sigma)
    assert torch.allclose(v, alpha * eps - sigma * x_0)
    x_t = alpha * x_0 + sigma * eps
    assert torch.allclose(V.to_x_0(v, x_t, alpha, sigma), alpha * x_t - sigma * v, atol=1e-6)


@pytest.mark.parametrize(("prediction", "kind"), [(EPS, "epsilon"), (V, "v_prediction"), (X_0, "sample")])
def test_x_0_is_that_of_diffusers(prediction, kind):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDPMScheduler(1000, prediction_type=kind, clip_sample=False)
    x_t, output = torch.randn(1, 3, 4), torch.randn(1, 3, 4)
    for t in (1, 400, 1000):
        expected = theirs.step(output, t - 1, x_t).pred_original_sample
        alpha, sigma = linear().at(torch.tensor([t]), x_t)
        assert torch.allclose(prediction.to_x_0(output, x_t, alpha, sigma), expected, rtol=1e-3, atol=1e-4)
