"""Diffusion in the codes of a linear autoencoder whose answer is known: that of the pixels, projected."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from meddiff.batches.latents import Scale
from meddiff.diffusion.condition import Condition
from meddiff.diffusion.schedule import cosine
from meddiff.inference.image_autoencoder import ImageAutoencoder
from meddiff.networks.latent_autoencoder import LatentAutoencoder
from meddiff.networks.unet import ConditionalUNet
from meddiff.samplers.ddim import ddim
from meddiff.samplers.dpm_solver import dpm_solver
from tests.oracle import gaussian

SCHEDULE = cosine(100)
TIMES = SCHEDULE.timesteps(8, "trailing")


class Projection(nn.Module):
    """Blocks of 2 x 2 pixels in an orthonormal basis, of which two vectors are kept."""

    factor, latent_channels = 2, 2

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        basis = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64))[0]
        self.basis = basis.float()

    def parts(self, image: Tensor) -> Tensor:
        """All four coordinates [B, 4, H/2, W/2] of images [B, 1, H, W]."""
        return torch.einsum("kp,bphw->bkhw", self.basis.to(image), nn.functional.pixel_unshuffle(image, 2))

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return self.parts(image)[:, :2], torch.zeros(len(image), 2, *(side // 2 for side in image.shape[2:]))

    def decode(self, code: Tensor) -> Tensor:
        return nn.functional.pixel_shuffle(torch.einsum("kp,bkhw->bphw", self.basis[:2].to(code), code), 2)


@pytest.mark.parametrize("sampler", [ddim, dpm_solver])
def test_a_gaussian_drawn_as_codes_is_the_one_drawn_as_pixels_projected(sampler):
    """Coordinates 0 and 1 are N(0.1, 0.3^2), which the code keeps; 2 and 3 are N(-0.2, 0.05^2), which it does not."""
    projection = Projection()
    kept, lost = gaussian(SCHEDULE, 0.1, 0.3), gaussian(SCHEDULE, -0.2, 0.05)

    def of_pixels(x_t: Tensor, t: Tensor) -> Tensor:
        parts = projection.parts(x_t)
        estimate = torch.cat([kept(parts[:, :2], t), lost(parts[:, 2:], t)], dim=1)
        shuffled = torch.einsum("kp,bkhw->bphw", projection.basis.to(x_t), estimate)
        return nn.functional.pixel_shuffle(shuffled, 2)

    noise = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    *_, pixels = sampler(of_pixels, SCHEDULE, noise, TIMES, lambda _: noise)
    own = projection.parts(noise)[:, :2]
    *_, codes = sampler(kept, SCHEDULE, own, TIMES, lambda _: own)
    torch.testing.assert_close(codes.x, projection.parts(pixels.x)[:, :2], rtol=0, atol=1e-6)
    autoencoder = ImageAutoencoder(projection, (1, 8, 8), torch.device("cpu"))
    seen = autoencoder.decode(autoencoder.encode(pixels.x.float()))
    torch.testing.assert_close(autoencoder.decode(codes.x.float()), seen, rtol=0, atol=1e-5)


def test_scaled_codes_have_mean_0_and_deviation_1_and_the_way_back_is_the_inverse():
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(64, 2, 4, 4, generator=generator) * torch.tensor([3.0, 0.1])[:, None, None] + 5
    mean, deviation = codes.mean((0, 2, 3)), codes.std((0, 2, 3), correction=0)
    scale = Scale(tuple(mean.tolist()), tuple(deviation.tolist()))
    scaled = scale.scaled(codes)
    torch.testing.assert_close(scaled.mean((0, 2, 3)), torch.zeros(2), rtol=0, atol=1e-4)
    torch.testing.assert_close(scaled.std((0, 2, 3), correction=0), torch.ones(2), rtol=0, atol=1e-4)
    torch.testing.assert_close(scale.codes(scaled), codes)


def flops(call) -> int:
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        call()
    return counted.get_total_flops()


@pytest.mark.parametrize(("spatial_dims", "least"), [(2, 10), (3, 30)])
def test_a_step_of_codes_costs_a_fraction_of_one_of_pixels(spatial_dims, least):
    """The same network on a grid that is 4 times coarser along each axis; the autoencoder is asked once per image."""
    settings = {"channels": (8, 16), "residual_blocks": 1, "attention_levels": 0, "head_channels": 4}
    sides, t = (32,) * spatial_dims, torch.ones(1)
    pixels = ConditionalUNet(1, 1, spatial_dims=spatial_dims, **settings)
    codes = ConditionalUNet(4, 4, spatial_dims=spatial_dims, **settings)
    image, code = torch.zeros(1, 1, *sides), torch.zeros(1, 4, *(side // 4 for side in sides))
    of_pixels = flops(lambda: pixels(image, t, Condition()))
    assert of_pixels > least * flops(lambda: codes(code, t, Condition()))
    autoencoder = LatentAutoencoder(1, channels=(8, 16), latent_channels=4, patch_size=2, spatial_dims=spatial_dims)
    assert flops(lambda: autoencoder.decode(code)) < 10 * of_pixels, "less than what ten steps cost"
