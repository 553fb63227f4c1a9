"""Windows that slide over an image or volume larger than a network takes, and how their answers become one.

Neighbors overlap and are blended with weights that fall off towards a window's border (a Gaussian of an eighth of the
window, Isensee et al. 2021), so the border of one window is decided by another, which sees more around it.

A diffusion sampler is not run window by window: members would be drawn apart and meet in seams. `tile` makes of
denoisers of the windows one of the whole x_t, with one noise field for all; every step of the sampler blends (Bar-Tal
et al. 2023, MultiDiffusion, eq. 5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from monai.data.utils import compute_importance_map, dense_patch_slices
from torch import Tensor

from meddiff.diffusion.denoiser import Denoise

Window = tuple[slice, ...]


@dataclass(frozen=True)
class Tiles:
    """The windows over one image."""

    shape: tuple[int, ...]
    """*S of the image."""
    windows: tuple[Window, ...]
    """Which part each window sees; one window sees all where the image is no larger than it."""
    weight: Tensor
    """[*window] of a window's answer."""

    def blend(self, answers: Callable[[int, Window], Tensor]) -> Tensor:
        """Return the weighted mean of the windows' answers.

        Args:
            answers: (number of the window, window) -> [..., *window].

        Returns:
            [..., *S].
        """
        if len(self.windows) == 1:
            return answers(0, self.windows[0])
        total: Tensor | None = None
        weights = torch.zeros(self.shape)
        for number, window in enumerate(self.windows):
            answer = answers(number, window)
            weight = self.weight.to(answer)
            if total is None:
                total = answer.new_zeros(*answer.shape[: answer.ndim - len(self.shape)], *self.shape)
                weights = weights.to(answer)
            total[..., *window] += weight * answer
            weights[window] += weight
        assert total is not None  # there is at least one window
        return total / weights


def tiles(shape: Sequence[int], window: Sequence[int], *, overlap: float = 0.5) -> Tiles:
    """Return windows that cover an image.

    Args:
        shape: *S of the image.
        window: their size; a side longer than the image's is the image's.
        overlap: share of a window that its neighbor covers too, 0 to under 1.
    """
    size = tuple(min(side, most) for side, most in zip(shape, window, strict=True))
    stride = tuple(max(1, round(side * (1 - overlap))) for side in size)
    windows = dense_patch_slices(tuple(shape), size, stride)
    weight = compute_importance_map(size, mode="gaussian", sigma_scale=0.125)
    return Tiles(tuple(shape), tuple(windows), torch.as_tensor(weight))


def tile(denoise_of: Callable[[int], Denoise], windows: Tiles) -> Denoise:
    """Make a denoiser of the whole from denoisers of its parts.

    Args:
        denoise_of: number of a window -> what denoises it.
        windows: how the whole is cut.
    """

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        return windows.blend(lambda number, window: denoise_of(number)(x_t[..., *window], t))

    return denoise
