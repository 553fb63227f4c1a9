"""Losses against their formulas: one loss of x_0, seen through three predictions."""

import pytest
import torch
from torch import nn

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.loss import diffusion_loss, min_snr_weight
from meddiff.diffusion.prediction import EPS, X_0, V
from meddiff.diffusion.schedule import cosine, linear

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
    loss = diffusion_loss(denoiser, x_0, Condition(), T_VALUES, eps, min_snr_gamma=gamma)
    alpha, sigma = schedule.at(T_VALUES, x_0)
    estimate = denoiser(alpha * x_0 + sigma * eps, T_VALUES, Condition())
    snr = (alpha / sigma).flatten() ** 2
    assert torch.allclose(loss, snr.clamp(max=gamma) * ((estimate - x_0) ** 2).mean(dim=(1, 2)), rtol=1e-8)


def test_min_snr_weights_of_the_paper():
    alpha, sigma = cosine().at(torch.arange(1, 1001), torch.zeros(1, dtype=torch.float64))
    snr, gamma = (alpha / sigma) ** 2, 5.0
    clamped = snr.clamp(max=gamma)
    assert torch.allclose(min_snr_weight(X_0, alpha, sigma, gamma), clamped)
    assert torch.allclose(min_snr_weight(EPS, alpha, sigma, gamma), clamped / snr)
    assert torch.allclose(min_snr_weight(V, alpha, sigma, gamma), clamped / (snr + 1))
