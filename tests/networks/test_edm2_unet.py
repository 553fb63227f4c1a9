import pytest
import torch

from meddiff.diffusion.condition import Condition
from meddiff.errors import InputError
from meddiff.networks.edm2_unet import EDM2UNet
from meddiff.networks.initialization import seeded
from meddiff.networks.preserving import Preserving
from tests.contracts import check_network, check_told_attributes, wake


def tiny(in_channels=2, out_channels=2, **settings):
    settings = {"channels": (8, 16), "residual_blocks": 1, "attention_levels": 1, "head_channels": 4} | settings
    with seeded(0):
        return EDM2UNet(in_channels, out_channels, **settings)


def ask(network, *, size=(8, 8), **told):
    generator = torch.Generator().manual_seed(0)
    x_t = torch.randn((2, 2, *size), generator=generator)
    return network(x_t, torch.tensor([3.0, 700.0]), Condition(**told))


@pytest.mark.parametrize("patch_size", [1, 2])
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_contract(spatial_dims, patch_size):
    check_network(lambda *args, **kwargs: tiny(*args, patch_size=patch_size, **kwargs), spatial_dims=spatial_dims)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_attributes_are_heard(spatial_dims):
    check_told_attributes(tiny, spatial_dims=spatial_dims)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_a_fresh_network_says_zero(spatial_dims):
    assert not ask(tiny(spatial_dims=spatial_dims), size=(8,) * spatial_dims).any()


@pytest.mark.parametrize("channels", [(32, 32), (16, 64, 128)])
def test_no_block_changes_the_magnitude_of_smooth_features(channels):
    """Sides of constant values lose nothing to the mean of neighbors, so that only the layers themselves count."""
    network = tiny(in_channels=16, channels=channels, attention_levels=1, head_channels=8)
    sizes = []
    for block in (*[block for level in network.levels.encoder for block in level], *network.levels.middle):
        block.register_forward_hook(lambda _block, _given, output: sizes.append(output.square().mean().sqrt().item()))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        network(torch.randn(64, 16, 1, 1, generator=generator).expand(-1, -1, 8, 8), torch.rand(64) * 999, Condition())
    assert all(0.7 < size < 1.3 for size in sizes), sizes


def test_training_brings_the_weights_back_to_unit_length():
    network = tiny()
    layers = [layer for layer in network.modules() if isinstance(layer, Preserving)]
    with torch.no_grad():
        for layer in layers:
            layer.weight.mul_(3.0)
    before = ask(network.requires_grad_(False))
    network.force()
    for layer in layers:
        torch.testing.assert_close(
            layer.weight.square().flatten(1).mean(1), torch.ones(len(layer.weight)), rtol=1e-3, atol=1e-3
        )
    torch.testing.assert_close(ask(network), before)


def test_tokens_are_heard_per_sample():
    network = tiny(context_channels=6)
    wake(network)
    tokens = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        told = ask(network, context=tokens)
        other = ask(network, context=tokens.flip(0))
        half = ask(network, context=torch.stack((tokens[0], torch.zeros_like(tokens[1]))))
        moved = ask(network, context=tokens.flip(1))
    assert (told != other).flatten(1).any(1).all()
    torch.testing.assert_close(half[0], told[0])
    assert (half[1] != told[1]).any()
    torch.testing.assert_close(moved, told, rtol=1e-4, atol=1e-5)  # tokens have no order of their own


def test_checkpointing_is_the_same_network():
    plain, frugal = tiny(), tiny(checkpointing=True)
    for network in (plain, frugal):
        wake(network)
        ask(network).square().mean().backward()
    for one, other in zip(plain.parameters(), frugal.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_features_are_dropped_in_training_alone():
    network = tiny(dropout=0.5)
    wake(network)
    with torch.no_grad():
        assert not torch.equal(ask(network), ask(network))
        network.eval()
        assert torch.equal(ask(network), ask(network))


def test_fused_attention_is_the_same_function():
    network = tiny()
    wake(network)
    with torch.no_grad():
        fused = ask(network)
    torch.testing.assert_close(fused, ask(network).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("label", [3, -2])
def test_a_label_outside_the_classes_is_an_error_not_the_null_class(label):
    with pytest.raises(IndexError):
        tiny(num_classes=3)(torch.randn(1, 2, 8, 8), torch.tensor([1]), Condition(label=torch.tensor([label])))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"channels": ()}, "at least one level"),
        ({"channels": (7, 16)}, "even number, got 7"),
        ({"residual_blocks": 0}, "residual_blocks must be at least 1"),
        ({"attention_levels": 3}, "coarsest of 2 levels, got 3"),
        ({"head_channels": 5}, r"head_channels=5 must divide .* \[16\]"),
        ({"patch_size": 0}, "patch_size must be at least 1"),
        ({"spatial_dims": 1}, "2 .* or 3"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        tiny(**settings)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"label": torch.tensor([0, 1])}, "built without classes"),
        ({"image": torch.zeros(2, 1, 8, 8)}, "image of 0 channels, got 1: .*condition_channels=1"),
        ({"context": torch.zeros(2, 1, 8)}, "context of 0 channels, got 8: .*context_channels=8"),
    ],
)
def test_conditions_that_it_cannot_hear_are_refused(told, sentence):
    with pytest.raises(InputError, match=sentence):
        ask(tiny(), **told)


def test_without_attention_there_is_none():
    names = [type(module).__name__ for module in tiny(attention_levels=0).modules()]
    assert "Attention" not in names
    assert "Attention" in [type(module).__name__ for module in tiny().modules()]
