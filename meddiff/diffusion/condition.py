"""What a denoiser is told beside x_t and t: a label, an image, tokens; and how to leave it untold.

A part that a model never hears of is None. A part that it *can* hear of but does not hear of now is *untold*, per
sample: a label of -1 (the network's null class), an image of zeros, tokens of zeros. Training leaves a tenth of the
samples untold, each by its own coin, so that one network knows p(x | condition) and p(x) alike
(Ho & Salimans 2022, algorithm 1); guidance then compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from meddiff.errors import InputError

UNTOLD_LABEL = -1


@dataclass(frozen=True)
class Condition:
    """What B samples are told. ``Condition()`` is that of an unconditional model."""

    label: Tensor | None = None
    """[B] int64 class index, -1 where untold."""
    image: Tensor | None = None
    """[B, C, *S] in [-1, 1], beside x_t: an image, a mask, a low-resolution or masked image; 0 where untold."""
    context: Tensor | None = None
    """[B, L, D] tokens, from text or attributes; 0 where untold."""

    def dropped(self, keep: Tensor) -> Condition:
        """The same condition, told only to the samples where ``keep`` ([B] bool) is true."""
        if keep.dtype != torch.bool:
            raise InputError(f"keep must be a bool tensor of shape [B], got {keep.dtype} {tuple(keep.shape)}")
        label = None if self.label is None else self.label.masked_fill(~keep, UNTOLD_LABEL)
        image, context = (
            None if part is None else part.masked_fill(~keep.view(-1, *[1] * (part.ndim - 1)), 0)
            for part in (self.image, self.context)
        )
        return Condition(label, image, context)

    def untold(self) -> Condition:
        """The same shapes with nothing told to any sample: what the unconditional half of guidance hears."""
        return self._map(lambda part: torch.full_like(part, 0 if part.is_floating_point() else UNTOLD_LABEL))

    def to(self, device: torch.device | str) -> Condition:
        """The same condition on another device."""
        return self._map(lambda part: part.to(device, non_blocking=True))

    @staticmethod
    def cat(conditions: Sequence[Condition]) -> Condition:
        """One batch out of several; all must tell the same parts."""
        parts = {}
        for field in fields(Condition):
            given = [getattr(condition, field.name) for condition in conditions]
            if all(part is None for part in given):
                continue
            if any(part is None for part in given):
                raise InputError(f"{field.name} is told in some conditions and None in others; use .untold() for those")
            parts[field.name] = torch.cat(given)
        return Condition(**parts)

    def _map(self, function: Callable[[Tensor], Tensor]) -> Condition:
        parts = (getattr(self, field.name) for field in fields(self))
        return Condition(*(None if part is None else function(part) for part in parts))
