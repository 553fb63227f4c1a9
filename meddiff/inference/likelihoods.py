"""The likelihood of images to a trained generator: the terms of its bound, noise level by noise level, and its flow.

The bound has a term for each of T noise levels (`diffusion.bound`), each a call of the network. Here the levels fall
into strata, narrow near the data where the terms are large, and one level of each is drawn for each image: with the
strata's sizes as weights the sum is the whole bound on average, at a part of its cost. Nobody tells the network a
class: what is asked for is p(image).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from meddiff.diffusion.bound import bound_term, prior_term
from meddiff.diffusion.condition import UNTOLD_LABEL, Condition
from meddiff.diffusion.denoiser import BoundDenoiser, Denoiser, bind
from meddiff.diffusion.likelihood import flow_likelihood
from meddiff.diffusion.noise import PerSampleNoise
from meddiff.errors import InputError
from meddiff.seeds import child_seed

LARGEST_TRACE = 4096
"""Numbers of an image whose flow has an exact trace at most: as many calls of the network per step."""


@dataclass(frozen=True)
class Terms:
    """The terms of the bound on -log p, in bits per dimension."""

    prior: np.ndarray
    """[N] L_T."""
    steps: np.ndarray
    """[N, strata] L_t, summed over the levels of each stratum."""
    decoder: np.ndarray
    """[N] L_0."""

    @property
    def total(self) -> np.ndarray:
        """[N] the bound itself."""
        return self.prior + self.steps.sum(1) + self.decoder


def strata(T: int, count: int) -> list[int]:
    """Return the first level of each stratum of 2 .. T and T + 1: as good as geometric, each of one level at least."""
    if T < 2:
        return [T + 1]
    edges = np.geomspace(2, T + 1, min(count, T - 1) + 1)
    floor = 2 + np.arange(len(edges))  # a stratum holds a level at least
    return np.minimum(np.maximum(np.round(edges), floor), T + 1).astype(int).tolist()


@dataclass(frozen=True)
class Likelihood:
    """The likelihood of images to a denoiser."""

    denoiser: Denoiser
    gray_levels: int
    """Values that a pixel may have, of which images in [-1, 1] were made."""
    device: torch.device
    strata: int = 50
    """Noise levels that are looked at, per image and draw."""

    @torch.inference_mode()
    def bound(self, images: Tensor, seeds: Sequence[int]) -> Terms:
        """Compute the terms of images [B, C, *S], the levels and the noise by the images' own seeds."""
        x_0, schedule, told = images.to(self.device), self.denoiser.schedule, self._told(len(images))
        noise, edges = self._noise(seeds, images), strata(schedule.T, self.strata)
        places = np.stack([np.random.default_rng(seed).random(len(edges) - 1) for seed in seeds])  # [B, strata]
        steps = []
        for number, (first, end) in enumerate(pairwise(edges)):
            t = torch.from_numpy(first + (places[:, number] * (end - first)).astype(np.int64)).to(self.device)
            steps.append((end - first) * self._term(told, x_0, t, noise(2 + number)))
        decoder = self._term(told, x_0, torch.ones(len(images), dtype=torch.int64, device=self.device), noise(1))
        parts = prior_term(schedule, x_0), torch.stack(steps, 1) if steps else x_0.new_zeros(len(images), 0), decoder
        return Terms(*(part.double().cpu().numpy() for part in parts))

    def flow(self, images: Tensor, seeds: Sequence[int], *, probes: int, tolerance: float) -> np.ndarray:
        """Compute bits per dimension by the probability flow, [probes, B]; one row of exact traces for 0 probes.

        Each row is an unbiased estimate of its own probe. The images, which are numbers of few levels, get uniform
        noise of one level, so that the density of the sum bounds the probability of the image (Theis et al. 2016).

        Raises:
            InputError: a schedule without signal at T, or an image too large for exact traces.
        """
        noise, numbers = self._noise(seeds, images), images[0].numel()
        uniform = np.stack(
            [np.random.default_rng(child_seed(seed, "dequantization")).random(numbers) for seed in seeds]
        )
        jitter = torch.from_numpy(uniform.astype(np.float32)).view(images.shape) - 0.5
        x_0 = (images + 2 / (self.gray_levels - 1) * jitter).to(self.device)
        how = {"rtol": tolerance, "atol": tolerance}
        told, schedule = self._told(len(images)), self.denoiser.schedule
        if probes:
            rows = [flow_likelihood(told, schedule, x_0, lambda _, k=k: noise(k), **how) for k in range(1, probes + 1)]
        else:
            signs = exact_signs(images.shape, self.device)
            rows = [flow_likelihood(told, schedule, x_0, signs, probes=_power_of_two(numbers), **how)]
        bits = torch.stack(rows).detach().double().cpu().numpy()
        return bits + math.log2((self.gray_levels - 1) / 2)

    def _term(self, told: BoundDenoiser, x_0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        schedule = self.denoiser.schedule
        x_t = schedule.diffuse(x_0, t, eps)
        estimate, fraction = told.with_variance(x_t, t)
        variance = "large" if fraction is None else fraction
        return bound_term(schedule, x_0, x_t, estimate, t, variance=variance, levels=self.gray_levels)

    def _told(self, count: int) -> BoundDenoiser:
        label = torch.full((count,), UNTOLD_LABEL, dtype=torch.int64, device=self.device)
        return bind(self.denoiser, Condition(label=label))

    def _noise(self, seeds: Sequence[int], images: Tensor) -> PerSampleNoise:
        return PerSampleNoise(seeds, images.shape[1:], device=self.device)


def exact_signs(shape: Sequence[int], device: torch.device | str = "cpu") -> Callable[[int], Tensor]:
    """Return probes k = 1 .. 2**n >= numbers of an image, over which Hutchinson's estimate is the exact trace.

    They are rows of a Hadamard matrix, cut to the image's numbers: the mean of their outer products is the identity.

    Raises:
        InputError: an image of too many numbers.
    """
    numbers = math.prod(shape[1:])
    if numbers > LARGEST_TRACE:
        raise InputError(
            f"an exact trace is for images of at most {LARGEST_TRACE} numbers, these have {numbers}: give --probes 1 "
            "or more"
        )
    column = torch.arange(numbers, device=device)

    def signs(k: int) -> Tensor:
        common = column & (k - 1)
        parity = torch.zeros_like(column)
        while bool(common.any()):
            parity, common = parity ^ (common & 1), common >> 1
        return (1.0 - 2.0 * parity).view(1, *shape[1:]).expand(*shape)

    return signs


def _power_of_two(numbers: int) -> int:
    """Return the smallest power of two that is no less."""
    return 1 << (numbers - 1).bit_length()
