"""The condition: what a denoiser is told beside x_t and t, and how to leave it untold: a label, attributes, an image.

A part that a model never hears of is None. A part that it *can* hear of but does not hear of now is *untold*, per
sample: a label of -1 (the network's null class), zeros of everything else. Training leaves a tenth of the samples
untold, each by its own coin, so that one network knows p(x | condition) and p(x) alike (Ho & Salimans 2022,
algorithm 1); guidance then compares the two. Label and attributes are left untold one by one beside, so that any of
them may be told without the others.

A network may do most of its work on the condition alone. What that work found is kept as ``features``, so that all
steps of a sampler and all members of an ensemble share it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from meddiff.errors import InputError

UNTOLD_LABEL = -1
PARTS = ("label", "image", "context", "attributes")
"""What may be told."""


@dataclass(frozen=True)
class Condition:
    """The condition of B samples: all that they are told. ``Condition()`` is that of an unconditional model."""

    label: Tensor | None = None
    """[B] int64 class index, -1 where untold."""
    image: Tensor | None = None
    """[B, C, *S] in [-1, 1], beside x_t: an image, a mask, a low-resolution or masked image; 0 where untold."""
    context: Tensor | None = None
    """[B, L, D] tokens; 0 where untold."""
    attributes: Tensor | None = None
    """[B, A, F] features of each attribute (age, sex ...); 0 where untold, each on its own."""
    features: Mapping[str, Tensor] | None = None
    """[B, ...] each: what the network's ``encode`` made of the rest; None before it has."""

    @property
    def count(self) -> int | None:
        """Number of samples B; None where nothing can be told."""
        return next((len(part) for name in PARTS if (part := getattr(self, name)) is not None), None)

    def dropped(self, keep: Tensor, each: Tensor | None = None) -> Condition:
        """Return the same condition, told only to some samples; not encoded yet.

        Args:
            keep: [B] bool, who is told anything.
            each: [B, 1 + A] bool, who is told the label and each attribute; None tells all of them.
        """
        if keep.dtype != torch.bool:
            raise InputError(f"keep must be a bool tensor of shape [B], got {keep.dtype} {tuple(keep.shape)}")
        labeled, described = (keep, keep[:, None]) if each is None else (keep & each[:, 0], keep[:, None] & each[:, 1:])
        label = None if self.label is None else self.label.masked_fill(~labeled, UNTOLD_LABEL)
        attributes = None if self.attributes is None else self.attributes.masked_fill(~described[..., None], 0)
        image, context = (
            None if part is None else part.masked_fill(~keep.view(-1, *[1] * (part.ndim - 1)), 0)
            for part in (self.image, self.context)
        )
        return Condition(label, image, context, attributes)

    def untold(self) -> Condition:
        """Return the same shapes with nothing told to any sample: what the unconditional half of guidance hears."""
        plain = replace(self, features=None)
        return plain._map(lambda part: torch.full_like(part, 0 if part.is_floating_point() else UNTOLD_LABEL))

    def to(self, device: torch.device | str) -> Condition:
        """Return the same condition on another device."""
        return self._map(lambda part: part.to(device, non_blocking=True))

    def at(self, positions: Sequence[int]) -> Condition:
        """Return these samples, in this order."""
        return self._map(lambda part: part[torch.as_tensor(positions, device=part.device)])

    def repeated(self, count: int) -> Condition:
        """Return each sample ``count`` times in a row: what the members of its ensemble are told."""
        return self._map(lambda part: part.repeat_interleave(count, dim=0))

    @staticmethod
    def cat(conditions: Sequence[Condition]) -> Condition:
        """Return one batch out of several; all must tell the same parts."""
        parts = {name: [getattr(condition, name) for condition in conditions] for name in PARTS}
        for name, given in parts.items():
            if 0 < sum(part is None for part in given) < len(given):
                raise InputError(f"{name} is told in some conditions and None in others; use .untold() for those")
        joined = {name: None if given[0] is None else torch.cat(given) for name, given in parts.items()}
        encoded = [condition.features or {} for condition in conditions]
        features = {name: torch.cat([one[name] for one in encoded]) for name in encoded[0]}
        return Condition(**joined, features=features or None)

    def _map(self, function: Callable[[Tensor], Tensor]) -> Condition:
        changed = {name: function(part) for name in PARTS if (part := getattr(self, name)) is not None}
        features = None if self.features is None else {name: function(part) for name, part in self.features.items()}
        return Condition(**changed, features=features)
