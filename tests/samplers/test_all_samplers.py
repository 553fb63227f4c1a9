"""Every sampler: the contract, the truth on Gaussians and on a mixture, and the order of convergence."""

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from contracts import check_sampler
from oracle import flow, gaussian, mixture, moments_at, output_moments

from meddiff.assembly import SAMPLERS
from meddiff.diffusion.noise import PerSampleNoise
from meddiff.diffusion.schedule import cosine, edm, exponential, linear, rectified_flow, sub_vp, zero_terminal_snr
from meddiff.errors import InputError
from meddiff.samplers.ddim import ddim
from meddiff.samplers.ddpm import ddpm
from meddiff.samplers.dpm_solver import dpm_solver
from meddiff.samplers.dpm_solver_sde import dpm_solver_sde
from meddiff.samplers.euler import euler, euler_ancestral
from meddiff.samplers.heun import heun
from meddiff.samplers.langevin import annealed_langevin
from meddiff.samplers.ode import probability_flow
from meddiff.samplers.pndm import pndm
from meddiff.samplers.predictor_corrector import predictor_corrector
from meddiff.samplers.sde import euler_maruyama
from meddiff.samplers.unipc import unipc

ALL = {
    "ddpm": ddpm,
    "ddpm_large": partial(ddpm, variance="large"),
    "ddim": ddim,
    "ddim_half": partial(ddim, eta=0.5),
    "euler": euler,
    "euler_ancestral": euler_ancestral,
    "heun": heun,
    "heun_churn": partial(heun, churn=40.0),
    "pndm": pndm,
    "dpm_solver": dpm_solver,
    "dpm_solver_sde": dpm_solver_sde,
    "unipc": unipc,
    "unipc3": partial(unipc, order=3),
    "euler_maruyama": euler_maruyama,
    "predictor_corrector": predictor_corrector,
    "annealed_langevin": annealed_langevin,
    "probability_flow": probability_flow,
}
DETERMINISTIC = ("ddim", "euler", "heun", "pndm", "dpm_solver", "unipc", "unipc3", "probability_flow")
NONLINEAR = ("predictor_corrector", "probability_flow")  # their steps depend on the data's norm


def test_none_is_forgotten():
    assert set(SAMPLERS.values()) <= set(ALL.values())


@pytest.mark.parametrize("name", ALL)
def test_contract(name):
    check_sampler(ALL[name])


def draw(sampler, schedule, denoise, start, steps, *, spacing="trailing", seeds=8, size=4096):
    """The samples, from x_T = start[0] + start[1] noise."""
    noise = PerSampleNoise(range(seeds), (size,))
    times = schedule.timesteps(steps, spacing)
    *_, last = sampler(denoise, schedule, start[0] + start[1] * noise(0), times, noise)
    return last.x.double()


# Relative error of the std at 200 steps of linear schedule and quadratic spacing. All end by jumping from t = 1 to the
# estimate, which shrinks std s by sqrt(1 - sigma_1**2 / (s**2 + sigma_1**2)): 11% at s = 0.02, with sigma_1 = 0.01.
JUMP = {std: 1 - math.sqrt(1 - 1e-4 / (std**2 + 1e-4)) for std in (0.02, 0.1, 0.3, 1.0)}
BOUND = {
    "ddpm": 0.05, "ddpm_large": 0.2, "ddim": 0.02, "ddim_half": 0.03, "euler": 0.02, "euler_ancestral": 0.05,
    "heun": 3e-3, "pndm": 3e-3, "dpm_solver": 2e-3, "dpm_solver_sde": 0.02, "unipc": 2e-3, "unipc3": 2e-3,
    "euler_maruyama": 0.2, "annealed_langevin": 0.15, "heun_churn": 0.05,
}  # fmt: skip


@pytest.mark.parametrize("std", JUMP)
@pytest.mark.parametrize("name", [name for name in ALL if name not in NONLINEAR])
def test_gaussian_data_get_their_mean_and_std(name, std):
    schedule = linear()
    draws = 2000 if name == "annealed_langevin" else 200
    times = schedule.timesteps(200, "quadratic")
    mean, got = output_moments(ALL[name], schedule, times, 0.2, std, draws=draws)
    assert mean == pytest.approx(0.2, abs=0.02 if name == "annealed_langevin" else 2e-3)
    assert abs(got / std - 1) < BOUND[name] + JUMP[std]


@pytest.mark.parametrize("name", NONLINEAR)
@pytest.mark.parametrize("std", [0.1, 0.3, 1.0])
def test_gaussian_data_by_monte_carlo(name, std):
    schedule = linear()
    steps = 200 if name == "predictor_corrector" else 3
    start = moments_at(schedule, 1000, 0.2, std)
    x = draw(ALL[name], schedule, gaussian(schedule, 0.2, std), start, steps, spacing="quadratic")
    tolerance = 0.06 if name == "predictor_corrector" else 0.003 + JUMP[std]
    assert x.mean().item() == pytest.approx(0.2, abs=0.02 * std + 2e-3)
    assert x.std().item() == pytest.approx(std, rel=tolerance + 0.01)  # 0.01 is four standard errors


@pytest.mark.parametrize("name", ALL)
def test_a_mixture_gets_its_two_parts(name):
    """0.3 N(-0.6, 0.1) + 0.7 N(0.5, 0.1): weights, means and stds of the samples' halves."""
    schedule = linear()
    denoise = mixture(schedule, [-0.6, 0.5], 0.1, [0.3, 0.7])
    steps = 40 if name in ("probability_flow", "unipc", "unipc3", "dpm_solver", "heun", "pndm") else 150
    x = draw(ALL[name], schedule, denoise, (0.0, 1.0), steps, spacing="quadratic", seeds=4, size=2048)
    left, right = x[x < 0], x[x > 0]
    assert len(left) / x.numel() == pytest.approx(0.3, abs=0.04)
    for part, mean in ((left, -0.6), (right, 0.5)):
        assert part.mean().item() == pytest.approx(mean, abs=0.02)
        assert part.std().item() == pytest.approx(0.1, rel=0.25)


ORDERS = {"ddim": 1, "euler": 1, "heun": 2, "dpm_solver": 2, "pndm": 2, "unipc": 3, "unipc3": 4}


@pytest.mark.parametrize("schedule", [linear(), cosine(), exponential()], ids=["linear", "cosine", "exponential"])
@pytest.mark.parametrize("std", [0.3, 1.0])
@pytest.mark.parametrize("name", ORDERS)
def test_halving_the_step_divides_the_error_by_2_to_the_order(name, std, schedule):
    """From t = 900 to t = 100 the end is known exactly. UniPC's corrector adds one to its order, at no cost.

    PNDM's first steps are of lower order, which leaves it with 2.
    """
    x_T = torch.tensor([[1.7], [-0.4]], dtype=torch.float64)
    exact = flow(schedule, 900, 100, x_T, 0.2, std)
    ends = [math.log(a / s) for a, s in zip(*schedule.scales([900, 100]), strict=True)]
    errors = []
    for steps in (40, 80, 160):
        times = schedule.time_at(torch.linspace(*ends, steps + 1, dtype=torch.float64)).tolist()
        *_, last = ALL[name](gaussian(schedule, 0.2, std), schedule, x_T, times, None)
        errors.append((last.x - exact).abs().max().item())
    assert errors[0] / errors[1] > 0.6 * 2 ** ORDERS[name], errors
    assert errors[1] / errors[2] > 0.8 * 2 ** ORDERS[name], errors
    if ORDERS[name] == 1:
        assert errors[1] / errors[2] < 2.3


def test_higher_orders_of_unipc_are_more_exact():
    schedule, x_T = cosine(), torch.tensor([[1.3]], dtype=torch.float64)
    exact = flow(schedule, 900, 100, x_T, 0.2, 0.5)
    ends = [math.log(a / s) for a, s in zip(*schedule.scales([900, 100]), strict=True)]
    times = schedule.time_at(torch.linspace(*ends, 81, dtype=torch.float64)).tolist()
    errors = []
    for order in (1, 2, 3):
        *_, last = unipc(gaussian(schedule, 0.2, 0.5), schedule, x_T, times, order=order)
        errors.append((last.x - exact).abs().item())
    assert errors[0] > 5 * errors[1] > 25 * errors[2]
    with pytest.raises(InputError, match="1, 2 or 3"):
        next(unipc(gaussian(schedule, 0, 1), schedule, x_T, [900, 100], order=4))


def test_the_adaptive_solver_keeps_its_tolerance():
    schedule, x_T = cosine(), torch.tensor([[1.3], [-2.0]], dtype=torch.float64)
    exact = flow(schedule, 990, 10, x_T, 0.2, 0.3)
    for tolerance in (1e-3, 1e-6, 1e-9):
        sampler = partial(probability_flow, rtol=tolerance, atol=tolerance)
        *_, last = sampler(gaussian(schedule, 0.2, 0.3), schedule, x_T, [990, 10])
        assert (last.x - exact).abs().max() < 20 * tolerance


@pytest.mark.parametrize("make", [cosine, exponential, edm, sub_vp], ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_every_schedule(name, make):
    schedule = make()
    start = moments_at(schedule, 1000, 0.2, 0.3)
    x = draw(ALL[name], schedule, gaussian(schedule, 0.2, 0.3), start, 60, seeds=2)
    assert x.mean().item() == pytest.approx(0.2, abs=0.01)
    assert x.std().item() == pytest.approx(0.3, rel=0.12)


@pytest.mark.parametrize("schedule", [rectified_flow(), zero_terminal_snr(linear())], ids=["flow", "zero_snr"])
@pytest.mark.parametrize("name", [name for name in ALL if name not in ("euler_maruyama", "probability_flow")])
def test_schedules_without_signal_at_the_start(name, schedule):
    noise = PerSampleNoise(range(4), (2048,))
    *_, last = ALL[name](gaussian(schedule, 0.2, 0.3), schedule, noise(0), schedule.timesteps(100), noise)
    assert last.x.mean().item() == pytest.approx(0.2, abs=0.06)
    assert last.x.std().item() == pytest.approx(0.3, rel=0.25)


@pytest.mark.parametrize("name", ["euler_maruyama", "probability_flow"])
def test_schedules_without_signal_are_refused_where_the_method_has_no_start(name):
    with pytest.raises(InputError, match="use another schedule"):
        next(ALL[name](gaussian(rectified_flow(), 0, 1), rectified_flow(), torch.zeros(1, 1), [1000, 0], lambda k: 0))


def test_euler_of_the_velocity_is_ddim_on_a_rectified_flow():
    """Liu et al. 2023: x_s = x_t + (s - t) v, with v = eps - x_0."""
    schedule = rectified_flow(100)
    denoise = mixture(schedule, [-0.6, 0.5], 0.1, [0.3, 0.7])
    x = x_T = torch.randn(50, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    times = schedule.timesteps(10)
    for t, s in pairwise(times):
        x_0 = denoise(x, torch.full((50,), t))
        velocity = (x - x_0) / (t / 100)
        x = x + (s - t) / 100 * velocity
    *_, last = ddim(denoise, schedule, x_T, times)
    assert torch.allclose(last.x, x, atol=1e-12)


def test_langevin_dynamics_settles_at_the_variance_of_its_finite_step():
    """x <- (1 - k) x + sigma sqrt(step) z settles at v / (1 - k/2), k = step sigma**2 / (2 v) (Welling & Teh 2011)."""
    schedule, step, std = exponential(sigma_min=0.1, sigma_max=10), 0.4, 0.3
    v = 0.3**2 + 0.1**2
    k = step * 0.01 / (2 * v)
    noise = PerSampleNoise(range(4), (4096,))
    walk = partial(annealed_langevin, steps_per_level=400, step=step)
    (only,) = (
        walk(gaussian(schedule, 0.2, std), schedule, noise(401), [1], noise)
        if False
        else walk(gaussian(schedule, 0.2, std), schedule, noise(401), [1, 0.5], noise)
    )
    assert only.x.var().item() == pytest.approx(v / (1 - k / 2), rel=0.05)
