"""Device, precision and processes, by Lightning Fabric.

Fabric's own mixed precision rounds a module's inputs to bf16 before calling it: t = 999 would become 1000, and a
frozen dataclass among the inputs is an error. `InPrecision` only switches autocast on inside the network, leaves what
goes in and out alone, and on a CPU first makes sure that bf16 computes this network rightly.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import Precision
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn

from meddiff.cache.store import default_folder
from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser
from meddiff.errors import InputError
from meddiff.networks.replay import ReplayedNetwork, each
from meddiff.training.arithmetic import convolutions_in, cpu_capabilities, wrong_bf16

_logger = logging.getLogger(__name__)
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it tells of every process that it starts
PrecisionName = Literal["auto", "32", "bf16"]
PATIENCE = timedelta(days=30)
"""One process may work alone that long, while the others wait for it."""
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


def build_fabric(
    *,
    devices: int = 1,
    nodes: int = 1,
    joined: bool = False,
    precision: PrecisionName = "auto",
    accelerator: str = "auto",
) -> Fabric:
    """Build a Fabric on the GPUs where there are any, else on the CPU.

    Args:
        devices: processes of each machine, one for a GPU (gloo on CPUs). More than one are spawned by
            ``fabric.launch(function)``, a function at the top of a module that takes the fabric.
        nodes: machines.
        joined: the processes run already, as LOCAL_RANK and NODE_RANK say; ``fabric.launch()`` makes them known.
        precision: arithmetic inside the network.
        accelerator: cpu or cuda; auto takes what is there.
    """
    if accelerator == "auto":
        accelerator = device_here().type
    several = joined or devices > 1
    ours: int | list[int] = devices
    if accelerator == "cuda" and not several:  # of several processes each has another one
        ours = [torch.cuda.current_device()]
    method: Literal["popen", "spawn"] = "popen" if joined else "spawn"
    return Fabric(
        accelerator=accelerator,
        devices=ours,
        num_nodes=nodes,
        strategy=DDPStrategy(start_method=method, timeout=PATIENCE) if several else "auto",
        plugins=[NetworkPrecision(accelerator, precision), LightningEnvironment()],  # whose process this is, is known
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
        given = given if bf16 else each(given, _in_float32)  # what `encode` has made may be bf16
        with torch.autocast(self.precision.device_type, torch.bfloat16, enabled=bf16):
            return function(*given)

    def _bf16_is_right(self, function: Callable[..., Any], given: tuple) -> bool:
        if self.precision.device_type != "cpu":
            return True
        shapes: list[torch.Size] = []

        def note(part: Tensor) -> Tensor:
            shapes.append(part.shape)
            return part

        each(given, note)
        key = getattr(function, "__name__", ""), *shapes
        if key not in self._right:
            plain = getattr(self.network, "plain", self.network)
            call = plain if function is self.network else function
            one = each(given, lambda part: _in_float32(part[:1]))
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


class Compiled(nn.Module):
    """A network that torch.compile makes one program of, for each shape of its inputs; as it is where that fails.

    What is compiled is kept beside the cache of images, so that the next run begins at once.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(default_folder() / "compiled"))
        self.plain = network
        self._compiled: Callable[..., Any] = torch.compile(network, dynamic=False)
        if encode := getattr(network, "encode", None):
            self.encode = encode

    def forward(self, *given: Tensor | Condition) -> Any:
        """Return the network's output."""
        try:
            return self._compiled(*given)
        except RuntimeError as error:
            from torch._dynamo.exc import TorchDynamoException

            if not isinstance(error, TorchDynamoException):
                raise
            _say_once(f"the network is not compiled, because {str(error).strip().splitlines()[0]}")
            self._compiled = self.plain
            return self.plain(*given)


def is_compiled(device: torch.device, asked: bool | None) -> bool:
    """Say whether networks on a device are compiled: as it was asked, or on a GPU."""
    return device.type == "cuda" if asked is None else asked


@contextmanager
def kernels(device: torch.device, *, deterministic: bool) -> Iterator[None]:
    """Choose what the kernels of a block are chosen by: the same bits in every run, or, on a GPU, trials of speed.

    What PyTorch has no deterministic kernel for is named in a warning.
    """
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.benchmark,
    )
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = device.type == "cuda" and not deterministic
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = before[2]


@cache
def _say_once(sentence: str) -> None:
    _logger.warning(sentence)


def _in_float32(part: Tensor) -> Tensor:
    """Give the same numbers where no product rounds to bf16, which a layer of float32 weights refuses as its input."""
    return part.float() if part.dtype == torch.bfloat16 else part


def prepare(denoiser: Denoiser, fabric: Fabric, *, compiled: bool | None = False) -> Denoiser:
    """Return the denoiser with its network moved to the device and wrapped for precision, processes and compilation.

    ``compiled`` None compiles it on a GPU.

    The wrapped network shares its weights with the plain one, which stays what checkpoints and averages are made of.
    One that is not trained (no weight asks for a gradient: an average) belongs to this process alone, so that one
    process may draw samples while the others wait.
    """
    network: nn.Module = denoiser.network
    if is_compiled(fabric.device, compiled):
        network = Compiled(network)
    return denoiser.of(prepare_network(network, fabric))


def prepare_network(network: nn.Module, fabric: Fabric) -> nn.Module:
    """Return a network of any kind, moved and wrapped as `prepare` does."""
    precision: NetworkPrecision = fabric.strategy.precision  # type: ignore[assignment]
    if not any(parameter.requires_grad for parameter in network.parameters()):
        if fabric.device.type == "cuda":
            network = ReplayedNetwork(network, fabric.device)
        return InPrecision(network, precision).to(fabric.device)
    inside = InPrecision(network, precision)
    wrapped = fabric.setup_module(inside)
    if hasattr(network, "encode"):
        # Past Fabric, which takes no Condition apart. The processes average gradients at the weights, also those that
        # come through what was encoded here.
        object.__setattr__(wrapped, "encode", inside.encode)
    return wrapped
