"""A classifier of noisy images learns what Bayes says of them."""

import torch
from torch import nn

from meddiff.batches.batch import Batch
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.exact import log_membership
from meddiff.diffusion.guidance import classifier_guide, log_probability
from meddiff.diffusion.prediction import X_0
from meddiff.diffusion.schedule import cosine
from meddiff.networks.initialization import seeded
from meddiff.training.objectives import NoisyClassNaming
from tests.training import toy

MEANS, STD = torch.tensor([[-0.6, 0.4], [0.5, -0.3]]), 0.3


class Pointwise(nn.Module):
    """Two numbers and t -> two logits."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))

    def forward(self, x_t, t, condition):
        share = t[:, None].float() / 100
        return self.layers(torch.cat([x_t.flatten(1), share, share.square()], dim=1))[:, :, None, None]


def test_what_it_learns_of_a_mixture_is_the_exact_probability_and_what_it_shifts():
    schedule, generator = cosine(100), torch.Generator().manual_seed(0)
    with seeded(0):
        classifier = Denoiser(Pointwise(), schedule, X_0)
    objective = NoisyClassNaming(classifier, toy.Generate())
    optimizer = torch.optim.Adam(classifier.parameters(), 4e-3)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 500)
    for _ in range(500):
        label = torch.randint(0, 2, (512,), generator=generator)
        x_0 = (MEANS[label] + STD * torch.randn(512, 2, generator=generator)).view(-1, 2, 1, 1)
        batch = Batch(image=x_0, label=label, mask=None, index=torch.arange(512))
        objective.loss(batch, objective.draw(batch, 1, generator)).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        rates.step()
    exact = log_membership(schedule, MEANS.view(2, 2, 1, 1), STD, torch.tensor([1]))
    learned = log_probability(classifier, torch.ones(400, dtype=torch.int64))
    t = torch.arange(400) % 90 + 5
    x_0 = (MEANS[torch.arange(400) % 2] + STD * torch.randn(400, 2, generator=generator)).view(-1, 2, 1, 1)
    x_t = schedule.diffuse(x_0, t, torch.randn(x_0.shape, generator=generator))
    assert (learned(x_t, t).exp() - exact(x_t, t).exp()).abs().mean() < 0.03
    alpha, sigma = schedule.at(t, x_t)
    in_eps = [
        alpha / sigma * classifier_guide(lambda x, _: 0 * x, one, schedule, 1.0)(x_t, t) for one in (learned, exact)
    ]
    assert (in_eps[0] - in_eps[1]).norm() < 0.3 * in_eps[1].norm()
