"""The loop itself: it never waits for the device, torch.compile takes it, and it costs little."""

import time
from functools import partial

import pytest
import torch
from oracle import gaussian
from torch import nn

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser, bind
from meddiff.diffusion.guidance import guide
from meddiff.diffusion.noise import PerSampleNoise
from meddiff.diffusion.prediction import V
from meddiff.diffusion.schedule import cosine, linear
from meddiff.samplers.ddim import ddim
from meddiff.samplers.ddpm import ddpm
from meddiff.samplers.dpm_solver import dpm_solver
from meddiff.samplers.dpm_solver_sde import dpm_solver_sde
from meddiff.samplers.euler import euler_ancestral
from meddiff.samplers.euler_maruyama import euler_maruyama
from meddiff.samplers.heun import heun
from meddiff.samplers.langevin import annealed_langevin
from meddiff.samplers.pndm import pndm
from meddiff.samplers.predictor_corrector import predictor_corrector
from meddiff.samplers.unipc import unipc

SAMPLERS = (ddpm, ddim, pndm, dpm_solver, dpm_solver_sde, unipc, heun, partial(heun, churn=20), euler_maruyama,
            euler_ancestral, predictor_corrector, annealed_langevin)  # fmt: skip


class Half(nn.Module):
    def forward(self, x_t, t, condition):
        return x_t / 2


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("spacing", ["trailing", "quadratic"])
def test_no_step_reads_a_value(sampler, spacing):
    """Tensors on the meta device have no values: whatever would wait for a GPU to know one fails here."""
    schedule = linear()
    denoiser = Denoiser(Half(), schedule, V)
    condition = Condition(label=torch.zeros(2, dtype=torch.int64, device="meta"))
    denoise = guide(
        bind(denoiser, condition), bind(denoiser, condition.untold()), 2.0, interval=(100, 900), rescale=0.5
    )
    noise = PerSampleNoise([1, 2], (1, 8, 8), device="meta")
    steps = list(sampler(denoise, schedule, noise(0), schedule.timesteps(6, spacing), noise))
    assert steps[-1].x.shape == (2, 1, 8, 8)


@pytest.mark.parametrize("sampler", [ddim, dpm_solver, ddpm])
def test_torch_compile_takes_the_loop(sampler):
    schedule = cosine()
    noise = PerSampleNoise([1, 2], (3,))

    def run(x):
        for step in sampler(gaussian(schedule, 0.2, 0.3), schedule, x, schedule.timesteps(4), noise):
            x = step.x
        return x

    torch._dynamo.reset()
    assert torch.allclose(torch.compile(run, backend="eager")(noise(0)), run(noise(0)), atol=1e-6)


@pytest.mark.parametrize(("sampler", "history"), [(ddim, False), (dpm_solver, True)])
def test_a_step_costs_little_more_than_its_arithmetic(sampler, history):
    schedule, x_T = linear(), torch.randn(16, 3, 64, 64)

    def ours():
        for _ in sampler(lambda x, t: x, schedule, x_T, schedule.timesteps(50), None):
            pass

    def lean():
        x = last = x_T
        for _ in range(50):
            x, last = torch.mul(x, 0.99).add_(x, alpha=0.01), x
            if history:
                x.add_(last, alpha=0.001)

    def seconds(loop):
        start = time.process_time()
        loop()
        return time.process_time() - start

    rounds = [(seconds(ours), seconds(lean)) for _ in range(8)]
    assert min(ours for ours, _ in rounds) < 2.5 * min(lean for _, lean in rounds) + 50 * 50e-6


def test_gradients_are_not_kept():
    x_T = torch.randn(2, 3, requires_grad=True)
    *_, last = ddim(gaussian(cosine(), 0, 1), cosine(), x_T, [1000, 500, 0])
    assert not last.x.requires_grad
