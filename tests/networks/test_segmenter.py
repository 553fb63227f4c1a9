import copy

import pytest
import torch
from safetensors.torch import load, save

from meddiff.errors import InputError
from meddiff.networks.initialization import seeded
from meddiff.networks.segmenter import SEGMENTERS, build_segmenter
from tests.networks.segmentation import blobs

SIZES = {2: ((16, 8), (9, 13), (1, 7), (4, 4), (1, 1)), 3: ((8, 4, 8), (5, 1, 6), (1, 1, 1))}


def tiny(name, *, in_channels=2, num_classes=3, channels=(8, 16, 32), spatial_dims=2):
    with seeded(0):
        return build_segmenter(
            name, in_channels=in_channels, num_classes=num_classes, channels=channels, spatial_dims=spatial_dims
        )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("spatial_dims", "size"), [(rank, size) for rank in (2, 3) for size in SIZES[rank]])
@pytest.mark.parametrize("name", SEGMENTERS)
def test_any_size_gives_logits_of_that_size(name, spatial_dims, size, training):
    """Also one pixel, where instance norm fails on its own, in training and in evaluation."""
    network = tiny(name, spatial_dims=spatial_dims).train(training)
    image = torch.randn(2, 2, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = network(image)
        assert logits.shape == (2, 3, *size)
        assert logits.isfinite().all()
        assert torch.equal(logits, network(image))
        assert ((logits - network(-image)).abs().flatten(1).amax(1) > 1e-5).all()
        torch.testing.assert_close(network(image[1:]), logits[1:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", SEGMENTERS)
def test_every_parameter_learns(name):
    network = tiny(name)
    network(torch.randn(2, 2, 17, 12)).square().mean().backward()
    assert not [each for each, p in network.named_parameters() if p.grad is None or not p.grad.any()]


@pytest.mark.parametrize("name", SEGMENTERS)
def test_a_checkpoint_takes_the_weights_and_a_copy_has_its_own(name):
    """As training needs it: the average is a copy of the network, and both are written and read."""
    network = tiny(name).eval()
    average, image = copy.deepcopy(network), torch.randn(1, 2, 17, 12, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = network(image)
        for parameter in network.parameters():
            parameter.mul_(1.5)
        assert torch.equal(average(image), before)
        assert not torch.allclose(network(image), before)
        network.load_state_dict(load(save(average.state_dict())))
        assert torch.equal(network(image), before)


@pytest.mark.parametrize("name", SEGMENTERS)
def test_half_precision_is_finite(name):
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert tiny(name)(torch.randn(2, 2, 10, 9)).isfinite().all()


@pytest.mark.parametrize("name", SEGMENTERS)
def test_it_learns_discs(name):
    network = tiny(name, in_channels=3, num_classes=2)
    image, mask = blobs()
    target = (mask[:, 0] > 0).long()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(network(image), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert (network(image).argmax(1) == target).float().mean() > 0.95


def test_dynunet_has_one_output_and_leaky_relu_instance_norm():
    network = tiny("dynunet").train()
    kinds = {type(module).__name__ for module in network.modules()}
    assert {"LeakyReLU", "InstanceNorm2d"} <= kinds
    assert isinstance(network.body(torch.zeros(1, 2, 8, 8)), torch.Tensor)


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("unet", {"channels": (8,)}, "unet needs at least 2 levels"),
        ("dynunet", {"channels": (8, 16)}, "dynunet needs at least 3 levels"),
        ("segresnet", {"channels": (8, 12)}, "segresnet doubles"),
        ("segresnet", {"channels": (12, 24)}, "a multiple of 8"),
        ("unet", {"channels": ()}, "at least one level"),
        ("unet", {"channels": (8, 0)}, "at least 1 channel"),
        ("unet", {"spatial_dims": 1}, "2 .* or 3"),
        ("nnunet", {}, "unknown segmenter 'nnunet': use one of unet, dynunet, segresnet"),
    ],
)
def test_what_cannot_be_built_is_refused(name, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        tiny(name, **settings)


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (1, 2, 8, 8, 8), (2, 8, 8)])
def test_images_of_another_kind_are_refused(shape):
    with pytest.raises(InputError, match=r"takes images \[B, 2, \*S\] with 2 axes"):
        tiny("unet")(torch.zeros(shape))
