"""DDPM, DDIM and DPM-Solver++(2M) against exact solutions for Gaussian data.

For data N(m, s**2) put rho = sigma/alpha and theta = arctan(rho/s). The probability-flow ODE keeps x's number of
standard deviations; a DDIM step from t to u multiplies the standard deviation by a factor that is too small by exactly
cos(theta_t - theta_u): (s**2 + rho_t rho_u) / sqrt((s**2 + rho_t**2) (s**2 + rho_u**2)) is the cosine between the
vectors (s, rho_t) and (s, rho_u).
"""

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from contracts import check_sampler
from oracle import flow, gaussian, output_moments

from meddiff.diffusion.noise import PerSampleNoise
from meddiff.diffusion.process import posterior
from meddiff.diffusion.schedule import cosine, linear
from meddiff.errors import InputError
from meddiff.samplers.ddim import ddim
from meddiff.samplers.ddpm import ddpm
from meddiff.samplers.dpm_solver import dpm_solver

SCHEDULES = {"linear": linear(), "cosine": cosine()}
STDS = (0.02, 0.1, 0.3, 1.0)


@pytest.mark.parametrize("sampler", [ddpm, ddim, dpm_solver])
def test_contract(sampler):
    check_sampler(sampler)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("std", STDS)
@pytest.mark.parametrize("steps", [1, 5, 50, 333, 1000])
def test_ddim_has_exactly_the_std_that_theory_says(schedule, std, steps):
    times = schedule.timesteps(steps)
    mean, got = output_moments(ddim, schedule, times, 0.2, std)
    alpha, sigma = schedule.scales(times)
    theta = [math.atan2(s, a * std) for a, s in zip(alpha, sigma, strict=True)]
    assert mean == pytest.approx(0.2, abs=1e-9)
    assert got == pytest.approx(std * math.prod(math.cos(t - s) for t, s in pairwise(theta)), rel=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("std", STDS)
@pytest.mark.parametrize("steps", [1, 5, 50, 333, 1000])
def test_ddpm_loses_exactly_the_variance_that_a_point_estimate_cannot_know(schedule, std, steps):
    """The true q(x_s | x_t) has variance beta~ + b**2 Var(x_0 | x_t); ancestral steps leave the second part out."""
    times = schedule.timesteps(steps)
    alpha, sigma = schedule.scales(times)
    missing = 0.0
    for i in range(steps):
        from_x_t, from_x_0, _ = posterior(alpha[i], sigma[i], alpha[i + 1], sigma[i + 1])
        marginal = alpha[i] ** 2 * std**2 + sigma[i] ** 2
        slope = from_x_t + from_x_0 * alpha[i] * std**2 / marginal
        missing = slope**2 * missing + from_x_0**2 * std**2 * sigma[i] ** 2 / marginal
    mean, got = output_moments(ddpm, schedule, times, 0.2, std)
    assert mean == pytest.approx(0.2, abs=1e-9)
    assert got**2 == pytest.approx(std**2 - missing, rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("std", STDS)
def test_large_variance_is_an_upper_bound(std):
    schedule = cosine()
    for steps in (10, 100):
        times = schedule.timesteps(steps)
        small = output_moments(ddpm, schedule, times, 0, std)[1]
        large = output_moments(partial(ddpm, variance="large"), schedule, times, 0, std)[1]
        assert small < large


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("std", [0.1, 0.3, 1.0])
@pytest.mark.parametrize(("sampler", "order"), [(ddim, 1), (dpm_solver, 2)])
def test_order_of_convergence(sampler, order, schedule, std):
    """From t = 900 to t = 100 in equal strides of lambda; the exact end is known. Halving divides by 2**order."""
    x_T = torch.full((1, 1), 1.7, dtype=torch.float64)
    denoise = gaussian(schedule, 0.2, std)
    exact = flow(schedule, 900, 100, x_T, 0.2, std).item()
    lambdas = [math.log(a / s) for a, s in zip(*schedule.scales([900, 100]), strict=True)]
    errors = []
    for steps in (80, 160, 320):
        times = schedule.time_at(torch.linspace(*lambdas, steps + 1, dtype=torch.float64)).tolist()
        *_, last = sampler(denoise, schedule, x_T, times, None)
        errors.append(abs(last.x.item() - exact))
    for coarse, fine in pairwise(errors):
        assert 0.9 * 2**order < coarse / fine < 1.15 * 2**order, errors


@pytest.mark.parametrize("spacing", ["trailing", "leading", "linear", "quadratic"])
@pytest.mark.parametrize("steps", [7, 20])
def test_ddpm_is_ddim_with_eta_1(spacing, steps):
    for schedule in SCHEDULES.values():
        times = schedule.timesteps(steps, spacing)
        noise = PerSampleNoise([1, 2, 3], (2, 5))
        x_T = schedule.start(noise(0)).double()
        ancestral = list(ddpm(gaussian(schedule, 0.1, 0.4), schedule, x_T, times, noise))
        implicit = list(ddim(gaussian(schedule, 0.1, 0.4), schedule, x_T, times, noise, eta=1.0))
        for one, other in zip(ancestral, implicit, strict=True):
            assert torch.allclose(one.x, other.x, atol=1e-9)


def test_one_step_is_the_estimate_at_the_start():
    schedule = cosine()
    x_T = torch.randn(2, 3, dtype=torch.float64)
    expected = gaussian(schedule, 0.2, 0.3)(x_T, torch.tensor([1000, 1000]))
    for sampler in (ddpm, ddim, dpm_solver):
        (step,) = sampler(gaussian(schedule, 0.2, 0.3), schedule, x_T, [1000, 0], PerSampleNoise([1, 2], (3,)))
        assert torch.allclose(step.x, expected, atol=1e-12)


def test_noise_is_asked_for_where_it_is_needed():
    schedule = cosine()
    for sampler in (ddpm, partial(ddim, eta=0.5)):
        with pytest.raises(InputError, match="give it noise"):
            next(sampler(gaussian(schedule, 0, 1), schedule, torch.zeros(1, 1), [1000, 0], None))
