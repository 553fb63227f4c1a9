"""Prepared images for the training loops of others: PyTorch, MONAI, TorchIO, Hugging Face.

Each image is a dict: ``image`` [C, *S] float32 in [-1, 1], ``label`` the number of its class, ``mask`` [1, *S] int64
class indices (255 is not judged), ``name`` the row's id; what an image does not have is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from meddiff.batches.batch import Batch
from meddiff.errors import InputError
from meddiff.images.intensity import to_pixels
from meddiff.manifest.row import ManifestRow


class Images(Protocol):
    """The part of `batches.images.Images` that is handed on."""

    rows: Sequence[ManifestRow]
    class_names: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, *S) of an image."""
        ...

    @property
    def spacing_mm(self) -> tuple[float, ...] | None:
        """Distance of neighbors along *S."""
        ...

    def batch(self, positions: Sequence[int]) -> Batch:
        """Return the images at these positions."""
        ...


class ItemDataset(Dataset):
    """Images as items that are made when they are asked for."""

    def __init__(self, images: Images) -> None:
        self.images, self.class_names = images, images.class_names

    def __len__(self) -> int:
        """Count the images."""
        return len(self.images.rows)

    def __getitem__(self, position: int) -> dict[str, Any]:
        """Return one image and what is known of it; what its cut draws is a function of the position."""
        if not 0 <= position < len(self):
            raise IndexError(position)
        return item_of(self.images, position)


def item_of(images: Images, position: int) -> dict[str, Any]:
    """Return one image as a dict."""
    batch = images.batch([position])
    item: dict[str, Any] = {"image": batch.image[0], "name": images.rows[position].row_id}
    known = {"label": None if batch.label is None else int(batch.label[0]),
             "mask": None if batch.mask is None else batch.mask[0],
             "attributes": None if batch.attributes is None else batch.attributes[0]}  # fmt: skip
    return item | {name: value for name, value in known.items() if value is not None}


def as_torch(images: Images) -> ItemDataset:
    """Return a `torch.utils.data.Dataset` of dicts."""
    return ItemDataset(images)


def as_monai(images: Images) -> Any:
    """Return a `monai.data.Dataset` of dictionaries whose image and mask are MetaTensors with the spacing."""
    from monai.data.dataset import Dataset as MonaiDataset
    from monai.data.meta_tensor import MetaTensor

    affine = torch.diag(torch.tensor([*_spacing(images), 1.0], dtype=torch.float64))

    def item(position: int) -> dict[str, Any]:
        plain = item_of(images, position)
        tensors = {name: MetaTensor(plain[name], affine=affine) for name in ("image", "mask") if name in plain}
        return plain | tensors

    return MonaiDataset(data=list(range(len(images.rows))), transform=item)


def as_torchio(images: Images) -> Any:
    """Return a `torchio.SubjectsDataset`; pictures are volumes of one slice, and all are in memory.

    Raises:
        InputError: torchio is not installed.
    """
    torchio = _package("torchio")
    affine = np.diag([*_spacing(images), 1.0])

    def subject(item: dict[str, Any]) -> Any:
        flat = item["image"].ndim == 3
        kinds = {"image": torchio.ScalarImage, "mask": torchio.LabelMap}
        parts = {name: kind(tensor=item[name][..., None] if flat else item[name], affine=affine)
                 for name, kind in kinds.items() if name in item}  # fmt: skip
        return torchio.Subject(item | parts)

    return torchio.SubjectsDataset([subject(item_of(images, position)) for position in range(len(images.rows))])


def as_datasets(images: Images) -> Any:
    """Return a `datasets.Dataset` of pictures with 8 bits, the classes by name; in memory.

    Raises:
        InputError: datasets is not installed, or the images are volumes.
    """
    datasets = _package("datasets")
    if len(images.shape) != 3 or images.shape[0] not in (1, 3):
        raise InputError(f"a Hugging Face data set holds pictures of 1 or 3 channels, these are {list(images.shape)}: "
                         "use as_torch, as_monai or as_torchio")  # fmt: skip
    items = [item_of(images, position) for position in range(len(images.rows))]
    columns = {"image": [_picture(item) for item in items], "name": [item["name"] for item in items]}
    features = {"image": datasets.Image(), "name": datasets.Value("string")}
    if images.class_names:
        columns["label"] = [item["label"] for item in items]
        features["label"] = datasets.ClassLabel(names=list(images.class_names))
    if all("mask" in item for item in items):
        columns["mask"] = [_pillow(item["mask"][0].numpy().astype(np.uint8)) for item in items]
        features["mask"] = datasets.Image()
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


class HandedOn:
    """The ways of images to the programs of others."""

    as_torch = as_torch
    as_monai = as_monai
    as_torchio = as_torchio
    as_datasets = as_datasets


def _picture(item: dict[str, Any]) -> Any:
    return _pillow(to_pixels(item["image"].numpy()))


def _pillow(pixels: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(pixels)


def _spacing(images: Images) -> tuple[float, ...]:
    """Return the distance of neighbors along three axes, 1 where nobody knows it."""
    return (*(images.spacing_mm or ()), 1.0, 1.0, 1.0)[:3]


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(f"{name} cannot be imported ({error}): pip install {name}") from error
