"""Random weights from a seed, without touching the global generator that PyTorch's initializers draw from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, devices: tuple[torch.device, ...] = ()) -> Iterator[None]:
    """Let a block draw from a seed: in it, PyTorch's global generators draw from ``seed``.

    Afterwards they go on as if nothing had been drawn.

    Layers are initialized, and dropout is drawn, from global generators that cannot be passed in. ``devices`` names
    the accelerators whose generators are meant too.
    """
    accelerators = [device for device in devices if device.type != "cpu"]
    with torch.random.fork_rng(accelerators, device_type=accelerators[0].type if accelerators else "cuda"):
        torch.manual_seed(seed)
        yield
