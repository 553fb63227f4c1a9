"""The losses that a membership-inference attack reads: one number per image, at noise and times that are fixed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.loss import diffusion_loss, eps_error
from meddiff.diffusion.noise import PerSampleNoise
from meddiff.errors import InputError
from meddiff.seeds import child_seed

SHARES_OF_T = (0.05, 0.1, 0.2, 0.3)
"""Where members stand out: with little noise every model repeats what it sees, with much none knows what it was
(Carlini et al. 2023, section 5.2, find t near a tenth of T best; Matsumoto et al. 2023 likewise early times)."""


@torch.inference_mode()
def denoising_losses(
    denoiser: Denoiser,
    images: Tensor,
    condition: Condition | None = None,
    *,
    times: Sequence[int] | None = None,
    draws: int = 2,
    batch_size: int = 32,
    seed: int = 0,
) -> np.ndarray:
    """Compute the mean squared error of the noise predicted in each image, over ``times`` and ``draws``: [N] float64.

    Args:
        denoiser: the model under attack; computed where it is, in evaluation mode.
        images: [N, C, *S] in [-1, 1].
        condition: what the model was told of each image when it was trained; None for an unconditional one.
        times: steps t in 1..T; None for those of SHARES_OF_T.
        draws: noises for each time: the more, the less the loss depends on luck.
        batch_size: images at a time.
        seed: every image meets the same noise at the same time, whatever set it is in.

    Raises:
        InputError: times outside 1..T.
    """
    T = denoiser.schedule.T
    chosen = [max(1, round(share * T)) for share in SHARES_OF_T] if times is None else list(times)
    if not chosen or min(chosen) < 1 or max(chosen) > T or draws < 1:
        raise InputError(f"got times {chosen} and {draws} draws: give steps from 1 to {T} and at least one draw")
    device = next(denoiser.parameters()).device
    condition = (condition or Condition()).to(device)
    was_training = denoiser.training
    denoiser.eval()
    seeds = [child_seed(seed, "membership", draw) for draw in range(draws)]
    noise = PerSampleNoise(seeds, images.shape[1:], device=device)
    losses = [
        _losses(denoiser, images[part].to(device), condition.at(part), t, eps)
        for start in range(0, len(images), batch_size)
        for part in [range(start, min(start + batch_size, len(images)))]
        for t in chosen
        for eps in noise(t)
    ]
    denoiser.train(was_training)
    per_batch = len(chosen) * draws
    means = [torch.stack(losses[at : at + per_batch]).mean(0) for at in range(0, len(losses), per_batch)]
    return torch.cat(means).cpu().numpy()


def _losses(denoiser: Denoiser, x_0: Tensor, condition: Condition, t: int, eps: Tensor) -> Tensor:
    """Compute [B] float64."""
    times = torch.full((len(x_0),), t, device=x_0.device)
    same = eps.to(x_0).expand_as(x_0)
    return diffusion_loss(denoiser, x_0, condition, times, same, weight=eps_error).double()
