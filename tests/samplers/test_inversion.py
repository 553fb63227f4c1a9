"""DDIM run backward returns to its start."""

from functools import partial

import pytest
import torch
from oracle import flow, gaussian, mixture

from meddiff.diffusion.schedule import cosine, linear
from meddiff.samplers.ddim import ddim
from meddiff.samplers.inversion import invert


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def round_trip(denoise, schedule, x_0, steps, refinements):
    times = schedule.timesteps(steps)
    *_, top = invert(denoise, schedule, x_0, times, refinements=refinements)
    *_, back = ddim(denoise, schedule, top.x, times)
    return (back.x - x_0).abs().max().item()


def test_the_way_up_is_the_probability_flow():
    """Gaussian data: x_T is the same number of standard deviations from the mean as x_0 was."""
    schedule, x_0 = cosine(), 0.2 + 0.5 * normal(10, 1)
    expected = flow(schedule, 0, 1000, x_0, 0.2, 0.5)
    errors = []
    for steps in (125, 250, 500):
        *_, top = invert(gaussian(schedule, 0.2, 0.5), schedule, x_0, schedule.timesteps(steps))
        errors.append((top.x - expected).abs().max().item())
    assert top.t == 1000
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.2)
    assert errors[2] < 0.01


def test_more_steps_return_nearer():
    schedule, x_0 = linear(), 0.2 + 0.5 * normal(20, 3)
    errors = [round_trip(gaussian(schedule, 0.2, 0.5), schedule, x_0, steps, 0) for steps in (100, 200, 400)]
    assert errors[0] > 1.7 * errors[1] > 1.7**2 * errors[2]


@pytest.mark.parametrize("steps", [5, 20])
def test_refined_it_is_the_exact_inverse(steps):
    schedule = cosine()
    x_0 = torch.cat([-0.3 + 0.4 * normal(20, 1), 0.3 + 0.4 * normal(20, 1)])
    run = partial(round_trip, mixture(schedule, [-0.3, 0.3], 0.4, [0.5, 0.5]), schedule, x_0, steps)
    assert run(100) < 1e-3 < run(0)


def test_steps_and_shapes():
    schedule, x_0 = linear(), normal(2, 1, 3, 4).float()
    steps = list(invert(gaussian(schedule, 0, 0.5), schedule, x_0, schedule.timesteps(7)))
    assert [step.t for step in steps] == schedule.timesteps(7)[-2::-1]
    assert steps[-1].x.shape == x_0.shape
    assert steps[-1].x.dtype == torch.float32
