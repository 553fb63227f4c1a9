"""Trained weights by name: those of the package, of a place that the user names, of a repository on the web.

A published model is one flat folder. Its index is that of a checkpoint, and names the SHA-256 of every other file:

    lesions/  checkpoint.json  ema.safetensors  temperatures.json  likeness.json  training_images.csv  README.md

`python -m meddiff.pipelines.publish` makes such a folder of a run; put it on a disk, a web server or the Hugging Face
hub, and its name is all that `meddiff.load` and ``segment predict --checkpoint`` need.
"""

from __future__ import annotations

import os
from pathlib import Path

from meddiff.cache.store import default_folder
from meddiff.errors import InputError
from meddiff.files.documents import read_json
from meddiff.files.unpack import Progress
from meddiff.sources.fetch import Patience, fetch
from meddiff.sources.source import Archive
from meddiff.training.checkpoint import INDEX

INSIDE = Path(__file__).parents[1] / "weights"
"""Folder of the models that come with the package."""
HUB, ENDPOINT = "MEDDIFF_HUB", "HF_ENDPOINT"
"""Environment: a folder or address with one folder per model; the address of the Hugging Face hub or its mirror."""
MASKS = "dermoscopy-masks"
"""Model that segments where no other is named."""


def names_inside() -> list[str]:
    """List the models that come with the package."""
    return sorted(index.parent.name for index in INSIDE.glob(f"*/{INDEX}"))


def folder_of(
    place: str | Path, *, progress: Progress = lambda *_: None, patience: Patience | None = None
) -> Path:  # fmt: skip
    """Return the folder of trained weights: a path that exists as it is, else where the model of that name lies.

    Args:
        place: a path; a model of the package (see `names_inside`) or of MEDDIFF_HUB; or OWNER/NAME, a repository of
            the Hugging Face hub (HF_ENDPOINT names a mirror). What comes from the web is fetched once.
        progress: is given what is fetched, how many bytes have come, and of how many.
        patience: how long a server is waited for.

    Raises:
        InputError: nothing of that name, a server that cannot be reached, files that are not those of the index.
    """
    path, name = Path(place).expanduser(), str(place)
    if path.exists() or path.is_absolute():
        return path
    if (INSIDE / name / INDEX).is_file():
        return INSIDE / name
    base = os.environ.get(HUB, "")
    if base and not _is_address(base):
        if (Path(base).expanduser() / name / INDEX).is_file():
            return Path(base).expanduser() / name
    elif base:
        return _fetched(f"{base.rstrip('/')}/{name}", Path("hub") / name, progress, patience)
    if name.count("/") == 1 and not path.parent.is_dir():
        hub = os.environ.get(ENDPOINT) or "https://huggingface.co"
        return _fetched(f"{hub.rstrip('/')}/{name}/resolve/main", Path("huggingface") / name, progress, patience)
    return path


def choices() -> str:
    """Say in a refusal what a user can name instead of a run."""
    known = ", ".join(names_inside()) or "there is none"
    return f"a model of the package ({known}), one of {HUB}, or OWNER/NAME of the Hugging Face hub"


def _is_address(place: str) -> bool:
    return place.startswith(("http://", "https://"))


def _fetched(url: str, kept_as: Path, progress: Progress, patience: Patience | None) -> Path:
    """Fetch the index of a model and the files that it names; what is there already is not asked for again."""
    if ".." in kept_as.parts:
        raise InputError(f"{kept_as.name} is no name of a model: give {choices()}")
    folder = default_folder() / kept_as
    for name, sha256 in _digests(_file(url, INDEX, None, folder, progress, patience)).items():
        _file(url, name, sha256, folder, progress, patience)
    return folder


def _digests(index: Path) -> dict[str, str]:
    """Read which files belong to a model, and the SHA-256 of each.

    Raises:
        InputError: the index is not that of a published model.
    """
    digests = read_json(index).get("sha256")
    if not isinstance(digests, dict) or not all(
        isinstance(name, str) and Path(name).name == name and isinstance(sha256, str)
        for name, sha256 in digests.items()
    ):
        raise InputError(f"{index} is not the index of a model of meddiff: delete it, and name another model")
    return digests


def _file(
    url: str, name: str, sha256: str | None, folder: Path, progress: Progress, patience: Patience | None
) -> Path:  # fmt: skip
    archive = Archive(name, f"{url}/{name}", name, sha256=sha256)
    return fetch(archive, folder, progress=progress, patience=patience)
