"""meddiff: diffusion models for medical images.

One diffusion program that generates images from a label and segments images, with the honest answer to whether it
helped. ``python -m meddiff.pipelines.augment --dataset isic`` is the main job; the names below are its parts.
They are imported when first used, so that ``import meddiff`` and ``--help`` are quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers, which do not see what is imported when it is first used
    from meddiff.diffusion.condition import Condition as Condition
    from meddiff.diffusion.denoiser import Denoiser as Denoiser
    from meddiff.diffusion.denoiser import bind as bind
    from meddiff.diffusion.guidance import guide as guide
    from meddiff.diffusion.schedule import NoiseSchedule as NoiseSchedule
    from meddiff.errors import InputError as InputError
    from meddiff.manifest.row import ManifestRow as ManifestRow
    from meddiff.manifest.table import read_manifest as read_manifest
    from meddiff.manifest.table import write_manifest as write_manifest
    from meddiff.quickstart import denoiser as denoiser
    from meddiff.quickstart import generate as generate
    from meddiff.quickstart import read_images as read_images
    from meddiff.quickstart import train as train
    from meddiff.recipe import Recipe as Recipe
    from meddiff.run import RunFolder as RunFolder
    from meddiff.trained import load as load

__version__ = "0.1.0"

_PUBLIC = {
    "Recipe": "meddiff.recipe",
    "RunFolder": "meddiff.run",
    "ManifestRow": "meddiff.manifest.row",
    "read_manifest": "meddiff.manifest.table",
    "write_manifest": "meddiff.manifest.table",
    "NoiseSchedule": "meddiff.diffusion.schedule",
    "Condition": "meddiff.diffusion.condition",
    "Denoiser": "meddiff.diffusion.denoiser",
    "bind": "meddiff.diffusion.denoiser",
    "guide": "meddiff.diffusion.guidance",
    "read_images": "meddiff.quickstart",
    "denoiser": "meddiff.quickstart",
    "train": "meddiff.quickstart",
    "generate": "meddiff.quickstart",
    "load": "meddiff.trained",
    "InputError": "meddiff.errors",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'meddiff' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
