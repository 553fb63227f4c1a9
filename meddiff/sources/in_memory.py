"""Pictures that a program holds: a torch `Dataset`, MONAI dictionaries, TorchIO subjects, a Hugging Face data set.

They are written into a folder once, named by their content, and are images like all others from there on. An item is a
pair (image, label) or a dict: ``image`` (``img``, ``pixel_values``), ``label`` (``class``) by name or number, and
``name``. An image is a tensor or array [C, H, W] or [H, W, C], a Pillow picture, or the path of a file. Values of all
lie in [0, 1], [-1, 1] or [0, 255], and are 8 bits from there on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from meddiff.errors import InputError
from meddiff.files.writing import write_folder
from meddiff.formats import load_image, save_image
from meddiff.manifest.row import ManifestRow, blank_row
from meddiff.manifest.table import read_manifest, write_manifest

IMAGE, LABEL = ("image", "img", "pixel_values"), ("label", "class", "labels")
"""Names that items give to their parts."""
LIST = "manifest.csv"


def rows_in_memory(items: Any, cache: Path) -> list[ManifestRow]:
    """Write the pictures of a data set below the cache, once, and list them.

    Raises:
        InputError: no items, an item without a picture, volumes, values that are no picture's.
    """
    if not (hasattr(items, "__len__") and hasattr(items, "__getitem__")):
        kind = type(items).__name__
        raise InputError(f"images are a folder, a manifest or a data set with a length, this is a {kind}")
    parts = [_parts(items[position], position) for position in range(len(items))]
    if not parts:
        raise InputError("the data set holds no image")
    pictures, names = _as_pixels([image for image, _, _ in parts]), _class_names(items)
    labels = [names[label] if names and isinstance(label, int) else label for _, label, _ in parts]
    digest = hashlib.sha256(
        repr([(pixels.shape, label) for pixels, label in zip(pictures, labels, strict=True)]).encode()
    )
    for pixels in pictures:
        digest.update(pixels.tobytes())
    folder = cache / f"in-memory-{digest.hexdigest()[:32]}"
    if not (folder / LIST).is_file():
        write_folder(folder, lambda part: _write(part, pictures, labels, [name for _, _, name in parts]), durable=False)
    return read_manifest(folder / LIST)


def _write(folder: Path, pictures: Sequence[np.ndarray], labels: Sequence[Any], names: Sequence[str]) -> None:
    rows = []
    for number, (pixels, label, name) in enumerate(zip(pictures, labels, names, strict=True)):
        save_image(pixels, folder / f"{number:06d}.png")
        row = blank_row(name or f"{number:06d}", f"{number:06d}.png", folder)
        rows.append(replace(row, dataset="in_memory", label=None if label is None else str(label)))
    write_manifest(rows, folder / LIST)


def _parts(item: Any, position: int) -> tuple[Any, Any, str]:
    """Return image, label and name of an item."""
    if isinstance(item, Sequence) and not isinstance(item, str) and len(item) in (1, 2):
        return item[0], _number(item[1]) if len(item) == 2 else None, ""
    if not isinstance(item, Mapping):
        return item, None, ""
    image = next((item[name] for name in IMAGE if name in item), None)
    if image is None:
        raise InputError(f"item {position} has {', '.join(map(str, item))}, and none of them is {', '.join(IMAGE)}")
    label = next((item[name] for name in LABEL if name in item), None)
    return image, _number(label), str(item.get("name", ""))


def _number(label: Any) -> Any:
    """Return a class as a text or a whole number."""
    return label if label is None or isinstance(label, str) else int(np.asarray(label).reshape(()))


def _class_names(items: Any) -> Sequence[str]:
    """Return what a data set calls its classes; nothing where it does not."""
    for name in ("class_names", "classes"):
        if (names := getattr(items, name, None)) is not None:
            return list(names)
    feature = (getattr(items, "features", None) or {}).get("label")
    return getattr(feature, "names", None) or []


def _as_pixels(images: Sequence[Any]) -> list[np.ndarray]:
    """Return uint8 pictures [H, W] or [H, W, 3]; what the values mean is decided from all."""
    arrays = [_array(image, number) for number, image in enumerate(images)]
    floats = [array for array in arrays if array.dtype != np.uint8]
    low, high = (
        min((float(one.min()) for one in floats), default=0),
        max((float(one.max()) for one in floats), default=0),
    )
    if not -1 <= low <= high <= 255 or (low < 0 and high > 1):
        raise InputError(f"the images hold values from {low:g} to {high:g}: give shares in [0, 1], [-1, 1] as networks "
                         "take them, or gray values in [0, 255]")  # fmt: skip
    whole = all(array.dtype.kind in "ui" for array in floats)
    scale, shift = (127.5, 1) if low < 0 else (255, 0) if high <= 1 and not whole else (1, 0)
    return [one if one.dtype == np.uint8 else np.rint((one + shift) * scale).astype(np.uint8) for one in arrays]


def _array(image: Any, number: int) -> np.ndarray:
    """Return a picture as [H, W] or [H, W, 3]."""
    image = getattr(image, "data", image) if type(image).__module__.startswith("torchio") else image
    array = load_image(image) if isinstance(image, str | Path) else np.asarray(image)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
        array = np.moveaxis(array, 0, -1)
    array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)) or not array.size or array.dtype.kind not in "uif":
        raise InputError(f"item {number} is {array.dtype} {list(array.shape)}, and a picture is numbers [C, H, W] or "
                         "[H, W, C] of 1 or 3 channels")  # fmt: skip
    return array
