"""Training and using a classifier: AdamW, cosine decay (Loshchilov & Hutter 2017 and 2019), cross-entropy.

Every step's images, augmentation and dropout are drawn from (seed, step), so the same arguments give the same
classifier, and two arms of a study that differ in one argument differ in nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import chain

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from meddiff.batches.batch import Batch
from meddiff.batches.images import Labeled
from meddiff.batches.order import draw_indices
from meddiff.networks.classifier import Classifier
from meddiff.networks.features.network import FeatureNetwork
from meddiff.networks.initialization import seeded
from meddiff.seeds import child_seed
from meddiff.training.divergence import classifier_diverged
from meddiff.training.fabric import InPrecision, NetworkPrecision, PrecisionName

STEPS_BETWEEN_GUARDS = 50


def train_classifier(
    images: Labeled,
    network: Classifier,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    weight_decay: float = 0.01,
    class_balance: float = 0.0,
    augment: Callable[[Batch, torch.Generator], Batch] | None = None,
    device: torch.device | str = "cpu",
    precision: PrecisionName = "auto",
    progress: Callable[[Iterable[int], int], Iterable[int]] | None = None,
) -> Classifier:
    """Train ``network`` in place; returns it in evaluation mode.

    Args:
        images: what to learn from.
        network: from `build_classifier`.
        steps: optimizer steps.
        batch_size: images per step.
        learning_rate: at the start of the cosine decay to zero.
        seed: what all randomness is derived from.
        weight_decay: of AdamW.
        class_balance: 0 takes images as they come, 1 draws all classes alike.
        augment: (batch, generator) -> batch, applied on the device.
        device: where to compute.
        precision: arithmetic inside the network.
        progress: (steps, total) -> steps, shows a bar.

    Raises:
        TrainingDiverged: the loss is not finite.
    """
    device = torch.device(device)
    inside = InPrecision(network.to(device).train(), NetworkPrecision(device.type, precision))
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True)
    numbers = range(steps)
    loss = torch.zeros((), device=device)
    for step in progress(numbers, steps) if progress else numbers:
        index = draw_indices(images.labels, batch_size=batch_size, step=step, seed=seed, class_balance=class_balance)
        batch = images.batch(index).to(device)
        if augment:
            own = child_seed(seed, "classifier", "augment", step)
            batch = augment(batch, torch.Generator(device).manual_seed(own))
        optimizer.param_groups[0]["lr"] = learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        with seeded(child_seed(seed, "classifier", "dropout", step), (device,)):
            logits = inside(batch.image)
        loss = functional.cross_entropy(logits.float(), batch.label)  # type: ignore[arg-type]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % STEPS_BETWEEN_GUARDS == 0 and not loss.isfinite():
            raise classifier_diverged(step)
    if not loss.isfinite():
        raise classifier_diverged(steps)
    return network.eval()


def predict(network: Classifier, images: Labeled, *, batch_size: int, precision: PrecisionName = "auto") -> np.ndarray:
    """Probabilities [N, K] float64 of the images, in their order; computed where the network is."""
    logits = _evaluated(network, network, images, batch_size, precision)
    return torch.softmax(logits.double(), dim=1).numpy()


def features(
    network: Classifier | FeatureNetwork,
    images: Labeled,
    *,
    batch_size: int,
    precision: PrecisionName = "auto",
) -> np.ndarray:
    """Penultimate features [N, F] float32 of the images, in their order; computed where the network is."""
    return _evaluated(network, network.features, images, batch_size, precision).numpy()


@torch.inference_mode()
def _evaluated(
    network: nn.Module,
    function: Callable[[Tensor], Tensor],
    images: Labeled,
    batch_size: int,
    precision: PrecisionName,
) -> Tensor:
    """``function`` of all images in evaluation mode, batch by batch, float32 on the CPU."""
    network.eval()
    device = next(chain(network.parameters(), network.buffers())).device
    inside = InPrecision(network, NetworkPrecision(device.type, precision))
    outputs = []
    for start in range(0, len(images), batch_size):
        batch = images.batch(np.arange(start, min(start + batch_size, len(images)))).to(device)
        outputs.append(inside.call(function, batch.image).float().cpu())
    return torch.cat(outputs)
