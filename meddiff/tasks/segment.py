"""Segment: the mask is clean, the image is known (Amit et al. 2021, SegDiff; Wu et al. 2022, MedSegDiff).

A class index becomes numbers that noise can be added to. Two encodings, both for any number K of classes:

- ``one_hot``: K channels, the class's own at +scale, the others at -scale.
- ``bits``: the binary digits of the class index, ceil(log2 K) channels of +-scale (Chen et al. 2023, analog bits);
  one channel for two classes.

``scale`` is how loud the mask is against the noise. A mask is so redundant that at scale 1 most noise levels give it
away; a small scale makes the network look at the image (Chen et al. 2023b, "A Generalist Framework", section 2.3,
there b = 0.1).

The x_0 estimate of a network that predicts classes (`diffusion.prediction.class_logits`) is scale * (2 p - 1) with p
the posterior of the classes, so ``decode`` gives p back exactly.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as functional
from torch import Tensor

from meddiff.batches.batch import Batch
from meddiff.diffusion.condition import Condition
from meddiff.errors import InputError
from meddiff.formats.masks import IGNORED
from meddiff.manifest.row import ManifestRow

Encoding = Literal["one_hot", "bits"]


class SegmentTask:
    """Noises a mask and is told its image."""

    def __init__(self, num_classes: int, *, encoding: Encoding = "one_hot", scale: float = 1.0) -> None:
        """Hold the task to what masks can be.

        Args:
            num_classes: K, background included.
            encoding: one_hot or bits.
            scale: of x_0, above 0.

        Raises:
            InputError: fewer than 2 classes, an unknown encoding, a scale that is not positive.
        """
        if num_classes < 2:
            raise InputError(f"a segmentation needs at least 2 classes, background and one more, got {num_classes}")
        if encoding not in ("one_hot", "bits"):
            raise InputError(f"segmentation.encoding is {encoding!r}; use one_hot or bits")
        if not scale > 0:
            raise InputError(f"segmentation.scale is {scale}; it must be above 0")
        self.num_classes = num_classes
        self.encoding = encoding
        self.scale = scale
        codes = torch.eye(num_classes) if encoding == "one_hot" else _binary(num_classes)
        self._codes = codes * 2 - 1  # [K, C] of +-1

    @property
    def channels(self) -> int:
        """Channels of x_0."""
        return self._codes.shape[1]

    def usable(self, row: ManifestRow) -> str | None:
        """Say why an image cannot be learned from: it has no mask."""
        return "it has no mask" if row.mask_path is None else None

    def clean(self, batch: Batch) -> Tensor:
        """Return the mask as numbers [B, C, *S], each +scale or -scale.

        Raises:
            InputError: a batch without masks.
        """
        return self.encode(classes_of(batch))

    def encode(self, classes: Tensor) -> Tensor:
        """Return class indices [B, *S] as x_0 [B, C, *S]."""
        return self.scale * self._codes.to(classes.device)[classes].movedim(-1, 1).contiguous()

    def condition(self, batch: Batch) -> Condition:
        """Return the image [B, C, *S]."""
        return Condition(image=batch.image)

    def decode(self, x_0: Tensor) -> Tensor:
        """Return probabilities [B, K, *S] of the classes, from an estimate of x_0.

        Each channel is the probability of its digit being 1; the digits of a class are taken as independent, and what
        falls on no class is shared out.
        """
        digit = (x_0 / self.scale + 1).div(2).clamp(0, 1)
        if self.encoding == "bits":
            codes = (self._codes > 0).to(x_0.device)[:, :, *[None] * (x_0.ndim - 2)]  # [K, C, 1, ...]
            digit = torch.where(codes, digit[:, None], 1 - digit[:, None]).prod(dim=2)
        total = digit.sum(dim=1, keepdim=True)
        return torch.where(total > 0, digit / total.clamp(min=1e-12), 1 / self.num_classes)


def classes_of(batch: Batch) -> Tensor:
    """Return the class indices [B, *S] of a batch, background where nothing is judged (see `judged`).

    Raises:
        InputError: a batch without masks.
    """
    if batch.mask is None:
        raise InputError("segmentation learns from masks: these images have none. Fill in mask_path in the manifest.")
    classes = batch.mask[:, 0]
    return classes.masked_fill(classes == IGNORED, 0) if batch.ignores else classes


def judged(batch: Batch) -> Tensor | None:
    """Tell which pixels [B, *S] of a batch enter the loss, as bool; None where all do."""
    return None if batch.mask is None or not batch.ignores else batch.mask[:, 0] != IGNORED


def one_hot(classes: Tensor, num_classes: int) -> Tensor:
    """Return class indices [B, *S] as float32 [B, K, *S] of 0 and 1."""
    return functional.one_hot(classes, num_classes).movedim(-1, 1).float()


def _binary(num_classes: int) -> Tensor:
    """Return the binary digits of 0..K-1, least first: float32 [K, ceil(log2 K)]."""
    digits = max(1, (num_classes - 1).bit_length())
    return (torch.arange(num_classes)[:, None] >> torch.arange(digits) & 1).float()
