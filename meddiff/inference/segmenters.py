"""From an image to masks: members drawn by a diffusion model, or the one answer of a deterministic network.

Both are a `Segmenter`: image [C, *S] -> class probabilities [M, K, *S] of M members on the same grid, whatever its
size (see `tiling`). A member is a function of the image and its own seed. The image is encoded once for all members
and steps, and members run as one batch. Volumes are also segmented slice by slice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from meddiff.batches.cuts import slice_stack
from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import COARSE, BoundDenoiser, Denoiser
from meddiff.diffusion.noise import PerSampleNoise
from meddiff.errors import InputError
from meddiff.inference.sampling import Sampling, walk
from meddiff.inference.tiling import Tiles, Window, tile, tiles
from meddiff.samplers.step import Step
from meddiff.tasks.segment import SegmentTask


@dataclass(frozen=True)
class Windows:
    """The cutting of large images."""

    size: tuple[int, ...]
    """Of a window: the training size."""
    overlap: float = 0.5

    def over(self, image: Tensor) -> Tiles:
        """Return the windows over an image [C, *S]."""
        return tiles(image.shape[1:], self.size, overlap=self.overlap)


class Segmenter(Protocol):
    """Whatever names the classes of an image."""

    @property
    def device(self) -> torch.device:
        """The device that it computes on."""
        ...

    def members(self, image: Tensor, seeds: Sequence[int]) -> Tensor:
        """Return the class probabilities [M, K, *S] float32 of an image [C, *S] in [-1, 1].

        M is 1 where nothing is random.
        """
        ...


@dataclass(frozen=True)
class DiffusionSegmenter:
    """Draws one mask per seed."""

    denoiser: Denoiser
    task: SegmentTask
    sampling: Sampling
    windows: Windows
    device: torch.device
    start: float = 1.0
    """Where sampling starts, as a fraction of T: below 1 from the noised coarse mask of the condition model."""
    estimate: Literal["path", "last"] = "path"
    """What a member's probabilities are: the mean of those along its path, or those at its end.

    At every step the network says p(mask | image, x_t). Its mean over x_t is p(mask | image) at each of them (the law
    of total expectation), so all steps are estimates of the same thing; early ones vary little from member to member,
    late ones know the shape that is being drawn. ``last`` is the plausible mask itself.
    """
    batch_size: int = 64
    """Members per network call."""

    @torch.inference_mode()
    def members(self, image: Tensor, seeds: Sequence[int]) -> Tensor:
        """Return the class probabilities [M, K, *S] float32 on the CPU, one member per seed.

        Raises:
            InputError: a start from the coarse mask of a network that has none.
        """
        cut = self.windows.over(image)
        image = image.to(self.device)
        told = [self.denoiser.encode(Condition(image=image[None, :, *window])) for window in cut.windows]
        drawn = [self._draw(cut, told, seeds[first : first + self.batch_size])
                 for first in range(0, len(seeds), self.batch_size)]  # fmt: skip
        return torch.cat(drawn)

    def _draw(self, cut: Tiles, told: Sequence[Condition], seeds: Sequence[int]) -> Tensor:
        repeated = [condition.repeated(len(seeds)) for condition in told]
        noise = PerSampleNoise(seeds, (self.task.channels, *cut.shape), device=self.device)
        denoise = tile(lambda number: BoundDenoiser(self.denoiser, repeated[number]), cut)
        schedule = self.denoiser.schedule
        start = self._coarse(cut, told) if round(self.start * schedule.T) < schedule.T else None
        return self._probabilities(walk(denoise, schedule, self.sampling, noise, start=start, share=self.start)).cpu()

    def _probabilities(self, path: Iterator[Step]) -> Tensor:
        """Return the class probabilities [M, K, *S] along a path of x_0 estimates, or at its end."""
        total, count = torch.zeros(()), 0
        for count, step in enumerate(path if self.estimate == "path" else deque(path, maxlen=1), 1):
            probabilities = self.task.decode(step.x_0).float()
            total = probabilities if count == 1 else total + probabilities
        return total / count

    def _coarse(self, cut: Tiles, told: Sequence[Condition]) -> Tensor:
        """Return the coarse mask of the condition model as x_0 [1, C, *S]."""

        def coarse(number: int, window: Window) -> Tensor:
            features = told[number].features or {}
            if COARSE not in features:
                raise InputError(
                    f"inference.start is {self.start}, but this network has no coarse mask to start from: use 1, or "
                    "one of the networks with a condition model"
                )
            return features[COARSE].float().softmax(dim=1)

        return self.task.encode(cut.blend(coarse).argmax(dim=1))


@dataclass(frozen=True)
class DirectSegmenter:
    """The one answer of a network image -> logits."""

    network: nn.Module
    windows: Windows
    device: torch.device

    @torch.inference_mode()
    def members(self, image: Tensor, seeds: Sequence[int] = ()) -> Tensor:
        """Return the class probabilities [1, K, *S] float32 on the CPU; there is nothing to seed."""
        image = image.to(self.device)

        def answer(number: int, window: Window) -> Tensor:
            return self.network(image[None, :, *window]).float().softmax(dim=1)

        return self.windows.over(image).blend(answer).cpu()


@dataclass(frozen=True)
class SliceSegmenter:
    """Segments volumes slice by slice, each slice beside its neighbors.

    A member is drawn from the same noise in every slice, so that neighboring slices of it agree where they are alike.
    """

    slices: Segmenter
    axis: int
    """Slices lie across it, see `data.slices.AXES`."""
    neighbors: int = 0
    """To either side, as channels."""

    @property
    def device(self) -> torch.device:
        """The device that it computes on."""
        return self.slices.device

    def members(self, image: Tensor, seeds: Sequence[int]) -> Tensor:
        """Return the class probabilities [M, K, I, J, K'] float32 on the CPU of a volume [C, I, J, K']."""
        stacks = (
            slice_stack(image, index, axis=self.axis, neighbors=self.neighbors)
            for index in range(image.shape[self.axis + 1])
        )
        return torch.stack([self.slices.members(stack, seeds) for stack in stacks], dim=self.axis + 2)
