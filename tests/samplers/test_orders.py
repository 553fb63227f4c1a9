"""The order of convergence of each method, and identities between methods."""

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from oracle import flow, gaussian, mixture

from meddiff.diffusion.noise import PerSampleNoise
from meddiff.diffusion.schedule import cosine, exponential, linear, rectified_flow
from meddiff.errors import InputError
from meddiff.samplers.ddim import ddim
from meddiff.samplers.dpm_solver import dpm_solver
from meddiff.samplers.euler import euler
from meddiff.samplers.heun import heun
from meddiff.samplers.langevin import annealed_langevin
from meddiff.samplers.ode import probability_flow
from meddiff.samplers.pndm import pndm
from meddiff.samplers.unipc import unipc

DETERMINISTIC = {
    "ddim": (ddim, 1),
    "euler": (euler, 1),
    "heun": (heun, 2),
    "dpm_solver": (dpm_solver, 2),
    "pndm": (pndm, 2),
    "unipc": (unipc, 3),
    "unipc3": (partial(unipc, order=3), 4),
}


@pytest.mark.parametrize("schedule", [linear(), cosine(), exponential()], ids=["linear", "cosine", "exponential"])
@pytest.mark.parametrize("std", [0.3, 1.0])
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_halving_the_step_divides_the_error_by_2_to_the_order(name, std, schedule):
    """From t = 900 to t = 100 the end is known exactly. UniPC's corrector adds one to its order, at no cost.

    PNDM's first steps are of lower order, which leaves it with 2.
    """
    sampler, order = DETERMINISTIC[name]
    x_T = torch.tensor([[1.7], [-0.4]], dtype=torch.float64)
    exact = flow(schedule, 900, 100, x_T, 0.2, std)
    ends = [math.log(a / s) for a, s in zip(*schedule.scales([900, 100]), strict=True)]
    errors = []
    for steps in (40, 80, 160):
        times = schedule.time_at(torch.linspace(*ends, steps + 1, dtype=torch.float64)).tolist()
        *_, last = sampler(gaussian(schedule, 0.2, std), schedule, x_T, times, None)
        errors.append((last.x - exact).abs().max().item())
    assert errors[0] / errors[1] > 0.6 * 2**order, errors
    assert errors[1] / errors[2] > 0.8 * 2**order, errors
    if order == 1:
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
