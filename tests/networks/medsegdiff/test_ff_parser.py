import pytest
import torch

from meddiff.networks.initialization import seeded
from meddiff.networks.medsegdiff.ff_parser import FFParser

SIZES = [(8, 8), (16, 16), (7, 9), (5, 12), (1, 6), (1, 1), (4, 8, 2), (5, 3, 7)]


def parser(channels=3, *, rank=2, base_size=16):
    with seeded(0):
        return FFParser(channels, spatial_dims=rank, base_size=base_size)


def filled(parser, real, imaginary=0.0):
    with torch.no_grad():
        parser.real.fill_(real)
        parser.imaginary.fill_(imaginary)
    return parser


def set_filter(parser, response):
    """Give the parser A = response(frequency of each axis), at the points of its base grid."""
    *whole, half = parser.real.shape[1:]
    axes = [torch.linspace(-0.5, 0.5, points) for points in whole] + [torch.linspace(0, 0.5, half)]
    value = response(*torch.meshgrid(*axes, indexing="ij"))
    with torch.no_grad():
        parser.real.copy_(value.real.expand_as(parser.real))
        parser.imaginary.copy_(value.imag.expand_as(parser.imaginary))
    return parser


def circular_convolution(x, kernel):
    """sum_j kernel[j] x[i - j] with indices modulo the size, by hand: one roll per entry of the kernel."""
    axes = tuple(range(2, x.ndim))
    total = torch.zeros_like(x)
    for index in torch.cartesian_prod(*(torch.arange(side) for side in x.shape[2:])):
        total += kernel[:, *index][None, :, *[None] * len(axes)] * x.roll(tuple(index.tolist()), axes)
    return total


@pytest.mark.parametrize("size", SIZES)
def test_a_filter_of_ones_is_the_identity(size):
    x = torch.randn(2, 3, *size)
    torch.testing.assert_close(filled(parser(rank=len(size)), 1.0)(x), x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_a_fresh_filter_is_near_the_identity_but_not_it(size):
    x = torch.randn(2, 3, *size)
    error = (parser(rank=len(size))(x) - x).norm() / x.norm()
    assert 1e-4 < error < 0.1


@pytest.mark.parametrize("size", SIZES)
def test_any_filter_is_a_circular_convolution(size):
    """The convolution theorem, with the kernel that the impulse at the origin shows."""
    network = parser(rank=len(size))
    with torch.no_grad():
        network.real.normal_()
        network.imaginary.normal_()
        impulse = torch.zeros(1, 3, *size)
        impulse[(0, slice(None), *[0] * len(size))] = 1
        kernel = network(impulse)[0]
        x = torch.randn(2, 3, *size)
        torch.testing.assert_close(network(x), circular_convolution(x, kernel), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(16, 16), (8, 16), (16, 4)])
def test_a_known_filter_is_its_known_kernel(size):
    """1/2 + cos(2 pi f)/2 along the first axis is the kernel 1/4, 1/2, 1/4, also with the base grid twice as fine."""
    network = set_filter(parser(), lambda first, second: (0.5 + 0.5 * torch.cos(2 * torch.pi * first)).to(torch.cfloat))
    x = torch.randn(2, 3, *size)
    expected = x / 2 + (x.roll(1, 2) + x.roll(-1, 2)) / 4
    torch.testing.assert_close(network(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(16, 16), (16, 16, 8)])
def test_a_linear_phase_is_a_shift(size):
    """The filter is complex: on the base grid it can move features, which no real one can."""
    network = set_filter(parser(rank=len(size)), lambda *axes: torch.exp(-2j * torch.pi * axes[0]))
    x = torch.randn(1, 3, *size)
    torch.testing.assert_close(network(x), x.roll(1, 2), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sizes", [((16, 16), (15, 17)), ((32, 8), (31, 9)), ((8, 8, 8), (7, 9, 7))])
def test_powers_of_two_and_odd_sizes_have_the_same_filter(sizes):
    """What a smooth filter does to a wave of a given frequency does not depend on the size of the grid."""
    rank = len(sizes[0])

    def response(*axes):
        return (1 - sum(axis.abs() for axis in axes) / 2).to(torch.cfloat)  # linear: interpolated exactly

    network = set_filter(parser(rank=rank), response)
    for size in sizes:
        cycles = [side // 4 for side in size]
        grid = torch.meshgrid(*(torch.arange(side) for side in size), indexing="ij")
        phase = sum(2 * torch.pi * count / side * axis for count, side, axis in zip(cycles, size, grid, strict=True))
        wave = torch.cos(phase).expand(1, 3, *size)
        gain = 1 - sum(count / side for count, side in zip(cycles, size, strict=True)) / 2
        torch.testing.assert_close(network(wave), gain * wave, rtol=1e-4, atol=1e-4)


def test_channels_are_filtered_each_by_its_own():
    network = filled(parser(), 1.0)
    with torch.no_grad():
        network.real[1].zero_()
    x = torch.randn(1, 3, 6, 5)
    y = network(x)
    assert not y[:, 1].any()
    torch.testing.assert_close(y[:, ::2], x[:, ::2])


def test_half_precision_is_transformed_in_float32():
    network, x = parser(), torch.randn(2, 3, 9, 10).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = network(x)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, network(x.float()).bfloat16())


def test_gradients_are_those_of_finite_differences():
    network, x = parser(1, base_size=4), torch.randn(1, 1, 5, 6)
    network(x).square().sum().backward()
    for parameter in network.parameters():
        assert parameter.grad.any()
        index = parameter.grad.abs().argmax()
        with torch.no_grad():
            sums = []
            for step in (1e-2, -2e-2):
                parameter.view(-1)[index] += step
                sums.append(network(x).double().square().sum())
        torch.testing.assert_close(
            (sums[0] - sums[1]) / 2e-2, parameter.grad.view(-1)[index].double(), rtol=1e-2, atol=1e-2
        )
