"""Device, precision and processes, by Lightning Fabric.

Fabric's own mixed precision rounds a module's inputs to bf16 before calling it: t = 999 would become 1000, and a
frozen dataclass among the inputs is an error. `InPrecision` only switches autocast on inside the network, leaves what
goes in and out alone, and on a CPU first makes sure that bf16 computes this network rightly.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import Precision
from torch import Tensor, nn

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser
from meddiff.errors import InputError
from meddiff.training.arithmetic import convolutions_in, cpu_capabilities, wrong_bf16

_logger = logging.getLogger(__name__)
PrecisionName = Literal["auto", "32", "bf16"]
BF16_CAPABILITIES = ("amx_bf16", "avx512_bf16", "sve_bf16", "bf16")


class NetworkPrecision(Precision):
    """The precision asked for of a run's networks; `InPrecision` does it, Fabric itself converts nothing."""

    def __init__(self, device_type: str, asked: PrecisionName = "auto") -> None:
        self.device_type = device_type
        self.asked = asked
        self.bf16 = has_bf16(device_type) if asked == "auto" else asked == "bf16"
        self.precision = "bf16-mixed" if self.bf16 else "32-true"


def has_bf16(device_type: str) -> bool:
    """Say whether the hardware multiplies bf16. Where it only emulates it, bf16 is slower than float32.

    On a CPU the instruction set is asked: `torch.ops.mkldnn._is_mkldnn_bf16_supported` says yes to plain AVX-512
    too. A PyTorch too old to tell counts as no. Whether the products are right is another question (`InPrecision`).
    """
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device_type == "cpu" and not set(BF16_CAPABILITIES).isdisjoint(cpu_capabilities())


def device_here() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def build_fabric(*, devices: int = 1, precision: PrecisionName = "auto", accelerator: str = "auto") -> Fabric:
    """Build a Fabric on the GPUs where there are any, else on the CPU.

    More than one device means one spawned process each (gloo on CPUs): start them with ``fabric.launch(function)``,
    a function at the top of a module that takes the fabric.
    """
    if accelerator == "auto":
        accelerator = device_here().type
    return Fabric(
        accelerator=accelerator,
        devices=devices,
        strategy="ddp_spawn" if devices > 1 else "auto",
        plugins=[NetworkPrecision(accelerator, precision)],
    )


class InPrecision(nn.Module):
    """A network whose products are computed in the precision that was asked for.

    On a CPU bf16 is tried on the convolutions of the first call of every shape (see `training.arithmetic`). Where they
    are wrong, auto means float32 for calls of that shape, which one sentence says; a run that is resumed decides alike.
    """

    def __init__(self, network: nn.Module, precision: NetworkPrecision) -> None:
        super().__init__()
        self.network = network
        self.precision = precision
        self._right: dict[tuple, bool] = {}
        """What was found of bf16 for each shape of call."""

    def forward(self, *given: Tensor | Condition) -> Any:
        """Return the network's output.

        Raises:
            InputError: bf16 was asked for, and on this CPU it is wrong for this network.
        """
        return self.call(self.network, *given)

    def encode(self, condition: Condition) -> Condition:
        """Return the condition with what the network makes of it alone, if it can."""
        encode = getattr(self.network, "encode", None)
        return condition if encode is None else self.call(encode, condition)

    def call(self, function: Callable[..., Any], *given: Tensor | Condition) -> Any:
        """Return ``function(*given)``, a function of the network, in the right precision.

        Raises:
            InputError: bf16 was asked for, and on this CPU it is wrong for this network.
        """
        bf16 = self.precision.bf16 and self._bf16_is_right(function, given)
        given = given if bf16 else _each(given, _in_float32)  # what `encode` has made may be bf16
        with torch.autocast(self.precision.device_type, torch.bfloat16, enabled=bf16):
            return function(*given)

    def _bf16_is_right(self, function: Callable[..., Any], given: tuple) -> bool:
        if self.precision.device_type != "cpu":
            return True
        shapes: list[torch.Size] = []

        def note(part: Tensor) -> Tensor:
            shapes.append(part.shape)
            return part

        _each(given, note)
        key = getattr(function, "__name__", ""), *shapes
        if key not in self._right:
            plain = getattr(self.network, "_orig_mod", self.network)  # what torch.compile was given
            call = plain if function is self.network else function
            one = _each(given, lambda part: _in_float32(part[:1]))
            reason = wrong_bf16(convolutions_in(plain, call, *one))
            if reason and self.precision.asked == "bf16":
                raise InputError(
                    f"training.precision is bf16, but {reason}: use --training.precision 32, or auto, which takes "
                    "float32 here"
                )
            if reason:
                _say_once(f"computing in float32: {reason}")
            self._right[key] = not reason
        return self._right[key]


@cache
def _say_once(sentence: str) -> None:
    _logger.warning(sentence)


def _in_float32(part: Tensor) -> Tensor:
    """Give the same numbers where no product rounds to bf16, which a layer of float32 weights refuses as its input."""
    return part.float() if part.dtype == torch.bfloat16 else part


def _each(given: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return the arguments of a call with every tensor changed, those in tuples, dictionaries and data classes too."""
    if isinstance(given, Tensor):
        return change(given)
    if isinstance(given, tuple):
        return tuple(_each(part, change) for part in given)
    if isinstance(given, Mapping):
        return {name: _each(part, change) for name, part in given.items()}
    if is_dataclass(given) and not isinstance(given, type):
        return replace(given, **{part.name: _each(getattr(given, part.name), change) for part in fields(given)})
    return given


def prepare(denoiser: Denoiser, fabric: Fabric, *, compiled: bool = False) -> Denoiser:
    """Return the denoiser with its network moved to the device and wrapped for precision, processes and compilation.

    The wrapped network shares its weights with the plain one, which stays what checkpoints and averages are made of.
    One that is not trained (no weight asks for a gradient: an average) belongs to this process alone, so that one
    process may draw samples while the others wait.
    """
    network: nn.Module = denoiser.network
    if compiled:
        network = torch.compile(network)  # type: ignore[assignment]
    return denoiser.of(prepare_network(network, fabric))


def prepare_network(network: nn.Module, fabric: Fabric) -> nn.Module:
    """Return a network of any kind, moved and wrapped as `prepare` does."""
    inside = InPrecision(network, fabric.strategy.precision)  # type: ignore[arg-type]
    if not any(parameter.requires_grad for parameter in network.parameters()):
        return inside.to(fabric.device)
    wrapped = fabric.setup_module(inside)
    if hasattr(network, "encode"):
        # Past Fabric, which takes no Condition apart. The processes average gradients at the weights, also those that
        # come through what was encoded here.
        object.__setattr__(wrapped, "encode", inside.encode)
    return wrapped
