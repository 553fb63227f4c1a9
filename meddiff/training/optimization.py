"""The length of a training and the size of its steps: one value for every training.

The optimizer is AdamW (Loshchilov & Hutter 2019) with their cosine decay (2017), or the inverse square root of the step
(Kingma & Ba 2015; Karras et al. 2024, eq. 67), where it is asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Decay = Literal["none", "cosine", "cosine_from_first", "inverse_sqrt"]


@dataclass(frozen=True)
class Optimization:
    """The steps of a training."""

    steps: int
    """Optimizer steps in all."""
    learning_rate: float
    """After warm-up, before decay."""
    weight_decay: float = 0.0
    """Of AdamW."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises linearly."""
    decay: Decay = "none"
    """What the learning rate does: stay; fall to zero at the last step; or be whole at the first step and fall on
    towards the zero that a step after the last one would have; or fall with the root of the step."""
    decay_from: int = 1000
    """Step from which the inverse square root falls."""
    clip_norm: float = float("inf")
    """Largest gradient norm; larger gradients are scaled down to it."""
    accumulate: int = 1
    """Micro-batches per optimizer step."""

    def rate(self, step: int) -> float:
        """Return the learning rate of step 1, 2, ..., ``steps``."""
        warm = min(1.0, step / max(1, self.warmup_steps))
        if self.decay == "none":
            return self.learning_rate * warm
        if self.decay == "inverse_sqrt":
            return self.learning_rate * warm * min(1.0, math.sqrt(self.decay_from / step))
        behind = step if self.decay == "cosine" else step - 1
        return self.learning_rate * warm * (0.5 * (1 + math.cos(math.pi * (behind / self.steps))))
