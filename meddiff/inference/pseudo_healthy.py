"""Anomalies as what a model of healthy images does not give back: image [B, C, *S] -> pseudo-healthy image, map.

A model that has learned healthy images alone makes of any image the nearest healthy one that it can; the map of an
image is the absolute difference of both, a mean over the channels. Each method has one number, the level: the share of
T up to which the image is noised.

- ``anoddpm`` (Wyatt et al. 2022): noise the image to the level, and denoise it by ancestral steps. With simplex noise
  the training, the noise and the steps have it, as in the paper; with gaussian noise it is their ablation.
- ``ddim_encoding`` (Wolleb et al. 2022): encode by inverse DDIM steps up to the level, which keeps what noise would
  hide, and decode by DDIM. Where the model knows labels it decodes with guidance towards healthy; theirs is that of
  a classifier, ours is free of one. Without labels decoding undoes encoding, and what stands out is what the steps lose
  on the way: the map is weaker the more steps there are.
- ``counterfactual`` (Sanchez et al. 2022): the same, but encoded untold, and each estimate brought back into the range
  of images by its 99.5% quantile (their dynamic normalization). It needs a model that knows both labels.
- ``multi_level`` (after Graham et al. 2023): noise the image to `LEVELS` levels up to the level, estimate x_0 from each
  in one call of the network, and average the errors. Theirs walks back from each level, and measures each against the
  validation images; the plain average is ours.

The seed of an image and member alone decides its noise: a map does not depend on the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoise, Denoiser, bind
from meddiff.diffusion.guidance import guide, rescale_x_0
from meddiff.diffusion.noise import PerSampleNoise, SimplexNoise
from meddiff.inference.sampling import Sampling, walk
from meddiff.samplers.ddim import ddim
from meddiff.samplers.ddpm import ddpm
from meddiff.samplers.inversion import invert
from meddiff.samplers.step import Noise

LEVELS = 5
"""Noise levels that multi_level averages over."""


class Healed(NamedTuple):
    """A batch beside what a model of healthy images makes of it."""

    image: Tensor
    """[B, C, *S] the pseudo-healthy image."""
    map: Tensor
    """[B, *S] what is unlike it, 0 or more."""


@dataclass(frozen=True)
class Healer:
    """A denoiser of healthy images, and how it is used."""

    denoiser: Denoiser
    healthy: int = 0
    """Position of the label of healthy images."""
    steps: int = 50
    """Sampler steps from T to 0; a level takes its share of them."""
    guidance: float = 1.0
    """Of decoding towards healthy; 1 where the model knows no other label."""
    octaves: int = 0
    """Of the simplex noise that it was trained with; 0 for white noise."""

    def noise(self, seeds: Sequence[int], shape: Sequence[int], device: torch.device) -> Noise:
        """Return the noise of the training, one stream per seed."""
        if self.octaves:
            return SimplexNoise(seeds, shape, octaves=self.octaves, device=device)
        return PerSampleNoise(seeds, shape, device=device)

    def told(self, images: Tensor, guidance: float = 1.0) -> Denoise:
        """Build the denoiser that is told that these images are healthy."""
        condition = Condition(label=torch.full((len(images),), self.healthy, device=images.device))
        return guide(bind(self.denoiser, condition), self.untold(images), guidance)

    def untold(self, images: Tensor) -> Denoise:
        """Build the denoiser that is told nothing of these images."""
        label = torch.full((len(images),), self.healthy, device=images.device)
        return bind(self.denoiser, Condition(label=label).untold())

    def times(self, level: float) -> list[float]:
        """List the times of the steps from a level down to 0."""
        T = self.denoiser.schedule.T
        steps = max(1, round(level * self.steps))
        return [t * max(1, round(level * T)) / T for t in self.denoiser.schedule.timesteps(steps)]


def anoddpm(healer: Healer, images: Tensor, level: float, noise: Noise) -> Healed:
    """Noise images to a level, and denoise them step by step."""
    steps = Sampling(ddpm, max(1, round(level * healer.steps)))
    *_, last = walk(healer.told(images), healer.denoiser.schedule, steps, noise, start=images, share=level)
    return _beside(images, last.x)


def ddim_encoding(healer: Healer, images: Tensor, level: float, noise: Noise) -> Healed:
    """Encode images up to a level told that they are healthy, and decode them with guidance towards healthy."""
    return _recoded(healer, images, level, healer.told(images), healer.told(images, healer.guidance))


def counterfactual(healer: Healer, images: Tensor, level: float, noise: Noise) -> Healed:
    """Encode images up to a level untold, and decode them as healthy ones with guidance and a dynamic threshold."""
    decode = rescale_x_0(healer.told(images, healer.guidance))
    return _recoded(healer, images, level, healer.untold(images), decode)


def multi_level(healer: Healer, images: Tensor, level: float, noise: Noise) -> Healed:
    """Estimate x_0 from several levels up to this one, each in one call, and average the errors."""
    schedule, denoise = healer.denoiser.schedule, healer.told(images)
    estimates = []
    for number in range(1, LEVELS + 1):
        t = torch.full((len(images),), max(1, round(level * number / LEVELS * schedule.T)), device=images.device)
        estimates.append(denoise(schedule.diffuse(images, t, noise(number - 1)), t).clamp(-1, 1))
    errors = torch.stack([_beside(images, estimate).map for estimate in estimates])
    return Healed(torch.stack(estimates).mean(dim=0), errors.mean(dim=0))


METHODS: dict[str, Callable[[Healer, Tensor, float, Noise], Healed]] = {
    "anoddpm": anoddpm,
    "ddim_encoding": ddim_encoding,
    "counterfactual": counterfactual,
    "multi_level": multi_level,
}
DRAWS_NOTHING = ("ddim_encoding", "counterfactual")
"""Methods of which every member is the same."""


@torch.inference_mode()
def healed(
    healer: Healer, method: str, images: Tensor, level: float, seeds: Sequence[int], *, batch_size: int
) -> Healed:  # fmt: skip
    """Apply a method to images [N, C, *S] in [-1, 1], batch by batch of one shape; ``seeds`` has one of each image.

    Returns:
        Pseudo-healthy images and maps, float32 on the CPU.
    """
    device = next(healer.denoiser.parameters()).device
    parts = []
    for start in range(0, len(images), batch_size):
        chunk, own = images[start : start + batch_size], list(seeds[start : start + batch_size])
        missing = batch_size - len(chunk)  # the last, smaller batch is filled up: every call has the same shape
        filled = torch.cat([chunk, chunk[-1:].expand(missing, *chunk.shape[1:])]).to(device)
        noise = healer.noise(own + own[-1:] * missing, filled.shape[1:], device)
        made = METHODS[method](healer, filled, level, noise)
        parts.append([part[: len(chunk)].float().cpu() for part in made])
    return Healed(*(torch.cat(own) for own in zip(*parts, strict=True)))


def _recoded(healer: Healer, images: Tensor, level: float, encode: Denoise, decode: Denoise) -> Healed:
    schedule, times = healer.denoiser.schedule, healer.times(level)
    *_, up = invert(encode, schedule, images, times)
    *_, down = ddim(decode, schedule, up.x, times)
    return _beside(images, down.x)


def _beside(images: Tensor, healthy: Tensor) -> Healed:
    healthy = healthy.clamp(-1, 1)
    return Healed(healthy, (images - healthy).abs().mean(dim=1))
