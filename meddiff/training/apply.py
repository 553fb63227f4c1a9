"""A trained network shown all images of a set: class probabilities, and features."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

from meddiff.batches.images import Images
from meddiff.networks.classifier import Classifier
from meddiff.networks.features.network import FeatureNetwork
from meddiff.training.fabric import InPrecision, NetworkPrecision, PrecisionName


def predict(network: Classifier, images: Images, *, batch_size: int, precision: PrecisionName = "auto") -> np.ndarray:
    """Name the classes of images: probabilities [N, K] float64 in their order; computed where the network is."""
    logits = _evaluated(network, network, images, batch_size, precision)
    return torch.softmax(logits.double(), dim=1).numpy()


def features(
    network: Classifier | FeatureNetwork,
    images: Images,
    *,
    batch_size: int,
    precision: PrecisionName = "auto",
) -> np.ndarray:
    """Compute penultimate features [N, F] float32 of images in their order; computed where the network is."""
    return _evaluated(network, network.features, images, batch_size, precision).numpy()


@torch.inference_mode()
def _evaluated(
    network: nn.Module,
    function: Callable[[Tensor], Tensor],
    images: Images,
    batch_size: int,
    precision: PrecisionName,
) -> Tensor:
    """Return ``function`` of all images in evaluation mode, batch by batch, float32 on the CPU."""
    network.eval()
    device = next(chain(network.parameters(), network.buffers())).device
    inside = InPrecision(network, NetworkPrecision(device.type, precision))
    outputs = []
    for start in range(0, len(images), batch_size):
        batch = images.batch(np.arange(start, min(start + batch_size, len(images)))).to(device)
        outputs.append(inside.call(function, batch.image).float().cpu())
    return torch.cat(outputs)
