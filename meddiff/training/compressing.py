"""The loss of images that become codes and images again (Rombach et al. 2022, section 3.1):

    absolute error + perceptual distance + kl_weight * KL(code || N(0, 1)) (or commitment) + adversarial

The KL divergence is the sum over the code, in nats, per number of the image, so that a weight means the same for any
size. The discriminator and what it says of reconstructions begin at a step of their own: before, everything is blurred
and the verdict is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from meddiff.batches.batch import Batch
from meddiff.networks.latent_autoencoder import Verdicts

Adversary = Literal["hinge", "least_squares"]


class Start:
    """The step from which a part of the loss counts: how many were done is remembered."""

    why_plain = "because what is minimized changes at a step of its own"
    """Why the steps of such a training are no one graph."""

    def __init__(self, steps: int) -> None:
        self.steps, self.done = steps, 0

    @property
    def begun(self) -> bool:
        """True once it counts."""
        return self.done >= self.steps

    def end_step(self, gather: Callable[[Tensor], Any]) -> None:
        """Count an optimizer step; all processes count alike."""
        self.done += 1

    def state_dict(self) -> dict[str, Tensor]:
        """Return what a resumed training goes on with."""
        return {"done": torch.tensor(self.done)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a saved state."""
        self.done = int(state["done"])


@dataclass(frozen=True)
class Compressing:
    """The loss of an autoencoder and of the discriminator beside it."""

    network: nn.Module
    """A `JudgedAutoencoder`, on its device and wrapped."""
    latent_channels: int
    factor: int
    kl_weight: float = 1e-6
    commitment: float = 0.25
    adversarial: float = 0.0
    """Weight of what the discriminator says; 0 for none."""
    adversary: Adversary = "hinge"
    history: Start | None = None
    """Where there is a discriminator, when it begins."""
    perceptual: Callable[[Tensor], Tensor] | None = None
    """Images [B, C, H, W] -> vectors whose squared distance is a perceptual one."""
    perceptual_weight: float = 1.0
    draws_inside = False

    def draw(self, batch: Batch, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw the noise of each sample's code."""
        sides = (side // self.factor for side in batch.image.shape[2:])
        shape = count * len(batch.image), self.latent_channels, *sides
        return (torch.randn(shape, generator=generator, device=generator.device),)

    def loss(self, batch: Batch, draws: tuple[Tensor, ...]) -> Tensor:
        """Return one value per sample [B]."""
        judged = self.history is not None and self.history.begun
        made, mean, deviation, rounding, verdicts = self.network(batch.image, draws[0], judged)
        made, mean, deviation = made.float(), mean.float(), deviation.float()
        loss = (made - batch.image).abs().flatten(1).mean(1)
        if self.kl_weight:
            divergence = mean.square() + deviation.square() - 1 - 2 * deviation.log()
            loss = loss + self.kl_weight * divergence.flatten(1).sum(1) / 2 / batch.image[0].numel()
        loss = loss + self.commitment * rounding.float()
        if self.perceptual is not None:
            with torch.autocast(made.device.type, enabled=False):
                apart = (self.perceptual(made) - self.perceptual(batch.image)).square().sum(1)
            loss = loss + self.perceptual_weight * apart
        return loss if verdicts is None else loss + self._adversarial(verdicts)

    def _adversarial(self, verdicts: Verdicts) -> Tensor:
        """Return what the autoencoder and the discriminator lose to each other [B].

        Both count little: the optimizer scales the steps of each weight alike, and a large loss of the discriminator
        would have the gradient of the autoencoder clipped with its own.
        """
        passed, real, made = (part.float().flatten(1) for part in verdicts)
        if self.adversary == "hinge":
            ours, theirs = -passed, functional.relu(1 - real) + functional.relu(1 + made)
        else:
            ours, theirs = (passed - 1).square(), (real - 1).square() + made.square()
        return self.adversarial * (ours.mean(1) + theirs.mean(1) / 2)
