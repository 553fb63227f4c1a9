"""The check that bf16 convolutions of this processor are right, made before anything is trained with them.

PyTorch hands bf16 convolutions on a CPU to kernels that differ by processor and by the size of the image. With torch
2.13 the weight gradient is uninitialised memory for 3 x 3 x 3 convolutions over an axis of two voxels on processors
with avx512_bf16 and no AMX, and for convolutions of stride 2 over a single pixel on those with AMX too
(pytorch#163347, #169688). A training then dies in its first steps, or goes on with garbage. What a processor announces
is therefore not believed: every convolution that a network is about to do is tried once per process in bf16 and in
float32, forward and backward, and the two are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

LARGEST_ERROR = 0.05
"""Norm of the difference over norm of the float32 result. A right kernel stays below 0.01 (bf16 rounds by 2^-9), wrong
ones were measured between 0.1 and infinity."""
WIDEST = 64
"""Channels of a convolution that is tried, at most: kernels work on blocks of 16 and 32."""
LONGEST = 8
"""Pixels per axis of the image that it is tried on, at most: wrong were axes of one and two."""
REPEATS = 3
"""Uninitialised memory may hold the right answer once."""
KINDS = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Convolution:
    """A convolution over an image of some size: all that chooses its kernel."""

    build: type[_ConvNd]
    channels: tuple[int, int]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...] | str
    dilation: tuple[int, ...]
    groups: int
    size: tuple[int, ...]

    @classmethod
    def of(cls, module: _ConvNd, size: Iterable[int]) -> Convolution:
        """Return the convolution of a module over an image of this size, as small as tells the same."""
        channels = module.in_channels, module.out_channels
        reach = (d * (k - 1) + 1 for d, k in zip(module.dilation, module.kernel_size, strict=True))
        return cls(
            next(kind for kind in KINDS if isinstance(module, kind)),
            channels if module.groups > 1 else (min(WIDEST, channels[0]), min(WIDEST, channels[1])),
            module.kernel_size, module.stride, module.padding, module.dilation, module.groups,
            tuple(min(side, max(LONGEST, least)) for side, least in zip(size, reach, strict=True)),
        )  # fmt: skip

    def __str__(self) -> str:
        """Return the convolution as a message names it."""
        kernel, size = (" x ".join(map(str, sides)) for sides in (self.kernel, self.size))
        return f"{kernel} convolution with stride {max(self.stride)} over {size}"


@cache
@torch.inference_mode(False)
@torch.enable_grad()
def bf16_error(convolution: Convolution) -> float:
    """Measure the largest relative error in bf16 of output, input and weight gradient; inf if one is not finite."""
    generator = torch.Generator().manual_seed(0)
    module = cast(Any, convolution.build)(
        *convolution.channels, convolution.kernel, stride=convolution.stride, padding=convolution.padding,
        dilation=convolution.dilation, groups=convolution.groups, bias=False,
    )  # fmt: skip
    module.weight.data = torch.randn(module.weight.shape, generator=generator) / module.weight[0].numel() ** 0.5
    image = torch.randn((2, convolution.channels[0], *convolution.size), generator=generator)
    exact, errors = _results(module, image, bf16=False), []
    for repeat in range(REPEATS):
        _fill_freed_memory(10.0 ** (2 * repeat))
        for rounded, right in zip(_results(module, image, bf16=True), exact, strict=True):
            errors.append(((rounded - right).norm() / right.norm().clamp_min(1e-30)).item())
    return max(error if error == error else float("inf") for error in errors)


def _results(module: _ConvNd, image: Tensor, *, bf16: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return the output, gradient by the image and gradient by the weights of a smooth function of the output."""
    image = image.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        output = module(image)
    by_image, by_weight = torch.autograd.grad(output.float().sin().sum(), (image, module.weight))
    return output.detach().float(), by_image.float(), by_weight.float()


def _fill_freed_memory(value: float) -> None:
    """Leave ``value`` in memory that is given out again, so that a kernel that forgets to write is seen."""
    for count in (1_000, 30_000, 200_000):
        torch.full((count,), value)


def convolutions_in(network: nn.Module, call: Callable[..., Any], *given: Any) -> set[Convolution]:
    """Return the convolutions that ``network`` does in ``call(*given)``, by a trial in float32 that leaves no trace."""
    seen: set[Convolution] = set()

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.add(Convolution.of(cast(_ConvNd, module), inputs[0].shape[2:]))

    hooks = [module.register_forward_pre_hook(note) for module in network.modules() if isinstance(module, _ConvNd)]
    try:
        with _in_evaluation(network), torch.no_grad(), torch.autocast("cpu", enabled=False):
            call(*given)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


@contextmanager
def _in_evaluation(network: nn.Module) -> Iterator[None]:
    """Keep a network in evaluation mode, where it draws nothing and keeps no statistics; then restore each module."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def wrong_bf16(
    convolutions: Iterable[Convolution],
    *,
    capabilities: Iterable[str] | None = None,
) -> str:
    """Explain why bf16 cannot be trusted with these convolutions on this CPU; empty where it can.

    Args:
        convolutions: those that are about to be done.
        capabilities: instruction sets of the processor; None asks PyTorch.
    """
    having = set(cpu_capabilities() if capabilities is None else capabilities)
    ordered = sorted(convolutions, key=str)
    if "avx512_bf16" in having and "amx_bf16" not in having and any(len(one.size) == 3 for one in ordered):
        return (
            "on processors with avx512_bf16 and no AMX, PyTorch leaves gradients of 3D convolutions in bf16 "
            "uninitialised (pytorch#163347)"
        )
    for one in ordered:
        if (off := bf16_error(one)) > LARGEST_ERROR:
            return (
                f"on this processor a {one} in bf16 differs from float32 by {off:.3g} of its result, where rounding "
                "explains 0.01"
            )
    return ""


def cpu_capabilities() -> tuple[str, ...]:
    """List the instruction sets of this CPU, as PyTorch calls them; empty where it is too old to tell."""
    known: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return tuple(name for name, has in known.items() if has is True)
