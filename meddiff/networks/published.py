"""The fit of stored tensors to a network, in one short sentence instead of PyTorch's one line per tensor.

Weights as their authors publish them: safetensors, or PyTorch's own format read without running what is in it.

PyTorch's format is a pickle. Its restricted reader (``weights_only``) makes tensors and plain containers of it and
refuses everything else, so a file from elsewhere runs no code here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from meddiff.errors import InputError

SHOWN = 5


def misfits(network: nn.Module, stored: Mapping[str, Tensor]) -> str:
    """List what is missing, unknown or of another shape, the first few by name; empty where everything fits."""
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


INSIDE = ("state_dict", "model", "model_state_dict", "teacher")
"""Where a file that holds more than tensors has them."""


def read_tensors(file: str | Path, what: str) -> dict[str, Tensor]:
    """Read the tensors of a .safetensors file, or of a .pt, .pth or .bin file, by their names.

    Raises:
        InputError: there is no such file, or it is not one of tensors.
    """
    path = Path(file)
    if not path.is_file():
        raise InputError(f"no weights of {what} at {path}: give a local file with --weights")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} is no file of tensors ({reason}): give the weights of {what} as published") from error
    for name in INSIDE:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(f"{path} holds {type(content).__name__}, not tensors by name: give the weights of {what}")
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def load_published(
    network: nn.Module, stored: Mapping[str, Tensor], where: str, *, ignored: Callable[[str], bool] = lambda _: False
) -> None:
    """Load tensors into a network, which must have exactly these; then freeze it, in evaluation mode.

    ``ignored`` names the tensors of the file that belong to a part the network does not have (a last layer). Counters
    of batches, which some converters leave out, do not matter.

    Raises:
        InputError: what is missing, unknown or of another shape.
    """
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    kept = {name: value for name, value in stored.items() if not ignored(name) and name not in counters}
    if problems := misfits(network, kept | counters):
        raise InputError(f"the weights of {where} do not fit: {problems}")
    network.load_state_dict(kept | counters)
    network.requires_grad_(False).eval()
