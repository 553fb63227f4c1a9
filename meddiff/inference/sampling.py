"""From conditions and seeds to arrays: x_T, sampler, decode, in batches.

Every network call has the same shape: a last, smaller batch is filled up and cut again. Together with noise that
depends on the image's own seed (``diffusion.noise``) this makes an image a function of its seed and label alone:
drawn in another batch, at another place in it, or on its own, it is the same image to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser, bind
from meddiff.diffusion.guidance import guide
from meddiff.diffusion.noise import PerSampleNoise
from meddiff.diffusion.schedule import Spacing
from meddiff.tasks.task import Task


@dataclass(frozen=True)
class Sampling:
    """How x_0 is found: the algorithm, its number of steps and where they lie, the guidance scale."""

    sampler: Callable
    steps: int
    guidance: float = 1.0
    spacing: Spacing = "trailing"


@torch.inference_mode()
def generate(
    denoiser: Denoiser,
    task: Task,
    sampling: Sampling,
    *,
    labels: Sequence[int],
    seeds: Sequence[int],
    shape: tuple[int, ...],
    batch_size: int,
    device: torch.device,
) -> Iterator[Tensor]:
    """Synthetic images of the given classes, batch by batch in the order given.

    Args:
        denoiser: the trained denoiser, on ``device``.
        task: decodes what the sampler finds.
        sampling: sampler, steps, guidance.
        labels: class index of each image.
        seeds: one seed per image; the same seed and label give the same image.
        shape: (C, *S) of one image.
        batch_size: images per network call.
        device: where to compute.

    Yields:
        [b, C, *S] float32 in [-1, 1] on the CPU, b = batch_size or less in the last batch.

    Raises:
        ValueError: labels and seeds of different lengths.
    """
    if len(labels) != len(seeds):
        raise ValueError(f"{len(labels)} labels and {len(seeds)} seeds: every image needs one of each")
    for start in range(0, len(seeds), batch_size):
        chunk = slice(start, start + batch_size)
        missing = batch_size - len(seeds[chunk])
        label = torch.tensor([*labels[chunk], *[labels[-1]] * missing], device=device)
        noise = PerSampleNoise([*seeds[chunk], *[seeds[-1]] * missing], shape, device=device)
        x_0 = _sample(denoiser, Condition(label=label), noise, sampling)
        yield task.decode(x_0)[: batch_size - missing].float().cpu()


def _sample(denoiser: Denoiser, condition: Condition, noise: PerSampleNoise, sampling: Sampling) -> Tensor:
    schedule = denoiser.schedule
    denoise = guide(bind(denoiser, condition), bind(denoiser, condition.untold()), sampling.guidance)
    timesteps = schedule.timesteps(sampling.steps, sampling.spacing)
    x = schedule.start(noise(0))
    for step in sampling.sampler(denoise, schedule, x, timesteps, noise):
        x = step.x
    return x
