"""Training whatever has an objective: a generator of steps. The caller adds bars, logs, pictures and checkpoints.

Every step's randomness (t, eps, who stays untold, dropout, flips) is drawn from a seed that is a function of the run's
seed, the step and the process: a run resumed at step k from weights, average and optimizer draws what an uninterrupted
one would have drawn, and ends in the same weights to the bit. (On a GPU some kernels add in no fixed order;
`torch.use_deterministic_algorithms(True)` makes them.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from lightning_fabric import Fabric
from torch import Tensor

from meddiff.batches.batch import Batch
from meddiff.seeds import child_seed
from meddiff.training.divergence import TrainingDiverged, denoiser_diverged
from meddiff.training.objectives import Objective
from meddiff.training.optimization import Optimization
from meddiff.training.state import State

Batches = Callable[[int, int], Batch]
"""(number of steps done before, micro-batch) -> Batch, the same one whenever it is asked for"""
Augment = Callable[[Batch, torch.Generator], Batch]
"""(batch, generator) -> batch, on the device"""
Seeds = Callable[..., int]
"""(step, name of use, micro-batch if it has its own) -> seed"""
STEPS_BETWEEN_GUARDS = 50
"""On a GPU, reading a loss waits for it; a diverged run is found at most this many steps late."""


@dataclass(frozen=True)
class TrainStep:
    """The result of one optimizer step. The tensors stay on the device: reading one on a GPU waits for it."""

    step: int
    """Optimizer steps done so far, this one included."""
    loss: Tensor
    """Mean loss of this process's images, 0-dimensional."""
    gradient_norm: Tensor
    """Norm of the whole gradient before clipping, 0-dimensional."""
    learning_rate: float


def seeds_of(seed: int, process: int = 0) -> Seeds:
    """Return the seeds of a training: each a function of the run's seed, the step, its use and the process."""
    return lambda step, *names: child_seed(seed, "training", step, *names, process)


def train(
    state: State,
    batches: Batches,
    optimization: Optimization,
    *,
    seeds: Seeds,
    first_step: int = 0,
    augment: Augment | None = None,
    diverged: Callable[[int], TrainingDiverged] = denoiser_diverged,
) -> Iterator[TrainStep]:
    """Train in place, one optimizer step per item.

    Args:
        state: what is minimized and by what, on the device (see `build_state`).
        batches: the images of each step and micro-batch of this process.
        optimization: how many steps, and how large.
        seeds: what all randomness is derived from.
        first_step: optimizer steps already done, where a run is resumed.
        augment: (batch, generator) -> batch, applied on the device.
        diverged: makes the error of a step whose loss or gradient is not finite.

    Raises:
        TrainingDiverged: a loss or gradient is not finite; on a GPU up to `STEPS_BETWEEN_GUARDS` steps late.
    """
    objective, fabric, steps = state.objective, state.fabric, optimization.steps
    bad = torch.zeros((), dtype=torch.int64, device=fabric.device)  # first bad step, 0 while there is none
    for step in range(first_step + 1, steps + 1):
        rate = optimization.rate(step)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        draw = partial(_generator, fabric, seeds, step)
        fetch = partial(_fetch, batches, step, augment=augment, fabric=fabric, draw=draw)
        count = optimization.accumulate
        loss = accumulate_gradients(objective, fetch, fabric=fabric, count=count, generator=draw("draws"))
        norm = torch.nn.utils.clip_grad_norm_(objective.network.parameters(), optimization.clip_norm)
        state.optimizer.step()
        state.optimizer.zero_grad(set_to_none=True)
        state.ema.update(objective.network, step)
        bad = torch.where((bad == 0) & ~(loss + norm).isfinite(), step, bad)
        if (fabric.device.type == "cpu" or step % STEPS_BETWEEN_GUARDS == 0 or step == steps) and int(bad):
            raise diverged(int(bad))
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


def _fetch(
    batches: Batches, step: int, micro: int, *, augment: Augment | None, fabric: Fabric, draw: Callable
) -> Batch:
    """Return a micro-batch on the device, augmented there."""
    batch = batches(step - 1, micro).to(fabric.device)
    return augment(batch, draw("augment", micro)) if augment else batch


def _generator(fabric: Fabric, seeds: Seeds, step: int, *use: str | int) -> torch.Generator:
    """Return the generator of one use in one step, on the device."""
    return torch.Generator(fabric.device).manual_seed(seeds(step, *use))
