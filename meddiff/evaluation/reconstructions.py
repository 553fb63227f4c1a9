"""Reconstructions of images from codes: the baseline without learning, and statistics of codes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional


def as_few(shape: Sequence[int], numbers: int) -> tuple[int, ...]:
    """Return the sides of an image like one of the shape (C, *S) that holds that many numbers, or a few more."""
    share = (numbers / math.prod(shape)) ** (1 / (len(shape) - 1))
    return tuple(max(1, math.ceil(side * share - 1e-6)) for side in shape[1:])


def down_and_up(images: Tensor, size: Sequence[int]) -> Tensor:
    """Make images [N, C, *S] in [-1, 1] smaller and as large again, by bicubic interpolation along each axis.

    Making smaller averages over what one pixel stands for, so that nothing aliases.
    """
    for axis, (side, small) in enumerate(zip(images.shape[2:], size, strict=True), start=2):
        both = _resizing(small, side) @ _resizing(side, small)
        images = torch.tensordot(images, both.to(images), dims=([axis], [1])).movedim(-1, axis)
    return images.clamp(-1, 1)


def _resizing(side: int, wanted: int) -> Tensor:
    """Return the matrix [wanted, side] of bicubic interpolation along one axis."""
    lines = functional.interpolate(
        torch.eye(side)[:, None, None], size=(1, wanted), mode="bicubic", antialias=wanted < side
    )  # fmt: skip
    return lines[:, 0, 0].T


def code_statistics(codes: Iterable[tuple[Tensor, Tensor]]) -> pd.DataFrame:
    """Describe each channel of codes, given as batches of their means and deviations [N, K, *s].

    Returns one row per channel: channel, mean, deviation (of the means), noise_share (mean variance of a code around
    its mean, over that and the variance of the means): what of a drawn code no denoiser can foresee.
    """
    count, sums = 0, np.zeros((3, 1))
    for mean, deviation in codes:
        own, spread = (part.transpose(0, 1).flatten(1).double().numpy() for part in (mean, deviation))
        count, sums = count + own.shape[1], sums + np.stack([own.sum(1), (own**2).sum(1), (spread**2).sum(1)])
    mean, square, noise = sums / max(1, count)
    variance = np.maximum(square - mean**2, 0)
    return pd.DataFrame({
        "channel": np.arange(len(mean)), "mean": mean, "deviation": np.sqrt(variance),
        "noise_share": noise / np.maximum(noise + variance, 1e-30),
    })  # fmt: skip


def noise_share(statistics: pd.DataFrame) -> float:
    """Return the share of the variance of whole codes that is noise."""
    variance = statistics["deviation"].to_numpy() ** 2
    share = statistics["noise_share"].to_numpy()
    noise = variance * share / np.maximum(1 - share, 1e-12)
    return float(noise.sum() / (noise + variance).sum())
