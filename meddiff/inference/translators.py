"""From a known image to the wanted one: members drawn by a diffusion model, or the one answer of a regression.

Both are a `Translator`: what is told [C, *S] -> images [M, K, *S] of M members on the same grid, whatever its size (see
`tiling`). A member is a function of what is told and of its own seed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.noise import PerSampleNoise
from meddiff.inference.sampling import Sampling, walk
from meddiff.inference.segmenters import Windows
from meddiff.inference.tiling import Tiles, Window, tile
from meddiff.tasks.translate import TranslateTask, asked_once


class Translator(Protocol):
    """Maker of the wanted image of a known one."""

    @property
    def task(self) -> TranslateTask:
        """The task that it is for: known and wanted images."""
        ...

    def members(self, told: Tensor, seeds: Sequence[int]) -> Tensor:
        """Return images [M, K, *S] float32 in [-1, 1] on the CPU, of what is told [C, *S].

        M is 1 where nothing is random.
        """
        ...


@dataclass(frozen=True)
class DiffusionTranslator:
    """Draws one image per seed."""

    denoiser: Denoiser
    task: TranslateTask
    sampling: Sampling
    windows: Windows
    device: torch.device
    batch_size: int = 64
    """Members per network call."""

    @torch.inference_mode()
    def members(self, told: Tensor, seeds: Sequence[int]) -> Tensor:
        """Return one image per seed."""
        cut, told = self.windows.over(told), told.to(self.device)
        conditions = [Condition(image=told[None, :, *window]) for window in cut.windows]
        drawn = [self._drawn(cut, conditions, seeds[first : first + self.batch_size])
                 for first in range(0, len(seeds), self.batch_size)]  # fmt: skip
        return self.task.answer(torch.cat(drawn), told[None]).float().cpu()

    def _drawn(self, cut: Tiles, conditions: Sequence[Condition], seeds: Sequence[int]) -> Tensor:
        """Return x_0 [M, K, *S]."""
        repeated = [condition.repeated(len(seeds)) for condition in conditions]
        noise = PerSampleNoise(seeds, (self.task.channels, *cut.shape), device=self.device)
        denoise = tile(lambda number: self.sampling.denoise(self.denoiser, repeated[number]), cut)
        (last,) = deque(walk(denoise, self.denoiser.schedule, self.sampling, noise), maxlen=1)
        return last.x


@dataclass(frozen=True)
class RegressionTranslator:
    """Answers once, with the network of a denoiser that is shown no noise."""

    network: nn.Module
    task: TranslateTask
    windows: Windows
    device: torch.device
    step: int
    """The number of the noise level that it was trained with, T."""

    @torch.inference_mode()
    def members(self, told: Tensor, seeds: Sequence[int] = ()) -> Tensor:
        """Return the one answer; there is nothing to seed."""
        told = told.to(self.device)

        def answer(number: int, window: Window) -> Tensor:
            return asked_once(self.network, told[None, :, *window], self.task.channels, self.step).float()

        return self.task.answer(self.windows.over(told).blend(answer), told[None]).float().cpu()
