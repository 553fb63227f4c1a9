"""Whether stored tensors fit a network, in one short sentence instead of PyTorch's one line per tensor."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

SHOWN = 5


def misfits(network: nn.Module, stored: Mapping[str, Tensor]) -> str:
    """What is missing, unknown or of another shape, the first few by name; empty where everything fits."""
    expected = network.state_dict()
    problems = [
        *(f"{key} is missing" for key in expected if key not in stored),
        *(f"{key} is not part of the network" for key in stored if key not in expected),
        *(
            f"{key} is {list(stored[key].shape)}, the network needs {list(tensor.shape)}"
            for key, tensor in expected.items()
            if key in stored and stored[key].shape != tensor.shape
        ),
    ]
    more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return "; ".join(problems[:SHOWN]) + more
