"""Decoded pictures that live on the device they are trained on: batches are indexed and scaled there.

Eight thousand pictures of 64 x 64 pixels are 98 MB. A batch of them then costs the processor a list of positions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from meddiff.batches.batch import Batch
from meddiff.batches.cuts import Draw
from meddiff.batches.images import Images, ignores
from meddiff.batches.latents import pixels_of
from meddiff.cache.image_array import ImageArray

SHARE = 0.25
"""Of the free memory of a device, that its images may take: the rest is for the network and what it keeps."""


class ResidentImages(Images):
    """Pictures, shown whole, that live on a device; batches of them are those of the file to the bit."""

    def __init__(self, images: Images, array: ImageArray, device: torch.device) -> None:
        super().__init__(array, images.class_names, described=images.described)
        stored = np.asarray(array.images)
        self._deep, self._half = stored.dtype == np.uint16, np.iinfo(stored.dtype).max / 2
        self._pixels = _there(stored.view(np.int16) if self._deep else stored, device)  # what a GPU can index
        self._masks = None if array.masks is None else _there(np.asarray(array.masks), device)
        self._ignores = None if array.masks is None else np.array([ignores(mask) for mask in array.masks])

    def batch(self, positions: Sequence[int] | np.ndarray, draws: Sequence[Draw] | None = None) -> Batch:
        """Return the images at these positions, in this order, on the device; nothing is drawn for whole pictures."""
        at = np.asarray(positions, dtype=np.int64)
        index = _sent(at, self._pixels.device)
        image = self._pixels.index_select(0, index)
        image = image.int().bitwise_and_(0xFFFF) if self._deep else image
        mask = None if self._masks is None else self._masks.index_select(0, index).long()
        some = self._ignores is not None and bool(self._ignores[at].any())
        label = _sent(self.labels[at], self._pixels.device) if self.class_names else None
        attributes = self.described.features(at, lambda numbers: _sent(numbers, self._pixels.device))
        return Batch(image.float().div_(self._half).sub_(1), label, mask, index, some, attributes)


def on_device(images: Images, device: torch.device, room: int | None = None) -> Images:
    """Return images as batches on a device want them: decoded pictures living there, where they find room.

    Args:
        images: of any kind.
        device: where batches are wanted.
        room: free bytes there; None asks a GPU, and leaves the pictures of a CPU in the file, which processes share.
    """
    array = images.prepared
    whole = pixels_of(images) is images and images.cut.size is None
    if not whole or not isinstance(array, ImageArray) or (room is None and device.type != "cuda"):
        return images
    room = torch.cuda.mem_get_info(device)[0] if room is None else room
    return ResidentImages(images, array, device) if needed(array) <= room * SHARE else images


def needed(array: ImageArray) -> int:
    """Return the bytes that an array takes on a device."""
    return array.images.nbytes + (0 if array.masks is None else array.masks.nbytes)


def _there(stored: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array to a device."""
    return torch.from_numpy(np.array(stored)).to(device)


def _sent(numbers: np.ndarray, device: torch.device) -> Tensor:
    """Copy a few numbers to a device without waiting for it."""
    values = torch.from_numpy(numbers)
    return (values.pin_memory() if device.type == "cuda" else values).to(device, non_blocking=True)
