"""Training a classifier of the study by the one training loop: no weight average, no checkpoints, seeds of its own.

The same arguments give the same classifier, and two arms of a study that differ in one argument differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from meddiff.batches.ahead import Batches
from meddiff.batches.batch import Batch
from meddiff.batches.images import Images
from meddiff.networks.classifier import Classifier
from meddiff.seeds import child_seed
from meddiff.training.divergence import classifier_diverged
from meddiff.training.fabric import PrecisionName, build_fabric, prepare_network
from meddiff.training.loop import Augment, Seeds, train
from meddiff.training.objectives import ClassNaming
from meddiff.training.optimization import Optimization
from meddiff.training.state import build_state


def train_classifier(
    network: Classifier,
    batches: Batches,
    optimization: Optimization,
    *,
    seed: int,
    augment: Augment | None = None,
    precision: PrecisionName = "auto",
    progress: Callable[[Iterable, int], Iterable] | None = None,
) -> Classifier:
    """Train ``network`` in place; returns it in evaluation mode.

    Args:
        network: from `build_classifier`.
        batches: what to learn from, see `class_batches`.
        optimization: how many steps, and how large.
        seed: what dropout and augmentation are drawn from.
        augment: (batch, generator) -> batch, applied on the device.
        precision: arithmetic inside the network.
        progress: (steps, total) -> steps, shows a bar.

    Raises:
        TrainingDiverged: the loss is not finite.
    """
    fabric = build_fabric(precision=precision)
    state = build_state(
        network.train(), lambda fabric: ClassNaming(prepare_network(network, fabric)), fabric, optimization
    )
    steps = train(state, batches, optimization, seeds=_seeds_of(seed), augment=augment, diverged=classifier_diverged)
    for _ in progress(steps, optimization.steps) if progress else steps:
        pass
    return network.eval()


def class_batches(images: Images, *, batch_size: int, seed: int, class_balance: float = 0.0) -> Batches:
    """Draw the images of each step as a function of the seed alone; 1 for ``class_balance`` draws all classes alike."""

    def batch(step: int, micro: int) -> Batch:
        return images.drawn(step, batch_size=batch_size, seed=seed, class_balance=class_balance)

    return batch


def _seeds_of(seed: int) -> Seeds:
    """Return the seeds of a classifier's training; what its objective draws is dropout."""

    def own(step: int, use: str, *_: int) -> int:
        return child_seed(seed, "classifier", "dropout" if use == "draws" else use, step - 1)

    return own
