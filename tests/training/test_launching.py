"""A step as one launch ends in the weights of plain launches, waits for nothing, and falls back with a sentence."""

import dataclasses
import logging
from types import SimpleNamespace

import pytest
import torch

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.times import LossAwareTimes
from meddiff.networks.replay import WARM_UP, ReplayedNetwork
from meddiff.training import loop
from meddiff.training.launching import GraphedStep, PlainStep, build_step, why_plain
from meddiff.training.objectives import ClassNaming
from meddiff.training.state import build_optimizer
from tests.training import tape, toy


def trained(monkeypatch, step_of, *, steps=9, **settings):
    """The tensors of a run whose steps are those that ``step_of`` makes of the plain one, at a rate that changes."""
    run = toy.Run()
    monkeypatch.setattr(loop, "build_step", lambda state, optimization: step_of(PlainStep(state, optimization)))
    losses = [(float(step.loss), float(step.gradient_norm)) for step in run.train(steps, decay="cosine", **settings)]
    return run.tensors(), losses


@pytest.fixture
def rate_in_a_tensor(monkeypatch):
    """The optimizer as it is on a GPU, where a recorded step must not be bound to one learning rate."""

    def build(network, device, optimization):
        optimizer = build_optimizer(network, device, optimization)
        for group in optimizer.param_groups:
            group["lr"] = torch.tensor(optimization.learning_rate, dtype=torch.float64)
        return optimizer

    monkeypatch.setattr("meddiff.training.state.build_optimizer", build)


@pytest.mark.usefixtures("rate_in_a_tensor")
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_replayed_step_is_the_plain_one_to_the_bit(monkeypatch, accumulate):
    plain, losses = trained(monkeypatch, lambda plain: plain, accumulate=accumulate)
    recorded = []

    def record(step):
        recorded.append(step)
        return tape.record(step)

    replayed, again = trained(monkeypatch, lambda plain: GraphedStep(plain, record), accumulate=accumulate)
    assert len(recorded) == 1
    assert losses == again
    assert [name for name in plain if not torch.equal(plain[name], replayed[name])] == []


@pytest.mark.usefixtures("rate_in_a_tensor")
def test_the_stand_in_freezes_what_a_graph_would(monkeypatch):
    """A tape that could not tell a frozen number from one that changes would prove nothing."""

    def frozen(optimizer, rate):
        for group in optimizer.param_groups:
            group["lr"] = rate  # a number of Python

    plain, _ = trained(monkeypatch, lambda plain: plain)
    monkeypatch.setattr(loop, "set_rate", frozen)
    replayed, _ = trained(monkeypatch, lambda plain: GraphedStep(plain, tape.record))
    assert any(not torch.equal(plain[name], replayed[name]) for name in plain)


def test_each_shape_of_a_batch_has_a_graph_of_its_own(monkeypatch):
    recorded = []

    def record(step):
        recorded.append(step)
        return tape.record(step)

    def batches(step, micro):
        return toy.batches(step, micro, size=16 if step % 2 else 8)

    run = toy.Run(batches=batches)
    monkeypatch.setattr(loop, "build_step", lambda *given: GraphedStep(PlainStep(*given), record))
    list(run.train(12))
    assert len(recorded) == 2


def test_a_step_that_reads_a_value_is_launched_plainly_and_one_sentence_says_why(monkeypatch, caplog):
    class Reads(toy.Generate):
        def clean(self, batch):
            assert batch.image.abs().max().item() < 9
            return batch.image

    def run_with(step_of):
        run = toy.Run()
        objective = dataclasses.replace(run.state.objective, task=Reads())
        run.state = dataclasses.replace(run.state, objective=objective)
        monkeypatch.setattr(loop, "build_step", lambda *given: step_of(PlainStep(*given)))
        list(run.train(8))
        return run.tensors()

    with caplog.at_level(logging.WARNING):
        replayed = run_with(lambda plain: GraphedStep(plain, tape.record))
    sentences = [record.message for record in caplog.records if "plain launches" in record.message]
    assert len(sentences) == 1
    assert "because this step cannot be recorded" in sentences[0]
    plain = run_with(lambda plain: plain)
    assert [name for name in plain if not torch.equal(plain[name], replayed[name])] == []


def test_what_cannot_be_recorded_is_known_beforehand():
    run = toy.Run()
    assert isinstance(build_step(run.state, run.optimization), PlainStep)  # a CPU, which needs no sentence
    several = dataclasses.replace(run.state, fabric=SimpleNamespace(world_size=2))
    assert "several processes" in why_plain(several)
    drops = dataclasses.replace(run.state, objective=ClassNaming(run.network))
    assert "drops features" in why_plain(drops)
    assert "losses of those before" in why_plain(toy.Run(times=LossAwareTimes(100)).state)
    assert not why_plain(run.state)


def test_no_step_reads_a_value_but_the_guard(monkeypatch):
    monkeypatch.setattr(loop, "steps_between_guards", lambda device: 50)
    run = toy.Run()
    steps = iter(run.train(100))
    next(steps)  # what bf16 is tried on, schedules, states of the optimizer
    with tape.Launches() as counted:
        for step in steps:
            if step.step == 99:
                break
    assert counted.read == 1  # at step 50


def test_a_step_outside_the_graph_is_few_launches(monkeypatch):
    """What is drawn, copied into the graph, averaged and noted; that of the graph is one."""
    monkeypatch.setattr(loop, "steps_between_guards", lambda device: 50)
    run = toy.Run()
    monkeypatch.setattr(loop, "build_step", lambda *given: GraphedStep(PlainStep(*given), tape.record))
    steps = iter(run.train(20))
    plainly = tape.Launches()
    with plainly:
        next(steps)
    for _ in range(WARM_UP):
        next(steps)
    monkeypatch.setattr(tape.Tape, "play", lambda self: None)
    with tape.Launches() as counted:
        next(steps)
    assert counted.computed < 60 < plainly.computed / 5


def test_a_replayed_network_answers_each_shape_and_condition_as_the_plain_one():
    plain, made = toy.denoiser().network.eval(), []

    def record(function):
        made.append(function)
        return tape.record(function)

    replayed = ReplayedNetwork(plain, torch.device("cpu"), record)
    draw = torch.Generator().manual_seed(0)
    for call in range(3 * WARM_UP):
        for count, told in ((2, True), (3, True), (2, False)):
            x_t, t = torch.randn(count, 1, toy.SIDE, toy.SIDE, generator=draw), torch.full((count,), 90 - call)
            condition = Condition(label=torch.arange(count) - call % 2 if told else None)
            with torch.inference_mode():
                assert torch.equal(replayed(x_t, t, condition), plain(x_t, t, condition))
    assert len(made) == 3
