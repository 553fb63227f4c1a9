"""Likeness of an image to the training images: a network answers for anything, also for what it never saw.

Measured on the image as the network sees it, so that one answer serves every network of a run. The features say how
bright it is and where, how rough at which scales and directions, how its edges and its colors are spread. Of each of
these kinds and of all together the distance from the training images is that of Mahalanobis, as Lee et al. 2018 ("A
simple unified framework for detecting out-of-distribution samples") take it of a network's features, with the
covariance shrunk towards its diagonal (Ledoit & Wolf 2004). Each is divided by what 99% of the images that were held
out of the fit, by patient, stay below, and the largest counts. The p-value of an image is that of conformal
prediction (Vovk et al. 2005): among images like those of training, a share of p at most has one as small. Below
`LEVEL` it is unlike.

A gray image where training was in color, and a modality that training had none of, are unlike whatever the distance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from meddiff.errors import InputError

SIDE = 64
"""Pixels of the square that features are measured in."""
LEVEL = 0.01
FAR = 1.5
"""Score from which an image farther than all is unlike, where too few were held out for a p below `LEVEL`."""
FOLDS = 5
NARROWEST = 1e-3
"""Spread that a feature has at least: colors of gray images have none."""
MOST = 2000
"""Images that the fit is made of; of more, evenly many are left out."""
FEWEST = 20
"""Images below which no distance is usual or unusual."""
CHROMA = 2 / 255
"""Mean difference of channels up to which an image is gray (as in `audit.pixels`)."""
COLORED = 0.9
"""Share of colored training images from which a gray one is unlike, and the other way around."""
MODALITIES = {"MRI": "MR", "PET": "PT", "XRAY": "DX", "X-RAY": "DX", "CR": "DX", "DERMATOSCOPY": "DERMOSCOPY"}
"""Other names of modalities."""
TOLD_APART = ("CT", "MR", "PT", "NM", "US", "DX", "MG", "XA", "DERMOSCOPY")
"""Modalities, as DICOM calls them, that are never one another; others may be."""
FRACTIONS = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
BANDS, DIRECTIONS, CELLS = 8, 4, 4


@dataclass(frozen=True)
class Verdict:
    """An image beside the training images."""

    p: float | None
    """Share of images like those of training that are as far from them; None where too few were known to tell."""
    reasons: tuple[str, ...]
    """Why the image is unlike them; empty where it is not."""

    @property
    def unlike(self) -> bool:
        """True where the network has never seen the like of the image."""
        return bool(self.reasons)


@dataclass(frozen=True)
class Likeness:
    """The training images of a run, as far as it takes to say what is unlike them."""

    kinds: tuple[tuple[np.ndarray, np.ndarray], ...]
    """Of each kind of features and of all: their mean [F], and the whitening [F, F] that makes their covariance one."""
    usual: np.ndarray
    """[kinds] the distance that 99% of the held-out images stay below."""
    scores: np.ndarray
    """[N] sorted: the largest of their distances, each divided by what is usual."""
    colored: float
    """Share of the images that are in color; of images of one channel 0."""
    channels: int
    """That the network is told."""
    modalities: tuple[str, ...]
    """Of the training images; empty where unknown."""

    @classmethod
    def fitted(
        cls,
        images: Sequence[np.ndarray],
        groups: Sequence[str],
        held_out: Iterable[np.ndarray],
        modalities: Iterable[str | None],
    ) -> Likeness | None:
        """Fit to training images [C, *S] in [-1, 1], ``groups`` being their patients; None for too few of them.

        ``held_out`` are images of others, whose distances count beside those of training images left out in turn.
        """
        described = [features_of(image) for image in images]
        if len(described) < FEWEST or len(set(groups)) < FOLDS:
            return None
        kinds = [np.stack(kind) for kind in zip(*described, strict=True)]
        fold = np.unique(list(groups), return_inverse=True)[1] % FOLDS
        distances = [
            np.stack([mahalanobis(kind[fold == one], *whitened(kind[fold != one])) for kind in kinds], axis=1)
            for one in range(FOLDS)
        ]
        fitted = tuple(whitened(kind) for kind in kinds)
        distances += [_distances(image, fitted)[None] for image in held_out]
        together = np.concatenate(distances)
        usual = np.maximum(np.quantile(together, 1 - LEVEL, axis=0), NARROWEST)
        return cls(
            fitted,
            usual,
            np.sort((together / usual).max(axis=1)),
            float(np.mean([is_colored(image) for image in images])),
            len(images[0]),
            tuple(sorted({name for name in modalities if name})),
        )

    def verdict(self, image: np.ndarray, *, modality: str | None = None) -> Verdict:
        """Judge an image [C, *S] in [-1, 1], as the network is told it, and its modality where that is known."""
        reasons = [*self._facts(image, modality)]
        score = float((_distances(image, self.kinds) / self.usual).max())
        beyond = len(self.scores) - int(np.searchsorted(self.scores, score))
        p = (1 + beyond) / (1 + len(self.scores))
        if p <= LEVEL or (beyond == 0 and score > FAR):
            reasons.append(f"{score:.1f} times as far from the training images as 99% of their like")
        return Verdict(p, tuple(reasons))

    def _facts(self, image: np.ndarray, modality: str | None) -> Iterable[str]:
        known = {canonical(name) for name in self.modalities}
        if known and known <= set(TOLD_APART) and (own := canonical(modality)) in TOLD_APART and own not in known:
            yield f"modality {modality}, the network was trained on {', '.join(self.modalities)}"
        if len(image) == 3 == self.channels:
            if self.colored >= COLORED and not is_colored(image):
                yield "gray, the network was trained on images in color"
            if self.colored <= 1 - COLORED and is_colored(image):
                yield "in color, the network was trained on gray images"

    def to_dict(self) -> dict[str, Any]:
        """Turn it into plain values, for JSON."""
        kinds = [{"center": _plain(center), "whitening": _plain(whitening)} for center, whitening in self.kinds]
        arrays = {"kinds": kinds, "usual": _plain(self.usual), "scores": _plain(self.scores)}
        return {**arrays, "colored": self.colored, "channels": self.channels, "modalities": list(self.modalities)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Likeness:
        """Make it of what `to_dict` returned.

        Raises:
            InputError: it is something else.
        """
        try:
            kinds = tuple((_array(kind["center"], 1), _array(kind["whitening"], 2)) for kind in values["kinds"])
            usual, scores = (_array(values[name], 1) for name in ("usual", "scores"))
            square = all(whitening.shape == (len(center), len(center)) for center, whitening in kinds)
            if not square or len(usual) != len(kinds) or not len(scores) or (usual <= 0).any():
                raise ValueError("numbers that do not belong together")
            modalities = tuple(str(name) for name in values["modalities"])
            return cls(kinds, usual, scores, float(values["colored"]), int(values["channels"]), modalities)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"what was known of the training images is damaged ({error}): delete it") from error


def canonical(modality: str | None) -> str:
    """Name a modality as DICOM does."""
    name = (modality or "").strip().upper()
    return MODALITIES.get(name, name)


def together(verdicts: Sequence[Verdict], weights: Sequence[float]) -> Verdict:
    """Fuse the verdicts of the slices of a volume: unlike where most of it is, by weight."""
    order = np.argsort([one.p or 0.0 for one in verdicts])
    passed = np.cumsum(np.asarray(weights, dtype=float)[order])
    middle = verdicts[int(order[np.searchsorted(passed, passed[-1] / 2)])]
    unlike = sum(weight for one, weight in zip(verdicts, weights, strict=True) if one.unlike) > passed[-1] / 2
    reasons = next((one.reasons for one in [middle, *verdicts] if one.unlike), ())
    return Verdict(middle.p, reasons if unlike else ())


def features_of(image: np.ndarray) -> list[np.ndarray]:
    """Measure an image [C, *S] in [-1, 1]: [F] of each kind of features and of all; of a volume over three planes."""
    if image.ndim == 3:
        kinds = _of_plane(image)
    else:
        planes = [np.take(image, side // 2, axis=axis) for axis, side in enumerate(image.shape[1:], start=1)]
        kinds = [np.mean(kind, axis=0) for kind in zip(*map(_of_plane, planes), strict=True)]
    kinds = [kind for kind in kinds if len(kind)]
    return [*kinds, np.concatenate(kinds)]


def is_colored(image: np.ndarray) -> bool:
    """Tell whether an image [3, *S] in [-1, 1] is more than three times the same channel."""
    if len(image) != 3:
        return False
    return float((image.max(axis=0) - image.min(axis=0)).mean()) / 2 > CHROMA


def _of_plane(plane: np.ndarray) -> list[np.ndarray]:
    channels = np.stack([_square((channel.astype(np.float64) + 1) / 2) for channel in plane])
    gray = channels.mean(axis=0)
    return [_intensities(gray), _layout(gray), _texture(gray), _edges(gray), _colors(channels)]


def _square(plane: np.ndarray) -> np.ndarray:
    """Resize a plane [H, W] to [SIDE, SIDE], averaged over the area of each new pixel."""
    from PIL import Image

    small = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64)


def _intensities(gray: np.ndarray) -> np.ndarray:
    counts = np.histogram(gray, bins=32, range=(0, 1))[0] / gray.size
    entropy = -float((counts * np.log(np.maximum(counts, 1e-12))).sum())
    return np.array([gray.mean(), gray.std(), entropy, *np.quantile(gray, FRACTIONS)])


def _layout(gray: np.ndarray) -> np.ndarray:
    """Measure the brightness of the cells of a coarse grid, beside the mean."""
    side = SIDE // CELLS
    return (gray.reshape(CELLS, side, CELLS, side).mean(axis=(1, 3)) - gray.mean()).ravel()


def _texture(gray: np.ndarray) -> np.ndarray:
    """Measure the logarithm of the power in bands of frequency, and the share of each direction in it."""
    window = np.hanning(SIDE)
    power = np.abs(np.fft.fft2((gray - gray.mean()) * window[:, None] * window)) ** 2
    rows, columns = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij")
    radius, angle = np.hypot(rows, columns), np.arctan2(rows, columns) % np.pi
    edges = np.geomspace(1 / SIDE, 0.5, BANDS + 1)
    bands = [np.log(power[(radius >= low) & (radius < high)].mean() + 1e-8) for low, high in pairwise(edges)]
    inner = (radius > 0.05) & (radius < 0.5)
    at = np.floor(angle * DIRECTIONS / np.pi + 0.5).astype(int) % DIRECTIONS
    total = power[inner].sum() + 1e-8
    return np.array([*bands, *(power[inner & (at == one)].sum() / total for one in range(DIRECTIONS))])


def _edges(gray: np.ndarray) -> np.ndarray:
    steps = np.hypot(np.diff(gray, axis=0)[:, :-1], np.diff(gray, axis=1)[:-1])
    return np.array([steps.mean(), (steps < 0.01).mean(), *np.log(np.quantile(steps, (0.5, 0.9, 0.99)) + 1e-3)])


def _colors(channels: np.ndarray) -> np.ndarray:
    """Measure the spread of the differences of neighboring channels; nothing for one channel."""
    differences = [one - other for one, other in pairwise(channels)]
    return np.array([value for part in differences for value in
                     (part.mean(), part.std(), *np.quantile(part, (0.01, 0.1, 0.9, 0.99)))])  # fmt: skip


def whitened(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the center [F] and whitening [F, F] of features [N, F], each brought to unit spread first."""
    center, scale = features.mean(axis=0), np.maximum(features.std(axis=0), NARROWEST)
    standard = (features - center) / scale
    count, size = standard.shape
    covariance = standard.T @ standard / count
    spread = ((standard**2).T @ (standard**2) / count - covariance**2).sum() / count
    shrinkage = min(1.0, spread / max(((covariance - np.eye(size)) ** 2).sum(), 1e-12))
    values, vectors = np.linalg.eigh((1 - shrinkage) * covariance + shrinkage * np.eye(size))
    return center, (vectors / np.sqrt(np.maximum(values, 1e-3))) / scale[:, None]


def _distances(image: np.ndarray, kinds: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Measure the distances [kinds] of an image."""
    features = features_of(image)
    if [len(one) for one in features] != [len(center) for center, _ in kinds]:
        raise InputError("the image has other channels than those of training: it cannot be compared with them")
    return np.array([mahalanobis(one[None], *kind)[0] for one, kind in zip(features, kinds, strict=True)])


def mahalanobis(features: np.ndarray, center: np.ndarray, whitening: np.ndarray) -> np.ndarray:
    """Measure the distances [N] of features [N, F] from the center, in standard deviations per feature."""
    return np.linalg.norm((features - center) @ whitening, axis=1) / np.sqrt(len(center))


def _plain(array: np.ndarray) -> list:
    """List numbers with seven digits."""
    return [_plain(row) for row in array] if array.ndim > 1 else [float(f"{value:.7g}") for value in array]


def _array(values: Any, axes: int) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != axes or not np.isfinite(array).all():
        raise ValueError("numbers that are missing")
    return array
