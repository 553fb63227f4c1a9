"""Guidance: sharpening what a denoiser was told. It wraps denoisers and IS a denoiser.

Classifier-free guidance (Ho & Salimans 2022, eq. 6) goes beyond the told estimate, away from the untold one:

    x_0 = x_0_untold + scale (x_0_told - x_0_untold)

They write it for eps with scale = 1 + w; since x_0 is linear in eps with weights that sum to one on both sides, the
guided x_0 is that of the guided eps. Autoguidance (Karras et al. 2024) is the same formula with a weaker denoiser
(smaller, or trained for less time) in place of the untold one: ``guide(bind(good, c), bind(weak, c), 2)``.

Thresholding keeps estimates inside the range of the data, against saturation by strong guidance. Off unless asked for:
images in [-1, 1] may be kept there; latents and z-scored volumes may not.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import BoundDenoiser, Denoise, Denoiser
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.diffusion.times import time_of_all


def guide(
    told: Denoise,
    untold: Denoise,
    scale: float,
    *,
    interval: tuple[float, float] | None = None,
    rescale: float = 0.0,
) -> Denoise:
    """Return the denoiser ``untold + scale (told - untold)``.

    ``guide(bind(denoiser, condition), bind(denoiser, condition.untold()), 1.5)`` is classifier-free guidance and
    calls the network once per step, on a doubled batch. Scale 1 is ``told`` and 0 is ``untold``, at single cost.

    Args:
        told, untold: two denoisers; of two different networks each is called by itself.
        scale: 1 is the plain conditional model, more is more typical and less varied.
        interval: (low, high) guides only where low < t <= high (Kynkaanniemi et al. 2024): early guidance costs
            variety, late guidance does nothing. The untold estimate is made there alone, where it is known without
            waiting for a GPU where t lies (see `times.time_of_all`).
        rescale: 0..1, how far the guided estimate is brought back to the told one's standard deviation per sample
            (Lin et al. 2023, section 3.4, on x_0); 0.7 in the paper, against overexposure at large scales.
    """
    if scale == 1:
        return told
    if scale == 0 and interval is None and rescale == 0:
        return untold
    both = _both(told, untold)

    def guided(x_t: Tensor, t: Tensor) -> Tensor:
        known = time_of_all(t)
        inside = None if interval is None else (interval[0] < known) & (known <= interval[1])
        if inside is not None and inside.device.type == "cpu" and not inside.any():
            return told(x_t, t)
        x_0_told, x_0_untold = both(x_t, t)
        x_0 = torch.lerp(x_0_untold, x_0_told, scale)
        if rescale:
            x_0 = torch.lerp(x_0, x_0 * (_std(x_0_told) / _std(x_0)), rescale)
        if inside is None or not inside.ndim:
            return x_0
        return torch.where(inside.view(-1, *[1] * (x_0.ndim - 1)), x_0, x_0_told)

    return guided


def classifier_guide(
    denoise: Denoise, log_probability: Callable[[Tensor, Tensor], Tensor], schedule: NoiseSchedule, scale: float
) -> Denoise:
    """Return the guidance by a classifier of noisy images (Dhariwal & Nichol 2021, algorithm 2).

        eps -> eps - scale sigma grad log p(y | x_t),    so    x_0 -> x_0 + scale sigma**2 / alpha grad log p(y | x_t)

    Args:
        denoise: the unguided denoiser.
        log_probability: (x_t, t) -> [B], the log-probability of each sample's wanted label.
        schedule: that of ``denoise``; alpha[T] must not be 0.
        scale: 1 is Bayes' rule.
    """

    def guided(x_t: Tensor, t: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            x = x_t.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(log_probability(x, t.clone()).sum(), x)
        alpha, sigma = schedule.at(t, x_t)
        return denoise(x_t, t) + scale * sigma**2 / alpha * gradient

    return guided


def class_logits(classifier: Denoiser, x_t: Tensor, t: Tensor) -> Tensor:
    """Name the classes of noisy images: logits [B, K], the K channels of a network's output, averaged over the image.

    The network is a denoiser's with another number of channels: it knows t, and sees x_t as its prediction scales it.
    """
    return classifier.output(x_t, t, Condition()).value.flatten(2).mean(2)


def log_probability(classifier: Denoiser, label: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Return what `classifier_guide` follows: (x_t, t) -> log p(label | x_t) [B]."""
    return lambda x_t, t: class_logits(classifier, x_t, t).log_softmax(1).gather(1, label.clone()[:, None])[:, 0]


def _both(told: Denoise, untold: Denoise) -> Callable[[Tensor, Tensor], tuple[Tensor, ...]]:
    """Return one pass over a doubled batch where the two share a denoiser, else two passes."""
    if isinstance(told, BoundDenoiser) and isinstance(untold, BoundDenoiser) and told.denoiser is untold.denoiser:
        denoiser, condition = told.denoiser, Condition.cat([told.condition, untold.condition])
        return lambda x_t, t: denoiser(torch.cat([x_t, x_t]), torch.cat([t, t]), condition).chunk(2)
    return lambda x_t, t: (told(x_t, t), untold(x_t, t))


def _std(x: Tensor) -> Tensor:
    """Return the standard deviation over everything but the batch."""
    return x.std(dim=tuple(range(1, x.ndim)), keepdim=True)


def clip_x_0(denoise: Denoise, low: float = -1.0, high: float = 1.0) -> Denoise:
    """Return static thresholding (Ho et al. 2020, released code): every estimate is clipped to the data's range."""

    def clipped(x_t: Tensor, t: Tensor) -> Tensor:
        return denoise(x_t, t).clamp(low, high)

    return clipped


def rescale_x_0(denoise: Denoise, *, quantile: float = 0.995, bound: float = 1.0) -> Denoise:
    """Return dynamic thresholding (Saharia et al. 2022, section 2.3), against saturation by strong guidance.

    Where the given quantile of an image's |x_0| is above ``bound``, the image is clipped to that quantile and divided
    by it, so that it fills -bound..bound without piling up at the ends.
    """

    def rescaled(x_t: Tensor, t: Tensor) -> Tensor:
        x_0 = denoise(x_t, t)
        largest = x_0.abs().flatten(1).quantile(quantile, dim=1).clamp(min=bound)
        largest = largest.view(-1, *[1] * (x_0.ndim - 1))
        return x_0.clamp(-largest, largest) * (bound / largest)

    return rescaled
