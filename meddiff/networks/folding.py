"""Fold small patches of pixels into channels, and back: what pixel_unshuffle does, in any number of dimensions.

A network that works on patches of p pixels per side runs on p^d times fewer positions. Nothing is lost: folding is
a permutation of the values. Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient
Sub-Pixel Convolutional Neural Network", 2016, introduced it for upsampling.
"""

from __future__ import annotations

import torch.nn.functional as functional
from torch import Tensor


def fold(x: Tensor, patch_size: int) -> Tensor:
    """Map [B, C, *S] -> [B, C * p^d, *S / p]; every side of S must be a multiple of p."""
    if patch_size == 1:
        return x
    batch, channels, *sides = x.shape
    split = [part for side in sides for part in (side // patch_size, patch_size)]
    x = x.reshape(batch, channels, *split)  # [B, C, S1/p, p, S2/p, p, ...]
    coarse, fine = range(2, 2 + len(split), 2), range(3, 2 + len(split), 2)
    x = x.permute(0, 1, *fine, *coarse)
    return x.reshape(batch, channels * patch_size ** len(sides), *(side // patch_size for side in sides))


def unfold(x: Tensor, patch_size: int) -> Tensor:
    """Return the inverse of `fold`: [B, C * p^d, *S] -> [B, C, *S * p]."""
    if patch_size == 1:
        return x
    batch, folded, *sides = x.shape
    rank = len(sides)
    x = x.reshape(batch, folded // patch_size**rank, *(patch_size,) * rank, *sides)
    order = [axis for i in range(rank) for axis in (2 + rank + i, 2 + i)]
    return x.permute(0, 1, *order).reshape(batch, -1, *(side * patch_size for side in sides))


def pad_to_multiple(x: Tensor, multiple: int) -> tuple[Tensor, tuple[slice, ...]]:
    """Put zeros around ``x`` [B, C, *S] so that every side is a multiple; also the slices that cut ``x`` out again.

    The padding is shared between both ends, so a mirrored image is padded to a mirrored one where it is even.
    """
    extra = [-side % multiple for side in x.shape[2:]]
    window = tuple(slice(more // 2, more // 2 + side) for more, side in zip(extra, x.shape[2:], strict=True))
    if any(extra):
        pads = [end for more in reversed(extra) for end in (more // 2, more - more // 2)]
        x = functional.pad(x, pads)
    return x, (slice(None), slice(None), *window)
