"""Times are drawn as said, and their weights undo the drawing."""

import pytest
import torch
from scipy import stats

from meddiff.diffusion.schedule import edm
from meddiff.diffusion.times import LossAwareTimes, log_normal_times


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_log_normal():
    schedule = edm()
    t = log_normal_times(schedule, 4000, generator())
    alpha, sigma = schedule.at(t, torch.zeros(1, dtype=torch.float64))
    assert stats.kstest((sigma / alpha).log().numpy(), stats.norm(-1.2, 1.2).cdf).pvalue > 1e-3


def with_losses(truth, T):
    """Times of which as many losses as are remembered have been seen, drawn by ``truth`` (generator) -> [T]."""
    times = LossAwareTimes(T)
    for _ in range(10):
        assert torch.equal(times.probabilities(), torch.full((T,), 1 / T, dtype=torch.float64)), "uniform until then"
        times.note(torch.arange(1, T + 1), truth())
        times.end_step(lambda losses: losses)
    return times


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_loss_aware_times_follow_the_root_mean_square_of_losses_of_known_variance(share):
    T, means = 40, torch.linspace(1, 5, 40)
    signs = iter([1, -1] * 5)
    times = with_losses(lambda: means * (1 + share * next(signs)), T)  # E[L**2] = mean**2 (1 + share**2)
    p = times.probabilities()
    torch.testing.assert_close(p, 0.999 * means.double() / means.sum() + 0.001 / T, rtol=1e-5, atol=0)
    assert p.sum().item() == pytest.approx(1)


def test_a_time_whose_loss_varies_is_drawn_more_often_than_one_whose_loss_does_not():
    signs = iter([1.0, -1.0] * 5)
    p = with_losses(lambda: torch.tensor([2.0, 2.0 + 1.5 * next(signs)]), 2).probabilities()
    size = torch.tensor([2.0, (4 + 1.5**2) ** 0.5], dtype=torch.float64)
    torch.testing.assert_close(p, 0.999 * size / size.sum() + 0.0005, rtol=1e-6, atol=0)


def test_loss_aware_times_are_drawn_as_they_say_and_leave_the_loss_its_mean():
    means = torch.linspace(0.1, 5, 40)
    times = with_losses(lambda: means, 40)
    shares = torch.arange(100_000) / 100_000  # as evenly as shares can be
    t = times.at(shares)
    assert (t.min(), t.max()) == (1, 40)
    assert (t.bincount(minlength=41)[1:] / 1e5 - times.probabilities()).abs().max() < 2e-5
    weighed = means[t - 1] * times.note(t, means[t - 1])
    assert weighed.mean().item() == pytest.approx(means.mean().item(), rel=1e-3)
    assert weighed.std() < 0.1 * means.std(), "a sample says nearly the same wherever it is drawn"


def test_the_oldest_losses_are_forgotten_and_losses_of_nothing_are_uniform():
    values = iter([9.0] + [1.0] * 9 + [1.0])
    times = with_losses(lambda: torch.tensor([next(values), 1.0]), 2)
    assert times.probabilities()[0] > 0.6
    times.note(torch.tensor([1]), torch.tensor([1.0]))
    times.end_step(lambda losses: losses)
    torch.testing.assert_close(times.probabilities(), torch.full((2,), 0.5, dtype=torch.float64))
    assert with_losses(lambda: torch.zeros(3), 3).probabilities().tolist() == pytest.approx([1 / 3] * 3)
