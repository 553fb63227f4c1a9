"""DINOv2 (Oquab et al. 2024) as a feature extractor: a vision transformer from a local file of the published weights.

Stein et al. 2023 ("Exposing flaws of generative model evaluation metrics") found that distances of its class token
agree with people where those of Inception do not. The file says which size it is (dinov2_vits14 to vitl14: width and
number of blocks are read off the tensors; the giant has another kind of layer and is refused).

What it is given: 224 x 224 pixels, bicubic with antialiasing, and the mean and standard deviation of ImageNet. The
positions were learned on 37 x 37 patches and are brought to 16 x 16 as the authors do: bicubic, not antialiased, at a
scale of 16.1 / 37.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from meddiff.errors import InputError
from meddiff.networks.features.network import FeatureNetwork
from meddiff.networks.published import load_published, read_tensors

SIDE, PATCH, HEAD = 224, 14, 64
OFFSET = 0.1
"""Added to the number of patches before the positions' scale is computed, as in the published code."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Attention(nn.Module):
    """Self-attention with heads of 64."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, L, D] -> [B, L, D]."""
        parts = self.qkv(x).unflatten(-1, (3, -1, HEAD)).permute(2, 0, 3, 1, 4)
        return self.proj(functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))


class Scale(nn.Module):
    """A learned factor per channel (Touvron et al. 2021)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Run the block; the result is like x."""
        return x * self.gamma


class Block(nn.Module):
    """Attention and a perceptron, each normalized before and scaled after."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn, self.ls1, self.ls2 = Attention(width), Scale(width), Scale(width)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, L, D] -> [B, L, D]."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp["fc2"](functional.gelu(self.mlp["fc1"](self.norm2(x)))))


class Transformer(nn.Module):
    """Under the names of the published file."""

    def __init__(self, width: int, depth: int, positions: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, positions, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, PATCH, PATCH)})
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, image: Tensor) -> Tensor:
        """Map [B, 3, H, W], normalized -> the class token [B, D]."""
        patches = self.patch_embed["proj"](image)
        x = torch.cat([self.cls_token.expand(len(image), -1, -1), patches.flatten(2).transpose(1, 2)], 1)
        x = x + self._positions(patches.shape[2:])
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, 0]

    def _positions(self, grid: torch.Size) -> Tensor:
        """Return [1, 1 + patches, D]."""
        side = round((self.pos_embed.shape[1] - 1) ** 0.5)
        if tuple(grid) == (side, side):
            return self.pos_embed
        learned = self.pos_embed[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
        scales = [(count + OFFSET) / side for count in grid]
        resized = functional.interpolate(learned, scale_factor=scales, mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], resized.flatten(2).transpose(1, 2)], 1)


class DinoFeatures(FeatureNetwork):
    """``features`` turns images of any size into as many numbers as the file's transformer is wide (384 to 1024)."""

    preprocessing = "224 x 224, bicubic, antialiased, mean and deviation of ImageNet"

    def __init__(self, file: str | Path) -> None:
        super().__init__()
        stored = read_tensors(file, "DINOv2")
        self.body = Transformer(*_sizes(stored, file))
        load_published(self.body, stored, str(file))

    def _of_rgb(self, image: Tensor) -> Tensor:
        image = functional.interpolate(image, (SIDE, SIDE), mode="bicubic", antialias=True, align_corners=False)
        mean, deviation = (image.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, DEVIATION))
        return self.body(((image.clamp(-1, 1) + 1) / 2 - mean) / deviation)


def _sizes(stored: Mapping[str, Tensor], file: str | Path) -> tuple[int, int, int]:
    """Return the width, blocks and positions that the tensors belong to."""
    positions = stored.get("pos_embed")
    blocks = {name.split(".")[1] for name in stored if name.startswith("blocks.")}
    whole = positions is not None and positions.ndim == 3 and round((positions.shape[1] - 1) ** 0.5) ** 2 + 1
    if positions is None or not blocks or whole != positions.shape[1] or positions.shape[2] % HEAD:
        raise InputError(f"{file} has no pos_embed and blocks of a DINOv2 transformer: give dinov2_vitl14_pretrain.pth")
    if "register_tokens" in stored or any(".w12." in name for name in stored):
        raise InputError(f"{file} is a DINOv2 with registers, or the giant: give dinov2_vits14, vitb14 or vitl14")
    return positions.shape[2], len(blocks), positions.shape[1]
