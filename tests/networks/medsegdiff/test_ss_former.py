import pytest
import torch

from meddiff.networks.initialization import seeded
from meddiff.networks.medsegdiff.ss_former import (
    BandPass,
    FrequencyEmbedding,
    SpectralAttention,
    SSFormer,
    _space,
    _spectrum,
)

SIZES = [(4, 4), (8, 2), (5, 3), (1, 7), (1, 1), (2, 4, 2), (3, 5, 2)]


def attention(channels=4, *, rank=2, band_pass=True):
    with seeded(0):
        return SpectralAttention(channels, spatial_dims=rank, time_width=6, band_pass=band_pass)


def former(channels=4, *, rank=2, **settings):
    with seeded(0):
        return SSFormer(channels, spatial_dims=rank, time_width=6, **({"blocks": 2} | settings))


def tokens(size, *, batch=2, channels=4, seed=0):
    length = torch.Size(size).numel()
    return torch.randn(2, batch, length, channels, generator=torch.Generator().manual_seed(seed)).unbind(0)


@pytest.mark.parametrize("size", SIZES)
def test_the_transform_is_undone_and_is_the_sum_that_defines_it(size):
    x = tokens(size)[0]
    spectrum = _spectrum(x, torch.Size(size))
    torch.testing.assert_close(_space(spectrum, torch.Size(size)), x, rtol=1e-5, atol=1e-6)
    assert torch.allclose(spectrum[:, 0], x.sum(1).to(spectrum.dtype) / x.shape[1] ** 0.5, atol=1e-5)
    torch.testing.assert_close(spectrum.abs().square().sum(), x.square().sum(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_attention_is_the_equation_of_the_paper(size):
    """Against the slow way: the Fourier matrix written out, loops over pairs of frequencies."""
    network, (asking, answering), time = attention(rank=len(size)), tokens(size), torch.randn(2, 6)
    position = torch.cartesian_prod(*(torch.arange(side) for side in size)).view(-1, len(size)).double()
    matrix = torch.exp(-2j * torch.pi * (position @ (position / torch.tensor(size)).T)) / len(position) ** 0.5

    def spectrum(side, layer):
        return matrix @ layer(torch.nn.functional.layer_norm(side, (4,))).to(matrix.dtype)

    which = network.embedding(torch.Size(size))
    query = spectrum(asking, network.query) + which
    key, value = spectrum(answering, network.key) + which, spectrum(answering, network.value)
    passed = network.band_pass(torch.Size(size), time)
    expected = torch.zeros_like(query)
    for i in range(len(position)):
        for j in range(len(position)):
            product = (query[:, i] * key[:, j].conj()).real.sum(-1)
            weight = torch.sin(network.sharpness * product) * passed[:, i] * passed[:, j]
            weight = weight / (1 + len(position) / len(network.embedding.vectors))
            expected[:, i] += weight[:, None] * value[:, j]
    expected = matrix.conj().T @ expected
    assert expected.imag.abs().max() < 1e-6, "the sum is not real"
    result = network(asking, answering, torch.Size(size), time)
    torch.testing.assert_close(result.double(), expected.real, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_the_filter_is_even_in_frequency_between_0_and_1_and_hears_the_time(size):
    with seeded(0):
        network = BandPass(spatial_dims=len(size), time_width=6)
    time = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    passed = network(torch.Size(size), time).detach()
    assert passed.shape == (2, torch.Size(size).numel())
    assert ((passed > 0) & (passed < 1)).all()
    grid = passed.unflatten(1, size)
    axes = tuple(range(1, grid.ndim))
    torch.testing.assert_close(grid.flip(axes).roll((1,) * len(axes), axes), grid)
    assert (passed[0] != passed[1]).any()
    torch.testing.assert_close(network(torch.Size(size), time[1:]), passed[1:])
    if max(size) > 2:
        assert passed.std(1).min() > 1e-4, "every frequency passes alike"


@pytest.mark.parametrize("size", [(4, 4), (5, 3), (8, 8), (3, 4, 3)])
def test_the_embedding_tells_every_frequency_from_every_other(size):
    """Also k from -k, which have the same filter; and it is the spectrum of something real."""
    with seeded(0):
        network = FrequencyEmbedding(64, spatial_dims=len(size))
    embedded = torch.view_as_real(network(torch.Size(size))).flatten(1)
    assert ((embedded @ embedded.T).argmax(1) == torch.arange(len(embedded))).all()
    assert _space(network(torch.Size(size))[None], torch.Size(size)).dtype == torch.float32
    grid = network(torch.Size(size)).unflatten(0, size)
    axes = tuple(range(len(size)))
    torch.testing.assert_close(grid.flip(axes).roll((1,) * len(axes), axes), grid.conj(), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_fresh_attention_passes_the_layout_of_the_other_side():
    """Of a constant side that asks and one that answers, the result looks like the values of the one that answers."""
    network = attention(64)
    asking, answering = torch.zeros(2, 16, 64), tokens((4, 4), channels=64)[1]
    result = network(asking, answering, torch.Size((4, 4)), torch.zeros(2, 6))
    values = network.value(torch.nn.functional.layer_norm(answering, (64,)))
    assert torch.corrcoef(torch.stack((result.flatten(), values.flatten())))[0, 1] > 0.5


def test_a_filter_that_passes_nothing_silences_the_attention():
    network, (asking, answering) = attention(), tokens((4, 4))
    with torch.no_grad():
        network.band_pass.last.weight.zero_()
        network.band_pass.last.bias.fill_(-100)
    assert not network(asking, answering, torch.Size((4, 4)), torch.randn(2, 6)).any()


def test_the_scale_of_the_answer_does_not_grow_with_the_grid():
    network = attention(16, band_pass=False)
    spread = []
    for size in ((4, 4), (16, 16)):
        asking, answering = tokens(size, channels=16)
        spread.append(network(asking, answering, torch.Size(size), torch.zeros(2, 6)).std().item())
    assert 0.5 < spread[0] / spread[1] < 2


@pytest.mark.parametrize("size", SIZES)
def test_both_sides_and_the_time_matter_and_samples_do_not_hear_each_other(size):
    network = former(rank=len(size))
    generator = torch.Generator().manual_seed(0)
    image, mask = torch.randn(2, 3, 4, *size, generator=generator).unbind(0)
    time = torch.randn(3, 6, generator=generator)
    with torch.no_grad():
        output = network(image, mask, time)
        assert output.shape == mask.shape
        for other in (network(-image, mask, time), network(image, -mask, time), network(image, mask, -time)):
            assert ((output - other).abs().flatten(1).amax(1) > 1e-6).all()
        alone = network(image[1:2], mask[1:2], time[1:2])
    torch.testing.assert_close(alone, output[1:2], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("band_pass", [True, False])
def test_every_weight_learns_at_a_power_of_two_and_an_odd_size(band_pass):
    for size in ((4, 8), (5, 3)):
        network = former(band_pass=band_pass)
        network(torch.randn(2, 4, *size), torch.randn(2, 4, *size), torch.randn(2, 6)).square().sum().backward()
        assert not [name for name, each in network.named_parameters() if each.grad is None or not each.grad.any()]


def test_half_precision_is_transformed_in_float32():
    network = former()
    image, mask, time = torch.randn(2, 4, 4, 4), torch.randn(2, 4, 4, 4), torch.randn(2, 6)
    exact = network(image, mask, time)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = network(image, mask, time)
    assert half.isfinite().all()
    assert (half.float() - exact).abs().mean() < 0.05 * exact.std()
