"""Edits by a generator whose denoiser is exact: class k is N(m_k, 0.3**2), pixel by pixel."""

from itertools import pairwise

import pytest
import torch
from oracle import gaussian
from torch import nn

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.prediction import X_0
from meddiff.diffusion.schedule import cosine
from meddiff.errors import InputError
from meddiff.inference.editing import Editor
from meddiff.inference.sampling import ImageDenoiser, Sampling, generate
from meddiff.samplers.ddim import ddim
from meddiff.samplers.ddpm import ddpm
from meddiff.samplers.given.repaint import Jumps
from meddiff.tasks.generate import GenerateTask

MEANS, STD, SHAPE, CPU = (-0.4, 0.3, 0.0), 0.3, (1, 4, 5), torch.device("cpu")
"""Of class 0, of class 1, and of what no class is told of."""


class Exact(nn.Module):
    """What a perfectly trained network would say."""

    def __init__(self, schedule):
        super().__init__()
        self.of = [gaussian(schedule, mean, STD) for mean in MEANS]

    def forward(self, x_t, t, condition):
        said = torch.stack([exact(x_t, t) for exact in self.of])
        return said[condition.label, torch.arange(len(x_t))]


def editor(steps=50, guidance=1.0, sampler=ddim):
    denoiser = Denoiser(Exact(cosine()), cosine(), X_0)
    drawing = Sampling(sampler, steps, guidance)
    return Editor(ImageDenoiser(denoiser, ("a", "b"), SHAPE, drawing), drawing, CPU)


def images(count=3, mean=MEANS[0]):
    return mean + STD * torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("sampler", [ddim, ddpm])
def test_sdedit_at_strength_1_is_a_plain_sample(sampler):
    one = editor(20, sampler=sampler)
    told = Condition(label=torch.tensor([1, 1, 1]))
    drawn = generate(one.model.denoiser, GenerateTask(1), one.drawing, told=told, seeds=[7, 8, 9], shape=SHAPE,
                     batch_size=3, device=CPU)  # fmt: skip
    assert torch.equal(one.sdedit(images(), 1, [7, 8, 9], strength=1.0), torch.cat(list(drawn)))


def test_sdedit_of_little_strength_returns_the_input():
    moved = [(editor().sdedit(images(), 1, [7, 8, 9], strength=s) - images()).abs().mean() for s in (0.5, 0.1, 0.01)]
    assert moved[0] > 2 * moved[1] > 4 * moved[2]
    assert moved[2] < 0.02


def test_the_same_label_returns_the_image_and_more_steps_return_it_nearer():
    errors = [(editor(steps).relabel(images(), 0, 0) - images()).abs().max().item() for steps in (25, 50, 100, 200)]
    assert all(fewer > 1.7 * more for fewer, more in pairwise(errors))
    refined = [(editor(25).relabel(images(), 0, 0, refinements=more) - images()).abs().max() for more in (0, 3)]
    assert refined[1] < 0.2 * refined[0]


def test_another_label_moves_each_pixel_as_the_flow_does():
    """Between Gaussians of one width the flow keeps the number of deviations: the mean alone moves."""
    moved = editor(200).relabel(images(), 0, 1, refinements=3)
    assert torch.allclose(moved, images() + MEANS[1] - MEANS[0], atol=0.02)
    half = (editor(200).relabel(images(), 0, 1, strength=0.5, refinements=3) - images()).mean().item()
    assert 0.1 < half < 0.6  # a part of the way changes a part of it


def test_what_is_filled_in_is_of_the_class_that_was_asked_for():
    hole = torch.zeros(4, 5, dtype=torch.bool)
    hole[1:3, 1:4] = True
    known = images(64)
    for label, mean in enumerate(MEANS[:2]):
        result = editor(50).inpaint(known, hole, label, range(64), jumps=Jumps(5, 2))
        assert torch.equal(result[..., ~hole], known[..., ~hole])
        assert result[..., hole].mean().item() == pytest.approx(mean, abs=0.05)


def test_untold_is_what_no_class_was_told():
    result = editor(50, guidance=3.0).sdedit(images(64), -1, range(64), strength=1.0)
    assert result.mean().item() == pytest.approx(MEANS[2], abs=0.02)


def test_an_edit_is_a_function_of_its_picture_and_seed():
    hole = torch.zeros(4, 5, dtype=torch.bool)
    hole[2] = True
    both = editor(5).inpaint(images(2), hole, 0, [3, 4], jumps=Jumps(10, 2))
    turned = editor(5).inpaint(images(2).flip(0), hole, 0, [4, 3], jumps=Jumps(10, 2))
    assert torch.equal(both, turned.flip(0))
    assert not torch.equal(both[:1], editor(5).inpaint(images(1), hole, 0, [4], jumps=Jumps(10, 2)))


def test_mistakes_are_named():
    with pytest.raises(InputError, match="--label 'c': the generator knows no such class, but a, b"):
        editor().number("label", "c")
    assert [editor().number("label", name) for name in ("a", "b", "")] == [0, 1, -1]
    with pytest.raises(InputError, match=r"above 0 and at most 1; got 1\.5"):
        editor().sdedit(images(), 0, [1, 2, 3], strength=1.5)
