"""Masks that lie beside what they outline.

The border of a mask should lie where the image changes, along the border's own direction. The agreement of the two at
a shift s is the normalized correlation of their gradients (of Gaussian width `SMOOTH`),

    a(s) = sum_p grad image(p + s) . grad mask(p) / sqrt(sum over the border's band of |grad image|^2, |grad mask|^2),

-1 to 1, for all shifts at once by the Fourier transform; its sign says whether the structure is brighter or darker and
does not matter. A mask is called shifted if some other place within `REACH` of the side agrees well (`GOOD`), its own
place at most `LOW` as well, and both are `FAR` apart.

One picture with a stronger edge nearby (a skull beside a tumor) proves nothing. So single masks are reported only in a
set where the method is right: where `TRUSTED` of the masks agree best within `NEAR` of their own place. Otherwise the
audit says that it cannot tell. A shift common to a whole set is found by the median of all shifts, where half of
the masks or more are within `NEAR` of it.

Measured with the looser pair 0.5 for `GOOD` and 0.6 for `LOW`: of 800 masks of HAM10000 0.6 % were reported; masks
moved by 8 % and 12 % of the side were found in about one of five and in half there, and in 56 % and 93 % of phantoms.
The pair used here is stricter and reports fewer. Blurred lesions hide small shifts: what is not reported is not proven
right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from meddiff.audit.finding import Finding, masks_of
from meddiff.manifest.row import ManifestRow

GRID = 96
"""Side of the squares that are compared."""
SMOOTH = 1.5
REACH, FAR, NEAR = 0.15, 0.04, 0.05
GOOD, LOW = 0.6, 0.5
TRUSTED = 0.8
SEEN = 0.5
"""Share of a mask's border that must stay in the picture: a corner of it agrees with anything."""
FEWEST = 20
"""Masks that a set needs for a judgment of the method."""


@dataclass(frozen=True)
class Offset:
    """The place at which a mask would agree best with its image."""

    rows: float
    """The shift down, as a share of the side."""
    columns: float
    """The shift to the right, as a share of the side."""
    best: float
    """Agreement there, 0 to 1."""
    here: float
    """Agreement as it lies."""

    @property
    def length(self) -> float:
        """Length of the shift, as a share of the side."""
        return float(np.hypot(self.rows, self.columns))


def offset(gray: np.ndarray, inside: np.ndarray) -> Offset | None:
    """Find the best place of a mask, bool [96, 96], on its image [96, 96]; None where it has no border."""
    reach = round(REACH * GRID)
    of_mask = _gradient(inside.astype(np.float64))
    strength = (of_mask**2).sum()
    if strength < 1e-9:
        return None
    of_image = _gradient(gray.astype(np.float64))
    band = (np.hypot(*of_mask) > 0.05).astype(np.float64)
    along = sum(_correlation(image, mask, reach) for image, mask in zip(of_image, of_mask, strict=True))
    energy = _correlation((of_image**2).sum(0), band, reach) * strength
    in_frame = _correlation(np.ones_like(band), band, reach) >= SEEN * band.sum()
    agreement = np.where(in_frame, np.abs(along) / np.sqrt(np.maximum(energy, 1e-9)), 0.0)
    row, column = np.unravel_index(int(agreement.argmax()), agreement.shape)
    return Offset(
        (int(row) - reach) / GRID, (int(column) - reach) / GRID, float(agreement.max()), float(agreement[reach, reach])
    )


def shifted(rows: Sequence[ManifestRow], offsets: Sequence[Offset]) -> list[Finding]:
    """List the masks that lie beside their structure, or the shift that a whole set shares."""
    if len(rows) < FEWEST:
        return []
    places = np.array([(one.rows, one.columns) for one in offsets])
    middle = np.median(places, axis=0)
    near_middle = (np.hypot(*(places - middle).T) <= NEAR).mean()
    if np.hypot(*middle) >= FAR and near_middle >= 0.5:
        says = f"all {len(rows)} masks lie beside their structures: moved {_direction(*middle)} they would fit better"
        return [Finding("masks shifted", masks_of(rows), says, "serious")]
    trusted = np.mean([one.length <= NEAR for one in offsets])
    if trusted < TRUSTED:
        says = (
            f"whether masks are shifted could not be checked: in {1 - trusted:.0%} of the images the strongest edges "
            "are not those of the masked structure"
        )
        return [Finding("shift not judged", (), says, "note")]
    return [
        Finding("mask shifted", masks_of([row]), f"the mask would fit the image's edges if it were moved "
                f"{_direction(one.rows, one.columns)} (agreement {one.best:.2f}; as it is, {one.here:.2f})", "warning")
        for row, one in zip(rows, offsets, strict=True)
        if one.best > GOOD and one.here < LOW * one.best and one.length >= FAR
    ]  # fmt: skip


def _direction(rows: float, columns: float) -> str:
    down = f"{'down' if rows > 0 else 'up'} by {abs(rows):.0%} of the height"
    right = f"{'right' if columns > 0 else 'left'} by {abs(columns):.0%} of the width"
    return " and ".join(words for words, by in ((down, rows), (right, columns)) if abs(by) >= 0.005)


def _gradient(values: np.ndarray) -> np.ndarray:
    """Compute the smoothed gradient [2, H, W]."""
    axes: tuple = ((1, 0), (0, 1))
    return np.stack([ndimage.gaussian_filter(values, SMOOTH, order=order, mode="nearest") for order in axes])


def _correlation(image: np.ndarray, mask: np.ndarray, reach: int) -> np.ndarray:
    """Sum image(p + s) mask(p) over p, for shifts s of -reach..reach along both axes: [2 reach + 1, 2 reach + 1]."""
    size = [fft.next_fast_len(side + reach, real=True) for side in image.shape]
    spectrum = np.asarray(fft.rfft2(image, size)) * np.conj(np.asarray(fft.rfft2(mask, size)))
    whole = np.roll(np.asarray(fft.irfft2(spectrum, size)), (reach, reach), axis=(0, 1))
    return whole[: 2 * reach + 1, : 2 * reach + 1]
