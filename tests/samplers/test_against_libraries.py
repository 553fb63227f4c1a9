"""The same network, seeds and times in another library: equal where its conventions are right, and why where not."""

import pytest
import torch

from meddiff.diffusion.schedule import NoiseSchedule, linear
from meddiff.samplers.ddim import ddim
from meddiff.samplers.ddpm import ddpm
from meddiff.samplers.dpm_solver import dpm_solver
from meddiff.samplers.dpm_solver_sde import dpm_solver_sde
from meddiff.samplers.euler import euler, euler_ancestral
from meddiff.samplers.heun import heun
from meddiff.samplers.pndm import pndm
from meddiff.samplers.unipc import unipc

diffusers = pytest.importorskip("diffusers")
SCHEDULE = linear()
# the same process as seen by schedulers in the style of k-diffusion: y = x/alpha, nothing scaled
TWIN = NoiseSchedule(torch.ones_like(SCHEDULE.alpha), SCHEDULE.sigma / SCHEDULE.alpha)


def network(x, t):
    """Something smooth and nonlinear that says eps, the same for both libraries; t [B] counts from 0."""
    return torch.sin(2 * x) * 0.5 + 0.3 * x * torch.cos(t / 300).view(-1, 1)


def denoise(x_t, t):
    alpha, sigma = SCHEDULE.at(t, x_t)
    return (x_t - sigma * network(x_t, t - 1)) / alpha


def denoise_twin(y, t):
    alpha, _ = SCHEDULE.at(t, y)
    return denoise(alpha * y, t)


def start(seed=0):
    return torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def draws(k):
    return start(100 + k)


def theirs(scheduler, x, steps, **options):
    scheduler.set_timesteps(steps)
    for i, t in enumerate(scheduler.timesteps):
        given = scheduler.scale_model_input(x, t)
        extra = {name: value(i + 1) for name, value in options.items()}
        x = scheduler.step(network(given, t.expand(len(x))), t, x, **extra).prev_sample
    return x


def last(sampler, *arguments, **options):
    *_, step = sampler(*arguments, **options)
    return step.x


def close(ours, expected):
    """To 1e-5 of the largest value: their tables are float32."""
    return (ours - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("spacing", ["trailing", "leading"])
@pytest.mark.parametrize("steps", [5, 20, 50])
def test_ddim(steps, spacing):
    expected = theirs(diffusers.DDIMScheduler(1000, clip_sample=False, timestep_spacing=spacing), start(), steps)
    assert close(last(ddim, denoise, SCHEDULE, start(), SCHEDULE.timesteps(steps, spacing)), expected)


@pytest.mark.parametrize("steps", [5, 20])
def test_ddim_with_noise(steps):
    scheduler = diffusers.DDIMScheduler(1000, clip_sample=False, timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    x = start()
    for i, t in enumerate(scheduler.timesteps):
        x = scheduler.step(network(x, t.expand(4)), t, x, eta=0.7, variance_noise=draws(i + 1)).prev_sample
    assert close(last(ddim, denoise, SCHEDULE, start(), SCHEDULE.timesteps(steps), draws, eta=0.7), x)


@pytest.mark.parametrize("kind", ["fixed_small", "fixed_large"])
def test_ddpm(kind, monkeypatch):
    """Their noise comes from a generator; it is handed out here instead.

    Compared before the last step: with the large variance they add noise to the final sample.
    """
    scheduler = diffusers.DDPMScheduler(1000, clip_sample=False, timestep_spacing="trailing", variance_type=kind)
    count = iter(range(1, 100))
    module = "diffusers.schedulers.scheduling_ddpm.randn_tensor"
    monkeypatch.setattr(module, lambda *arguments, **options: draws(next(count)))
    scheduler.set_timesteps(25)
    expected = start()
    for t in scheduler.timesteps[:-1]:
        expected = scheduler.step(network(expected, t.expand(4)), t, expected).prev_sample
    times = SCHEDULE.timesteps(25)[:-1]
    assert close(last(ddpm, denoise, SCHEDULE, start(), times, draws, variance=kind[6:]), expected)


@pytest.mark.parametrize("spacing", ["trailing", "leading"])
@pytest.mark.parametrize("steps", [5, 20, 50])
def test_dpm_solver(steps, spacing):
    scheduler = diffusers.DPMSolverMultistepScheduler(
        1000, algorithm_type="dpmsolver++", solver_order=2, final_sigmas_type="zero", timestep_spacing=spacing
    )
    expected = theirs(scheduler, start(), steps)
    times = [t + 1 for t in scheduler.timesteps.tolist()]  # their leading grid strides by T // (n + 1)
    assert close(last(dpm_solver, denoise, SCHEDULE, start(), [*times, 0]), expected)


@pytest.mark.parametrize("steps", [5, 20])
def test_dpm_solver_sde(steps):
    scheduler = diffusers.DPMSolverMultistepScheduler(
        1000, algorithm_type="sde-dpmsolver++", final_sigmas_type="zero", timestep_spacing="trailing"
    )
    expected = theirs(scheduler, start(), steps, variance_noise=draws)
    assert close(last(dpm_solver_sde, denoise, SCHEDULE, start(), SCHEDULE.timesteps(steps), draws), expected)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("steps", [5, 20])
def test_unipc(steps, order):
    scheduler = diffusers.UniPCMultistepScheduler(
        1000, solver_order=order, solver_type="bh2", final_sigmas_type="zero", timestep_spacing="trailing"
    )
    expected = theirs(scheduler, start(), steps)
    assert close(last(unipc, denoise, SCHEDULE, start(), SCHEDULE.timesteps(steps), order=order), expected)


@pytest.mark.parametrize("steps", [5, 20])
def test_euler(steps):
    scheduler = diffusers.EulerDiscreteScheduler(1000, timestep_spacing="trailing")
    expected = theirs(scheduler, start() * TWIN.sigma[-1], steps)
    times = SCHEDULE.timesteps(steps)
    assert close(last(euler, denoise_twin, TWIN, start() * TWIN.sigma[-1], times), expected)
    assert close(last(euler, denoise, SCHEDULE, start() * SCHEDULE.sigma[-1], times), expected)  # the same without twin


@pytest.mark.parametrize("steps", [5, 20])
def test_euler_ancestral(steps, monkeypatch):
    scheduler = diffusers.EulerAncestralDiscreteScheduler(1000, timestep_spacing="trailing")
    count = iter(range(1, 100))
    module = "diffusers.schedulers.scheduling_euler_ancestral_discrete.randn_tensor"
    monkeypatch.setattr(module, lambda *arguments, **options: draws(next(count)))
    expected = theirs(scheduler, start() * TWIN.sigma[-1], steps)
    times = SCHEDULE.timesteps(steps)
    assert close(last(euler_ancestral, denoise_twin, TWIN, start() * TWIN.sigma[-1], times, draws), expected)
    assert close(last(euler_ancestral, denoise, SCHEDULE, start() * SCHEDULE.sigma[-1], times, draws), expected)


@pytest.mark.parametrize("steps", [5, 20])
def test_heun(steps):
    """On the twin, where Heun's method is that of Karras et al."""
    scheduler = diffusers.HeunDiscreteScheduler(1000, beta_start=1e-4, beta_end=0.02, timestep_spacing="trailing")
    expected = theirs(scheduler, start() * TWIN.sigma[-1], steps)
    assert close(last(heun, denoise_twin, TWIN, start() * TWIN.sigma[-1], SCHEDULE.timesteps(steps)), expected)


def test_pndm_after_the_first_step():
    """Theirs begins with a Heun-like step (two calls), ours with DDIM's; from the same history they go on alike."""
    scheduler = diffusers.PNDMScheduler(1000, skip_prk_steps=True, set_alpha_to_one=True, timestep_spacing="trailing")
    scheduler.set_timesteps(20)
    times = SCHEDULE.timesteps(20)
    steps = list(pndm(denoise, SCHEDULE, start(), times))
    states = [start(), *[step.x for step in steps]]
    scheduler.ets = [network(states[i], torch.full((4,), times[i] - 1)) for i in range(3)]
    scheduler.counter = 4
    x = states[3]
    for t in times[3:-1]:
        x = scheduler.step(network(x, torch.full((4,), t - 1)), t - 1, x).prev_sample
    assert close(states[-1], x)


def test_monai_ddim_on_its_full_grid():
    """MONAI 1.6 steps by T // n along a linspace grid: the two meet at n = T alone."""
    schedulers = pytest.importorskip("monai.networks.schedulers")
    scheduler = schedulers.DDIMScheduler(1000, beta_start=1e-4, beta_end=0.02, clip_sample=False)
    scheduler.set_timesteps(1000)
    x = start()
    for t in scheduler.timesteps:
        x, _ = scheduler.step(network(x, t.expand(len(x))), t, x)
    assert close(last(ddim, denoise, SCHEDULE, start(), SCHEDULE.timesteps(1000)), x)


def test_monai_ddpm_on_its_full_grid():
    """The same, and with its own noise: MONAI's DDPM is right with all T steps alone."""
    schedulers = pytest.importorskip("monai.networks.schedulers")
    scheduler = schedulers.DDPMScheduler(1000, beta_start=1e-4, beta_end=0.02, clip_sample=False)
    scheduler.set_timesteps(1000)
    x, generator = start().float(), torch.Generator().manual_seed(3)
    for t in scheduler.timesteps:
        x, _ = scheduler.step(network(x, t.expand(len(x))), t, x, generator=generator)
    generator.manual_seed(3)
    noise = [None, *[torch.randn(4, 6, generator=generator) for _ in range(1000)]]
    ours = last(ddpm, denoise, SCHEDULE, start().float(), SCHEDULE.timesteps(1000), noise.__getitem__)
    assert (ours - x).abs().max() < 1e-3 * x.abs().max()  # a thousand steps in float32
