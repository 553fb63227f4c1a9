"""Features of volumes by a network of pictures ("2.5D"): slices of three planes, averaged plane by plane.

As in the 2.5D Frechet distance of Guo et al. 2024 (MAISI) and before it Sun et al. 2022 (HA-GAN): a network that has
learned on pictures looks at sagittal, coronal and axial slices. Here the means over the slices of each plane are put
side by side, so that a volume is one line of features, and slices are no images of their own: those of one volume
would pass for as many patients.
"""

from __future__ import annotations

import torch
from torch import Tensor

from meddiff.networks.features.network import FeatureNetwork, VolumeNetwork

SLICES = 16
"""Of each plane, in the middle of as many slabs of equal thickness."""


class PlaneFeatures(VolumeNetwork):
    """``features`` turns volumes into three times as many numbers as the network of pictures does."""

    def __init__(self, pictures: FeatureNetwork) -> None:
        super().__init__()
        self.pictures = pictures
        self.preprocessing = f"{SLICES} slices of each of three planes, their mean; {pictures.preprocessing}"

    def _of_volume(self, volume: Tensor) -> Tensor:
        planes = [torch.stack([self.pictures.features(slices).mean(0) for slices in upright_slices(volume, axis)])
                  for axis in range(3)]  # fmt: skip
        return torch.cat(planes, 1)


def upright_slices(volume: Tensor, axis: int) -> Tensor:
    """Slices of volumes [B, 1, D, H, W] across one of their three axes, as they are looked at: [B, SLICES, 1, h, w].

    The second of the other axes leads up, the first to the left: the patient's right is on the left.
    """
    count = volume.shape[2 + axis]
    at = ((torch.arange(SLICES) + 0.5) * count / SLICES).long()
    across = volume.movedim(2 + axis, 1)[:, at.to(volume.device)]  # [B, SLICES, 1, a, b]
    return across.flip((3, 4)).transpose(3, 4)
