"""What ``evaluate images`` is told, read: the images or volumes of each option, with their features."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console

from meddiff import build
from meddiff.errors import InputError
from meddiff.evaluation.images.measures import Embed
from meddiff.evaluation.images.sets import ImageSet, Space, image_set, sha256_of
from meddiff.evaluation.images.volume_sets import volume_set
from meddiff.formats.find import common_side, list_images
from meddiff.formats.volume_listing import holds_volumes, list_volumes
from meddiff.images.cube import FILTER
from meddiff.jobs.progress import bar
from meddiff.recipe.commands import EvaluateImages

OPTIONS = {"real": "--real", "synthetic": "--synthetic", "train": "--train"}
VOLUME_SIDE = 64
"""Volumes are compared as cubes of this many voxels per side unless told."""
EMBEDDED = 64
"""Images at a time in the network of LPIPS."""


def _places(settings: EvaluateImages) -> dict[str, str]:
    """The options that name images, where they were given."""
    return {name: place for name in OPTIONS if (place := getattr(settings, name))}


def _naming(settings: EvaluateImages, name: str) -> dict[str, str]:
    """How the names of one option's images are read; a synthetic image is of no patient."""
    groups = "" if name == "synthetic" else settings.groups
    return {"groups": groups, "labels": settings.labels, "option": OPTIONS[name]}


def read_sets(settings: EvaluateImages, console: Console) -> dict[str, ImageSet]:
    """The images of each option with their features.

    Raises:
        InputError: nothing there, files that cannot be read, weights that are missing or of another network, or
            pictures here and volumes there.
    """
    kinds = {OPTIONS[name]: holds_volumes(place, option=OPTIONS[name]) for name, place in _places(settings).items()}
    if len(set(kinds.values())) > 1:
        told = ", ".join(f"{option} {'volumes' if volumes else 'pictures'}" for option, volumes in kinds.items())
        raise InputError(f"pictures cannot be compared with volumes: {told}. Give one kind to all")
    return _volumes(settings, console) if any(kinds.values()) else _pictures(settings, console)


def embedder(settings: EvaluateImages) -> Embed | None:
    """What makes the vectors of LPIPS; None where it was not asked for."""
    if not settings.lpips:
        return None
    network = build.perceptual(settings.lpips)
    return lambda images: torch.cat(
        [network.features(torch.from_numpy(images[start : start + EMBEDDED]))
         for start in range(0, len(images), EMBEDDED)]
    ).numpy()  # fmt: skip


def _pictures(settings: EvaluateImages, console: Console) -> dict[str, ImageSet]:
    rows = {name: list_images(place, **_naming(settings, name)) for name, place in _places(settings).items()}
    network, file = build.named_extractor(settings.features, settings.weights)
    side = settings.size or common_side([row for part in rows.values() for row in part])
    space = Space(settings.features, sha256_of(file), side, settings.fit or "crop", network.preprocessing)
    device = _device()
    network.to(device)
    return {
        name: image_set(part, network, space, device=device, batch_size=settings.batch_size, folder=_cache(settings),
                        on_bad_file=settings.on_bad_file, progress=_reading(console, name, "images"),
                        computing=bar(console, f"features of {name}", unit="batches"))
        for name, part in rows.items()
    }  # fmt: skip


def _volumes(settings: EvaluateImages, console: Console) -> dict[str, ImageSet]:
    cases = {name: list_volumes(place, **_naming(settings, name)) for name, place in _places(settings).items()}
    network, file = build.volume_extractor(settings.features, settings.weights)
    side = settings.size or VOLUME_SIDE
    space = Space(settings.features, sha256_of(file), side, settings.fit or "pad", network.preprocessing, FILTER, True)
    device = _device()
    network.to(device)
    return {
        name: volume_set(part, network, space, device=device, folder=_cache(settings),
                         on_bad_file=settings.on_bad_file, progress=_reading(console, name, "volumes"))
        for name, part in cases.items()
    }  # fmt: skip


def _reading(console: Console, name: str, unit: str) -> Callable:
    return bar(console, f"reading {name}", unit=unit)


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _cache(settings: EvaluateImages) -> Path | None:
    return Path(settings.cache).expanduser() if settings.cache else None
