"""Per-image noise: is it standard normal, independent, and a function of its seed alone?"""

import time

import numpy as np
import pytest
import torch
from scipy import stats

from meddiff.diffusion.noise import PerSampleNoise, SimplexNoise, offset_noise
from meddiff.errors import InputError


def splitmix64(seed: int, count: int) -> list[int]:
    """The published algorithm (Steele, Lea & Flood 2014), with Python's unbounded integers."""
    mask, outputs = 2**64 - 1, []
    for _ in range(count):
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        z = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        outputs.append(z ^ (z >> 31))
    return outputs


@pytest.mark.parametrize("seed", [0, 7, 2**63 - 1])
def test_bits_are_splitmix64(seed):
    stream = splitmix64(splitmix64(seed, 1)[0], 4)
    normals = PerSampleNoise([seed], (8,))(0)[0].double().numpy()
    for pair, bits in zip(normals.reshape(4, 2), stream, strict=True):
        radius = np.sqrt(-2 * np.log(((bits >> 24) + 1) / 2**40))
        angle = 2 * np.pi * (bits % 2**24) / 2**24
        assert np.allclose(pair, [radius * np.cos(angle), radius * np.sin(angle)], rtol=1e-6, atol=1e-7)


def test_it_is_standard_normal():
    draw = PerSampleNoise(range(64), (1, 64, 64))(3).numpy()
    assert stats.kstest(draw.ravel(), "norm").pvalue > 1e-3
    image_p = [stats.kstest(image.ravel(), "norm").pvalue for image in draw]
    assert stats.kstest(image_p, "uniform").pvalue > 1e-3
    n = draw.size
    for moment, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((draw.astype(np.float64) ** moment).mean() - expected) < 5 * np.sqrt(variance / n), moment


def test_seeds_draws_and_elements_are_independent():
    noise = PerSampleNoise(range(1000, 1512), (512,))
    first, second = noise(1).double(), noise(2).double()
    bound = 6 / np.sqrt(512)  # six standard deviations of a correlation of 512 independent pairs
    for rows in (first, first.T):  # neighboring seeds, neighboring elements
        correlation = torch.corrcoef(rows) - torch.eye(512)
        assert correlation.abs().max() < bound
    both = torch.corrcoef(torch.cat([first, second]))[:512, 512:]
    assert both.abs().max() < bound
    assert stats.kstest((both * np.sqrt(512)).numpy().ravel()[::37], "norm").pvalue > 1e-3


def test_a_seed_gives_the_same_draw_alone_and_in_any_batch():
    shape = (3, 17, 9)
    together = PerSampleNoise([5, 6, 7, 2**62], shape)
    for i, seed in enumerate([5, 6, 7, 2**62]):
        alone = PerSampleNoise([seed], shape)
        for k in (0, 1, 1000):
            assert torch.equal(alone(k)[0], together(k)[i])
    reordered = PerSampleNoise([7, 5], shape)
    assert torch.equal(reordered(4), together(4)[[2, 0]])
    assert not torch.equal(together(0), together(1))


def test_an_element_does_not_depend_on_the_size():
    assert torch.equal(PerSampleNoise([3], (11,))(2)[0], PerSampleNoise([3], (20,))(2)[0, :11])


def test_the_values_of_today():
    """A change of these numbers changes every image that a stored seed stands for."""
    assert PerSampleNoise([0], (4,))(0)[0].tolist() == pytest.approx(VALUES_SEED_0, abs=1e-6)


VALUES_SEED_0 = [0.7490622, 0.5412503, -0.0270858, 0.842114]


def test_speed():
    noise = PerSampleNoise(range(16), (3, 64, 64))
    noise(0)
    durations = []
    for k in range(10):
        start = time.process_time()
        noise(k)
        durations.append(time.process_time() - start)
    assert min(durations) < 0.015


def test_offset_noise_moves_each_channel_as_a_whole():
    """Its covariance is 1 + strength**2 on the diagonal and strength**2 between elements of a channel."""
    eps, offset = PerSampleNoise(range(20_000), (2, 4))(0), PerSampleNoise(range(20_000), (2,))(1)
    noisy = offset_noise(eps, offset, strength=0.5)
    covariance = torch.cov(noisy.flatten(1).T)
    block = 0.25 * torch.ones(4, 4)
    expected = torch.eye(8) + torch.block_diag(block, block)
    assert (covariance - expected).abs().max() < 0.05
    assert offset_noise(torch.zeros(2, 3, 4, 5, 6), torch.ones(2, 3)).shape == (2, 3, 4, 5, 6)


def test_seeds_out_of_range_are_refused():
    with pytest.raises(InputError, match="seeds must lie in"):
        PerSampleNoise([-1], (3,))


def test_simplex_noise_has_variance_one_and_is_a_function_of_its_seed_alone():
    alone, together = SimplexNoise([7], (2, 48, 32))(1), SimplexNoise([3, 7], (2, 48, 32))(1)
    assert torch.equal(alone[0], together[1])
    assert torch.allclose(together.mean(dim=(-2, -1)), torch.zeros(2, 2), atol=1e-5)
    assert torch.allclose(together.std(dim=(-2, -1), correction=0), torch.ones(2, 2), atol=1e-5)
    pairs = [together[0, 0], together[0, 1], together[1, 0], SimplexNoise([3], (2, 48, 32))(2)[0, 0]]
    correlations = np.abs(np.corrcoef([one.flatten().numpy() for one in pairs]) - np.eye(4))
    assert correlations.max() < 0.5  # images, channels and draws are different noise


def test_simplex_noise_is_smooth_of_few_octaves_and_rough_of_many():
    steps = [SimplexNoise(range(4), (1, 64, 64), octaves=count)(0).diff(dim=-1).std() for count in (1, 3, 6)]
    assert 0 < steps[0] < steps[1] < steps[2] < 1.3
    assert steps[0] < 0.3


def test_a_coarse_octave_is_a_ramp_between_no_grid_lines():
    """Simplex noise is continuous: pixels beside one another differ little wherever the triangles meet."""
    draw = SimplexNoise(range(8), (1, 128, 128), octaves=1)(0)
    assert max(draw.diff(dim=-1).abs().max(), draw.diff(dim=-2).abs().max()) < 0.5


def test_simplex_noise_is_of_pictures():
    with pytest.raises(InputError, match="use gaussian noise"):
        SimplexNoise([1], (1, 8, 8, 8))
