"""What a GPU is told: a step waits for no value of it, compilation falls back, kernels are asked for what is wanted.

Tensors on the meta device have no values: whatever would wait for a GPU to know one fails there.
"""

import inspect
import logging
import os
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from meddiff.batches.batch import Batch
from meddiff.batches.turns import classical_augmentation, classical_volume_augmentation, flip_rotate90
from meddiff.build.tables import MASK_NETWORKS, NETWORKS, PREDICTIONS
from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.loss import min_snr
from meddiff.diffusion.prediction import V
from meddiff.diffusion.schedule import cosine
from meddiff.diffusion.times import log_normal_times
from meddiff.networks.initialization import seeded
from meddiff.tasks.generate import GenerateTask
from meddiff.tasks.segment import SegmentTask
from meddiff.training import fabric as arithmetic
from meddiff.training.fabric import Compiled, kernels
from meddiff.training.objectives import Denoising, MaskDenoising

META, SIDE, BATCH = torch.device("meta"), 16, 4
SETTINGS = {"channels": (16, 32), "residual_blocks": 1, "attention_levels": 1, "head_channels": 16}


def on_meta(batch, draws):
    return batch.to(META), tuple(part.to(META) for part in draws)


@pytest.mark.parametrize("name", sorted(NETWORKS))
@pytest.mark.parametrize("times", ["even", "log_normal"])
def test_a_step_of_a_denoiser_of_images_waits_for_nothing(name, times):
    with seeded(0):
        network = NETWORKS[name](3, 3, num_classes=2, **SETTINGS)
    denoiser = Denoiser(network, cosine(100), PREDICTIONS["edm"] if name == "edm2" else V)
    objective = Denoising(denoiser, GenerateTask(3), 0.1, min_snr(5.0), times=times)
    batch = Batch(torch.zeros(BATCH, 3, SIDE, SIDE), torch.zeros(BATCH).long(), None, torch.arange(BATCH))
    draws = objective.draw(batch, 1, torch.Generator().manual_seed(0))
    network.to(META)
    objective.loss(*on_meta(batch, draws)).mean().backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    getattr(network, "force", lambda: None)()
    assert all(weight.grad is None or weight.grad.device == META for weight in network.parameters())


@pytest.mark.parametrize("ignores", [False, True])
@pytest.mark.parametrize("recycle", [0.0, 0.5])
@pytest.mark.parametrize("name", sorted(MASK_NETWORKS))
def test_a_step_of_a_denoiser_of_masks_waits_for_nothing(monkeypatch, name, recycle, ignores):
    monkeypatch.setattr(torch, "autocast", lambda *given, **how: nullcontext())  # it knows no meta device
    offered = SETTINGS | {"condition_channels": 3, "mask_classes": 2}
    taken = {key: value for key, value in offered.items() if key in inspect.signature(MASK_NETWORKS[name]).parameters}
    task = SegmentTask(2)
    with seeded(0):
        network = MASK_NETWORKS[name](task.channels, task.channels, **taken)
    objective = MaskDenoising(Denoiser(network, cosine(100), V), task, recycle=recycle)
    mask = torch.zeros(BATCH, 1, SIDE, SIDE).long()
    batch = Batch(torch.zeros(BATCH, 3, SIDE, SIDE), None, mask, torch.arange(BATCH), ignores)
    draws = objective.draw(batch, 1, torch.Generator().manual_seed(0))
    network.to(META)
    objective.loss(*on_meta(batch, draws)).mean().backward()


@pytest.mark.parametrize("augment", [flip_rotate90, classical_augmentation])
def test_turning_images_waits_for_nothing(augment):
    batch = Batch(
        torch.zeros(BATCH, 3, SIDE, SIDE), None, torch.zeros(BATCH, 1, SIDE, SIDE).long(), torch.arange(BATCH)
    )
    turned = augment(batch.to(META), torch.Generator().manual_seed(0))
    assert turned.image.device == turned.mask.device == META


def test_turning_volumes_waits_for_nothing():
    sides = 4, 6, 8
    batch = Batch(torch.zeros(2, 1, *sides), None, torch.zeros(2, 1, *sides).long(), torch.arange(2))
    turned = classical_volume_augmentation(batch.to(META), torch.Generator().manual_seed(0))
    assert turned.image.device == turned.mask.device == META


def test_times_are_looked_up_where_they_are_drawn():
    schedule = cosine(100)
    drawn = log_normal_times(schedule, 5, torch.Generator().manual_seed(0))
    assert torch.equal(schedule.time_at(torch.zeros(3)), schedule.time_at(torch.zeros(3)))
    assert drawn.dtype == torch.float64
    assert schedule.time_at(torch.zeros(3, device=META)).device == META


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_compiler_makes_one_program_of_a_network(name):
    """Without a break, behind which the processor would launch kernels again."""
    torch._dynamo.reset()
    with seeded(0):
        network = NETWORKS[name](3, 3, num_classes=2, **SETTINGS)
    given = torch.zeros(2, 3, SIDE, SIDE), torch.tensor([3, 50]), Condition(label=torch.tensor([0, -1]))
    compiled = torch.compile(network, backend="eager", fullgraph=True, dynamic=False)
    with torch.no_grad():
        assert torch.equal(compiled(*given), network(*given))


class Plus(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return x * self.weight + 1


def test_a_compiled_network_answers_as_the_plain_one(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    plain = Plus()
    compiled = Compiled(plain)
    torch.testing.assert_close(compiled(torch.arange(3.0)), plain(torch.arange(3.0)))
    assert any(tmp_path.iterdir())  # what the next run finds


def test_a_network_that_cannot_be_compiled_is_taken_as_it_is_and_one_sentence_says_why(monkeypatch, caplog):
    def refuse(*given):
        raise torch._dynamo.exc.TorchDynamoException("there is no compiler\nmany more lines")

    arithmetic._say_once.cache_clear()
    monkeypatch.setattr(torch, "compile", lambda network, **how: refuse)
    plain = Plus()
    compiled = Compiled(plain)
    with caplog.at_level(logging.WARNING):
        answers = [compiled(torch.arange(3.0)) for _ in range(2)]
    assert all(torch.equal(answer, plain(torch.arange(3.0))) for answer in answers)
    assert [record.message for record in caplog.records] == [
        "the network is not compiled, because there is no compiler"
    ]


def test_a_mistake_of_the_network_is_no_matter_of_compilation(monkeypatch):
    def fails(*given):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(torch, "compile", lambda network, **how: fails)
    with pytest.raises(RuntimeError, match="out of memory"):
        Compiled(Plus())(torch.ones(1))


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_kernels_are_chosen_for_a_block_alone(monkeypatch, asked, device):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    assert not torch.are_deterministic_algorithms_enabled()
    with kernels(torch.device(device), deterministic=asked):
        assert torch.are_deterministic_algorithms_enabled() == asked
        assert torch.backends.cudnn.benchmark == (device == "cuda" and not asked)
        assert ("CUBLAS_WORKSPACE_CONFIG" in os.environ) == asked
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark
