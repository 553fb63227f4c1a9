"""An autoencoder whose code is an image too, on a coarser grid: what latent diffusion draws (Rombach et al. 2022).

Encoder and decoder are MONAI's `AutoencoderKL`, of pictures or of volumes (Pinaya et al. 2022). What keeps the code
simple is one of two:

- ``kl``: each number of the code is a normal distribution, held near N(0, 1) by a weight of the loss.
- ``vq``: the code is rounded to the nearest of some vectors, MONAI's quantizer (van den Oord et al. 2017). Diffusion
  works on the code before it is rounded, as in Rombach et al. 2022, and the decoder rounds what it is given.

What is stored is always the mean: a sampled code carries noise that no denoiser can foresee.

A shortcut without weights goes around both halves (Chen et al. 2025, "Deep compression autoencoder"): where the code
has a channel for each of the image, these hold the means of the blocks, to which the network adds, and so does it to
their interpolation. So training begins with a small image made large, and learns what that lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Literal, NamedTuple

import torch
from monai.networks.layers.vector_quantizer import EMAQuantizer, VectorQuantizer
from monai.networks.nets.autoencoderkl import AutoencoderKL
from monai.networks.nets.patchgan_discriminator import PatchDiscriminator
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from meddiff.errors import InputError
from meddiff.networks.blocks import GROUP_CHANNELS
from meddiff.networks.folding import fold, unfold

Regularization = Literal["kl", "vq"]
FIRST_LOG_VARIANCE = -6.0
"""Of a code before training: behind more noise a decoder would learn to do without the code, for good."""
FIRST_SPREAD = 0.3
"""Standard deviation of the vectors of a code book before training."""


class Verdicts(NamedTuple):
    """The verdicts of a discriminator, as logits of patches; large is real."""

    passed: Tensor
    """Of a reconstruction, with the gradient of the reconstruction alone."""
    real: Tensor
    """Of an image, with the gradient of the discriminator."""
    made: Tensor
    """Of a reconstruction, with the gradient of the discriminator alone."""


class Reconstructed(NamedTuple):
    """The answer of an autoencoder to a step of training."""

    image: Tensor
    """[B, C, *S], of a drawn code."""
    mean: Tensor
    """[B, K, *s] of the code."""
    deviation: Tensor
    """[B, K, *s] of the code."""
    rounding: Tensor
    """Squared distance of the code from the vectors that it is rounded to; 0 of ``kl``."""
    verdicts: Verdicts | None


class LatentAutoencoder(nn.Module):
    """``autoencoder(image) -> image``, both [B, C, *S] in [-1, 1]; `encode` and `decode` are its halves.

    Args:
        in_channels: channels C of the image.
        channels: feature channels per level, from fine to coarse; each but the first halves the grid.
        latent_channels: channels K of the code.
        regularization: kl or vq.
        residual_blocks: per level.
        patch_size: pixels per side folded into channels before the first level.
        codes: vectors of the code book, of vq.
        spatial_dims: 2 for images, 3 for volumes.

    Raises:
        InputError: numbers that do not fit together.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        channels: Sequence[int],
        latent_channels: int,
        regularization: Regularization = "kl",
        residual_blocks: int = 1,
        patch_size: int = 1,
        codes: int = 256,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        if not channels or min(channels) < 1:
            raise InputError(f"an autoencoder has one level or more, each with a channel, got {list(channels)}")
        self.patch_size, self.latent_channels = patch_size, latent_channels
        self.factor = patch_size * 2 ** (len(channels) - 1)
        """Pixels to a number of the code, along each axis."""
        self.shared = in_channels if in_channels <= latent_channels else 0
        """Channels of the code that the shortcut goes through."""
        folded, groups = in_channels * patch_size**spatial_dims, max(1, min(32, gcd(*channels) // GROUP_CHANNELS))
        self.body = AutoencoderKL(
            spatial_dims, folded, folded, residual_blocks, tuple(channels), (False,) * len(channels), latent_channels,
            groups, with_encoder_nonlocal_attn=False, with_decoder_nonlocal_attn=False,
        )  # fmt: skip
        self.quantizer: VectorQuantizer | None = None
        if regularization == "vq":
            self.body.quant_conv_log_sigma = nn.Identity()
            quantizer = EMAQuantizer(spatial_dims, codes, latent_channels, commitment_cost=1.0)
            quantizer.embedding.weight.data.mul_(FIRST_SPREAD)
            quantizer.ema_w.copy_(quantizer.embedding.weight.data)
            quantizer.ema_cluster_size.fill_(1.0)  # at 0, a vector that no code is near is divided by nothing and lost
            self.quantizer = VectorQuantizer(quantizer)
        else:
            spread = self.body.quant_conv_log_sigma.conv
            nn.init.zeros_(spread.weight)
            nn.init.constant_(spread.bias, FIRST_LOG_VARIANCE)
        if self.shared:
            first, last = self.body.quant_conv_mu.conv, self.body.decoder.blocks[-1].conv
            for part in (first.weight.data[: self.shared], first.bias.data[: self.shared], last.weight, last.bias):
                nn.init.zeros_(part)

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation [B, K, *s] of the code of images [B, C, *S], s = S / factor.

        Of ``vq`` the deviation is how far rounding moves each number.

        Raises:
            InputError: a side that the factor does not divide.
        """
        if any(side % self.factor for side in image.shape[2:]):
            size = " x ".join(map(str, image.shape[2:]))
            raise InputError(f"an image of {size} has no code: each side must be a multiple of {self.factor}")
        mean, features = self._mean(image)
        if self.quantizer is not None:
            return mean, (self._rounded(mean)[1] - mean).abs()
        return mean, (self.body.quant_conv_log_sigma(features).clamp(-30, 20) / 2).exp()

    def decode(self, code: Tensor) -> Tensor:
        """Return images [B, C, *S] of codes [B, K, *s], which need not be in [-1, 1]."""
        return self._image(code if self.quantizer is None else self._rounded(code)[1])

    def forward(self, image: Tensor) -> Tensor:
        """Return what the code keeps of images [B, C, *S]."""
        return self.decode(self.encode(image)[0])

    def drawn(self, image: Tensor, eps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return, for training, an image of a drawn code, the code's mean and deviation, and the loss of rounding.

        Args:
            image: [B, C, *S].
            eps: [B, K, *s] standard normal; ``vq`` draws nothing.
        """
        if self.quantizer is None:
            mean, deviation = self.encode(image)
            return self._image(mean + deviation * eps), mean, deviation, mean.new_zeros(())
        mean, _ = self._mean(image)
        rounding, rounded = self._rounded(mean)
        return self._image(rounded), mean, (rounded - mean).detach().abs(), rounding

    def _mean(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean of the code, and the features that it is made of."""
        features = self.body.encoder(fold(image, self.patch_size))
        mean = self.body.quant_conv_mu(features)
        if not self.shared:
            return mean, features
        small = (functional.avg_pool2d if image.ndim == 4 else functional.avg_pool3d)(image, self.factor)
        return torch.cat([mean[:, : self.shared] + small, mean[:, self.shared :]], dim=1), features

    def _image(self, code: Tensor) -> Tensor:
        made = unfold(self.body.decode(code), self.patch_size)
        if not self.shared:
            return made
        mode = "bicubic" if code.ndim == 4 else "trilinear"
        large = functional.interpolate(code[:, : self.shared].float(), size=made.shape[2:], mode=mode)
        return made + large

    def _rounded(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """Return the squared distance to the nearest vectors, and these with the gradient of the code."""
        assert self.quantizer is not None
        with torch.autocast(code.device.type, enabled=False):  # distances need all digits
            return self.quantizer(code.float())


class JudgedAutoencoder(nn.Module):
    """An autoencoder with a discriminator of patches beside it (Isola et al. 2017): what is trained.

    Both are trained by one optimizer on one loss: each has its own gradient alone, as what the other is given is
    detached. So they share checkpoints, averages and resuming with every other network.

    Args:
        autoencoder: what is used afterwards.
        in_channels: of the image.
        side: its shortest, in pixels.
        width: channels of the discriminator's first layer; 0 for none.
        spatial_dims: 2 for images, 3 for volumes.
    """

    def __init__(
        self, autoencoder: LatentAutoencoder, in_channels: int, *, side: int, width: int, spatial_dims: int = 2
    ) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.discriminator: PatchDiscriminator | None = None
        if width:
            layers = max(1, min(3, side.bit_length() - 3))  # as many as leave some patches
            self.discriminator = PatchDiscriminator(spatial_dims, width, in_channels, 1, layers, norm="INSTANCE")

    def forward(self, image: Tensor, eps: Tensor | None = None, judged: bool = False) -> Reconstructed | Tensor:
        """Reconstruct images [B, C, *S] from codes drawn with ``eps``, and have both judged where that is asked for.

        Without ``eps`` it returns the images that the means of the codes give, and nothing else.
        """
        if eps is None:
            return self.autoencoder(image)
        made, mean, deviation, rounding = self.autoencoder.drawn(image, eps)
        return Reconstructed(made, mean, deviation, rounding, self._verdicts(image, made) if judged else None)

    def _verdicts(self, image: Tensor, made: Tensor) -> Verdicts:
        assert self.discriminator is not None
        held = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        passed = functional_call(self.discriminator, held, (made,))[-1]
        return Verdicts(passed, self.discriminator(image)[-1], self.discriminator(made.detach())[-1])
