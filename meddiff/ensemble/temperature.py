"""Temperature scaling: one number, fitted on the validation split, that makes probabilities mean what they say.

``softmax(z / T)`` of the logits z (Guo et al. 2017, "On calibration of modern neural networks", section 4.2). As a
softmax does not see a constant, ``log p`` serves as logits where only probabilities are kept:
``softmax(log p / T) = p^(1/T) / sum p^(1/T)``. T > 1 makes less sure, T < 1 surer; no class map changes. T minimizes
the negative log likelihood, which is convex in 1/T, so there is one minimum. Members are fused first and scaled then:
scaling each and fusing after would leave the mean underconfident (Rahaman & Thiery 2021, "Uncertainty quantification
and deep ensembles").

A probability of exactly 0 (members that all agree, a saturated softmax) has no logarithm, and a single true pixel
there would make every temperature infinitely bad. Probabilities are therefore raised to `FLOOR` and divided by their
sum, both in fitting and in applying: at T = 1 they move by less than K x 1e-6.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from meddiff.errors import InputError

FLOOR = 1e-6
LOWEST, HIGHEST = 0.05, 20.0  # bounds of the search; a fit that ends on one says that no temperature calibrates


def sample_pixels(
    truth: np.ndarray, probabilities: np.ndarray, *, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw pixels of a case, each as likely: truth [*S], probabilities [K, *S] -> labels [n], probabilities [n, K].

    The same number from every case, so that each weighs alike whatever its size; all of a case that has fewer.
    """
    if truth.shape != probabilities.shape[1:] or truth.size == 0:
        raise InputError(f"got truth {truth.shape} and probabilities {probabilities.shape}: give [*S] and [K, *S]")
    flat = probabilities.reshape(len(probabilities), -1)
    chosen = generator.choice(truth.size, size=min(count, truth.size), replace=False, shuffle=False)
    return truth.reshape(-1)[chosen].astype(np.int64), flat[:, chosen].T


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray, *, logits: bool = False) -> float:
    """Compute the temperature of the smallest negative log likelihood, between `LOWEST` and `HIGHEST`.

    Args:
        labels: class of each pixel, int [N].
        probabilities: [N, K], from the validation split; or the logits themselves with ``logits``.
        logits: whether ``probabilities`` are logits.

    Raises:
        InputError: nothing to fit on, shapes or values that do not belong together.
    """
    scores = _scores(probabilities, logits, axis=1)
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or not len(labels):
        raise InputError(
            f"got labels {labels.shape} and probabilities {scores.shape}: give one label and one row of classes for "
            "each of at least one pixel of the validation split"
        )
    if labels.min() < 0 or labels.max() >= scores.shape[1]:
        raise InputError(f"got labels {labels.min()} to {labels.max()} for {scores.shape[1]} classes")

    def loss(log_temperature: float) -> float:
        likelihoods = log_softmax(scores / np.exp(log_temperature), axis=1)
        return -float(likelihoods[np.arange(len(labels)), labels].mean())

    best = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(best.x))  # pyright: ignore[reportAttributeAccessIssue]


def apply_temperature(probabilities: np.ndarray, temperature: float, *, logits: bool = False) -> np.ndarray:
    """Compute probabilities (or ``logits``) [K, *S] -> scaled probabilities [K, *S], of the same number type."""
    if not (np.isfinite(temperature) and temperature > 0):
        raise InputError(f"got temperature {temperature}: give a number above 0; 1 leaves everything as it is")
    scores = _scores(probabilities, logits, axis=0)
    return softmax(scores / temperature, axis=0).astype(probabilities.dtype, copy=False)


def _scores(values: np.ndarray, logits: bool, axis: int) -> np.ndarray:
    """Compute logits, or the logarithms of floored probabilities; float64 for the fit's sake."""
    if not np.isfinite(values).all():
        raise InputError("NaN or infinity among the values to calibrate: leave that case out and find out why")
    values = values.astype(np.float64, copy=False)
    if logits:
        return values
    if values.size and (values.min() < -FLOOR or values.max() > 1 + FLOOR):
        raise InputError(
            f"got values {values.min():.4g} to {values.max():.4g}, which are no probabilities: say logits=True if they "
            "are a network's raw outputs"
        )
    floored = np.maximum(values, FLOOR)
    return np.log(floored / floored.sum(axis, keepdims=True))
