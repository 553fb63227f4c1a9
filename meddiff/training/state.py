"""The state of a training, all that changes in it, built in the one right order.

The network goes to its device first; the optimizer and the average are made of the weights that are there. An average
made before would stay on the CPU, and every first step on a GPU would end with an error.

A network whose weights have a length of their own (``force()``, see `networks.preserving`) is brought back to it after
each step of the optimizer, before the average takes the weights in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.optim import AdamW, Optimizer

from meddiff.training.ema import Ema, Latest
from meddiff.training.objectives import Objective
from meddiff.training.optimization import Optimization


@dataclass(frozen=True)
class State:
    """A network in training: what is minimized, by what, where, and the average of its weights."""

    network: nn.Module
    """The plain one, that checkpoints are made of."""
    objective: Objective
    optimizer: Optimizer
    ema: Ema
    fabric: Fabric


def build_state(
    network: nn.Module,
    objective: Callable[[Fabric], Objective],
    fabric: Fabric,
    optimization: Optimization,
    *,
    ema_decay: float | None = None,
) -> State:
    """Move a network to the device of ``fabric`` and build what trains it there.

    Args:
        network: the plain one, that checkpoints are made of; it is moved in place.
        objective: makes what is minimized of the same network, wrapped (see `prepare`).
        fabric: device, precision and processes.
        optimization: of which the optimizer takes learning rate and weight decay.
        ema_decay: of the average of weights; None keeps the latest alone.
    """
    minimized = objective(fabric)
    network.to(fabric.device)
    optimizer = build_optimizer(network, fabric.device, optimization)
    if force := getattr(network, "force", None):
        optimizer.register_step_post_hook(lambda *_: force())
    average = Latest(network) if ema_decay is None else Ema(network, ema_decay)
    return State(network, minimized, cast(Optimizer, fabric.setup_optimizers(optimizer)), average, fabric)


def build_optimizer(network: nn.Module, device: torch.device, optimization: Optimization) -> AdamW:
    """Build AdamW, fused: four times faster on a CPU than the default (measured on 26.6 M weights).

    On a GPU its learning rate is a tensor there, so that a recorded step (see `launching`) is not bound to one.
    """
    on_gpu = device.type == "cuda"
    rate = torch.tensor(optimization.learning_rate, device=device) if on_gpu else optimization.learning_rate
    return AdamW(network.parameters(), rate, weight_decay=optimization.weight_decay, fused=True, capturable=on_gpu)


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
