"""A segmented image to look at in a browser: planes as PNGs, each asked for when it is shown."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import binary_erosion

from meddiff.formats import save_image
from meddiff.formats.find import Found
from meddiff.formats.nifti import save_volume
from meddiff.formats.pictures import read_pixels
from meddiff.formats.volume import Volume
from meddiff.images.case import known_spacing
from meddiff.images.views import as_gray, as_rgb, upright_slices
from meddiff.jobs.segment.predict import Masks, Segmented, segmented_picture, segmented_volume, volume_of
from meddiff.reports.galleries import OUTLINES, colored, outline_color

LARGEST = 1024
"""Pixels of a side that are shown."""
FILLED = 60
"""Opacity, of 255, of the inside of a mask; its border has all of it."""
MAPS = {"entropy": 1.0, "deviation": 0.5}
"""Maps of uncertainty, with the largest value that they can have."""


@dataclass(frozen=True)
class ShownMasks:
    """An image, the answer for it, each member's mask and the maps of uncertainty; upright planes of one size."""

    name: str
    image: np.ndarray
    """uint8 [N, H, W] or [N, H, W, 3]; N is 1 for a picture."""
    masks: np.ndarray
    """uint8 [1 + M, N, H, W]: class indices of the answer, then of each member."""
    maps: dict[str, np.ndarray]
    """[N, H, W] each, by their names in MAPS."""
    aspect: tuple[float, float]
    """Height and width of a pixel, in whatever unit."""
    segmented: Segmented
    volume: Volume | None
    """The image where it is no picture, whose grid the mask is written on."""
    class_names: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes that it takes in memory."""
        own = self.segmented.classes, *self.segmented.beside.values()
        return sum(part.nbytes for part in (self.image, self.masks, *self.maps.values(), *own))

    def facts(self) -> dict[str, Any]:
        """Return what the page says of it."""
        count, height, width = self.image.shape[:3]
        filled = np.count_nonzero(self.masks[0], axis=(1, 2))
        verdict = self.segmented.verdict
        return {
            "name": self.name, "planes": count, "first": int(filled.argmax()) if filled.any() else count // 2,
            "height": height * self.aspect[0], "width": width * self.aspect[1],
            "coarse": max(height, width) <= 256, "members": len(self.masks) - 1,
            "uncertainty": float(self.segmented.uncertainty),
            "unlike": list(verdict.reasons) if verdict else None, "sizes": self._sizes(),
            "notes": list(self.volume.notes) if self.volume else [],
        }  # fmt: skip

    def _sizes(self) -> list[dict[str, Any]]:
        """Say how large each class is, in ml where the spacing is known, and in which color it is drawn."""
        spacing = known_spacing(self.volume) if self.volume else None
        sizes = []
        for index, name in list(enumerate(self.class_names))[1:]:
            count = int(np.count_nonzero(self.segmented.classes == index))
            share = f"{100 * count / self.segmented.classes.size:.3g}% of the image"
            much = share if spacing is None else f"{count * float(np.prod(spacing)) / 1000:.3g} ml"
            sizes.append({"name": name, "color": outline_color(index), "size": much})
        return sizes

    def png(self, layer: str, plane: int) -> bytes | None:
        """Draw a plane of a layer: image, mask-0 (the answer), mask-1 (a member) ..., or a map; None of another."""
        if not 0 <= plane < len(self.image):
            return None
        if layer == "image":
            return png(self.image[plane])
        if layer in self.maps:
            return png(_seen_through(self.maps[layer][plane], MAPS[layer]))
        if (match := re.fullmatch(r"mask-(\d{1,4})", layer)) and int(match[1]) < len(self.masks):
            return png(_outlined(self.masks[int(match[1]), plane]))
        return None

    def file(self) -> tuple[str, bytes]:
        """Return the mask on the image's own grid, as `segment predict` writes it: name and content."""
        stem, classes = re.sub(r"[^\w.-]+", "_", self.name, flags=re.ASCII)[:80] or "image", self.segmented.classes
        with tempfile.TemporaryDirectory(prefix="meddiff-") as folder:
            path = Path(folder) / f"{stem}_mask{'.png' if self.volume is None else '.nii.gz'}"
            if self.volume is None:
                save_image(classes, path)
            else:
                spacing = known_spacing(self.volume) if self.volume.affine is None else None
                affine, forms = self.volume.affine, self.volume.forms
                save_volume(classes, path, affine=affine, spacing_mm=spacing, forms=forms)
            return path.name, path.read_bytes()


def shown(masks: Masks, one: Found) -> ShownMasks:
    """Segment an image, and make what is looked at.

    Raises:
        InputError: it cannot be read, or is not what the network takes.
    """
    if one.kind == "picture":
        volume, segmented = None, segmented_picture(masks, one)
        pixels = read_pixels(one.path)[0]
        image, others, aspect = _smaller(as_gray(pixels, pixels)), _planes(segmented), (1.0, 1.0)
        others = [_smaller(other) for other in others]
    else:
        volume = volume_of(masks, one)
        segmented = segmented_volume(masks, one, volume)
        image, others, aspect = upright_slices(volume, _planes(segmented))
    maps = {name: others[at] for at, name in enumerate(MAPS)}
    return ShownMasks(one.stem, image, np.stack(others[len(maps) :]).astype(np.uint8), maps, aspect, segmented,
                      volume, masks.model.class_names)  # fmt: skip


def _planes(segmented: Segmented) -> list[np.ndarray]:
    """List the maps, the answer and its members, on the image's own grid."""
    members = [values for name, values in sorted(segmented.beside.items()) if name.startswith("member_")]
    return [*(segmented.beside[name] for name in MAPS), segmented.classes, *(members if len(members) > 1 else ())]


def _smaller(pixels: np.ndarray) -> np.ndarray:
    """Bring a picture or map [H, W] down to the largest side that is shown, and make it the one plane there is."""
    step = min(1.0, LARGEST / max(pixels.shape[:2]))
    if step < 1:
        size = max(1, round(pixels.shape[1] * step)), max(1, round(pixels.shape[0] * step))
        way = Image.Resampling.LANCZOS if pixels.ndim == 3 else Image.Resampling.NEAREST
        pixels = np.asarray(Image.fromarray(pixels).resize(size, way))
    return pixels[None]


def _outlined(classes: np.ndarray) -> np.ndarray:
    """Draw classes uint8 [H, W] as RGBA: each with a border, seen through inside."""
    drawn, thickness = np.zeros((*classes.shape, 4), np.uint8), max(1, round(max(classes.shape) / 256))
    for index in (int(value) for value in np.unique(classes) if value > 0):
        inside = classes == index
        drawn[inside] = (*OUTLINES[(index - 1) % len(OUTLINES)], FILLED)
        drawn[inside & np.logical_not(binary_erosion(inside, iterations=thickness)), 3] = 255
    return drawn


def _seen_through(values: np.ndarray, largest: float) -> np.ndarray:
    """Draw a map [H, W] as RGBA: the more, the brighter and the less is seen of what lies below."""
    shares = np.clip(values / largest, 0, 1)
    return np.dstack([colored(values, largest), np.rint(230 * np.sqrt(shares)).astype(np.uint8)])


def png(pixels: np.ndarray) -> bytes:
    """Write uint8 [H, W], [H, W, 3] or [H, W, 4] as PNG."""
    buffer = io.BytesIO()
    shown = pixels if pixels.ndim == 3 and pixels.shape[2] == 4 else as_rgb(pixels)
    Image.fromarray(np.ascontiguousarray(shown)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def kept(former: Sequence[ShownMasks], most_bytes: int) -> int:
    """Count how many of the last ones fit into so many bytes, at least one."""
    total = count = 0
    for one in reversed(former):
        total += one.size
        if total > most_bytes and count:
            break
        count += 1
    return count
