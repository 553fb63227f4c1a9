"""What makes the package fast, guarded by counts and not by times: work, network calls, host reads."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from meddiff import load
from meddiff.hub.place import MASKS
from meddiff.jobs.describe import costs
from meddiff.networks.twin_unet import ThinDenoiser, TwinUNet
from meddiff.recipe import Recipe, SegmentRecipe
from meddiff.training import loop
from tests.training import toy


@pytest.mark.parametrize(("kind", "name", "weights", "forward", "training"), [
    (Recipe, "unet", 26_624_131, 17_629_839_360, 53_957_459_968),
    (SegmentRecipe, "twin_unet", 22_813_448, 26_284_883_968, 78_552_645_632),
    (SegmentRecipe, "baseline unet", 1_625_737, 1_540_882_432, 4_594_335_744),
])  # fmt: skip
def test_the_default_networks_do_no_more_work_than_they_did(kind, name, weights, forward, training):
    """Floating point operations of one image: of a call, and of a training step. A change is named in CHANGELOG."""
    counted = {told: one for told, one, _ in costs(kind(dataset="phantom"))}[name]
    assert (counted.weights, counted.forward, counted.training) == (weights, forward, training)


@pytest.fixture
def calls(monkeypatch) -> Counter[tuple[str, int]]:
    """Calls of the two halves of the network of masks, with the images or members of each."""
    counted: Counter[tuple[str, int]] = Counter()
    encode, forward = TwinUNet.encode, ThinDenoiser.forward

    def read(self, told):
        counted["read", len(told.image)] += told.features is None
        return encode(self, told)

    def denoise(self, x_t, t, told):
        counted["denoise", len(x_t)] += 1
        return forward(self, x_t, t, told)

    monkeypatch.setattr(TwinUNet, "encode", read)
    monkeypatch.setattr(ThinDenoiser, "forward", denoise)
    return counted


@pytest.mark.parametrize(("members", "images", "together"), [(8, 9, 4), (25, 3, 2)])
def test_images_share_network_calls_and_each_is_read_once(calls, members, images, together):
    """64 px: an ensemble of 25 for one image is one reading and five denoisings, whose batches have one shape."""
    model = load(MASKS, members=members, steps=5)
    pixels = np.random.default_rng(0).uniform(-1, 1, (images, 3, 64, 64)).astype(np.float32)
    model.members([(image, str(number)) for number, image in enumerate(pixels[:1])])  # bf16 is tried on the first call
    calls.clear()
    model.members([(image, str(number)) for number, image in enumerate(pixels)])
    rounds = -(-images // together)
    assert +calls == {("read", together): rounds, ("denoise", together * members): 5 * rounds}


class Reads(TorchDispatchMode):
    """Counts the numbers that Python reads from tensors: on a GPU each waits for it."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def reads_of(steps: int, between: int, monkeypatch) -> int:
    monkeypatch.setattr(loop, "steps_between_guards", lambda device: between)
    with Reads() as reads:
        for _ in toy.Run(batches=lambda step, micro: batches[step]).train(steps):
            pass
    return reads.count


batches = [toy.batches(step, 0) for step in range(100)]


def test_a_training_reads_one_number_in_fifty_steps(monkeypatch):
    few, many, each = reads_of(50, 50, monkeypatch), reads_of(100, 50, monkeypatch), reads_of(100, 1, monkeypatch)
    assert many - few == 1
    assert each - many == 98
