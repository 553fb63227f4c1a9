"""An image from its mask: the image is clean, the label map is known (Wang et al. 2022, by concatenation as Palette).

A label map becomes one channel per class, 1 where a pixel is of the class and -1 elsewhere, beside x_t. A pixel that
nobody judged is 0 in all of them: not told, as all pixels are of an image that is told nothing (`Condition.dropped`).
So one network draws images of a mask, of half a mask and of none, and guidance goes beyond what the mask alone says.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Generator, Tensor

from meddiff.batches.batch import Batch
from meddiff.diffusion.condition import Condition
from meddiff.errors import InputError
from meddiff.formats.masks import IGNORED
from meddiff.manifest.row import ManifestRow
from meddiff.tasks.segment import one_hot


@dataclass(frozen=True)
class LabelMap:
    """Noises the image and is told its mask."""

    channels: int
    """Of the image."""
    num_classes: int
    """K of the masks, background included."""

    @property
    def told_channels(self) -> int:
        """One for each class."""
        return self.num_classes

    def usable(self, row: ManifestRow) -> str | None:
        """Say why an image cannot be learned from: it has no mask."""
        return "it has no mask" if row.mask_path is None else None

    def wanted(self, image: Tensor) -> Tensor:
        """Return the image."""
        return image

    def clean(self, batch: Batch) -> Tensor:
        """Return the image [B, C, *S]."""
        return batch.image

    def condition(self, batch: Batch) -> Condition:
        """Return the mask as channels [B, K, *S].

        Raises:
            InputError: a batch without masks.
        """
        if batch.mask is None:
            raise InputError("these images have no masks, and are drawn by them: fill in mask_path in the manifest")
        return Condition(image=self.shown(batch.mask[:, 0]))

    def shown(self, classes: Tensor) -> Tensor:
        """Return class indices [B, *S] as channels [B, K, *S] of 1 and -1, all 0 where nothing is judged."""
        judged = classes != IGNORED
        return (one_hot(classes * judged, self.num_classes) * 2 - 1) * judged[:, None]

    def seen(self, told: Tensor) -> Tensor:
        """Return what is told [K, *S] as a gray picture [C, *S]: background is black, the last class white."""
        return (told.argmax(0) / (self.num_classes - 1) * 2 - 1).expand(self.channels, *told.shape[1:])

    def decode(self, x_0: Tensor) -> Tensor:
        """Return images in [-1, 1]."""
        return x_0.clamp(-1, 1)

    def answer(self, x_0: Tensor, told: Tensor) -> Tensor:
        """Return images [N, C, *S]."""
        return self.decode(x_0)

    def unknown(self, told: Tensor) -> None:
        """Return None: no pixel of the image is known."""


COARSE = 4
"""Points along each axis between which a deformation is interpolated."""


def deformed(masks: Tensor, generator: Generator, *, strength: float) -> Tensor:
    """Bend masks [B, 1, *S] of class indices smoothly, each in its own way: another shape of the same kind.

    Args:
        masks: int64; beyond their edge lies what lies at it.
        generator: on the CPU.
        strength: standard deviation of the displacement, a share of the side.
    """
    size = masks.shape[2:]
    bend = torch.randn((len(masks), len(size), *[COARSE] * len(size)), generator=generator) * 2 * strength
    mode = "bilinear" if len(size) == 2 else "trilinear"
    bend = functional.interpolate(bend, size=list(size), mode=mode, align_corners=True).movedim(1, -1)
    still = functional.affine_grid(torch.eye(len(size), len(size) + 1).expand(len(masks), -1, -1), list(masks.shape),
                                  align_corners=False)  # fmt: skip
    seen = functional.grid_sample(masks.float(), still + bend, "nearest", "border", align_corners=False)
    return seen.long()
