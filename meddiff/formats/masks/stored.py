"""Masks as they are stored: nothing is made black and white here, and no number is taken for a class.

The pixels of a picture can be read in several ways, and which of them is meant is no matter of one file:

- ``gray``: numbers; of volumes too. 1-bit pictures are 0 and 255, transparent parts black.
- ``index``: the entries of a colored palette, as numbers.
- ``alpha``: how opaque a pixel is, where all that can be seen of a picture has one color.
- ``color``: red, green and blue as one number, 0xRRGGBB.

Shapes with names (``name``) are no pixels of a picture: one file per class, a SEG, an RTSTRUCT.

`levels.levels_of` counts what is there, for `decide`, which is asked once for all masks of a data set.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meddiff.files.bad import bad_file
from meddiff.formats.arrays import is_of_volume, open_volume, plane_of
from meddiff.formats.drawing import Drawing
from meddiff.formats.pictures import read_layers
from meddiff.formats.volume import Place, Volume

WAYS = ("gray", "index", "alpha", "color", "name")
WHOLE = 1e-3
"""How far a label may lie from a whole number: the scaling of a header makes 0.99999997 or 2e-10 of one."""
SEEN = -1
"""Stands for the pixels that can be seen, where the shape of a mask is its transparency."""
_NOISE_JPEG = 16  # between the channels of a gray picture that is stored in colors


@dataclass(frozen=True)
class StoredMask:
    """The pixels of one mask file, in each way that they can be read."""

    path: Path
    ways: dict[str, np.ndarray]
    """Way of reading -> numbers [*S]; the most natural one is first."""
    is_volume: bool = False
    lossy: bool = False
    """Whether it is compressed with loss, as a JPEG is: its values are near to what was meant and never just that."""
    palette: tuple[tuple[int, int], ...] = ()
    """Entry and color (0xRRGGBB) of what a colored palette is used for; SEEN and the one color of what can be seen."""
    places: tuple[tuple[Path, Place], ...] = ()
    """Volumes that it was read from, and where their voxels lie."""
    drawing: Drawing | None = None
    """The shapes of a mask whose shapes have names."""

    @property
    def natural(self) -> str:
        """The way of reading that the file alone suggests."""
        return next(iter(self.ways))

    def read(self, way: str) -> np.ndarray:
        """Read numbers [*S] in some way.

        Raises:
            InputError: a file in colors where numbers are meant.
        """
        if way in self.ways:
            return self.ways[way]
        if way == "color":
            gray = self.ways["gray"].astype(np.uint32)
            return gray << 16 | gray << 8 | gray
        if "gray" in self.ways:  # numbers are numbers, also beside palettes and transparent pictures
            return self.ways["gray"]
        raise in_colors(self.path)


def in_colors(path: Path, cure: str = ""):
    """Refuse a mask in colors."""
    return bad_file(
        path, f"a mask must be gray (black and white, or class indices), this one has colors{cure and ': '}{cure}"
    )


def read_stored(path: str | Path, *, axis: int | None = None, index: int | None = None) -> StoredMask:
    """Read a mask that is a picture; a slice of a volume, or a page of a TIFF, where axis and index are given.

    Raises:
        InputError: the file cannot be read, several volumes in one file, values that are not finite.
    """
    path = Path(path)
    if is_of_volume(path):
        volume = open_volume(path)
        _check_one(volume, path)
        values = _numbers(plane_of(volume, path, axis, index), path)
        return StoredMask(path, {"gray": values}, is_volume=True, places=((path, volume.place),))
    if axis not in (None, 0):
        raise bad_file(path, f"a picture has no slice axis {axis}, pages of a TIFF lie along axis 0")
    layers = read_layers(path, frame=index)
    pixels = layers.pixels
    gray = pixels.ndim == 2 or bool(np.ptp(pixels, axis=-1).max() <= (_NOISE_JPEG if layers.lossy else 0))
    plain = {"gray": _numbers(pixels if pixels.ndim == 2 else pixels[..., 1], path)} if gray else {}
    entries = layers.index
    ways = plain | ({} if entries is None else {"index": entries}) | ({} if gray else {"color": _packed(pixels)})
    palette: tuple[tuple[int, int], ...] = ()
    if layers.alpha is not None and _is_of_one_color(layers.bare, layers.alpha):
        ways = {"alpha": layers.alpha} | ways
        palette = tuple((SEEN, int(color)) for color in np.unique(_packed(layers.bare[layers.alpha > 0])))
    elif entries is not None and not gray:
        used, first = np.unique(entries, return_index=True)
        palette = tuple(zip(used.tolist(), ways["color"].ravel()[first].tolist(), strict=True))
    return StoredMask(path, ways, lossy=layers.lossy, palette=palette)


def stored_volume(volume: Volume, path: str | Path) -> StoredMask:
    """Take the mask that is a whole volume, [I, J, K].

    Raises:
        InputError: colors, several volumes in one file, values that are not finite.
    """
    _check_one(volume, Path(path))
    values = _numbers(volume.array.reshape(volume.shape), Path(path))
    return StoredMask(Path(path), {"gray": values}, is_volume=True, places=((Path(path), volume.place),))


def stored_drawing(drawing: Drawing, places: tuple[tuple[Path, Place], ...] = ()) -> StoredMask:
    """Take the mask that is shapes with names."""
    return StoredMask(drawing.path, {"name": drawing.numbers}, places=places, drawing=drawing)


def _check_one(volume: Volume, path: Path) -> None:
    if volume.color or volume.count > 1:
        raise bad_file(path, f"a mask is one volume of whole numbers, this is {volume.array.shape}: make class indices "
                             "of its channels or colors, in one volume")  # fmt: skip


def _numbers(values: np.ndarray, path: Path) -> np.ndarray:
    """Turn whole numbers into integers; what is not whole stays as it is."""
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind != "f":
        return values
    if not np.isfinite(values).all():
        raise bad_file(path, "some of its values are not finite numbers: a mask holds whole numbers, one per class")
    whole = np.rint(values)
    if values.size == 0 or np.abs(values - whole).max() > WHOLE or np.abs(whole).max() >= 2**31:
        return values
    return whole.astype(np.uint8 if whole.min() >= 0 and whole.max() <= 255 else np.int32)


def _packed(pixels: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(pixels.astype(np.uint32), -1, 0)
    return red << 16 | green << 8 | blue


def _is_of_one_color(bare: np.ndarray, alpha: np.ndarray) -> bool:
    """Tell whether some of a picture is transparent, and all that can be seen has one color."""
    if alpha.min() == 255:
        return False
    seen = bare[alpha > 0]
    return len(seen) == 0 or bool((seen == seen[:1]).all())


def not_whole(path: Path, values: np.ndarray):
    """Refuse numbers that are no classes."""
    wrong = np.unique(values[np.abs(values - np.rint(values)) > WHOLE])
    odd = ", ".join(f"{value:g}" for value in wrong[:5]) + (" ..." if len(wrong) > 5 else "")
    return bad_file(
        path, f"a mask holds whole numbers from 0 to 255, one per class; this one has {odd}. Give class indices; cut "
              "a soft mask at one half"
    )  # fmt: skip
