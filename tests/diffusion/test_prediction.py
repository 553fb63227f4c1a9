"""Predictions against their papers' definitions, and into each other and back."""

import pytest
import torch
from contracts import check_prediction

from meddiff.diffusion.prediction import EPS, X_0, V
from meddiff.diffusion.schedule import cosine, linear


@pytest.mark.parametrize("prediction", [EPS, X_0, V], ids=lambda prediction: prediction.name)
@pytest.mark.parametrize("schedule", [linear(), cosine()], ids=["linear", "cosine"])
def test_contract(prediction, schedule):
    check_prediction(prediction, schedule)


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
