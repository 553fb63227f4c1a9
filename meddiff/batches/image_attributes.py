"""Descriptions of images beside their class, as numbers: age, sex, site, scanner, size, brightness.

An attribute is a number or one of several names, by the values that the training images have. A network sees it as a
vector of one length (`Attributes.features`): sines and cosines of the number, one position for each name, zeros where
the value is not known or not given.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from meddiff.cache.image_array import ImageArray
from meddiff.cache.store import Prepared
from meddiff.errors import InputError
from meddiff.images.sizes import mask_shares
from meddiff.manifest.row import NUMBERS, ManifestRow

_logger = logging.getLogger(__name__)
OF_THE_ROW = ("dataset", "modality", "site", "sex", "age_years", "spacing_mm_0", "spacing_mm_1", "spacing_mm_2")
"""Columns of the manifest that describe an image."""
MEASURED = ("size", "brightness")
"""Attributes that are measured where the manifest does not name them: the share of the image that its mask marks, and
the mean of the image as the network sees it; both are from 0 to 1."""
WAVES = 3
"""Sines and cosines of a number: of a quarter of a turn over its usual range, of half a turn and of a whole one."""
USUAL = (0.05, 0.95)
"""Quantiles of the training values between which the usual range of a number lies."""
MOST_NAMES = 100
Given = str | float
"""A value as a row or a user gives it."""


@dataclass(frozen=True)
class ImageAttribute:
    """One attribute: a number with its range in the training images, or one of several names."""

    name: str
    names: tuple[str, ...] = ()
    """The values there are; empty for a number."""
    usual: tuple[float, float] = (0.0, 1.0)
    """The range of most training values, that waves are scaled by."""
    seen: tuple[float, float] = (0.0, 1.0)
    """Smallest and largest training value."""

    @property
    def length(self) -> int:
        """Features that tell one value from another."""
        return len(self.names) or 2 * WAVES

    def number(self, value: Given | None) -> float:
        """Return a value as a number: its position among the names, or itself; NaN where it is None.

        Raises:
            InputError: a name that no training image has, or no number.
        """
        if value is None:
            return math.nan
        if self.names:
            if str(value) not in self.names:
                raise InputError(f"{self.name} is {value!r}, which no training image has: use {', '.join(self.names)}")
            return float(self.names.index(str(value)))
        number = _as_number(value)
        if number is None:
            low, high = self.seen
            raise InputError(f"{self.name} is {value!r}: give a number; training images have {low:g} to {high:g}")
        return number

    def beyond(self, value: Given | None) -> str:
        """Say that a number lies outside what the network was shown; empty where it does not."""
        low, high = self.seen
        if self.names or value is None or low <= self.number(value) <= high:
            return ""
        return (
            f"{self.name} is {self.number(value):g}, and training images have {low:g} to {high:g}: the network has "
            "never seen such an image"
        )


@dataclass(frozen=True)
class Attributes:
    """The attributes that the images of a run are described by, in their order; none is false."""

    each: tuple[ImageAttribute, ...] = ()

    def __len__(self) -> int:
        """Count them."""
        return len(self.each)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the attributes."""
        return tuple(one.name for one in self.each)

    @property
    def width(self) -> int:
        """A * F, features of all."""
        return len(self) * self.length

    @property
    def length(self) -> int:
        """F, features of each."""
        return max((one.length for one in self.each), default=0)

    def numbers(self, values: Sequence[Mapping[str, Given | None]]) -> np.ndarray:
        """Return [N, A] float32: each image's values as numbers, NaN where unknown or not given.

        Raises:
            InputError: a value that a network of these attributes cannot know.
        """
        listed = [[one.number(image.get(one.name)) for one in self.each] for image in values]
        return np.array(listed, dtype=np.float32).reshape(len(values), len(self))

    def values(self, numbers: np.ndarray) -> dict[str, Given]:
        """Return the values of one image, by its numbers [A]; without those that are unknown."""
        known = [
            (one, _rounded(number)) for one, number in zip(self.each, numbers, strict=True) if not np.isnan(number)
        ]
        return {one.name: one.names[int(number)] if one.names else number for one, number in known}

    def features(self, numbers: Tensor) -> Tensor:
        """Return [B, A, F] of numbers [B, A]: vectors of length sqrt(F), zeros where unknown."""
        parts = [self._vectors(one, numbers[:, place]) for place, one in enumerate(self.each)]
        padded = [torch.nn.functional.pad(part, (0, self.length - part.shape[1])) for part in parts]
        return torch.stack(padded, dim=1) * math.sqrt(self.length)

    def _vectors(self, one: ImageAttribute, number: Tensor) -> Tensor:
        """Return unit vectors [B, length], zeros where unknown."""
        known = ~number.isnan()
        if one.names:
            index = number.nan_to_num().long()
            vectors = torch.nn.functional.one_hot(index, len(one.names)).to(number.dtype)
        else:
            low, high = one.usual
            turns = torch.tensor([math.pi / 4 * 2**wave for wave in range(WAVES)], device=number.device)
            angle = (2 * (number.nan_to_num() - low) / (high - low) - 1)[:, None] * turns
            vectors = torch.cat([angle.sin(), angle.cos()], dim=1) / math.sqrt(WAVES)
        return vectors * known[:, None]

    def given(self, values: Mapping[str, Any]) -> dict[str, Given]:
        """Check what somebody asks for; a number that no training image had is a warning.

        Raises:
            InputError: an attribute that there is not, or a value that it cannot have.
        """
        if unknown := [name for name in values if name not in self.names]:
            have = (
                f"it knows {', '.join(self.names)}" if self.names else "it was trained on images by their class alone"
            )
            raise InputError(f"the network knows no {', '.join(unknown)}: {have}")
        for one in self.each:
            one.number(values.get(one.name))
            if sentence := one.beyond(values.get(one.name)):
                _logger.warning(sentence)
        kinds = {one.name: str if one.names else float for one in self.each}
        return {name: kinds[name](value) for name, value in values.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return what is kept beside the weights."""
        return {
            one.name: {"names": list(one.names)} if one.names else {"usual": list(one.usual), "seen": list(one.seen)}
            for one in self.each
        }

    @staticmethod
    def from_dict(kept: Any) -> Attributes:
        """Return the inverse of `to_dict`.

        Raises:
            InputError: it is damaged.
        """
        try:
            parts = {name: {key: tuple(part) for key, part in one.items()} for name, one in kept.items()}
            made = Attributes(tuple(ImageAttribute(str(name), **one) for name, one in parts.items()))
            _ = made and made.features(torch.from_numpy(made.numbers([{}])))
        except (TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise InputError(f"the checkpoint is damaged: its attributes are {str(kept)[:80]!r}") from error
        return made


NOTHING = Attributes()


@dataclass(frozen=True)
class Described:
    """Description of images beside their class."""

    attributes: Attributes = NOTHING
    numbers: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    """[N, A] as `Attributes.numbers` gives them."""

    def features(self, at: np.ndarray, send: Callable[[np.ndarray], Tensor] = torch.from_numpy) -> Tensor | None:
        """Return [B, A, F] of the images at these positions, where ``send`` brings their numbers; None of none."""
        return self.attributes.features(send(self.numbers[at])) if self.attributes else None


PLAIN = Described()
"""Description of images by their class alone."""


def values_of(row: ManifestRow, names: Sequence[str]) -> dict[str, Given | None]:
    """Return the values of a row by name: from its columns, and from ``attributes`` what has no column."""
    own = row.described
    return {name: getattr(row, name) if name in OF_THE_ROW else own.get(name) for name in names}


def values_of_all(prepared: Prepared | ImageArray, names: Sequence[str]) -> list[dict[str, Given | None]]:
    """Return the values of each prepared image by name, measured where its row has none and they can be."""
    values = {row.row_id: values_of(row, names) for row in prepared.rows}
    if "size" in names:
        shares = mask_shares([row for row in prepared.rows if values[row.row_id]["size"] is None])
        for row_id, share in shares.items():
            values[row_id]["size"] = share
    for row, case in zip(prepared.rows, prepared, strict=True):
        if values[row.row_id].get("brightness", 0) is None:
            values[row.row_id]["brightness"] = float(np.mean(case.image) / np.iinfo(case.image.dtype).max)
    return list(values.values())


def with_values(row: ManifestRow, values: Mapping[str, Given]) -> ManifestRow:
    """Return the row with these values in its columns, and in ``attributes`` what has no column."""
    own = {name: value for name, value in values.items() if name in OF_THE_ROW}
    others = row.described | {
        name: f"{value:.6g}" if isinstance(value, float) else value for name, value in values.items() if name not in own
    }
    cell = ";".join(f"{name}={value}" for name, value in others.items())
    return replace(row, **own, attributes=cell or None)  # pyright: ignore[reportArgumentType]


def learned_from(names: Sequence[str], values: Sequence[Mapping[str, Given | None]]) -> Attributes:
    """Decide what each attribute is, by the values of the training images.

    Raises:
        InputError: an attribute that no image has, that all have alike, or with a name for nearly every image.
    """
    return Attributes(tuple(_learned(name, [image[name] for image in values]) for name in names))


def _learned(name: str, values: Sequence[Given | None]) -> ImageAttribute:
    known = [value for value in values if value is not None]
    if not known:
        where = "their masks" if name == "size" else f"the column {name}" if name in OF_THE_ROW else (
            f"a column attributes of the manifest ({name}=value;...)"
        )  # fmt: skip
        raise InputError(
            f"diffusion.attributes names {name}, which none of the {len(values)} training images has: fill in {where}, "
            f"or use {', '.join((*OF_THE_ROW, *MEASURED))}"
        )
    if len(set(known)) == 1:
        raise InputError(
            f"diffusion.attributes names {name}, which is {known[0]!r} in all training images that tell it: there is "
            "nothing to learn from it. Leave it out"
        )
    numbers = [_as_number(value) for value in known]
    if (name in NUMBERS or name not in OF_THE_ROW) and None not in numbers:
        array = np.array(numbers, dtype=np.float64)
        low, high = (_rounded(limit) for limit in np.quantile(array, USUAL))
        seen = _rounded(array.min()), _rounded(array.max())
        return ImageAttribute(name, usual=(low, high) if low < high else seen, seen=seen)
    names = tuple(sorted({str(value) for value in known}))
    if len(names) > MOST_NAMES:
        raise InputError(
            f"diffusion.attributes names {name}, which has {len(names)} different values in {len(known)} training "
            f"images: more than {MOST_NAMES} describe no image. Group them, or leave it out"
        )
    return ImageAttribute(name, names=names)


def _as_number(value: Given) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _rounded(number: float) -> float:
    return float(f"{number:.6g}")
