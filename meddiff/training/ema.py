"""The exponential moving average of a network's weights: what samples are drawn from.

    average <- d_k average + (1 - d_k) weights,      d_k = min(decay, (1 + k) / (10 + k))

after optimizer step k = 1, 2, ... The second term lets the average follow quickly while there is little to average
(Tarvainen & Valpola 2017, section 3, ramp it up likewise; the formula is TensorFlow's).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Ema:
    """The averaged twin of a network: ``ema.network`` can be sampled from at any time."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay

    def decay_at(self, step: int) -> float:
        """Return d_k after the k-th optimizer step."""
        return min(self.decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after optimizer step ``step`` = 1, 2, ..., in one fused call.

        Raises:
            ValueError: the weights are on another device than the average.
        """
        averages, weights = tuple(self.network.parameters()), tuple(network.parameters())
        for average, weight in zip(averages, weights, strict=True):
            if average.device != weight.device:
                raise ValueError(
                    f"the average of the weights is on {average.device}, the weights are on {weight.device}: move the "
                    "network to its device before an average is made of it (build_state does)"
                )
        get_ema_multi_avg_fn(self.decay_at(step))(averages, weights, None)
        for average, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
            average.copy_(buffer)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged weights under the network's own names."""
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from saved averages."""
        self.network.load_state_dict(state)


class Latest(Ema):
    """The weights as they are, where no average is kept."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def update(self, network: nn.Module, step: int) -> None:
        """Take in nothing: the weights are the network's own."""
