"""Device, precision and processes, by Lightning Fabric.

Fabric's own mixed precision rounds a module's inputs to bf16 before calling it: t = 999 would become 1000, and a
frozen dataclass among the inputs is an error. `NetworkPrecision` only switches autocast on inside the network and
leaves what goes in and out alone.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import Precision
from torch import Tensor, nn

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser

PrecisionName = Literal["auto", "32", "bf16"]
BF16_CAPABILITIES = ("amx_bf16", "avx512_bf16", "sve_bf16", "bf16")


class NetworkPrecision(Precision):
    """float32 weights; the network's products in bf16 where asked for."""

    def __init__(self, device_type: str, *, bf16: bool) -> None:
        self.device_type = device_type
        self.bf16 = bf16
        self.precision = "bf16-mixed" if bf16 else "32-true"

    def forward_context(self) -> AbstractContextManager:
        """What the network's forward runs in."""
        return torch.autocast(self.device_type, torch.bfloat16) if self.bf16 else nullcontext()


def has_bf16(device_type: str) -> bool:
    """Whether the hardware multiplies bf16. Where it only emulates it, bf16 is slower than float32.

    On a CPU the instruction set is asked: `torch.ops.mkldnn._is_mkldnn_bf16_supported` says yes to plain AVX-512
    too. A PyTorch too old to tell counts as no.
    """
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device_type == "cpu":
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()
        return any(capabilities.get(name, False) for name in BF16_CAPABILITIES)
    return False


def network_precision(device_type: str, precision: PrecisionName = "auto") -> NetworkPrecision:
    """The arithmetic that ``precision`` means on this device; auto is bf16 where the hardware has it."""
    return NetworkPrecision(device_type, bf16=has_bf16(device_type) if precision == "auto" else precision == "bf16")


def build_fabric(*, devices: int = 1, precision: PrecisionName = "auto", accelerator: str = "auto") -> Fabric:
    """A Fabric on the GPUs where there are any, else on the CPU.

    More than one device means one spawned process each (gloo on CPUs): start them with ``fabric.launch(function)``,
    a function at the top of a module that takes the fabric.
    """
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    return Fabric(
        accelerator=accelerator,
        devices=devices,
        strategy="ddp_spawn" if devices > 1 else "auto",
        plugins=[network_precision(accelerator, precision)],
    )


class InPrecision(nn.Module):
    """A network that runs in the precision of a Fabric, and that no other process waits for."""

    def __init__(self, network: nn.Module, precision: Precision) -> None:
        super().__init__()
        self.network = network
        self.precision = precision

    def forward(self, *given: Tensor | Condition) -> Tensor:
        """The network's output."""
        with self.precision.forward_context():
            return self.network(*given)

    def encode(self, condition: Condition) -> Condition:
        """The condition with what the network makes of it alone, if it can."""
        encode = getattr(self.network, "encode", None)
        with self.precision.forward_context():
            return condition if encode is None else encode(condition)


def prepare(denoiser: Denoiser, fabric: Fabric, *, compiled: bool = False) -> Denoiser:
    """The denoiser with its network moved to the device and wrapped for precision, processes and compilation.

    The wrapped network shares its weights with the plain one, which stays what checkpoints and averages are made of.
    One that is not trained (no weight asks for a gradient: an average) belongs to this process alone, so that one
    process may draw samples while the others wait.
    """
    network: nn.Module = denoiser.network
    if compiled:
        network = torch.compile(network)  # type: ignore[assignment]
    return Denoiser(prepare_network(network, fabric), denoiser.schedule, denoiser.prediction)


def prepare_network(network: nn.Module, fabric: Fabric) -> nn.Module:
    """A network of any kind, moved and wrapped as `prepare` does."""
    if not any(parameter.requires_grad for parameter in network.parameters()):
        return InPrecision(network.to(fabric.device), fabric.strategy.precision)
    wrapped = fabric.setup_module(network)
    if hasattr(network, "encode"):
        wrapped.mark_forward_method("encode")
    return wrapped
