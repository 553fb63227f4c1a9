"""From an image to masks: members drawn by a diffusion model, or the one answer of a deterministic network.

Both are a `Segmenter`: image [C, *S] -> class probabilities [M, K, *S] of M members on the same grid, whatever its
size (see `tiling`). A member is a function of the image and its own seed. The image is encoded once for all members
and steps; members of several small images run as one batch. Volumes are also segmented slice by slice.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

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

Item = TypeVar("Item")
Seeds = Sequence[Sequence[int]]
"""Those of the members of each image, as many of each."""
PIXELS_AT_ONCE = 2**18, 2**24
"""That a network call of a CPU, and of a GPU, works through: more make it no faster."""
READING = 4
"""Members that cost as much as reading their image."""
MOST_AT_ONCE = 8
"""Images of a call: a lone one is not to pay for more."""


@dataclass(frozen=True)
class Windows:
    """The cutting of large images."""

    size: tuple[int, ...]
    """Of a window: the training size."""
    overlap: float = 0.5

    def over(self, image: Tensor) -> Tiles:
        """Return the windows over an image [C, *S]."""
        return tiles(image.shape[1:], self.size, overlap=self.overlap)


class Segmenter:
    """Whatever names the classes of images."""

    device: torch.device
    """The device that it computes on."""

    def at_once(self, size: Sequence[int], members: int) -> int:
        """Say how many images of a size share a network call, whether there are as many or not."""
        raise NotImplementedError

    def members_of(self, images: Tensor, seeds: Sequence[Sequence[int]]) -> Tensor:
        """Return the class probabilities [B, M, K, *S] float32 of images [B, C, *S] in [-1, 1], on the CPU.

        M is 1 where nothing is random. An image's own are the same to the bit whatever others there are.
        """
        raise NotImplementedError

    def batches(
        self, items: Iterable[Item], shape_of: Callable[[Item], Sequence[int]], members: int
    ) -> Iterator[list[Item]]:
        """Gather items, as they come, whose images (C, *S) share a network call."""
        some: list[Item] = []
        for item in items:
            shape = shape_of(item)
            if some and (shape != shape_of(some[0]) or len(some) == self.at_once(shape[1:], members)):
                yield some
                some = []
            some.append(item)
        if some:
            yield some

    def members(self, image: Tensor, seeds: Sequence[int] = ()) -> Tensor:
        """Return the class probabilities [M, K, *S] float32 of one image [C, *S], one member per seed."""
        return self.members_of(image[None], [seeds])[0]


def images_at_once(size: Sequence[int], members: int, device: torch.device) -> int:
    """Say how many images share a network call: a power of two, so that few shapes are in use.

    Sums are rounded otherwise in calls of another size, on CPUs too. So it is a function of the image's size and the
    members alone, and a call is filled up where images are fewer: an answer has the same bits alone and in any folder.
    """
    room = PIXELS_AT_ONCE[device.type == "cuda"] // ((members + READING) * math.prod(size))
    return 1 << max(0, min(room, MOST_AT_ONCE).bit_length() - 1)


def in_equal_calls(images: Tensor, seeds: Seeds, count: int, call: Callable[[Tensor, Seeds], Tensor]) -> Tensor:
    """Return what ``call`` says of images [B, ...] and their seeds, asked for ``count`` of them each time."""
    answers = []
    for first in range(0, len(images), count):
        some, own = images[first : first + count], seeds[first : first + count]
        missing = count - len(some)
        filled = torch.cat([some, some[-1:].expand(missing, *some.shape[1:])]) if missing else some
        answers.append(call(filled, [*own, *[own[-1]] * missing])[: len(some)])
    return torch.cat(answers)


@dataclass(frozen=True)
class DiffusionSegmenter(Segmenter):
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

    def at_once(self, size: Sequence[int], members: int) -> int:
        """Say how many images share a network call, with all their members."""
        most = max(1, self.batch_size // members)
        return min(images_at_once(size, members, self.device), 1 << (most.bit_length() - 1))

    @torch.inference_mode()
    def members_of(self, images: Tensor, seeds: Seeds) -> Tensor:
        """Return the class probabilities [B, M, K, *S] float32 on the CPU, one member per seed.

        Raises:
            InputError: a start from the coarse mask of a network that has none.
        """
        return in_equal_calls(images, seeds, self.at_once(images.shape[2:], len(seeds[0])), self._call)

    def _call(self, images: Tensor, seeds: Seeds) -> Tensor:
        cut = self.windows.over(images[0])
        images = images.to(self.device)
        told = [self.denoiser.encode(Condition(image=images[:, :, *window])) for window in cut.windows]
        drawn = [self._draw(cut, told, [own[first : first + self.batch_size] for own in seeds])
                 for first in range(0, len(seeds[0]), self.batch_size)]  # fmt: skip
        return torch.cat(drawn, dim=1)

    def _draw(self, cut: Tiles, told: Sequence[Condition], seeds: Seeds) -> Tensor:
        images, members = len(seeds), len(seeds[0])
        repeated = [condition.repeated(members) for condition in told]
        every = [seed for own in seeds for seed in own]
        noise = PerSampleNoise(every, (self.task.channels, *cut.shape), device=self.device)
        denoise = tile(lambda number: BoundDenoiser(self.denoiser, repeated[number]), cut)
        schedule, start = self.denoiser.schedule, None
        if round(self.start * schedule.T) < schedule.T:
            start = self._coarse(cut, told).repeat_interleave(members, dim=0)
        path = walk(denoise, schedule, self.sampling, noise, start=start, share=self.start)
        return self._probabilities(path).cpu().unflatten(0, (images, members))

    def _probabilities(self, path: Iterator[Step]) -> Tensor:
        """Return the class probabilities [B * M, K, *S] along a path of x_0 estimates, or at its end."""
        total, count = torch.zeros(()), 0
        for count, step in enumerate(path if self.estimate == "path" else deque(path, maxlen=1), 1):
            probabilities = self.task.decode(step.x_0).float()
            total = probabilities if count == 1 else total + probabilities
        return total / count

    def _coarse(self, cut: Tiles, told: Sequence[Condition]) -> Tensor:
        """Return the coarse masks of the condition model as x_0 [B, C, *S]."""

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
class DirectSegmenter(Segmenter):
    """The one answer of a network image -> logits."""

    network: nn.Module
    windows: Windows
    device: torch.device

    def at_once(self, size: Sequence[int], members: int = 0) -> int:
        """Say how many images share a network call."""
        return images_at_once(size, 0, self.device)

    @torch.inference_mode()
    def members_of(self, images: Tensor, seeds: Seeds) -> Tensor:
        """Return the class probabilities [B, 1, K, *S] float32 on the CPU; there is nothing to seed."""
        return in_equal_calls(images, seeds, self.at_once(images.shape[2:]), self._call)

    def _call(self, images: Tensor, seeds: Seeds) -> Tensor:
        images = images.to(self.device)

        def answer(number: int, window: Window) -> Tensor:
            return self.network(images[:, :, *window]).float().softmax(dim=1)

        return self.windows.over(images[0]).blend(answer).cpu()[:, None]


@dataclass(frozen=True)
class SliceSegmenter(Segmenter):
    """Segments volumes slice by slice, each slice beside its neighbors.

    A member is drawn from the same noise in every slice, so that neighboring slices of it agree where they are alike.
    """

    slices: Segmenter
    axis: int
    """Slices lie across it, see `data.slices.AXES`."""
    neighbors: int = 0
    """To either side, as channels."""

    @property
    def device(self) -> torch.device:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The device that it computes on."""
        return self.slices.device

    def at_once(self, size: Sequence[int], members: int) -> int:
        """Say that volumes come one by one: their slices share network calls."""
        return 1

    def members_of(self, images: Tensor, seeds: Seeds) -> Tensor:
        """Return the class probabilities [B, M, K, I, J, K'] float32 on the CPU of volumes [B, C, I, J, K']."""
        return torch.stack([self._of_volume(image, own) for image, own in zip(images, seeds, strict=True)])

    def _of_volume(self, image: Tensor, seeds: Sequence[int]) -> Tensor:
        size = [side for axis, side in enumerate(image.shape[1:]) if axis != self.axis]
        count, step = image.shape[self.axis + 1], self.slices.at_once(size, max(1, len(seeds)))
        answers = []
        for first in range(0, count, step):
            some = [slice_stack(image, index, axis=self.axis, neighbors=self.neighbors)
                    for index in range(first, min(first + step, count))]  # fmt: skip
            answers += self.slices.members_of(torch.stack(some), [seeds] * len(some))
        return torch.stack(answers, dim=self.axis + 2)
