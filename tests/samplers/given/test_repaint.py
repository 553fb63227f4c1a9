"""RePaint draws from the conditional distribution of a hole, which the replacement method does not."""

import math

import pytest
import torch
from oracle import gaussian

from meddiff.diffusion.schedule import cosine, linear
from meddiff.errors import InputError
from meddiff.samplers.ddpm import ddpm
from meddiff.samplers.given.repaint import Jumps, repaint, walk_with_jumps

MEAN = torch.tensor([0.2, -0.1, 0.3, 0.0], dtype=torch.float64)
COVARIANCE = 0.25 * torch.exp(-(torch.arange(4)[:, None] - torch.arange(4)).abs().double() / 2)
HOLE = torch.tensor([False, True, True, False])
KNOWN = torch.tensor([0.9, 9.0, 9.0, -0.8], dtype=torch.float64)
"""The hole is not looked at: what stands there may be anything."""


def correlated(schedule):
    """The exact denoiser of N(MEAN, COVARIANCE)."""
    values, vectors = torch.linalg.eigh(COVARIANCE)

    def denoise(x_t, t):
        alpha, sigma = schedule.at(t, x_t)
        along = (x_t - alpha * MEAN) @ vectors
        return MEAN + (along * (alpha * values / (alpha**2 * values + sigma**2))) @ vectors.T

    return denoise


def given_the_rest():
    """Mean and covariance of the hole, given what is around it."""
    gain = COVARIANCE[HOLE][:, ~HOLE] @ torch.linalg.inv(COVARIANCE[~HOLE][:, ~HOLE])
    mean = MEAN[HOLE] + gain @ (KNOWN - MEAN)[~HOLE]
    return mean, COVARIANCE[HOLE][:, HOLE] - gain @ COVARIANCE[~HOLE][:, HOLE]


def drawn(schedule, steps, count, jumps):
    generator = torch.Generator().manual_seed(1)

    def noise(k):
        return torch.randn(count, 4, generator=generator, dtype=torch.float64)

    known, hole = KNOWN.expand(count, 4), HOLE.expand(count, 4)
    walk = repaint(
        correlated(schedule), schedule, noise(0), schedule.timesteps(steps), noise, known=known, hole=hole, jumps=jumps
    )
    for step in walk:
        last = step
    assert last.t == 0
    assert torch.equal(last.x[:, ~HOLE], known[:, ~HOLE])
    return last.x[:, HOLE]


def test_the_hole_has_the_exact_conditional_law_and_without_resampling_it_has_not():
    count, (mean, covariance) = 1500, given_the_rest()
    error = covariance.diagonal().sqrt() / math.sqrt(count)
    spread = math.sqrt(2 / count)  # relative, of a variance
    x = drawn(cosine(500), 500, count, Jumps(10, 10))
    assert ((x.mean(0) - mean).abs() < 4 * error).all()
    assert ((torch.cov(x.T) / covariance - 1).abs() < 4 * spread).all()
    replaced = drawn(cosine(500), 500, count, Jumps(passes=1))
    assert ((replaced.mean(0) - mean).abs() > 4 * error).all()
    assert ((torch.cov(replaced.T) / covariance - 1) > 4 * spread / math.sqrt(2)).all()


@pytest.mark.parametrize(
    ("strides", "jump", "passes", "places"),
    [
        (4, 2, 2, [1, 2, 0, 1, 2, 3, 4, 2, 3, 4]),
        (5, 2, 2, [1, 2, 3, 1, 2, 3, 4, 5, 3, 4, 5]),  # the stride at the noise is walked once
        (3, 1, 2, [1, 0, 1, 2, 1, 2, 3, 2, 3]),
        (3, 10, 2, [1, 2, 3, 0, 1, 2, 3]),  # no longer than the walk
        (3, 2, 1, [1, 2, 3]),
    ],
)
def test_the_walk(strides, jump, passes, places):
    moves = list(walk_with_jumps(strides, Jumps(jump, passes)))
    assert [to for _, to in moves] == places
    assert [start for start, _ in moves] == [0, *places[:-1]]


def test_a_hole_of_everything_is_ancestral_sampling():
    schedule, noises = linear(), torch.randn(30, 2, 1, 5, generator=torch.Generator().manual_seed(0))
    common = gaussian(schedule, 0.1, 0.4), schedule, noises[0], schedule.timesteps(20), lambda k: noises[k]
    *_, plain = ddpm(*common)
    *_, last = repaint(*common, known=torch.zeros(2, 1, 5), hole=torch.ones(2, 1, 5, dtype=torch.bool),
                       jumps=Jumps(passes=1))  # fmt: skip
    assert torch.equal(plain.x, last.x)


@pytest.mark.parametrize("jumps", [Jumps(length=0), Jumps(passes=0)])
def test_no_jump_is_refused(jumps):
    with pytest.raises(InputError, match="1 stride or more, walked in 1 pass or more"):
        drawn(linear(), 5, 1, jumps)
