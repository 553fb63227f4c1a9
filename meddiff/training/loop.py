"""Training whatever has an objective: a generator of steps. The caller adds bars, logs, pictures and checkpoints.

Every step's randomness (t, eps, who stays untold, flips) is drawn from a seed that is a function of (seed, step,
process): a run resumed at step k from weights, average and optimizer draws what an uninterrupted one would have drawn,
and ends in the same weights to the bit. (On a GPU some kernels add in no fixed order;
`torch.use_deterministic_algorithms(True)` makes them.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim import Optimizer

from meddiff.batches.batch import Batch
from meddiff.seeds import child_seed
from meddiff.training.checkpoint import latest
from meddiff.training.divergence import denoiser_diverged
from meddiff.training.ema import Ema
from meddiff.training.objectives import Objective

Batches = Callable[[int, int], Batch]
"""(number of steps done before, micro-batch) -> Batch, the same one whenever it is asked for"""
Augment = Callable[[Batch, torch.Generator], Batch]
STEPS_BETWEEN_GUARDS = 50
"""On a GPU, reading a loss waits for it; a diverged run is found at most this many steps late."""


@dataclass(frozen=True)
class TrainStep:
    """What one optimizer step did. The tensors stay on the device: reading one on a GPU waits for it."""

    step: int
    """Optimizer steps done so far, this one included."""
    loss: Tensor
    """Mean loss of this process's images, 0-dimensional."""
    gradient_norm: Tensor
    """Norm of the whole gradient before clipping, 0-dimensional."""
    learning_rate: float


def train(
    objective: Objective,
    batches: Batches,
    *,
    optimizer: Optimizer,
    ema: Ema,
    fabric: Fabric,
    seed: int,
    steps: int,
    learning_rate: float,
    first_step: int = 0,
    warmup_steps: int = 0,
    cosine_decay: bool = False,
    accumulate: int = 1,
    clip_norm: float = float("inf"),
    augment: Augment | None = None,
    checkpoints: Path | None = None,
) -> Iterator[TrainStep]:
    """Train in place, one optimizer step per item.

    Args:
        objective: what is minimized; its network is on the device and wrapped (see `prepare`).
        batches: the images of each step and micro-batch of this process.
        optimizer: over the network's weights.
        ema: the average, updated after every step.
        fabric: device and processes.
        seed: what all randomness is derived from.
        steps: total number of optimizer steps; the last item has this number.
        learning_rate: after warm-up.
        first_step: optimizer steps already done, where a run is resumed.
        warmup_steps: steps over which the learning rate rises linearly.
        cosine_decay: let the learning rate fall to zero at the last step (Loshchilov & Hutter 2017).
        accumulate: micro-batches per optimizer step.
        clip_norm: largest gradient norm.
        augment: (batch, generator) -> batch, applied on the device.
        checkpoints: folder of the run's checkpoints, named when training diverges.

    Raises:
        TrainingDiverged: a loss or gradient is not finite; on a GPU up to `STEPS_BETWEEN_GUARDS` steps late.
    """
    diverged = torch.zeros((), dtype=torch.int64, device=fabric.device)  # first bad step, 0 while there is none
    for step in range(first_step + 1, steps + 1):
        rate = learning_rate * min(1.0, step / max(1, warmup_steps)) * (_cosine(step / steps) if cosine_decay else 1)
        for group in optimizer.param_groups:
            group["lr"] = rate
        fetch = partial(_fetch, batches, step, augment=augment, fabric=fabric, seed=seed)
        generator = _generator(fabric, seed, step, "draws")
        loss = accumulate_gradients(objective, fetch, fabric=fabric, count=accumulate, generator=generator)
        norm = torch.nn.utils.clip_grad_norm_(objective.network.parameters(), clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        ema.update(objective.network, step)
        diverged = torch.where((diverged == 0) & ~(loss + norm).isfinite(), step, diverged)
        if fabric.device.type == "cpu" or step % STEPS_BETWEEN_GUARDS == 0 or step == steps:
            _guard(diverged, checkpoints)
        yield TrainStep(step, loss, norm, rate)


def accumulate_gradients(
    objective: Objective,
    fetch: Callable[[int], Batch],
    *,
    fabric: Fabric,
    count: int,
    generator: torch.Generator,
) -> Tensor:
    """Add the gradient of the mean loss over ``count`` equal micro-batches; returns that loss.

    What an objective draws is drawn for the whole step at once, so that many small micro-batches are told the same as
    one large one.
    """
    draws = None
    total = torch.zeros((), device=fabric.device)
    for micro in range(count):
        batch = fetch(micro)
        size = len(batch.image)
        draws = draws or objective.draw(batch, count, generator)
        own = tuple(part[micro * size : (micro + 1) * size] for part in draws)
        with fabric.no_backward_sync(objective.network, enabled=micro < count - 1):  # type: ignore[arg-type]
            loss = objective.loss(batch, own).mean() / count
            fabric.backward(loss)
        total += loss.detach()
    return total


def _cosine(done: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * done))


def _fetch(batches: Batches, step: int, micro: int, *, augment: Augment | None, fabric: Fabric, seed: int) -> Batch:
    """A micro-batch on the device, augmented there."""
    batch = batches(step - 1, micro).to(fabric.device)
    return augment(batch, _generator(fabric, seed, step, "augment", micro)) if augment else batch


def _generator(fabric: Fabric, seed: int, step: int, *names: str | int) -> torch.Generator:
    """The generator of one use in one step of one process."""
    own = child_seed(seed, "training", step, *names, fabric.global_rank)
    return torch.Generator(fabric.device).manual_seed(own)


def _guard(diverged: Tensor, checkpoints: Path | None) -> None:
    step = int(diverged)
    if step:
        raise denoiser_diverged(step, latest(checkpoints) if checkpoints else None)
