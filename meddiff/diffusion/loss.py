"""Training losses, one value per sample.

L_simple (Ho et al. 2020, eq. 14) is the squared error of the network's own output, whatever it predicts, averaged
over the elements of an image. Its weight across t is a choice; min-SNR (Hang et al. 2023, eq. 7) weighs the squared
error of x_0 by min(SNR_t, gamma), so that easy, nearly clean x_t do not drown the rest.
"""

from __future__ import annotations

from torch import Tensor

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.prediction import Prediction


def diffusion_loss(
    denoiser: Denoiser, x_0: Tensor, condition: Condition, t: Tensor, eps: Tensor, *, min_snr_gamma: float | None = None
) -> Tensor:
    """L_simple per sample [B], with min-SNR weights where ``min_snr_gamma`` is given (5 in the paper).

    Args:
        denoiser: its network's output is compared with the prediction's own target (eps, x_0, v).
        x_0: [B, C, *S] clean data in [-1, 1].
        condition: what the network is told, already dropped where it should stay untold.
        t: [B] in 1..T.
        eps: [B, C, *S] standard normal noise.
        min_snr_gamma: clamp of the SNR weight of the x_0 error; None leaves the loss unweighted.
    """
    alpha, sigma = denoiser.schedule.at(t, x_0)
    output = denoiser.output(alpha * x_0 + sigma * eps, t, condition)
    error = output - denoiser.prediction.target(x_0, eps, alpha, sigma)
    loss = error.square().flatten(1).mean(1)
    if min_snr_gamma is None:
        return loss
    return loss * min_snr_weight(denoiser.prediction, alpha, sigma, min_snr_gamma).flatten()


def min_snr_weight(prediction: Prediction, alpha: Tensor, sigma: Tensor, gamma: float) -> Tensor:
    """min(SNR, gamma) on the x_0 error, as a weight of the output's error: times (d x_0 / d output)**2.

    That is min(SNR, gamma) / SNR for eps and min(SNR, gamma) / (SNR + 1) for v on a variance-preserving schedule
    (Hang et al. 2023, section 3.4).
    """
    return (alpha / sigma).square().clamp(max=gamma) * prediction.x_0_gain(alpha, sigma).square()
