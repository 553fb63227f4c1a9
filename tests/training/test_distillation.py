"""A student of a teacher: its target is where the teacher arrives, exactly, and it learns to go there."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from meddiff.batches.batch import Batch
from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser, bind
from meddiff.diffusion.exact import gaussian_mixture
from meddiff.diffusion.prediction import X_0
from meddiff.diffusion.schedule import cosine
from meddiff.networks.initialization import seeded
from meddiff.samplers.ddim import ddim
from meddiff.tasks.generate import GenerateTask
from meddiff.training.inherited.distillation import Distilling, arriving

SCHEDULE = cosine(1000)
MEANS = torch.tensor([[-0.7, 0.2], [0.5, 0.6], [0.6, -0.7]]).view(3, 1, 1, 2)
TEACHER = gaussian_mixture(SCHEDULE, MEANS, 0.05)


def walked(denoise, x, times):
    *_, last = ddim(denoise, SCHEDULE, x, times)
    return last.x


@pytest.mark.parametrize(("t", "s"), [(1000, 500), (750, 500), (333, 0), (12.5, 6.25)])
def test_one_step_with_the_target_arrives_where_the_teacher_does(t, s):
    x_t = torch.randn((64, 1, 1, 2), generator=torch.Generator().manual_seed(0))
    begins, ends = (torch.full((64,), float(one), dtype=torch.float64) for one in (t, s))
    target = arriving(TEACHER, SCHEDULE, x_t, begins, ends, 5)
    there = walked(TEACHER, x_t, [t + (s - t) * share / 5 for share in range(6)])
    torch.testing.assert_close(walked(lambda x, t: target, x_t, [t, s]), there, rtol=1e-4, atol=1e-5)
    assert torch.allclose(arriving(TEACHER, SCHEDULE, x_t, begins, ends, 1), TEACHER(x_t, begins), atol=1e-5)


def test_with_many_strides_the_target_is_that_of_the_flow_of_a_gaussian():
    """Of N(0, a**2) the probability flow keeps x / sqrt(alpha**2 a**2 + sigma**2)."""
    spread, t, s = 0.3, torch.tensor([900.0, 400.0]).double(), torch.tensor([600.0, 100.0]).double()
    exact = gaussian_mixture(SCHEDULE, torch.zeros(1, 1, 1, 2), spread)
    x_t = torch.randn((2, 1, 1, 2), generator=torch.Generator().manual_seed(0))
    (alpha_t, sigma_t), (alpha_s, sigma_s) = SCHEDULE.at(t, x_t), SCHEDULE.at(s, x_t)
    width_t, width_s = ((a**2 * spread**2 + b**2).sqrt() for a, b in ((alpha_t, sigma_t), (alpha_s, sigma_s)))
    ratio = sigma_s / sigma_t
    known = (width_s / width_t - ratio) / (alpha_s - ratio * alpha_t) * x_t
    error = [(arriving(exact, SCHEDULE, x_t, t, s, count) - known).abs().max() for count in (10, 100, 1000)]
    assert error[2] < 1e-3
    assert error[1] < error[0] / 5


class Small(nn.Module):
    """A network of two numbers and a time."""

    def __init__(self):
        super().__init__()
        sizes = (2 + 4, 64, 64, 2)
        self.layers = nn.Sequential(*(layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.SiLU())))[:-1]

    def forward(self, x_t, t, condition):
        level = (t.float() / 1000)[:, None]
        about = torch.cat([level, level**2, (6.28 * level).sin(), (6.28 * level).cos()], dim=1)
        return self.layers(torch.cat([x_t.flatten(1), about], dim=1)).view(x_t.shape)


def test_a_student_arrives_nearer_to_its_teacher_than_the_teacher_in_as_few_steps():
    times = SCHEDULE.timesteps(2, "trailing")
    with seeded(0):
        student = Denoiser(Small(), SCHEDULE, X_0)
    objective = Distilling(student, GenerateTask(1), lambda _: TEACHER, times, strides=8)
    optimizer = torch.optim.Adam(student.parameters(), 4e-3)
    generator = torch.Generator().manual_seed(0)
    for step in range(1200):
        which = torch.randint(0, 3, (256,), generator=generator)
        image = MEANS[which] + 0.05 * torch.randn((256, 1, 1, 2), generator=generator)
        batch = Batch(image=image, label=None, mask=None, index=torch.arange(256))
        loss = objective.loss(batch, objective.draw(batch, 1, generator)).mean()
        optimizer.param_groups[0]["lr"] = 4e-3 * (1 - step / 1200)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    noise = torch.randn((512, 1, 1, 2), generator=torch.Generator().manual_seed(1))
    there = walked(TEACHER, noise, SCHEDULE.timesteps(16, "trailing"))
    with torch.no_grad():
        ours = walked(bind(student, Condition()), noise, times)
    few = walked(TEACHER, noise, times)
    errors = [(one - there).square().mean().sqrt() for one in (ours, few)]
    assert errors[0] < errors[1] / 2


def test_each_sample_has_one_step_of_the_grid_and_all_come_alike_often():
    objective = Distilling(Denoiser(Small(), SCHEDULE, X_0), GenerateTask(1), lambda _: TEACHER, [1000, 500, 250, 0], 2)
    batch = Batch(image=torch.zeros(30, 1, 1, 2), label=None, mask=None, index=torch.arange(30))
    step, eps, keep = objective.draw(batch, 2, torch.Generator().manual_seed(0))
    assert step.bincount().tolist() == [20, 20, 20]
    assert (eps.shape, keep.shape) == ((60, 1, 1, 2), (60,))
    part = objective.loss(batch, (step[:30], eps[:30], keep[:30]))
    assert part.shape == (30,)
