import pytest
import torch

from meddiff.networks.preserving import SILU_GAIN, Preserving, Waves, preserving_cat, preserving_sum, unit_channels


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def size(x):
    """Root mean square."""
    return x.square().mean().sqrt().item()


@pytest.mark.parametrize(("spatial_dims", "kernel"), [(0, 1), (2, 1), (3, 1)])
def test_a_layer_keeps_the_size_of_what_it_is_given(spatial_dims, kernel):
    layer = Preserving(64, 256, size=kernel, spatial_dims=spatial_dims).double()
    x = normal(2000 if spatial_dims == 0 else 20, 64, *(10,) * spatial_dims)
    assert size(layer(x)) == pytest.approx(1, abs=0.03)
    assert size(layer(3 * x, gain=0.5)) == pytest.approx(1.5, abs=0.05)


def test_a_convolution_keeps_it_away_from_the_border():
    layer = Preserving(64, 128, size=3, spatial_dims=2).double()
    assert size(layer(normal(8, 64, 20, 20))[..., 1:-1, 1:-1]) == pytest.approx(1, abs=0.05)


def test_no_gradient_points_along_the_weights():
    layer = Preserving(16, 8).double()
    layer(normal(32, 16)).pow(3).sum().backward()
    along = (layer.weight.grad * layer.weight).sum(1)
    torch.testing.assert_close(along, torch.zeros_like(along), atol=1e-2 * layer.weight.grad.abs().max().item(), rtol=0)


def test_the_length_of_stored_weights_is_no_part_of_the_function():
    layer, x = Preserving(16, 8).double(), normal(4, 16)
    before = layer(x)
    with torch.no_grad():
        layer.weight.mul_(7)
    torch.testing.assert_close(layer(x), before, rtol=1e-3, atol=1e-3)
    layer.force()
    torch.testing.assert_close(layer.weight.square().mean(1), torch.ones(8, dtype=torch.float64), rtol=1e-3, atol=0)


def test_sum_cat_and_silu_keep_it():
    a, b = normal(50_000, 8), normal(50_000, 24, seed=1)
    for share in (0.0, 0.3, 0.5, 1.0):
        assert size(preserving_sum(a, b[:, :8], share)) == pytest.approx(1, abs=0.01)
    joined = preserving_cat(a, b)
    assert size(joined) == pytest.approx(1, abs=0.01)
    assert joined[:, :8].square().sum() == pytest.approx(
        joined[:, 8:].square().sum().item(), rel=0.02
    )  # equal influence
    assert size(torch.nn.functional.silu(a) * SILU_GAIN) == pytest.approx(1, abs=0.01)


def test_each_pixel_has_unit_size():
    torch.testing.assert_close(
        unit_channels(5 * normal(2, 8, 3, 3)).square().mean(1),
        torch.ones(2, 3, 3, dtype=torch.float64),
        rtol=1e-3,
        atol=0,
    )


def test_an_embedded_time_has_unit_size_and_tells_halves_apart():
    waves = Waves(32)(torch.tensor([1.0, 1.5, -200.0, 999.0]))
    torch.testing.assert_close(waves.square().mean(1), torch.ones(4))
    assert (waves[0] - waves[1]).abs().max() > 0.1
