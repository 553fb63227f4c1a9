"""Pictures of a page: images beside one another, pairs of nearest images, and cases with outlines and uncertainty.

An image is stored once, at the size that is shown at most, and small ones as they are, so that what is seen large is
what the network saw. Outlines are curves over the image, not pixels of it: they stay crisp, and the image below truth
and prediction is the same. Every class has one color, the same for both. The map of uncertainty is scaled to the
largest value of the whole gallery, so that maps of two cases can be compared.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from skimage.measure import approximate_polygon, find_contours

from meddiff.errors import InputError
from meddiff.images.views import as_rgb

THUMBNAIL = 128  # CSS pixels: four times a 32-pixel image, twice a 64-pixel one
TILE = 224  # CSS pixels of a case's picture at most
LARGEST = 192  # pixels of a side that are stored at most
TRACED = 640  # pixels of a side that outlines are drawn along at most
BUDGET = 450_000
"""Bytes of all pictures of a page that are stored to the last bit; more of them are stored in 256 colors each."""
OUTLINES = ((64, 224, 208), (255, 170, 60), (240, 98, 146), (174, 213, 80), (140, 158, 255), (255, 241, 118))
RAMP = ((13, 17, 36), (54, 41, 110), (122, 46, 134), (193, 66, 112), (240, 120, 76), (253, 200, 110), (252, 252, 220))


@dataclass(frozen=True)
class Picture:
    """An image with what is said of it; `width` and `height` are its size on the page in CSS pixels."""

    pixels: np.ndarray
    """uint8 [h, w] or [h, w, 3], as it is stored."""
    alt: str
    width: int
    height: int
    caption: str = ""
    pixelated: bool = False
    outlines: tuple[tuple[str, str], ...] = ()
    """Path and color of each curve over it, in percent of its width and height."""


@dataclass(frozen=True)
class Group:
    """Pictures that belong together, with a title above and lines of text beside them."""

    pictures: tuple[Picture, ...]
    title: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pictures:
    """Groups of pictures under one caption; the layout is sides, pairs or tiles."""

    title: str
    groups: tuple[Group, ...]
    layout: str
    aside: str = ""


@dataclass(frozen=True)
class NearestPair:
    """An image and the training image nearest to it. Among held-out pairs, `synthetic` is the held-out real one."""

    synthetic: np.ndarray
    real: np.ndarray
    distance: float
    synthetic_id: str
    real_id: str


@dataclass(frozen=True)
class GalleryCase:
    """One case to look at. Volumes come as one slice."""

    name: str
    caption: str
    """What is said beside its name: its Dice, and why it is shown."""
    image: np.ndarray
    """uint8 [H, W, 3] or [H, W]."""
    truth: np.ndarray
    """Class indices [H, W]."""
    prediction: np.ndarray
    """Class indices [H, W]."""
    uncertainty: np.ndarray | None = None
    """[H, W], 0 for sure; None where the model has none."""
    group: str = ""
    """The heading under which it is shown, such as "Worst cases" or "Most uncertain cases"."""


def thumbnail(image: np.ndarray, alt: str, caption: str = "") -> Picture:
    """Show a small image at a whole multiple of its size, a large one at THUMBNAIL pixels.

    Raises:
        InputError: an array that is no picture.
    """
    longest = max(image.shape[:2])
    factor = THUMBNAIL // longest if longest <= THUMBNAIL else THUMBNAIL / longest
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    return Picture(stored(image), alt, width, height, caption, pixelated=longest <= THUMBNAIL)


def beside(title: str, sides: Sequence[tuple[str, Sequence[Picture]]]) -> Pictures:
    """Show sets of pictures beside one another: the real ones and the synthetic ones."""
    return Pictures(title, tuple(Group(tuple(pictures), name) for name, pictures in sides), "sides")


def nearest_pairs(title: str, pairs: Sequence[tuple[Picture, Picture, str]]) -> Pictures:
    """Show pairs of pictures with their distance and the names of both."""
    groups = (Group((first, second), distance, (first.caption, second.caption)) for first, second, distance in pairs)
    return Pictures(title, tuple(groups), "pairs")


def check_gallery(cases: Sequence[GalleryCase]) -> None:
    """Refuse cases whose parts do not belong together.

    Raises:
        InputError: parts of unequal sizes, or an uncertainty that is none.
    """
    for case in cases:
        size = as_rgb(case.image).shape[:2]
        others = {"truth": case.truth, "prediction": case.prediction, "uncertainty": case.uncertainty}
        wrong = {name: part.shape for name, part in others.items() if part is not None and part.shape != size}
        if wrong:
            raise InputError(f"the gallery's case {case.name!r} has an image {size}, but {wrong}: give all of one size")
        if case.uncertainty is not None and not (np.isfinite(case.uncertainty).all() and case.uncertainty.min() >= 0):
            raise InputError(f"the uncertainty of the gallery's case {case.name!r} is negative, NaN or infinite")


def tiles(case: GalleryCase, largest_uncertainty: float, prefix: str = "") -> Pictures:
    """Show a case as its image, the outlines of truth and prediction over it, and where the model is unsure."""
    image = stored(case.image)
    parts = {"Image": (image, ()), "Truth": (image, outlines(case.truth)),
             "Prediction": (image, outlines(case.prediction))}  # fmt: skip
    if case.uncertainty is not None:
        parts["Uncertainty"] = (stored(colored(case.uncertainty, largest_uncertainty)), ())
    return shown_beside(case.name, parts, case.caption, case.image.shape[:2], prefix)


def shown_beside(
    name: str, parts: Mapping[str, tuple[np.ndarray, tuple]], caption: str, size: tuple[int, ...], prefix: str = ""
) -> Pictures:  # fmt: skip
    """Show pictures of one case beside one another: title -> pixels and the outlines over them."""
    scale = TILE / max(size)
    height, width = (max(1, round(side * scale)) for side in size)
    pictures = (
        Picture(pixels, f"{prefix}{title.lower()} of case {name}", width, height, title, outlines=curves)
        for title, (pixels, curves) in parts.items()
    )
    return Pictures(name, (Group(tuple(pictures)),), "tiles", caption)


def stored(image: np.ndarray) -> np.ndarray:
    """Bring a picture down to LARGEST pixels where it is larger; gray ones stay gray.

    Raises:
        InputError: an array that is no picture.
    """
    picture = Image.fromarray(as_rgb(image))
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return np.asarray(picture.convert("L") if image.ndim == 2 else picture)


def outlines(classes: np.ndarray) -> tuple[tuple[str, str], ...]:
    """Trace the border of every class but the background: paths in percent of the picture, with their colors."""
    shrunk = Image.fromarray(classes.astype(np.uint8))
    shrunk.thumbnail((TRACED, TRACED), Image.Resampling.NEAREST)
    classes = np.asarray(shrunk)
    scale = 100 / np.array(classes.shape[::-1])
    return tuple(
        (" ".join(_path(curve, scale) for curve in find_contours(np.pad(classes == index, 1).astype(float), 0.5)),
         outline_color(index))
        for index in (int(value) for value in np.unique(classes) if value > 0)
    )  # fmt: skip


def _path(curve: np.ndarray, scale: np.ndarray) -> str:
    """Write a closed curve (row, column of pixels' centers in the padded mask) as a path."""
    corners = (approximate_polygon(curve, 0.3)[:-1, ::-1] - 0.5) * scale
    return "M" + "L".join(f"{x:.2f},{y:.2f}" for x, y in corners) + "Z"


def outline_color(index: int) -> str:
    """Name the color of class ``index`` (1 is the first that is not background) as CSS does."""
    return f"rgb{OUTLINES[(index - 1) % len(OUTLINES)]}"


def colored(values: np.ndarray, largest: float) -> np.ndarray:
    """Show values from 0 to ``largest`` as colors from dark to bright, uint8 [H, W, 3]."""
    shares = np.clip(values / largest if largest > 0 else np.zeros_like(values), 0, 1)
    stops = np.linspace(0, 1, len(RAMP))
    channels = [np.interp(shares, stops, [color[channel] for color in RAMP]) for channel in range(3)]
    return np.stack(channels, -1).round().astype(np.uint8)


def digest(pixels: np.ndarray) -> str:
    """Name an image by its content."""
    return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:12]


def addresses(pictures: Iterable[Picture]) -> dict[str, str]:
    """Store each image once: data URIs of PNGs by `digest`, in 256 colors where they are more than BUDGET."""
    images = {digest(picture.pixels): picture.pixels for picture in pictures}
    files = {name: _png(Image.fromarray(pixels)) for name, pixels in images.items()}
    if sum(map(len, files.values())) > BUDGET:
        few = {name: _png(Image.fromarray(pixels).quantize(256, dither=Image.Dither.NONE))
               for name, pixels in images.items()}  # fmt: skip
        files = {name: min(files[name], few[name], key=len) for name in files}
    return {name: f"data:image/png;base64,{base64.b64encode(file).decode('ascii')}" for name, file in files.items()}


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
