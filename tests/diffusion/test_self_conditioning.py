import torch
from torch import nn

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.prediction import X_0
from meddiff.diffusion.schedule import cosine
from meddiff.diffusion.self_conditioning import SelfConditioned, beside, shown_in_training


class OneMore(nn.Module):
    """Says one more than the estimate that it is shown; it cares for nothing else."""

    def __init__(self):
        super().__init__()
        self.step = nn.Parameter(torch.tensor(1.0))

    def forward(self, x_t, t, condition):
        return condition.image[:, -x_t.shape[1] :] + self.step


def test_the_estimate_stands_behind_the_image():
    image, x_0 = torch.ones(2, 3, 4, 4), torch.zeros(2, 1, 4, 4)
    assert beside(Condition(image=image), x_0).image.shape == (2, 4, 4, 4)
    assert beside(Condition(label=torch.tensor([1, 2])), x_0).image.shape == (2, 1, 4, 4)
    assert beside(Condition(label=torch.tensor([1, 2])), x_0).label.tolist() == [1, 2]


def test_training_shows_some_samples_a_first_estimate_without_gradient():
    denoiser = Denoiser(OneMore(), cosine(), X_0)
    x_t, t = torch.randn(3, 1, 4), torch.tensor([1, 2, 3])
    shown = shown_in_training(denoiser, x_t, t, Condition(), torch.tensor([True, False, True]))
    assert shown.image.flatten(1).amax(1).tolist() == [1, 0, 1]
    assert not shown.image.requires_grad


def test_a_sampler_shows_the_step_before():
    denoise = SelfConditioned(Denoiser(OneMore(), cosine(), X_0), Condition())
    x_t, t = torch.randn(2, 1, 4), torch.tensor([1, 1])
    with torch.no_grad():
        assert [denoise(x_t, t).mean().item() for _ in range(3)] == [1, 2, 3]
