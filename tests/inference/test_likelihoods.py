"""Bits per dimension against closed forms: Gaussian data, whose denoiser is exact."""

import math

import numpy as np
import pytest
import torch
from oracle import gaussian
from torch import nn

from meddiff.diffusion.bound import variational_bound
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.prediction import X_0
from meddiff.diffusion.schedule import cosine, linear
from meddiff.errors import InputError
from meddiff.inference.likelihoods import Likelihood, exact_signs, strata

MEAN, STD, CPU = 0.1, 0.3, torch.device("cpu")


class Exact(nn.Module):
    def __init__(self, schedule, denoise):
        super().__init__()
        self.denoise = denoise

    def forward(self, x_t, t, condition):
        assert (condition.label == -1).all()
        return self.denoise(x_t, t)


def likelihood(schedule, count=50, denoise=None):
    network = Exact(schedule, denoise or gaussian(schedule, MEAN, STD))
    return Likelihood(Denoiser(network, schedule, X_0), 256, CPU, count)


def images(count, *shape, std=STD):
    """Numbers of 256 levels in [-1, 1]."""
    x = MEAN + std * torch.randn(count, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return ((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def exact_bits(x):
    """-log2 of the probability of each level of N(MEAN, STD**2)."""
    law = torch.distributions.Normal(torch.tensor(MEAN, dtype=torch.float64), STD)
    nats = (law.cdf(x + 1 / 255) - law.cdf(x - 1 / 255)).log()
    return (-nats / math.log(2)).flatten(1).mean(1).numpy()


@pytest.mark.parametrize(("T", "count"), [(1000, 50), (1000, 999), (1000, 5000), (10, 4), (3, 2), (2, 1)])
def test_strata_are_narrow_near_the_data_and_leave_nothing_out(T, count):
    edges = strata(T, count)
    sizes = np.diff(edges)
    assert (edges[0], edges[-1]) == (2, T + 1)
    assert len(sizes) == min(count, T - 1)
    assert (sizes >= 1).all()
    assert sizes[0] == 1


def test_a_level_of_each_stratum_gives_the_whole_bound_on_average():
    schedule, x_0 = linear(200), images(1, 1, 4, 4)
    part, all_ = likelihood(schedule, 12), likelihood(schedule, 199)
    many = part.bound(x_0.expand(3000, 1, 4, 4), range(3000)).total
    whole = all_.bound(x_0.expand(200, 1, 4, 4), range(200)).total
    error = math.hypot(many.std() / math.sqrt(3000), whole.std() / math.sqrt(200))
    assert abs(many.mean() - whole.mean()) < 4 * error
    assert error < 0.05


def test_with_a_stratum_for_each_level_the_terms_are_those_of_the_bound():
    schedule, x_0 = linear(30), images(3, 1, 2, 3)
    one = likelihood(schedule, 29)
    noise = one._noise([1, 2, 3], x_0)
    bound = variational_bound(gaussian(schedule, MEAN, STD), schedule, x_0, lambda t: noise(t))
    terms = one.bound(x_0, [1, 2, 3])
    assert np.allclose(terms.prior, bound.prior)
    assert np.allclose(terms.decoder, bound.decoder)
    assert np.allclose(terms.steps, bound.steps.flip(0).T)
    assert np.allclose(terms.total, bound.total)


def test_gaussian_data_have_the_bits_of_their_law():
    """The flow to the solver's error; the bound lies above, by what 1,000 levels lose."""
    x_0 = images(200, 1, 4, 4)
    one, truth = likelihood(cosine(), 999), exact_bits(x_0)
    flow = one.flow(x_0[:20], range(20), probes=1, tolerance=1e-5)
    assert flow.shape == (1, 20)
    assert np.allclose(flow[0], truth[:20], atol=0.02)
    above = one.bound(x_0, range(200)).total - truth
    assert -4 * above.std() / math.sqrt(200) < above.mean() < 0.1
    assert above.std() < 0.5


def test_exact_traces_need_no_luck():
    """Where the Jacobian is not diagonal, probes scatter about the exact trace."""
    schedule, mixed = (
        cosine(),
        torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)).double())[0],
    )
    variances = torch.tensor([0.01, 0.04, 0.09, 0.2, 0.5, 1.0], dtype=torch.float64)

    def denoise(x_t, t):
        alpha, sigma = schedule.at(t, x_t)
        along = x_t.flatten(1) @ mixed
        shrunk = along * alpha.flatten(1) * variances / (alpha.flatten(1) ** 2 * variances + sigma.flatten(1) ** 2)
        return (shrunk @ mixed.T).view(x_t.shape)

    one, x_0 = likelihood(schedule, denoise=denoise), images(1, 1, 2, 3)
    exact = one.flow(x_0, [5], probes=0, tolerance=1e-4)[0, 0]
    probes = one.flow(x_0.expand(60, 1, 2, 3), range(60), probes=1, tolerance=1e-4)[0]
    same_jitter = one.flow(x_0, [5], probes=30, tolerance=1e-4)[:, 0]
    assert abs(same_jitter.mean() - exact) < 4 * same_jitter.std(ddof=1) / math.sqrt(30)
    assert probes.std() > 0.05
    law = torch.distributions.MultivariateNormal(torch.zeros(6).double(), mixed @ torch.diag(variances) @ mixed.T)
    truth = -law.log_prob(x_0.flatten()).item() / 6 / math.log(2) + math.log2(127.5)
    assert exact == pytest.approx(truth, abs=0.1)  # the jitter moves it


@pytest.mark.parametrize("numbers", [1, 2, 5, 8, 11])
def test_hadamard_probes_are_orthogonal_on_average(numbers):
    signs, count = exact_signs((1, numbers)), 1 << (numbers - 1).bit_length()
    probes = torch.cat([signs(k) for k in range(1, count + 1)])
    assert torch.equal(probes.T @ probes / count, torch.eye(numbers))


def test_too_large_for_an_exact_trace():
    with pytest.raises(InputError, match="at most 4096 numbers, these have 12288: give --probes 1 or more"):
        exact_signs((1, 3, 64, 64))


def test_an_image_is_judged_alone_as_among_others():
    schedule, x_0 = cosine(), images(3, 1, 2, 2)
    one = likelihood(schedule)
    assert np.allclose(one.bound(x_0, [1, 2, 3]).total[1], one.bound(x_0[1:2], [2]).total[0])
    assert np.allclose(
        one.flow(x_0, [1, 2, 3], probes=1, tolerance=1e-4)[0, 1],
        one.flow(x_0[1:2], [2], probes=1, tolerance=1e-4)[0, 0],
    )
