"""Detail of synthetic images at each scale: the radially averaged power spectrum.

Blur takes power from high spatial frequencies, checkerboards of transposed convolutions add some (Durall, Keuper &
Keuper 2020, "Watch your up-convolution"); features learned on photographs may hear neither. Each image's mean is
removed and its edges faded by a Hann window, because an image that does not wrap around would seem to have a cross of
high frequencies.
"""

import numpy as np

from meddiff.errors import InputError


def radial_power_db(images: np.ndarray) -> np.ndarray:
    """Compute the mean power of images [N, C, S, S] at frequencies 1..S/2 (cycles per image): [N, S // 2], in decibel.

    Channels are averaged as power. A constant image has no power: its values are those of rounding error, -300 dB or
    less below the others, and finite.
    """
    if images.ndim != 4 or images.shape[2] != images.shape[3] or images.shape[2] < 4 or len(images) == 0:
        raise InputError(f"got images {images.shape}: give [images, channels, side, side] with sides of at least 4")
    if not np.isfinite(images.sum(dtype=np.float64)):
        raise InputError("the images contain NaN or infinity")
    side = images.shape[2]
    window = np.outer(np.hanning(side + 2)[1:-1], np.hanning(side + 2)[1:-1])
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side, 1 / side), np.fft.rfftfreq(side, 1 / side), indexing="ij"))
    ring = np.rint(frequency).astype(int)
    # each column of the half spectrum but the first (and the last of an even side) stands for its mirror image too
    twice = np.full(ring.shape, 2.0)
    twice[:, 0] = 1.0
    if side % 2 == 0:
        twice[:, -1] = 1.0
    counts = np.bincount(ring.ravel(), weights=twice.ravel())[1 : side // 2 + 1]
    profiles = []
    for image in images.astype(np.float64):
        centered = image - image.mean((1, 2), keepdims=True)
        power = np.mean(np.abs(np.fft.rfft2(centered * window)) ** 2, axis=0) / np.sum(window**2)
        profiles.append(np.bincount(ring.ravel(), weights=(twice * power).ravel())[1 : side // 2 + 1] / counts)
    return 10 * np.log10(np.maximum(np.stack(profiles), np.finfo(np.float64).tiny))


def spectrum_distance_db(real: np.ndarray, synthetic: np.ndarray) -> float:
    """Compute the root mean square difference of the two sets' mean spectra over all frequencies, in decibel; >= 0.

    real [N, C, S, S] and synthetic [M, C, S, S] of one size; the intensity scale must be the same for both.
    """
    if real.shape[1:] != synthetic.shape[1:]:
        raise InputError(
            f"got real images {real.shape} and synthetic images {synthetic.shape}: give images of one size"
        )
    difference = radial_power_db(real).mean(0) - radial_power_db(synthetic).mean(0)
    return float(np.sqrt(np.mean(difference**2)))
