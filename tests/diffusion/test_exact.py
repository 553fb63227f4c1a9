"""The exact denoisers of the package against those of the tests, and against Bayes' rule by quadrature."""

import math

import torch
from oracle import gaussian, mixture

from meddiff.diffusion.exact import gaussian_mixture
from meddiff.diffusion.schedule import cosine

T_VALUES = torch.tensor([1, 200, 500, 999])


def test_one_gaussian_and_two_on_a_line():
    schedule, x_t = cosine(), torch.randn(4, 1, dtype=torch.float64)
    one = gaussian_mixture(schedule, torch.tensor([[0.2]], dtype=torch.float64), 0.3)
    assert torch.allclose(one(x_t, T_VALUES), gaussian(schedule, 0.2, 0.3)(x_t, T_VALUES))
    two = gaussian_mixture(schedule, torch.tensor([[-0.6], [0.5]]), 0.1, torch.tensor([0.3, 0.7]))
    assert torch.allclose(two(x_t, T_VALUES), mixture(schedule, [-0.6, 0.5], 0.1, [0.3, 0.7])(x_t, T_VALUES), atol=1e-6)


def test_in_the_plane_it_is_the_posterior_mean():
    schedule, t = cosine(), torch.tensor([400])
    means, std = torch.tensor([[0.5, 0.0], [-0.5, 0.3]], dtype=torch.float64), 0.2
    x_t = torch.tensor([[0.1, 0.4]], dtype=torch.float64)
    axis = torch.linspace(-2, 2, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    (alpha,), (sigma,) = schedule.scales([400])
    prior = torch.exp(-((grid.unsqueeze(1) - means) ** 2).sum(2) / (2 * std**2)).sum(1)
    posterior = prior * torch.exp(-((x_t - alpha * grid) ** 2).sum(1) / (2 * sigma**2))
    expected = (posterior.unsqueeze(1) * grid).sum(0) / posterior.sum()
    assert torch.allclose(gaussian_mixture(schedule, means, std)(x_t, t)[0], expected, atol=1e-6)


def test_any_rank():
    denoise = gaussian_mixture(cosine(), torch.randn(3, 2, 4, 5), 0.1)
    assert denoise(torch.randn(4, 2, 4, 5), T_VALUES).shape == (4, 2, 4, 5)
    assert math.isfinite(denoise(100 * torch.randn(4, 2, 4, 5), T_VALUES).sum())
