"""Detectors of anomalies: images [N, C, *S] in [-1, 1] -> maps [N, *S], high where an image is not like healthy ones.

Those that use diffusion (`pseudo_healthy`), and those that answer without: what an autoencoder of healthy images does
not give back, how bright a pixel is, how far it is from the healthy mean of its place, and, of whole images, how far
their features are from those of healthy ones. Each says in which ways it can be set (`tried`), so that all are chosen
alike on validation images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from meddiff.evaluation.anomalies.choosing import Alarm, Setting
from meddiff.images.case import Case, picture_file_case, pixels_case
from meddiff.images.prepare import Transform
from meddiff.inference.likeness import features_of, mahalanobis, whitened
from meddiff.inference.pseudo_healthy import DRAWS_NOTHING, Healed, Healer, healed
from meddiff.metrics.anomaly_rates import pooled, smoothed

FAINTEST = 0.02
"""Spread of a pixel over healthy images that a distance is divided by at least: the corners of images have none."""


class Detector(Protocol):
    """A way from images to maps."""

    def tried(self, images: Tensor, names: Sequence[str]) -> Iterator[tuple[Setting, np.ndarray]]:
        """Yield the maps of each way in which it can be set, the usual one first."""
        ...

    def healed(self, images: Tensor, names: Sequence[str], setting: Setting) -> Healed:
        """Return what healthy images in the place of these would be, and the maps; ``names`` decide the noise."""
        ...


@dataclass(frozen=True)
class DiffusionDetector:
    """A method of `pseudo_healthy`."""

    healer: Healer
    method: str
    levels: Sequence[float]
    members: Sequence[int]
    seeds: Callable[[str, int], int]
    """(name of an image, member) -> seed of its noise"""
    batch_size: int = 64

    def tried(self, images: Tensor, names: Sequence[str]) -> Iterator[tuple[Setting, np.ndarray]]:
        """Yield the maps of each level and number of members."""
        numbers = sorted(set(self.members)) if self.method not in DRAWS_NOTHING else [1]
        usual = self.members[0] if self.method not in DRAWS_NOTHING else 1
        for level in self.levels:
            total, made = 0.0, {}
            for member in range(max(numbers)):
                total = total + self._member(images, names, level, member).map.numpy()
                if member + 1 in numbers:
                    made[member + 1] = total / (member + 1)
            for count in sorted(numbers, key=lambda count: count != usual):
                yield Setting(level, count), made[count]

    def healed(self, images: Tensor, names: Sequence[str], setting: Setting) -> Healed:
        """Average the members of a setting."""
        assert setting.level is not None
        members = [self._member(images, names, setting.level, member) for member in range(setting.members)]
        return Healed(*(torch.stack(parts).mean(dim=0) for parts in zip(*members, strict=True)))

    def _member(self, images: Tensor, names: Sequence[str], level: float, member: int) -> Healed:
        seeds = [self.seeds(name, member) for name in names]
        return healed(self.healer, self.method, images, level, seeds, batch_size=self.batch_size)


@dataclass(frozen=True)
class AutoencoderDetector:
    """The absolute error of an autoencoder that has learned healthy images."""

    network: nn.Module
    batch_size: int = 64

    def tried(self, images: Tensor, names: Sequence[str]) -> Iterator[tuple[Setting, np.ndarray]]:
        """Yield its maps."""
        yield Setting(), self.healed(images, names, Setting()).map.numpy()

    @torch.inference_mode()
    def healed(self, images: Tensor, names: Sequence[str], setting: Setting) -> Healed:
        """Return what the code keeps, and the absolute difference."""
        device = next(self.network.parameters()).device
        made = torch.cat([self.network(part.to(device)).float().cpu() for part in images.split(self.batch_size)])
        return Healed(made.clamp(-1, 1), (images - made).abs().mean(dim=1))


@dataclass(frozen=True)
class IntensityDetector:
    """Plain intensity: how bright a pixel is, or how far it is from the mean of healthy images at its place."""

    mean: np.ndarray
    """[C, *S] of healthy images."""
    spread: np.ndarray
    """[C, *S] their standard deviation."""
    how: str
    """value, distance, or z_score."""

    def tried(self, images: Tensor, names: Sequence[str]) -> Iterator[tuple[Setting, np.ndarray]]:
        """Yield the maps of all channels together and, where there are several, of each."""
        channels = [None, *range(len(self.mean))] if len(self.mean) > 1 else [None]
        for channel in channels:
            setting = Setting(channel=channel)
            yield setting, self.healed(images, names, setting).map.numpy()

    def healed(self, images: Tensor, names: Sequence[str], setting: Setting) -> Healed:
        """Return the mean of healthy images, and the maps."""
        mean = torch.from_numpy(self.mean)
        if self.how == "value":
            maps = (images + 1) / 2
        else:
            maps = (images - mean).abs()
            if self.how == "z_score":
                maps = maps / torch.from_numpy(self.spread).clamp(min=FAINTEST)
        maps = maps.mean(dim=1) if setting.channel is None else maps[:, setting.channel]
        return Healed(mean.expand(images.shape), maps)

    @classmethod
    def fitted(cls, images: np.ndarray, how: str) -> IntensityDetector:
        """Fit it to healthy images [N, C, *S]."""
        return cls(images.mean(axis=0), images.std(axis=0), how)


@dataclass(frozen=True)
class FeatureDistance:
    """The distance of an image's features from those of healthy images (Mahalanobis; see `likeness`): scores alone."""

    center: np.ndarray
    whitening: np.ndarray

    @classmethod
    def fitted(cls, images: np.ndarray) -> FeatureDistance:
        """Fit it to healthy images [N, C, *S]."""
        return cls(*whitened(np.stack([features_of(image)[-1] for image in images])))

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Measure the distances [N]."""
        return mahalanobis(np.stack([features_of(image)[-1] for image in images]), self.center, self.whitening)


@dataclass(frozen=True)
class Anomalies:
    """The answer of a detector to an image, on the image's own grid."""

    score: float
    """High where the image is not like healthy ones."""
    called: bool | None
    """Whether the score is above the threshold of healthy validation images; None where too few of them gave none."""
    map: np.ndarray
    """[*size] float32, high where the image is not like healthy ones."""
    healthy: np.ndarray
    """[C, *size] float32 in [-1, 1]: the image as a healthy one."""


@dataclass(frozen=True, repr=False)
class TrainedDetector:
    """A detector of anomalies of a run, set as its validation images chose."""

    name: str
    """Of the method or baseline."""
    detector: Detector
    setting: Setting
    alarm: Alarm | None
    """The threshold of scores; None where too few healthy images were held out."""
    transform: Transform
    """The way from a picture to the square that the detector sees."""
    weights: str
    """Short hash of what was learned, and of how it is set."""

    def __repr__(self) -> str:
        """Return one line: what it is, and what it looks at."""
        return f"TrainedDetector({self.name} {self.weights[:8]}, pictures of {self.transform.image_size} px)"

    def __call__(self, image: Case | str | Path | np.ndarray) -> Anomalies:
        """Look for anomalies in a case, a picture file, or pixels [H, W] or [H, W, 3] (see `pixels_case`).

        Raises:
            InputError: it cannot be read.
        """
        if isinstance(image, str | Path):
            image = picture_file_case(Path(image), self.transform)
        return self.answers([pixels_case(image, self.transform) if isinstance(image, np.ndarray) else image])[0]

    def answers(self, cases: Sequence[Case]) -> list[Anomalies]:
        """Look for anomalies in cases, many at a time; the noise of each is a function of its name."""
        made = self.detector.healed(
            torch.from_numpy(np.stack([case.image for case in cases])), [case.name for case in cases], self.setting
        )  # fmt: skip
        maps = smoothed(made.map.numpy(), self.setting.median)
        scores = pooled(maps, self.setting.pooling)
        return [
            Anomalies(
                float(score), None if self.alarm is None else bool(score > self.alarm.threshold),
                case.restore(own[None])[0].astype(np.float32), case.restore(healthy).astype(np.float32),
            )
            for case, score, own, healthy in zip(cases, scores, maps, made.image.numpy(), strict=True)
        ]  # fmt: skip
