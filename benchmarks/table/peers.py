"""The peers' networks of one size, each with the optimizer and average of its own examples; called, never copied.

What is not installed is left out with a sentence: pip install '.[benchmark]'. Some of them import torchvision for data
sets and trained networks that play no part here: where it is missing, an empty stand-in takes its place.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from unittest.mock import MagicMock

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.flop_counter import FlopCounterMode

STAND_IN = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.datasets",
            "torchvision.models", "torchvision.utils")  # fmt: skip


@dataclass(frozen=True)
class Size:
    """What all networks of a topic share."""

    channels: tuple[int, ...]
    image_size: int
    batch: int
    attention_levels: int = 2
    classes: int = 2


@dataclass(frozen=True)
class Peer:
    """Another package's network, as (x_t, t [B], label [B]) -> like x_t."""

    name: str
    module: str
    """What must be installed."""
    build: Callable[[Size], tuple[nn.Module, Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]]]


def _monai(size: Size) -> tuple[nn.Module, Callable]:
    from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet

    attends = [level >= len(size.channels) - size.attention_levels for level in range(len(size.channels))]
    network = DiffusionModelUNet(
        spatial_dims=2, in_channels=3, out_channels=3, channels=size.channels, attention_levels=attends,
        num_res_blocks=2, num_head_channels=32, norm_num_groups=min(32, *size.channels),
        num_class_embeds=size.classes + 1,
    )  # fmt: skip
    return network, lambda net, x, t, label: net(x, timesteps=t, class_labels=label)


def _diffusers(size: Size) -> tuple[nn.Module, Callable]:
    from diffusers.models.unets.unet_2d import UNet2DModel

    attends = [level >= len(size.channels) - size.attention_levels for level in range(len(size.channels))]
    network = UNet2DModel(
        sample_size=size.image_size, in_channels=3, out_channels=3, block_out_channels=size.channels,
        down_block_types=tuple("AttnDownBlock2D" if one else "DownBlock2D" for one in attends),
        up_block_types=tuple("AttnUpBlock2D" if one else "UpBlock2D" for one in reversed(attends)),
        layers_per_block=2, attention_head_dim=32, norm_num_groups=min(32, *size.channels),
        num_class_embeds=size.classes + 1,
    )  # fmt: skip
    return network, lambda net, x, t, label: net(x, t, class_labels=label).sample


def _lucidrains(size: Size) -> tuple[nn.Module, Callable]:
    from denoising_diffusion_pytorch import Unet

    mults = (1, 2, 4, 6) if len(size.channels) == 4 else (1, 2)
    network = Unet(dim=size.channels[0], dim_mults=mults, flash_attn=False)
    return network, lambda net, x, t, label: net(x, t)


PEERS = (
    Peer("MONAI", "monai", _monai),
    Peer("diffusers", "diffusers", _diffusers),
    Peer("denoising-diffusion-pytorch", "denoising_diffusion_pytorch", _lucidrains),
)


def why_not(module: str) -> str:
    """Explain why a module cannot be used; empty where it can."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        return f"is left out: {error} (pip install '.[benchmark]')"
    return ""


def stand_in() -> None:
    """Put an empty torchvision in place where there is none."""
    if importlib.util.find_spec("torchvision") is None:
        for name in STAND_IN:
            sys.modules[name] = MagicMock(__spec__=importlib.machinery.ModuleSpec(name, None), __path__=[])


class PeerTraining:
    """A peer's network in training: eps, mean squared error, AdamW, clipping, an average of the weights."""

    def __init__(self, peer: Peer, size: Size, device: torch.device, *, bf16: bool, compiled: bool = False) -> None:
        torch.manual_seed(0)
        network, self._call = peer.build(size)
        self.network = network.to(device).train()
        self.forward = torch.compile(self.network) if compiled else self.network
        self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(0.9995))
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=2e-4)
        self._autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled=bf16)
        self.size, self._device = size, device
        self.weights = sum(weight.numel() for weight in self.network.parameters())

    def step(self) -> Tensor:
        """Train one step on drawn images."""
        size, device = self.size, self._device
        x_0 = torch.rand(size.batch, 3, size.image_size, size.image_size, device=device) * 2 - 1
        eps, t = torch.randn_like(x_0), torch.randint(0, 1000, (size.batch,), device=device)
        label = torch.randint(0, size.classes, (size.batch,), device=device)
        share = (torch.cos(t / 1000 * 1.57) ** 2).view(-1, 1, 1, 1)
        with self._autocast():
            said = self._call(self.forward, share.sqrt() * x_0 + (1 - share).sqrt() * eps, t, label)
        loss = functional.mse_loss(said.float(), eps)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update_parameters(self.network)
        return loss

    @torch.inference_mode()
    def draw(self, steps: int, guidance: float) -> Tensor:
        """Draw a batch of images: DDIM with classifier-free guidance on a doubled batch, as its examples do."""
        size, device = self.size, self._device
        x = torch.randn(size.batch, 3, size.image_size, size.image_size, device=device)
        label = torch.randint(0, size.classes, (size.batch,), device=device)
        both = torch.cat((label, torch.full_like(label, size.classes)))
        times = torch.linspace(999, 1, steps).long().tolist()
        for t, s in zip(times, [*times[1:], 0], strict=True):
            share, later = (float(torch.cos(torch.tensor(one / 1000 * 1.57)) ** 2) for one in (t, s))
            at = torch.full((2 * size.batch,), t, device=device)
            with self._autocast():
                told, untold = self._call(self.forward, torch.cat((x, x)), at, both).float().chunk(2)
            eps = untold + guidance * (told - untold)
            x_0 = (x - (1 - share) ** 0.5 * eps) / share**0.5
            x = later**0.5 * x_0.clamp(-1, 1) + (1 - later) ** 0.5 * eps
        return x


def flops(run: Callable[[], object]) -> float:
    """Count the floating point operations of a run, by doing it twice."""
    run()  # what is done once, and not in every run
    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())
