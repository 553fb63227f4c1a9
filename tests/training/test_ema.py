import torch
from torch import nn

from meddiff.training.ema import Ema


def test_the_average_follows_the_formula():
    network = nn.Linear(3, 2)
    ema = Ema(network, decay=0.5)
    expected = network.weight.detach().double()
    for step in range(1, 9):
        with torch.no_grad():
            network.weight.normal_(generator=torch.Generator().manual_seed(step))
        ema.update(network, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network.weight.detach().double()
        torch.testing.assert_close(ema.network.weight.double(), expected, rtol=1e-6, atol=1e-7)
    assert decay == 0.5  # the ramp has ended: both branches were seen


def test_buffers_are_copied_and_the_average_stands_apart():
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    ema = Ema(network, decay=0.9)
    network(torch.randn(8, 3))
    before = ema.network[0].weight.clone()
    with torch.no_grad():
        network[0].weight.add_(1)
    assert torch.equal(ema.network[0].weight, before)
    ema.update(network, 1)
    assert torch.equal(ema.network[1].running_mean, network[1].running_mean)
    assert ema.network[1].num_batches_tracked == 1
    assert not ema.network.training
    assert not any(parameter.requires_grad for parameter in ema.network.parameters())


def test_state_goes_round():
    first, second = Ema(nn.Linear(3, 2), 0.9), Ema(nn.Linear(3, 2), 0.9)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.network.weight, second.network.weight)
