"""Images that detectors of anomalies are judged on, and what a detector says of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Truth:
    """Images of which it is known whether they are healthy, and of some also where they are not."""

    cases: tuple[str, ...]
    patients: tuple[str, ...]
    """Of each image: its patient, else lesion, else itself."""
    kinds: tuple[str, ...]
    """Of each image: its label."""
    anomalous: np.ndarray
    """[N] bool"""
    masks: np.ndarray
    """[N, *S] bool, True where an image is anomalous; of images that are not `mapped` nothing is known."""
    mapped: np.ndarray
    """[N] bool: it is known where the image is anomalous; of healthy images it always is."""

    @property
    def group(self) -> np.ndarray:
        """[N] int: the number of each image's patient."""
        return np.unique(self.patients, return_inverse=True)[1]

    @property
    def groups(self) -> int:
        """Number of patients."""
        return len(set(self.patients))

    @property
    def tells_images(self) -> bool:
        """True where there are images of both kinds."""
        return bool(self.anomalous.any() and not self.anomalous.all())

    @property
    def tells_pixels(self) -> bool:
        """True where there are anomalous pixels."""
        return bool(self.masks[self.mapped].any())

    def pixels(self, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return value, whether it is anomalous, and patient of each pixel of mapped images [N, *S]."""
        own = self.masks[self.mapped]
        group = np.repeat(self.group[self.mapped], own[0].size if len(own) else 0)
        return maps[self.mapped].ravel(), own.ravel(), group


@dataclass(frozen=True)
class Findings:
    """A detector's answers for the images of a `Truth`."""

    scores: np.ndarray
    """[N], high where an image is called anomalous."""
    maps: np.ndarray | None = None
    """[N, *S], high where it is; None of a detector that has scores alone."""
    threshold: float | None = None
    """Of the maps, chosen on validation images."""
    alarm: float | None = None
    """Of the scores: above it an image is called anomalous; None where too few healthy images were held out."""
