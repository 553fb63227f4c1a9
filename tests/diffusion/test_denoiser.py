"""Denoiser, guidance, thresholding: exact networks, so the estimates are known."""

import pytest
import torch
from torch import nn

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser, bind
from meddiff.diffusion.guidance import clip_x_0, guide
from meddiff.diffusion.prediction import EPS, X_0, V
from meddiff.diffusion.schedule import NoiseSchedule, cosine, linear
from meddiff.errors import InputError


class LabelNetwork(nn.Module):
    """Says the label everywhere (0 where untold), and counts its calls."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def forward(self, x_t, t, condition):
        self.batches.append(len(x_t))
        value = (condition.label + 1).to(x_t.dtype)
        return value.view(-1, *[1] * (x_t.ndim - 1)).expand_as(x_t)


class TrueNetwork(nn.Module):
    """Knows x_0, and says it in the language of a prediction."""

    def __init__(self, x_0, schedule, prediction):
        super().__init__()
        self.x_0, self.schedule, self.prediction = x_0, schedule, prediction

    def forward(self, x_t, t, condition):
        alpha, sigma = self.schedule.at(t, x_t)
        return self.prediction.target(self.x_0, (x_t - alpha * self.x_0) / sigma, alpha, sigma)


@pytest.mark.parametrize("prediction", [EPS, X_0, V], ids=lambda prediction: prediction.name)
@pytest.mark.parametrize("shape", [(7,), (3, 4, 4), (1, 3, 4, 5)], ids=["1d", "2d", "3d"])
def test_a_true_network_gives_x_0(prediction, shape):
    x_0, eps, t = torch.randn(4, *shape), torch.randn(4, *shape), torch.tensor([1, 10, 500, 900])
    schedule = cosine()
    denoiser = Denoiser(TrueNetwork(x_0, schedule, prediction), schedule, prediction)
    assert torch.allclose(denoiser(schedule.diffuse(x_0, t, eps), t, Condition()), x_0, atol=1e-4)


def test_half_precision_output_becomes_float32():
    class Half(nn.Module):
        def forward(self, x_t, t, condition):
            return x_t.bfloat16()

    schedule = linear()
    before = schedule.alpha.clone()
    denoiser = Denoiser(Half(), schedule, EPS)
    estimate = denoiser(torch.randn(2, 3), torch.tensor([1, 1000]), Condition())
    assert estimate.dtype == torch.float32
    assert torch.equal(schedule.alpha, before)


def test_guidance_is_one_doubled_batch():
    network = LabelNetwork()
    denoiser = Denoiser(network, cosine(), X_0)
    condition = Condition(label=torch.tensor([0, 4]))
    told, untold = bind(denoiser, condition), bind(denoiser, condition.untold())
    x_t, t = torch.randn(2, 3, 4, 4), torch.tensor([500, 500])
    guided = guide(told, untold, 3.0)(x_t, t)
    assert network.batches == [4]
    assert torch.allclose(guided[:, 0, 0, 0], torch.tensor([3.0, 15.0]))  # 0 + 3 (label + 1 - 0)
    assert guide(told, untold, 1) is told, "scale 1 must make no second half"
    assert guide(told, untold, 0) is untold


def test_guided_x_0_is_the_x_0_of_guided_eps():
    schedule, t = cosine(), torch.tensor([300, 800])
    x_t, eps_told, eps_untold = torch.randn(3, 2, 5, dtype=torch.float64)
    alpha, sigma = schedule.at(t, x_t)

    def estimate(eps):
        return lambda x_t, t: EPS.to_x_0(eps, x_t, alpha, sigma)

    expected = EPS.to_x_0(eps_untold + 2.5 * (eps_told - eps_untold), x_t, alpha, sigma)
    assert torch.allclose(guide(estimate(eps_told), estimate(eps_untold), 2.5)(x_t, t), expected, atol=1e-10)


def test_clipping_is_a_wrapper():
    clipped = clip_x_0(lambda x_t, t: 3 * x_t, -1, 1)
    assert clipped(torch.tensor([[-1.0, 0.1, 1.0]]), torch.tensor([1])).tolist() == [[-1, pytest.approx(0.3), 1]]


def test_no_signal_at_the_end_needs_v_or_x_0():
    angle = torch.linspace(0, torch.pi / 2, 11, dtype=torch.float64)
    alpha = angle.cos()
    alpha[-1] = 0
    zero_terminal = NoiseSchedule(alpha, angle.sin())
    with pytest.raises(InputError, match="use the prediction v"):
        Denoiser(LabelNetwork(), zero_terminal, EPS)
    Denoiser(LabelNetwork(), zero_terminal, V)
