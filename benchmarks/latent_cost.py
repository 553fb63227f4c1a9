"""What a step of diffusion costs in pixels and in codes: floating point operations, and seconds of one processor core.

    python benchmarks/latent_cost.py                  # 256 px; volumes of 128 x 128 x 128 by their operations alone

The same network, that of the preset standard, denoises a picture, and its codes on grids 4 and 8 times coarser. The
autoencoder is asked once per training image, and once per drawn one, whatever the number of steps.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from meddiff.diffusion.condition import Condition
from meddiff.jobs.describe import LONG_S, cost
from meddiff.networks.latent_autoencoder import LatentAutoencoder
from meddiff.networks.unet import ConditionalUNet
from meddiff.recipe import Recipe
from meddiff.recipe.autoencode import CodeRecipe


def denoiser(channels: int, dimensions: int) -> ConditionalUNet:
    """The network of the preset standard, told one of seven classes."""
    own = Recipe().network
    return ConditionalUNet(
        channels, channels, channels=own.channels, residual_blocks=own.residual_blocks,
        attention_levels=own.attention_levels if dimensions == 2 else 0, head_channels=own.head_channels, num_classes=7,
        spatial_dims=dimensions,
    )  # fmt: skip


def autoencoder(channels: int, factor: int, dimensions: int) -> LatentAutoencoder:
    """The autoencoder of the preset standard, folded until its code is as coarse as asked for."""
    own = CodeRecipe()
    levels = 2 ** (len(own.channels) - 1)
    return LatentAutoencoder(
        channels, channels=own.channels, latent_channels=own.latent_channels, residual_blocks=own.residual_blocks,
        patch_size=factor // levels, spatial_dims=dimensions,
    )  # fmt: skip


def call(shape: tuple[int, ...]) -> Callable[[nn.Module], Tensor]:
    """Ask a denoiser once about something of the shape (C, *S)."""
    return lambda network: network(
        torch.zeros(1, *shape), torch.ones(1), Condition(label=torch.zeros(1, dtype=torch.int64))
    )


def seconds(network: nn.Module, shape: tuple[int, ...]) -> float:
    """Processor seconds of a training step of one image, the second time where the first was no long one."""
    spent = 0.0
    for _ in range(2):
        began = time.process_time()
        call(shape)(network).square().sum().backward()
        spent = time.process_time() - began
        if spent > LONG_S:
            break
    return spent


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=256, help="pixels of the picture (%(default)s)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'what is denoised':34}{'shape':>20}{'GFLOP a call':>14}{'share':>8}{'seconds a step':>16}")
    for dimensions, channels, side in ((2, 3, given.side), (3, 1, 128)):
        whole = 0
        for factor in (1, 4, 8):
            shape = (4 if factor > 1 else channels, *(side // factor,) * dimensions)
            network = denoiser(shape[0], dimensions)
            own = cost(network, call(shape)).forward
            whole = whole or own
            took = f"{seconds(network, shape):16.2f}" if dimensions == 2 else " " * 16
            name = "pixels" if factor == 1 else f"codes, {factor} times coarser"
            print(f"{name:34}{' x '.join(map(str, shape)):>20}{own / 1e9:14.1f}{own / whole:8.1%}{took}")
            if factor > 1:
                image = torch.zeros(1, channels, *(side,) * dimensions)
                once = cost(autoencoder(channels, factor, dimensions), lambda network: network(image)).forward  # noqa: B023
                print(f"{'  encoding and decoding, once':54}{once / 1e9:14.1f}{once / whole:8.1%}")


if __name__ == "__main__":
    main()
