"""Images as codes and back, and the space of these codes that a diffusion model works in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from meddiff.errors import InputError
from meddiff.networks.latent_autoencoder import LatentAutoencoder

AT_ONCE = 16
"""Images per call of the network."""


@dataclass(frozen=True, repr=False)
class ImageAutoencoder:
    """A trained autoencoder: ``decode(encode(images))`` are nearly the images."""

    network: LatentAutoencoder
    """On its device; it computes in float32, whatever it was trained in: what is stored should not be rounded."""
    shape: tuple[int, ...]
    """(C, *S) of the images that it learned from; others are welcome whose sides its factor divides."""
    device: torch.device

    def code_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape (K, *s) of the code of an image of the shape (C, *S)."""
        return (self.network.latent_channels, *(side // self.network.factor for side in shape[1:]))

    def encode(self, images: Tensor) -> Tensor:
        """Return the codes [N, K, *s] of images [N, C, *S] in [-1, 1]: the mean of each, never a drawn one.

        Raises:
            InputError: images of another kind, or a side that the factor does not divide.
        """
        return torch.cat([mean for mean, _ in self.distributions(images)])

    @torch.inference_mode()
    def distributions(self, images: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield mean and standard deviation of the codes of images, some at a time, on the CPU.

        Raises:
            InputError: as `encode`.
        """
        if images.ndim != len(self.shape) + 1 or images.shape[1] != self.shape[0]:
            wanted = " x ".join(map(str, self.shape))
            raise InputError(f"got images {list(images.shape)}: this autoencoder takes [images, {wanted}]")
        for some in images.split(AT_ONCE):
            mean, deviation = self.network.encode(some.to(self.device).float())
            yield mean.cpu(), deviation.cpu()

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Tensor:
        """Return the images [N, C, *S] in [-1, 1] of codes [N, K, *s].

        Raises:
            InputError: codes of another kind.
        """
        if codes.ndim != len(self.shape) + 1 or codes.shape[1] != self.network.latent_channels:
            raise InputError(
                f"got codes {list(codes.shape)}: this autoencoder takes {self.network.latent_channels} channels of "
                f"{len(self.shape) - 1} dimensions"
            )
        some = [self.network.decode(part.to(self.device).float()) for part in codes.split(AT_ONCE)]
        return torch.cat(some).clamp(-1, 1).cpu()

    def __repr__(self) -> str:
        """Return one line: what becomes what."""
        return f"ImageAutoencoder({list(self.shape)} <-> {list(self.code_shape(self.shape))})"
