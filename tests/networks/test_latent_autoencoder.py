"""Autoencoders of images: their halves, the shortcut around them, and the discriminator that is trained beside them."""

import pytest
import torch

from meddiff.errors import InputError
from meddiff.evaluation.reconstructions import as_few, code_statistics, down_and_up, noise_share
from meddiff.networks.initialization import seeded
from meddiff.networks.latent_autoencoder import JudgedAutoencoder, LatentAutoencoder


def tiny(regularization="kl", spatial_dims=2, in_channels=1, **settings) -> LatentAutoencoder:
    settings = {"channels": (8, 16), "latent_channels": 2, "patch_size": 2} | settings
    with seeded(0):
        return LatentAutoencoder(in_channels, regularization=regularization, spatial_dims=spatial_dims, **settings)


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("regularization", ["kl", "vq"])
def test_an_image_becomes_a_code_and_an_image_again(regularization, spatial_dims):
    network = tiny(regularization, spatial_dims).eval()
    image = torch.rand(3, 1, *(8, 12, 16)[:spatial_dims]) * 2 - 1
    mean, deviation = network.encode(image)
    assert mean.shape == deviation.shape == (3, 2, *(2, 3, 4)[:spatial_dims])
    assert network.decode(mean).shape == image.shape
    assert torch.equal(network(image), network.decode(mean)), "the mean is what is kept"
    alone = network.encode(image[1:2])[0]
    torch.testing.assert_close(alone, mean[1:2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_a_fresh_one_keeps_the_means_of_blocks(spatial_dims):
    network = tiny(spatial_dims=spatial_dims)
    image = torch.full((1, 1, *(8,) * spatial_dims), 0.3)
    image[0, 0, :4] = -0.5
    blocks = network.encode(image)[0][:, 0].detach()
    assert blocks[0, 0].mean() == pytest.approx(-0.5, abs=1e-6)
    assert blocks[0, 1].mean() == pytest.approx(0.3, abs=1e-6)
    even = torch.full_like(image, 0.3)
    torch.testing.assert_close(network(even).detach(), even, rtol=0, atol=1e-5)


def test_a_code_with_too_few_channels_has_no_shortcut():
    network = tiny(in_channels=3)
    assert network.shared == 0
    assert network(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8, 8)


@pytest.mark.parametrize("sides", [(8, 10), (6, 8), (1, 1)])
def test_a_side_that_is_no_multiple_of_the_factor_is_refused(sides):
    with pytest.raises(InputError, match=f"an image of {sides[0]} x {sides[1]} has no code"):
        tiny().encode(torch.zeros(1, 1, *sides))


def test_rounding_takes_the_nearest_vector_and_says_how_far_it_is():
    network = tiny("vq", codes=5).eval()
    mean, moved = network.encode(torch.rand(2, 1, 8, 8))
    book = network.quantizer.quantizer.embedding.weight
    places = mean.movedim(1, -1).reshape(-1, 2)
    nearest = book[torch.cdist(places, book).argmin(1)]
    torch.testing.assert_close(moved.movedim(1, -1).reshape(-1, 2), (nearest - places).abs())


def test_the_discriminator_and_the_autoencoder_have_a_gradient_each_of_their_own_verdict():
    both = JudgedAutoencoder(tiny(), 1, side=16, width=4)
    image = torch.rand(2, 1, 16, 16) * 2 - 1
    eps = torch.randn(2, 2, 4, 4)

    def moved(which: str) -> tuple[bool, bool]:
        both.zero_grad()
        getattr(both(image, eps, True).verdicts, which).sum().backward()
        ours = any(one.grad is not None and one.grad.any() for one in both.autoencoder.parameters())
        theirs = any(one.grad is not None and one.grad.any() for one in both.discriminator.parameters())
        return bool(ours), bool(theirs)

    assert moved("passed") == (True, False)
    assert moved("real") == (False, True)
    assert moved("made") == (False, True)


@pytest.mark.parametrize("side", [8, 16, 24, 64])
def test_there_are_patches_to_judge_of_images_of_any_size(side):
    both = JudgedAutoencoder(tiny(), 1, side=side, width=4)
    image = torch.rand(2, 1, side, side)
    assert both(image, torch.randn(2, 2, side // 4, side // 4), True).verdicts.real.numel() >= 2


def test_bicubic_interpolation_keeps_as_many_numbers_and_what_is_smooth():
    assert as_few((3, 32, 32), 4 * 8 * 8) == (10, 10), "no fewer than the code"
    assert as_few((1, 40, 56, 40), 1400) == (10, 14, 10)
    assert as_few((1, 16, 16), 256) == (16, 16)
    ramp = torch.linspace(-1, 1, 32).expand(1, 1, 32, 32)
    assert (down_and_up(ramp, (8, 8)) - ramp)[..., 8:-8].abs().max() < 0.02
    fine = torch.tensor([-1.0, 1.0]).repeat(16).expand(1, 1, 32, 32)
    assert down_and_up(fine, (8, 8))[..., 4:-4].abs().max() < 0.2, "what it cannot hold is averaged, not aliased"
    volume = torch.rand(1, 1, 6, 8, 10) * 2 - 1
    torch.testing.assert_close(down_and_up(volume, (6, 8, 10)), volume)


def test_the_noise_of_codes_is_a_share_of_their_variance():
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(500, 2, 8, 8, generator=generator) * torch.tensor([2.0, 1.0])[:, None, None] + 3
    deviation = torch.ones_like(mean) * torch.tensor([1.0, 0.0])[:, None, None]
    table = code_statistics(zip(mean.split(100), deviation.split(100), strict=True))
    assert table["mean"].tolist() == pytest.approx([3, 3], abs=0.03)
    assert table["deviation"].tolist() == pytest.approx([2, 1], rel=0.02)
    assert table["noise_share"].tolist() == pytest.approx([0.2, 0], rel=0.02)
    assert noise_share(table) == pytest.approx(1 / 6, rel=0.02)
