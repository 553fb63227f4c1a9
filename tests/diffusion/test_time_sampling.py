"""Times are drawn as said, and their weights undo the drawing."""

import torch
from scipy import stats

from meddiff.diffusion.schedule import edm
from meddiff.diffusion.times import log_normal_times


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_log_normal():
    schedule = edm()
    t = log_normal_times(schedule, 4000, generator())
    alpha, sigma = schedule.at(t, torch.zeros(1, dtype=torch.float64))
    assert stats.kstest((sigma / alpha).log().numpy(), stats.norm(-1.2, 1.2).cdf).pvalue > 1e-3
