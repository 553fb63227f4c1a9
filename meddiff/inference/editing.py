"""Pictures changed by a generator that was trained for drawing alone: three ways, none of which learns anything.

inpaint    RePaint (Lugmayr et al. 2022): a hole is drawn anew, given all that is around it
sdedit     SDEdit (Meng et al. 2022): the picture is noised to a part of the way and denoised, told another class
invert     DDIM inversion (Song et al. 2021a, section 4.3): the noise that the picture would have been drawn from is
           found, told its own class or none, and drawn from again, told another: the least that the class changes

All take pictures as the network sees them and give the like, a function of each picture and its seed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from meddiff.diffusion.condition import UNTOLD_LABEL, Condition
from meddiff.diffusion.denoiser import Denoise
from meddiff.diffusion.noise import PerSampleNoise
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.errors import InputError
from meddiff.inference.sampling import ImageDenoiser, Sampling, times_from, walk
from meddiff.samplers.ddim import ddim
from meddiff.samplers.given.repaint import PAPER, Jumps, repaint
from meddiff.samplers.inversion import invert
from meddiff.samplers.step import Step


@dataclass(frozen=True)
class Editor:
    """A generator, and how pictures are drawn anew with it."""

    model: ImageDenoiser
    drawing: Sampling
    """Steps, guidance and sampler; RePaint and DDIM inversion have samplers of their own."""
    device: torch.device

    @torch.inference_mode()
    def inpaint(
        self, images: Tensor, hole: Tensor, label: int, seeds: Sequence[int], *, jumps: Jumps = PAPER
    ) -> Tensor:
        """Draw what may lie in a hole.

        Args:
            images: [M, C, *S] in [-1, 1], of which the hole is not looked at.
            hole: [*S] bool.
            label: class that the network is told, -1 for none.
            seeds: one per image.
            jumps: of `repaint`.

        Returns:
            [M, C, *S], equal to the images outside of the hole.
        """
        noise, times = self._noise(seeds), times_from(self._schedule, self.drawing, 1.0)
        open_ = hole.to(self.device)[None, None].expand(len(images), 1, *hole.shape)
        steps = repaint(self._told(label, len(images)), self._schedule, self._schedule.start(noise(0)), times, noise,
                        known=images.to(self.device), hole=open_, jumps=jumps)  # fmt: skip
        return last_of(steps).x.float().cpu()

    @torch.inference_mode()
    def sdedit(self, images: Tensor, label: int, seeds: Sequence[int], *, strength: float) -> Tensor:
        """Bring images [M, C, *S] a share of the way to noise, 0 < strength <= 1, and denoise them; the same shape.

        At strength 1 nothing of the image is left: what comes is what `generate` draws of the seed.
        """
        drawing, noise = _shortened(self.drawing, strength), self._noise(seeds)
        told, start = self._told(label, len(images)), images.to(self.device)
        return last_of(walk(told, self._schedule, drawing, noise, start=start, share=strength)).x.float().cpu()

    @torch.inference_mode()
    def relabel(
        self, images: Tensor, own_label: int, label: int, *, strength: float = 1.0, refinements: int = 0
    ) -> Tensor:
        """Find the noise of images [M, C, *S], told their own label, and draw from it, told another; the same shape.

        The way up is not guided; that down is as the drawing says. Nothing is drawn at random.

        Args:
            images: in [-1, 1].
            own_label: class that the network is told on the way up, -1 for none.
            label: class that it is told on the way down.
            strength: share of the way that is walked up and down; less keeps more of the image.
            refinements: further network calls per step up (see `samplers.inversion.invert`).
        """
        drawing = _shortened(self.drawing, strength)
        times = times_from(self._schedule, drawing, strength)
        up = _unguided(drawing).denoise(self.model.denoiser, self._condition(own_label, len(images)))
        noise = last_of(invert(up, self._schedule, images.to(self.device), times, refinements=refinements)).x
        return last_of(ddim(self._told(label, len(images)), self._schedule, noise, times)).x.float().cpu()

    def number(self, setting: str, name: str) -> int:
        """Return the number of a class that the generator knows; -1 for the empty name.

        Raises:
            InputError: there is no such class.
        """
        names = self.model.class_names
        if name and name not in names:
            raise InputError(f"--{setting} {name!r}: the generator knows no such class, but {', '.join(names)}")
        return names.index(name) if name else UNTOLD_LABEL

    @property
    def _schedule(self) -> NoiseSchedule:
        return self.model.denoiser.schedule

    def _told(self, label: int, count: int) -> Denoise:
        drawing = self.drawing if label != UNTOLD_LABEL else _unguided(self.drawing)
        return drawing.denoise(self.model.denoiser, self._condition(label, count))

    def _condition(self, label: int, count: int) -> Condition:
        return Condition(label=torch.full((count,), label, dtype=torch.int64, device=self.device))

    def _noise(self, seeds: Sequence[int]) -> PerSampleNoise:
        return PerSampleNoise(seeds, self.model.shape, device=self.device)


def last_of(steps: Iterable[Step]) -> Step:
    """Walk to the end, and keep none of the steps before: there may be thousands."""
    (last,) = deque(steps, maxlen=1)
    return last


def _unguided(drawing: Sampling) -> Sampling:
    return replace(drawing, guidance=1.0, classifier=None)


def _shortened(drawing: Sampling, strength: float) -> Sampling:
    """Return the drawing with as many steps as its strides need for a share of the way.

    Raises:
        InputError: a strength that is no share.
    """
    if not 0 < strength <= 1:
        raise InputError(f"the strength is a share of the way to noise, above 0 and at most 1; got {strength:g}")
    return replace(drawing, steps=max(1, round(strength * drawing.steps)))
