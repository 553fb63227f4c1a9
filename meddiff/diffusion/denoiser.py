"""A denoiser: network + schedule + prediction, which together say what x_0 probably was.

The network is any module ``network(x_t, t, condition) -> like x_t`` with t [B] in 1..T. Samplers, guidance and
likelihood never see it: they know one thing, ``denoise(x_t, t) -> x_0 estimate``, that is E[x_0 | x_t].

A network may have ``encode(condition) -> condition``, which does once what depends on the condition alone, and may
say beside its output what it makes of the condition without any x_t (`WithCoarse`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.prediction import ClassLogits, Prediction
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.errors import InputError

Denoise = Callable[[Tensor, Tensor], Tensor]
"""(x_t [B, C, *S], t [B]) -> x_0 estimate [B, C, *S]"""


COARSE = "coarse"
"""Among a condition's ``features``: the logits of `WithCoarse`, known before any x_t."""


class WithCoarse(NamedTuple):
    """The output of a network whose condition model has a head of its own (Wu et al. 2023, the coarse mask)."""

    output: Tensor
    """[B, C, *S], what any network returns."""
    coarse: Tensor
    """[B, K, *S] class logits from the condition alone: no x_t, no t."""


class Output(NamedTuple):
    """The output of a network, at least in float32."""

    value: Tensor
    """[B, C, *S] as the prediction means it."""
    variance: Tensor | None
    """Where a learned variance lies, 0 beta~ .. 1 beta, like ``value``; None where none is learned."""
    coarse: Tensor | None
    """[B, K, *S] class logits from the condition alone; None where the network has no such head."""


class Denoiser(nn.Module):
    """``denoiser(x_t, t, condition)`` estimates x_0, in float32 whatever the network computes in.

    Wrap the network, not the denoiser, in DDP or ``torch.compile``: the loss reads ``output``, not ``forward``.

    With ``learned_variance`` the network has twice the channels; the second half says where the variance of an
    ancestral step lies between its bounds (Nichol & Dhariwal 2021, eq. 15): 0 is beta~, 1 is beta, in the logarithm.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: NoiseSchedule,
        prediction: Prediction | ClassLogits,
        *,
        learned_variance: bool = False,
    ) -> None:
        super().__init__()
        if schedule.alpha[-1] == 0 and prediction.name in ("eps", "score", "edm"):
            raise InputError(
                f"this schedule has no signal left at T, where a {prediction.name} prediction says nothing about x_0: "
                "use the prediction v, velocity or x_0"
            )
        self.network = network
        self.schedule = schedule
        self.prediction = prediction
        self.learned_variance = learned_variance

    def of(self, network: nn.Module) -> Denoiser:
        """Build the same denoiser around another network, such as an average or a wrapped one."""
        return Denoiser(network, self.schedule, self.prediction, learned_variance=self.learned_variance)

    def output(self, x_t: Tensor, t: Tensor, condition: Condition) -> Output:
        """Call the network; under autocast only the network itself runs in half precision."""
        given = x_t, t
        if self.prediction.inputs is not None:
            given = self.prediction.inputs(x_t, *self.schedule.at(t, x_t))
        said = self.network(*given, condition)
        value, coarse = said if isinstance(said, tuple) else (said, None)
        value = value.to(torch.promote_types(value.dtype, torch.float32))
        coarse = None if coarse is None else coarse.to(value.dtype)
        if not self.learned_variance:
            return Output(value, None, coarse)
        value, raw = value.chunk(2, dim=1)
        return Output(value, (raw + 1) / 2, coarse)

    def encode(self, condition: Condition) -> Condition:
        """Return the condition with all that the network can make of it before it sees any x_t."""
        encode = getattr(self.network, "encode", None)
        return condition if encode is None else encode(condition)

    def forward(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """Return the x_0 estimate [B, C, *S] from x_t [B, C, *S], t [B] and what is told."""
        return self.with_variance(x_t, t, condition)[0]

    def with_variance(self, x_t: Tensor, t: Tensor, condition: Condition) -> tuple[Tensor, Tensor | None]:
        """Return the x_0 estimate and where a learned variance lies, both like x_t."""
        output = self.output(x_t, t, condition)
        alpha, sigma = self.schedule.at(t, output.value)
        return self.prediction.to_x_0(output.value, x_t, alpha, sigma), output.variance


@dataclass(frozen=True)
class BoundDenoiser:
    """A denoiser that has been told its condition: a ``Denoise``."""

    denoiser: Denoiser
    condition: Condition

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Return the x_0 estimate, given the condition."""
        return self.denoiser(x_t, t, self.condition)

    def with_variance(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the x_0 estimate and the learned variance's fraction, given the condition."""
        return self.denoiser.with_variance(x_t, t, self.condition)


def bind(denoiser: Denoiser, condition: Condition) -> BoundDenoiser:
    """Tell a denoiser its condition once, for all steps of a sampler: what depends on it alone is done here."""
    return BoundDenoiser(denoiser, denoiser.encode(condition))
