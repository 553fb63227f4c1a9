"""Training whatever has an objective: a generator of steps. The caller adds bars, logs, pictures and checkpoints.

Every step's randomness (t, eps, who stays untold, dropout, flips) is drawn from a seed that is a function of the run's
seed, the step and the process: a run resumed at step k from its checkpoint draws what an uninterrupted one would have
drawn, and ends in the same weights to the bit. (On a GPU some kernels add in no fixed order;
`torch.use_deterministic_algorithms(True)` makes them.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from meddiff.batches.ahead import Batches, ahead
from meddiff.batches.batch import Batch
from meddiff.seeds import child_seed
from meddiff.training.divergence import TrainingDiverged, denoiser_diverged
from meddiff.training.launching import build_step, with_draws
from meddiff.training.optimization import Optimization
from meddiff.training.state import State, set_rate

Augment = Callable[[Batch, torch.Generator], Batch]
"""(batch, generator on the CPU) -> batch, where it lies"""
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
    device, count, steps = state.fabric.device, optimization.accumulate, optimization.steps
    launch = build_step(state, optimization)
    bad = torch.zeros((), dtype=torch.int64, device=device)  # first bad step, 0 while there is none
    numbers = ((step, micro) for step in range(first_step, steps) for micro in range(count))
    with closing(ahead(batches, numbers, device)) as made:
        for step in range(first_step + 1, steps + 1):
            rate = optimization.rate(step)
            set_rate(state.optimizer, rate)
            fetched = (
                _augmented(batch, augment, seeds(step, "augment", micro))
                for micro, batch in enumerate(islice(made, count))
            )
            generator = torch.Generator(device).manual_seed(seeds(step, "draws"))
            loss, norm = launch(with_draws(state.objective, fetched, count, generator))
            state.ema.update(state.objective.network, step)
            if state.objective.history is not None:
                state.objective.history.end_step(state.fabric.all_gather)
            bad = torch.where((bad == 0) & ~(loss + norm).isfinite(), step, bad)
            if (step % steps_between_guards(device) == 0 or step == steps) and int(bad):
                raise diverged(int(bad))
            yield TrainStep(step, loss, norm, rate)


def steps_between_guards(device: torch.device) -> int:
    """Return after how many steps a loss is read: on a CPU it costs nothing."""
    return 1 if device.type == "cpu" else STEPS_BETWEEN_GUARDS


def _augmented(batch: Batch, augment: Augment | None, seed: int) -> Batch:
    """Turn a micro-batch where it lies; what is drawn is drawn on the CPU, so that nothing waits for the device."""
    return augment(batch, torch.Generator().manual_seed(seed)) if augment else batch
