"""Optimizer and average are made of the weights where they are trained (the device here is PyTorch's ``meta``)."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from meddiff.training.ema import Ema
from meddiff.training.fabric import build_fabric
from meddiff.training.optimization import Optimization
from meddiff.training.state import build_state

ELSEWHERE = SimpleNamespace(device=torch.device("meta"), setup_optimizers=lambda optimizer: optimizer)
"""A Fabric whose device is not the CPU."""


@pytest.mark.parametrize("moves", [False, True], ids=["objective leaves it", "objective moves it"])
def test_optimizer_and_average_are_of_the_weights_on_the_device(moves):
    network = nn.Linear(3, 2)

    def objective(fabric):
        return SimpleNamespace(network=network.to(fabric.device) if moves else network)

    state = build_state(network, objective, ELSEWHERE, Optimization(1, 0.1), ema_decay=0.9)
    trained = [weight for group in state.optimizer.param_groups for weight in group["params"]]
    assert [id(weight) for weight in trained] == [id(weight) for weight in network.parameters()]
    assert all(weight.device.type == "meta" for weight in (*trained, *state.ema.network.parameters()))
    state.ema.update(network, 1)


def test_an_average_refuses_weights_of_another_device():
    network = nn.Linear(3, 2)
    ema = Ema(network, 0.9)
    with pytest.raises(
        ValueError, match="the average of the weights is on cpu, the weights are on meta: move the netw"
    ):
        ema.update(network.to("meta"), 1)


def test_a_step_of_the_state_trains_the_network_and_moves_its_average():
    fabric = build_fabric(precision="32", accelerator="cpu")
    network = nn.Linear(3, 2)
    state = build_state(
        network, lambda _: SimpleNamespace(network=network), fabric, Optimization(1, 0.1), ema_decay=0.9
    )
    before = network.weight.detach().clone()
    network(torch.ones(1, 3)).sum().backward()
    state.optimizer.step()
    state.ema.update(network, 1)
    assert not torch.equal(network.weight, before)
    assert not torch.equal(state.ema.network.weight, before)
