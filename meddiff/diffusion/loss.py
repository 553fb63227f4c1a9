"""Training losses, one value per sample.

L_simple (Ho et al. 2020, eq. 14) is the squared error of the network's own output, whatever it predicts, averaged
over the elements of an image. Every other loss in use is the same error with another weight along t. A ``Weight``
gives it as the weight of the squared error of x_0, from SNR_t = alpha**2 / sigma**2, because there it means the same
for every prediction; the output's error is converted by (d x_0 / d output)**2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from meddiff.diffusion.bound import bound_term
from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.prediction import ClassLogits
from meddiff.errors import InputError

Weight = Callable[[Tensor], Tensor]
"""SNR -> weight of the squared error of x_0"""


def diffusion_loss(
    denoiser: Denoiser,
    x_0: Tensor,
    condition: Condition,
    t: Tensor,
    eps: Tensor,
    *,
    weight: Weight | None = None,
    variational: float = 0.0,
) -> Tensor:
    """Compute the loss of each sample [B]: L_simple unless told otherwise.

    Args:
        denoiser: its network's output is compared with the prediction's own target (eps, x_0, v, ...).
        x_0: [B, C, *S] clean data in [-1, 1].
        condition: what the network is told, already dropped where it should stay untold.
        t: [B] in 1..T.
        eps: [B, C, *S] standard normal noise, or ``noise.offset_noise``.
        weight: of the x_0 error, as a function of the SNR; None weighs the output's error alike at every t.
        variational: factor of the bound's term, in bits per dimension, for a learned variance: L_hybrid = L_simple +
            0.001 L_vlb, whose gradient reaches the variance alone (Nichol & Dhariwal 2021, eq. 16).
    """
    if variational and not denoiser.learned_variance:
        raise InputError("the variational loss trains a learned variance: build Denoiser(..., learned_variance=True)")
    if isinstance(denoiser.prediction, ClassLogits):
        raise InputError("logits of classes are not trained by squared error: use the objective of masks")
    schedule, prediction = denoiser.schedule, denoiser.prediction
    alpha, sigma = schedule.at(t, x_0)
    x_t = alpha * x_0 + sigma * eps
    output, fraction, _ = denoiser.output(x_t, t, condition)
    loss = (output - prediction.target(x_0, eps, alpha, sigma)).square().flatten(1).mean(1)
    if weight is not None:
        loss = loss * (weight((alpha / sigma) ** 2) * prediction.x_0_gain(alpha, sigma) ** 2).flatten()
    if variational and fraction is not None:  # the second for the type checker
        estimate = prediction.to_x_0(output.detach(), x_t, alpha, sigma)
        loss = loss + variational * bound_term(schedule, x_0, x_t, estimate, t, variance=fraction)
    return loss


def eps_error(snr: Tensor) -> Tensor:
    """Compute the squared error of eps, whatever the network predicts: L_simple as in Ho et al. 2020.

    It is also denoising score matching with the weight sigma**2 (Vincent 2011; Song & Ermon 2019, eq. 5 and 6), since
    score = -eps / sigma.
    """
    return snr


def x_0_error(snr: Tensor) -> Tensor:
    """Compute the squared error of x_0 itself."""
    return torch.ones_like(snr)


def min_snr(gamma: float = 5.0) -> Weight:
    """Compute min(SNR, gamma): keeps easy, nearly clean x_t from drowning the rest (Hang et al. 2023)."""
    return lambda snr: snr.clamp(max=gamma)


def p2(gamma: float = 1.0, k: float = 1.0) -> Weight:
    """Compute the eps error over (k + SNR)**gamma: less for imperceptible detail (Choi et al. 2022)."""
    return lambda snr: snr / (k + snr) ** gamma


def edm_weight(sigma_data: float = 0.5) -> Weight:
    """Compute SNR + 1 / sigma_data**2, for an edm output weighed alike at every t (Karras et al. 2022, table 1)."""
    return lambda snr: snr + 1 / sigma_data**2
