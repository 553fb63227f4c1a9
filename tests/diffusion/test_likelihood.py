"""The probability-flow likelihood of Gaussian data is their density; the solver is scipy's."""

import math

import numpy as np
import pytest
import torch
from oracle import gaussian, mixture
from scipy import integrate as scipy_integrate

from meddiff.diffusion.integration import integrate
from meddiff.diffusion.likelihood import flow_likelihood
from meddiff.diffusion.noise import PerSampleNoise
from meddiff.diffusion.schedule import cosine, edm, rectified_flow
from meddiff.errors import InputError


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("std", [0.3, 1.0])
@pytest.mark.parametrize("shape", [(8,), (1, 3, 3), (1, 2, 2, 2)], ids=["1d", "2d", "3d"])
def test_gaussian_data_have_their_closed_form(std, shape):
    schedule = cosine()
    x_0 = 0.2 + std * normal(3, *shape)
    got = flow_likelihood(gaussian(schedule, 0.2, std), schedule, x_0, PerSampleNoise(range(3), shape))
    nats = 0.5 * ((x_0 - 0.2) / std) ** 2 + math.log(std) + 0.5 * math.log(2 * math.pi)
    assert torch.allclose(got, nats.flatten(1).mean(1) / math.log(2), atol=1e-3)


def test_the_only_errors_are_those_of_the_two_ends():
    """The flow starts with sigma_1 of noise and ends in a prior that ignores the data; with both put in, 1e-6."""
    schedule = edm(sigma_min=0.05, sigma_max=20)
    x_0 = 0.1 + 0.3 * normal(4, 6)
    got = flow_likelihood(
        gaussian(schedule, 0.1, 0.3), schedule, x_0, PerSampleNoise(range(4), (6,)), rtol=1e-8, atol=1e-8
    )
    start, end = math.hypot(0.3, 0.05), math.hypot(0.3, 20)
    y_T = 0.1 + end / start * (x_0 - 0.1)
    nats = 0.5 * (y_T / 20) ** 2 + math.log(20) + 0.5 * math.log(2 * math.pi) - math.log(end / start)
    assert torch.allclose(got, nats.mean(1) / math.log(2), atol=1e-6)


def test_a_mixture_integrates_to_one():
    schedule = cosine()
    x = torch.linspace(-2, 2, 401, dtype=torch.float64).view(-1, 1)
    bits = flow_likelihood(
        mixture(schedule, [-0.6, 0.5], 0.2, [0.3, 0.7]), schedule, x, PerSampleNoise(range(401), (1,))
    )
    density = torch.exp2(-bits)
    weights, means = torch.tensor([0.3, 0.7]), torch.tensor([-0.6, 0.5])
    expected = (weights * torch.exp(-0.5 * ((x - means) / 0.2) ** 2) / (0.2 * math.sqrt(2 * math.pi))).sum(1)
    assert torch.allclose(density, expected, atol=5e-3)
    assert torch.trapezoid(density, x[:, 0]).item() == pytest.approx(1, abs=2e-3)


def test_hutchinson_is_unbiased_where_the_jacobian_is_not_diagonal():
    schedule = cosine()
    rotation = torch.linalg.qr(normal(4, 4))[0]
    spread = torch.diag(torch.tensor([0.1, 0.3, 0.5, 1.0], dtype=torch.float64) ** 2)
    covariance = rotation @ spread @ rotation.T

    def denoise(x_t, t):
        alpha, sigma = schedule.at(t, x_t)
        noisy = alpha.view(-1, 1, 1) ** 2 * covariance + sigma.view(-1, 1, 1) ** 2 * torch.eye(4, dtype=torch.float64)
        return alpha * torch.linalg.solve(noisy, x_t.unsqueeze(-1)).transpose(1, 2).matmul(covariance).squeeze(1)

    x_0 = (torch.linalg.cholesky(covariance) @ normal(4, 1)).T.expand(400, 4)
    got = flow_likelihood(denoise, schedule, x_0, PerSampleNoise(range(400), (4,)), rtol=1e-4, atol=1e-4)
    truth = -torch.distributions.MultivariateNormal(torch.zeros(4, dtype=torch.float64), covariance).log_prob(x_0[0])
    assert abs(got.mean() - truth / 4 / math.log(2)) < 4 * got.std() / math.sqrt(400) + 2e-3


def test_no_signal_at_the_end_is_refused():
    schedule = rectified_flow()
    with pytest.raises(InputError, match=r"alpha\[T\] is 0"):
        flow_likelihood(gaussian(schedule, 0, 1), schedule, normal(2, 3), PerSampleNoise([1, 2], (3,)))


def test_the_solver_agrees_with_scipy():
    def slope(u, y):
        return np.array([y[1], -np.sin(y[0]) + 0.1 * u])

    exact = scipy_integrate.solve_ivp(slope, (0, 5), [1.0, 0.0], rtol=1e-11, atol=1e-11).y[:, -1]
    ours = integrate(
        lambda u, y: torch.stack([y[:, 1], -y[:, 0].sin() + 0.1 * u], dim=1),
        torch.tensor([[1.0, 0.0], [0.3, -0.2]], dtype=torch.float64), 0.0, 5.0, rtol=1e-8, atol=1e-8,
    )  # fmt: skip
    assert np.allclose(ours[0], exact, atol=1e-6)


def test_the_solver_has_order_five():
    errors, calls = [], []
    for tolerance in (1e-5, 1e-7, 1e-9):
        count = 0

        def slope(u, y):
            nonlocal count
            count += 1
            return -y * u.view(-1, 1)

        y = integrate(slope, torch.ones(1, 1, dtype=torch.float64), 0.0, 3.0, rtol=tolerance, atol=tolerance)
        errors.append(abs(y.item() - math.exp(-4.5)))
        calls.append(count)
    slopes = [math.log(errors[0] / errors[2]) / math.log(calls[2] / calls[0])]
    assert slopes[0] > 4


def test_every_sample_has_its_own_clock():
    def slope(u, y):
        return -y * torch.tensor([1.0, 300.0], dtype=y.dtype).view(-1, 1)[: len(y)] if len(y) == 2 else -y

    both = integrate(slope, torch.ones(2, 1, dtype=torch.float64), 0.0, 1.0)
    alone = integrate(slope, torch.ones(1, 1, dtype=torch.float64), 0.0, 1.0)
    assert torch.equal(both[:1], alone)
    with pytest.raises(InputError, match="more than 3 steps"):
        integrate(slope, torch.ones(2, 1, dtype=torch.float64), 0.0, 1.0, max_steps=3)
