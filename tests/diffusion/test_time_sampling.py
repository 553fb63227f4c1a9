"""Times are drawn as said, and their weights undo the drawing."""

import torch
from scipy import stats

from meddiff.diffusion.schedule import edm, linear
from meddiff.diffusion.time_sampling import LossAwareTimes, log_normal_times


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_log_normal():
    schedule = edm()
    t = log_normal_times(schedule, 4000, generator())
    alpha, sigma = schedule.at(t, torch.zeros(1, dtype=torch.float64))
    assert stats.kstest((sigma / alpha).log().numpy(), stats.norm(-1.2, 1.2).cdf).pvalue > 1e-3


def test_loss_aware_draws_in_proportion_and_stays_unbiased():
    schedule = linear(40)
    sampler = LossAwareTimes(schedule)
    t, weight = sampler.draw(1000, generator())
    assert torch.equal(weight, torch.ones_like(weight)), "uniform until every t has its losses"
    truth = torch.linspace(1, 5, 40, dtype=torch.float64)
    for _ in range(12):
        everything = torch.arange(1, 41)
        sampler.update(everything, truth[everything - 1])
    assert torch.allclose(sampler.probabilities().sum(), torch.tensor(1.0, dtype=torch.float64))
    ratio = sampler.probabilities()[-1] / sampler.probabilities()[0]
    assert abs(ratio - 5) < 0.05  # 0.001 of the draws are uniform
    t, weight = sampler.draw(200_000, generator(1))
    estimate = (weight * truth[t - 1]).mean()
    assert abs(estimate - truth.mean()) < 0.01
