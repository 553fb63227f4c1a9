"""The variational bound against closed forms and against scipy."""

import math

import numpy as np
import pytest
import torch
from oracle import gaussian
from scipy import stats

from meddiff.diffusion.bound import bound_term, decoder_log_likelihood, gaussian_kl, prior_term, variational_bound
from meddiff.diffusion.schedule import cosine, linear


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_kl_of_gaussians_is_that_of_torch():
    mean_q, log_q, mean_p, log_p = normal(4, 100)
    q = torch.distributions.Normal(mean_q, (0.5 * log_q).exp())
    p = torch.distributions.Normal(mean_p, (0.5 * log_p).exp())
    assert torch.allclose(gaussian_kl(mean_q, log_q, mean_p, log_p), torch.distributions.kl_divergence(q, p))


def test_decoder_is_a_distribution_over_256_levels():
    levels = (torch.arange(256, dtype=torch.float64) / 127.5 - 1).expand(6, 256)
    mean = torch.tensor([-1.3, -1.0, -0.2, 0.0, 0.999, 5.0], dtype=torch.float64).view(-1, 1)
    for log_variance in (-12.0, -6.0, 0.0):
        log_p = decoder_log_likelihood(levels, mean, torch.tensor(log_variance, dtype=torch.float64), 256)
        assert torch.allclose(log_p.exp().sum(1), torch.ones(6, dtype=torch.float64))
        std, half = math.exp(log_variance / 2), 1 / 255
        inner = stats.norm.cdf(levels + half, mean, std) - stats.norm.cdf(levels - half, mean, std)
        assert np.allclose(log_p.exp()[:, 1:-1], inner[:, 1:-1], atol=1e-12)


def test_decoder_stays_finite_far_away():
    x = torch.tensor([-1.0, 0.0, 0.5, 1.0], requires_grad=True)
    log_p = decoder_log_likelihood(torch.tensor([1.0, -1.0, -0.5, -1.0]), x, torch.tensor(-9.0), 256)
    log_p.sum().backward()
    assert log_p.isfinite().all()
    assert x.grad.isfinite().all()


def test_continuous_decoder_is_the_normal_density():
    x, mean = normal(2, 50)
    expected = torch.distributions.Normal(mean, math.exp(-1.5)).log_prob(x)
    assert torch.allclose(decoder_log_likelihood(x, mean, torch.tensor(-3.0, dtype=torch.float64), None), expected)


def test_the_prior_term_is_its_closed_form():
    schedule, x_0 = linear(), normal(3, 2, 5)
    alpha, sigma = schedule.alpha[-1], schedule.sigma[-1]
    expected = 0.5 * ((alpha * x_0 / sigma) ** 2).mean(dim=(1, 2)) / math.log(2)
    assert torch.allclose(prior_term(schedule, x_0), expected)


def test_the_sum_of_the_terms_is_the_bound_by_monte_carlo():
    """E over uniform t of T L_t, plus L_T, is the sum over t: two estimates of one number."""
    schedule, mean, std = linear(60), 0.2, 0.3
    denoise = gaussian(schedule, mean, std)
    x_0 = mean + std * normal(4000, 1, 4)
    bound = variational_bound(denoise, schedule, x_0, lambda t: normal(4000, 1, 4, seed=t), levels=None)
    assert bound.steps.shape == (59, 4000)
    generator = torch.Generator().manual_seed(99)
    estimates = []
    for repeat in range(80):
        t = torch.randint(1, 61, (4000,), generator=generator)
        x_t = schedule.diffuse(x_0, t, normal(4000, 1, 4, seed=1000 + repeat))
        estimates.append(
            60 * bound_term(schedule, x_0, x_t, denoise(x_t, t), t, levels=None) + prior_term(schedule, x_0)
        )
    monte_carlo = torch.stack(estimates).mean(1)
    error = monte_carlo.std() / math.sqrt(len(monte_carlo))
    assert abs(monte_carlo.mean() - bound.total.mean()) < 4 * error
    assert error < 0.05


def test_the_bound_is_one_and_tightens_with_more_levels():
    """For N(m, s**2) the truth is the entropy; more levels lose less of it."""
    mean, std = 0.2, 0.3
    x_0 = mean + std * normal(2000, 1, 4)
    entropy = 0.5 * math.log2(2 * math.pi * math.e * std**2)
    gaps = []
    for T in (50, 200, 800):
        schedule = linear(T)
        noise = lambda t: normal(2000, 1, 4, seed=t)  # noqa: E731
        bound = variational_bound(gaussian(schedule, mean, std), schedule, x_0, noise, levels=None)
        gaps.append(bound.total.mean().item() - entropy)
    assert gaps[0] > gaps[1] > gaps[2] > -0.03
    assert gaps[2] < 0.05


def test_a_learned_variance_lies_between_in_the_logarithm():
    schedule, t = cosine(), torch.tensor([2, 500])
    x_0, eps = normal(2, 2, 1, 6)
    x_t = schedule.diffuse(x_0, t, eps)
    ends = [bound_term(schedule, x_0, x_t, 0 * x_0, t, variance=kind) for kind in ("small", "large")]
    for end, fraction in zip(ends, (0.0, 1.0), strict=True):
        assert torch.allclose(bound_term(schedule, x_0, x_t, 0 * x_0, t, variance=torch.full_like(x_0, fraction)), end)


def test_the_bound_has_the_right_gradient():
    schedule, t = cosine(), torch.tensor([1, 2, 700])
    x_0, eps, estimate, fraction = normal(4, 3, 1, 2) * 0.3
    x_t = schedule.diffuse(x_0, t, eps)

    def term(estimate, fraction):
        return bound_term(schedule, x_0, x_t, estimate, t, variance=fraction)

    assert torch.autograd.gradcheck(term, (estimate.requires_grad_(), fraction.requires_grad_()))


@pytest.mark.parametrize("shape", [(7,), (1, 3, 4), (1, 2, 3, 4)])
def test_any_rank(shape):
    schedule = linear(30)
    x_0 = normal(2, *shape).clamp(-1, 1)
    bound = variational_bound(gaussian(schedule, 0, 0.5), schedule, x_0, lambda t: normal(2, *shape, seed=t))
    assert bound.total.shape == (2,)
    assert bound.total.isfinite().all()
