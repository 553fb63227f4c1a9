"""A denoiser: network + schedule + prediction, which together say what x_0 probably was.

The network is any module ``network(x_t, t, condition) -> like x_t`` with t [B] in 1..T. Samplers, guidance and
likelihood never see it: they know one thing, ``denoise(x_t, t) -> x_0 estimate``, that is E[x_0 | x_t].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.prediction import Prediction
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.errors import InputError

Denoise = Callable[[Tensor, Tensor], Tensor]
"""(x_t [B, C, *S], t [B]) -> x_0 estimate [B, C, *S]"""


class Denoiser(nn.Module):
    """``denoiser(x_t, t, condition)`` estimates x_0, in float32 whatever the network computes in.

    Wrap the network, not the denoiser, in DDP or ``torch.compile``: the loss reads ``output``, not ``forward``.

    With ``learned_variance`` the network has twice the channels; the second half says where the variance of an
    ancestral step lies between its bounds (Nichol & Dhariwal 2021, eq. 15): 0 is beta~, 1 is beta, in the logarithm.
    """

    def __init__(
        self, network: nn.Module, schedule: NoiseSchedule, prediction: Prediction, *, learned_variance: bool = False
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

    def output(self, x_t: Tensor, t: Tensor, condition: Condition) -> tuple[Tensor, Tensor | None]:
        """What the network says, at least in float32, and where a learned variance lies (0 beta~ .. 1 beta), or None.

        Under autocast only the network itself runs in half precision.
        """
        given = x_t, t
        if self.prediction.inputs is not None:
            given = self.prediction.inputs(x_t, *self.schedule.at(t, x_t))
        output = self.network(*given, condition)
        output = output.to(torch.promote_types(output.dtype, torch.float32))
        if not self.learned_variance:
            return output, None
        output, raw = output.chunk(2, dim=1)
        return output, (raw + 1) / 2

    def forward(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """The x_0 estimate [B, C, *S] from x_t [B, C, *S], t [B] and what is told."""
        return self.with_variance(x_t, t, condition)[0]

    def with_variance(self, x_t: Tensor, t: Tensor, condition: Condition) -> tuple[Tensor, Tensor | None]:
        """The x_0 estimate and where a learned variance lies, both like x_t."""
        output, fraction = self.output(x_t, t, condition)
        alpha, sigma = self.schedule.at(t, output)
        return self.prediction.to_x_0(output, x_t, alpha, sigma), fraction


@dataclass(frozen=True)
class BoundDenoiser:
    """A denoiser that has been told its condition: a ``Denoise``."""

    denoiser: Denoiser
    condition: Condition

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The x_0 estimate, given the condition."""
        return self.denoiser(x_t, t, self.condition)

    def with_variance(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor | None]:
        """The x_0 estimate and the learned variance's fraction, given the condition."""
        return self.denoiser.with_variance(x_t, t, self.condition)


def bind(denoiser: Denoiser, condition: Condition) -> BoundDenoiser:
    """Tell a denoiser its condition once, for all steps of a sampler."""
    return BoundDenoiser(denoiser, condition)
