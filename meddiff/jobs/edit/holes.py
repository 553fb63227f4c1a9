"""The places of a picture that are changed: boxes, masks with the names of the pictures, hairs that are looked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meddiff.errors import InputError
from meddiff.files.content import content_of
from meddiff.formats import Picture, load_mask
from meddiff.formats.find import Found, find
from meddiff.images.retouch import boxes, hairs
from meddiff.images.views import as_gray
from meddiff.recipe.generators import Edit

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Holes:
    """The places that are changed, all together; none of them means the whole picture."""

    corners: tuple[Box, ...]
    """Boxes (x, y, width, height)."""
    masks: dict[str, Found]
    """Masks by the name of their picture; that of all pictures by the empty name."""
    hairy: bool
    """True where hairs and ruler marks are looked for."""

    @classmethod
    def of(cls, settings: Edit) -> Holes:
        """Read where, by the settings of the command.

        Raises:
            InputError: a box that is none, no masks at the place.
        """
        return cls(_corners(settings.box), _masks(settings.mask), settings.remove == "hairs")

    @property
    def contents(self) -> dict[str, str]:
        """Hashes of the masks."""
        return {name: content_of(one.files) for name, one in self.masks.items()}

    def in_picture(self, picture: Picture, one: Found) -> np.ndarray | None:
        """Return what is changed of a picture, bool [H, W]; None for all of it.

        Raises:
            InputError: no mask of its name, a mask of another size or without anything, a box beyond the picture.
        """
        holes = []
        if self.masks:
            holes.append(self._mask(picture, one))
        if self.corners:
            holes.append(_boxes(self.corners, picture, one.path))
        if self.hairy:
            holes.append(hairs(as_gray(picture.pixels, picture.pixels)))
        return np.any(holes, axis=0) if holes else None

    def _mask(self, picture: Picture, one: Found) -> np.ndarray:
        named = [self.masks[name] for name in ("", one.name, f"{one.name}_mask") if name in self.masks]
        if not named:
            raise InputError(f"{one.path}: --mask holds no mask of the name {one.name}")
        path, (height, width) = named[0].path, picture.size
        mask = load_mask(path) > 0
        if mask.shape != picture.size:
            raise InputError(
                f"mask {path} is {mask.shape[1]} x {mask.shape[0]} pixels, its picture {one.path} is {width} x "
                f"{height}. Give a mask of the picture's size."
            )
        if not mask.any():
            raise InputError(f"mask {path} is all background: there is nothing to change in {one.path}")
        return mask


def _corners(text: str) -> tuple[Box, ...]:
    """Read boxes as x,y,width,height, with semicolons between them.

    Raises:
        InputError: something else.
    """
    read = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        numbers = part.replace(" ", "").split(",")
        if len(numbers) != 4 or not all(number.isdecimal() for number in numbers) or 0 in map(int, numbers[2:]):
            raise InputError(f"--box {part!r}: a box is x,y,width,height in pixels, such as 40,30,25,25")
        x, y, width, height = map(int, numbers)
        read.append((x, y, width, height))
    return tuple(read)


def _boxes(corners: tuple[Box, ...], picture: Picture, path: Path) -> np.ndarray:
    height, width = picture.size
    for x, y, wide, high in corners:
        if x + wide > width or y + high > height:
            raise InputError(f"{path}: the box {x},{y},{wide},{high} reaches beyond the picture, {width} x {height}")
    return boxes(corners, picture.size)


def _masks(place: str) -> dict[str, Found]:
    """List the masks by the names of their pictures; one file is the mask of all.

    Raises:
        InputError: there is no such file or folder.
    """
    if not place:
        return {}
    path = Path(place).expanduser()
    listed = {one.name: one for one in find(path) if one.kind != "other"}
    if not listed:
        raise InputError(f"--mask {place}: there is no mask in it. Name a picture, or a folder of them.")
    return listed if path.is_dir() else {"": next(iter(listed.values()))}
