"""Every sampler: the contract, and the truth on Gaussians and on a mixture, on every schedule."""

import math
from functools import partial

import pytest
import torch
from contracts import check_sampler
from oracle import gaussian, mixture, moments_at, output_moments

from meddiff.build import SAMPLERS
from meddiff.diffusion.noise import PerSampleNoise
from meddiff.diffusion.schedule import cosine, edm, exponential, linear, rectified_flow, sub_vp, zero_terminal_snr
from meddiff.errors import InputError
from meddiff.samplers.ddim import ddim
from meddiff.samplers.ddpm import ddpm
from meddiff.samplers.dpm_solver import dpm_solver
from meddiff.samplers.dpm_solver_sde import dpm_solver_sde
from meddiff.samplers.euler import euler, euler_ancestral
from meddiff.samplers.euler_maruyama import euler_maruyama
from meddiff.samplers.heun import heun
from meddiff.samplers.langevin import annealed_langevin
from meddiff.samplers.ode import probability_flow
from meddiff.samplers.pndm import pndm
from meddiff.samplers.predictor_corrector import predictor_corrector
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
    sampler, draws = ALL[name], 200
    if name == "annealed_langevin":
        sampler, draws = partial(annealed_langevin, steps_per_level=5), 1000
    mean, got = output_moments(sampler, schedule, schedule.timesteps(200, "quadratic"), 0.2, std, draws=draws)
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
