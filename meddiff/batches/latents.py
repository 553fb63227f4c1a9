"""Images as the codes of an autoencoder: what a denoiser of latents sees of them (Rombach et al. 2022)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from meddiff.batches.batch import Batch
from meddiff.batches.cuts import Draw
from meddiff.batches.images import Images


@dataclass(frozen=True)
class Scale:
    """The mean and deviation of each channel of the codes of training images: scaled, they are 0 and 1."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def scaled(self, codes: Tensor) -> Tensor:
        """Return codes [N, K, *s] as a denoiser sees them."""
        mean, deviation = self._along(codes)
        return (codes - mean) / deviation

    def codes(self, scaled: Tensor) -> Tensor:
        """Return the inverse of `scaled`."""
        mean, deviation = self._along(scaled)
        return scaled * deviation + mean

    def _along(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        shape = (1, -1, *(1,) * (codes.ndim - 2))
        return codes.new_tensor(self.mean).view(shape), codes.new_tensor(self.deviation).view(shape)


class LatentImages(Images):
    """Images whose batches show their scaled codes, each in one of the turns that it was encoded in.

    Args:
        images: as files hold them.
        codes: [N, V, K, *s] float32: means of the codes of each image, in V turns, of which the first is none.
        scale: of the codes.
        decode: scaled codes [N, K, *s] -> images [N, C, *S] in [-1, 1].
        facts: what the weights of a denoiser of them depend on.
    """

    def __init__(
        self, images: Images, codes: np.ndarray, scale: Scale, decode: Callable[[Tensor], Tensor],
        facts: dict[str, Any],
    ) -> None:  # fmt: skip
        super().__init__(images.prepared, images.class_names, images.cut, images.described)
        self.pixels, self.decoded, self.facts = images, decode, facts
        self._codes, self._scale = codes, scale

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """(K, *s) of a code."""
        return self._codes.shape[2:]

    def batch(self, positions: Sequence[int] | np.ndarray, draws: Sequence[Draw] | None = None) -> Batch:
        """Return the codes of the images at these positions; without draws those of images as they are."""
        at = np.asarray(positions, dtype=np.int64)
        turns = [0] * len(at)
        if draws is not None:
            turns = [int(draw.generator("turn").integers(self._codes.shape[1])) for draw in draws]
        codes = self._scale.scaled(torch.from_numpy(self._codes[at, turns]))
        label = torch.from_numpy(self.labels[at]) if self.class_names else None
        return Batch(codes, label, None, torch.from_numpy(at), False, self.described.features(at))


def pixels_of(images: Images) -> Images:
    """Return the images as files hold them, where batches show codes of them too."""
    return images.pixels if isinstance(images, LatentImages) else images
