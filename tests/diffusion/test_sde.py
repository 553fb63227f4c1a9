"""The SDE's coefficients against the papers and against the tables' own derivatives."""

import pytest
import torch
from oracle import gaussian, moments_at

from meddiff.diffusion.process import drift_and_diffusion, score
from meddiff.diffusion.schedule import cosine, edm, exponential, linear, rectified_flow, sub_vp
from meddiff.errors import InputError

MIDDLE = torch.tensor([1.0, 3.0, 250.0, 600.5, 999.0], dtype=torch.float64)


def test_variance_preserving():
    """Song et al. 2021b, eq. 11: f = -beta(t)/2, g**2 = beta(t), so f = -g**2/2; the tables' beta is the step's."""
    for schedule in (linear(), cosine()):
        drift, diffusion = drift_and_diffusion(schedule, MIDDLE)
        assert torch.allclose(drift, -diffusion / 2, rtol=1e-9)
    drift, _ = drift_and_diffusion(linear(), MIDDLE[2:])
    t = MIDDLE[2:].ceil()
    beta = 1e-4 + (0.02 - 1e-4) * (t - 1) / 999
    assert torch.allclose(-2 * drift, beta, rtol=0.03)


def test_variance_exploding():
    """Song et al. 2021b, eq. 9: f = 0 and g**2 = d sigma**2 / dt."""
    for schedule in (exponential(), edm()):
        drift, diffusion = drift_and_diffusion(schedule, MIDDLE[2:])
        assert drift.abs().max() < 1e-2
        t = MIDDLE[2:].ceil().long()
        growth = schedule.sigma[t] ** 2 - schedule.sigma[t - 1] ** 2
        assert torch.allclose(diffusion, growth, rtol=0.05)


@pytest.mark.parametrize("make", [linear, cosine, exponential, sub_vp, edm])
def test_they_are_the_derivatives_of_alpha_and_sigma(make):
    schedule, h = make(), 1e-5
    t = torch.tensor([2.5, 100.3, 700.5, 999.2], dtype=torch.float64)
    drift, diffusion = drift_and_diffusion(schedule, t)
    like = torch.zeros(1, dtype=torch.float64)
    (a_0, s_0), (a_1, s_1), (_, s) = (schedule.at(t + dt, like) for dt in (-h, h, 0))
    assert torch.allclose(drift, (a_1.log() - a_0.log()) / (2 * h), atol=1e-8)
    assert torch.allclose(diffusion, (s_1**2 - s_0**2) / (2 * h) - 2 * drift * s**2, rtol=1e-5)


def test_score_of_gaussian_data():
    schedule, t = cosine(), torch.tensor([10, 400, 990])
    x_t = torch.randn(3, 5, dtype=torch.float64)
    got = score(gaussian(schedule, 0.2, 0.3), schedule, x_t, t)
    for i in range(3):
        mean, std = moments_at(schedule, t[i].item(), 0.2, 0.3)
        assert torch.allclose(got[i], -(x_t[i] - mean) / std**2)


def test_score_is_minus_eps_over_sigma():
    schedule, t = linear(), torch.tensor([5, 500])
    x_0, eps = torch.randn(2, 2, 7, dtype=torch.float64)
    _, sigma = schedule.at(t, x_0)
    assert torch.allclose(score(lambda x_t, t: x_0, schedule, schedule.diffuse(x_0, t, eps), t), -eps / sigma)


def test_infinite_drift_is_refused():
    with pytest.raises(InputError, match="drift is infinite"):
        drift_and_diffusion(rectified_flow(), torch.tensor([1000.0]))
