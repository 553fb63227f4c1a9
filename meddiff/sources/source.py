"""A data set's description of itself: how its folder becomes manifest rows, and where to get it.

A source reads the folder as its publisher distributes it, without conversion and without opening an image: what
comes out are manifest rows, and nothing downstream knows the data set's name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meddiff.manifest.row import COLUMNS, ManifestRow


@dataclass(frozen=True)
class Archive:
    """One file that a publisher offers for download. Files of one name are fetched together."""

    name: str
    """What a user asks for, e.g. isic2018-task3."""
    url: str
    """Where the publisher offers it."""
    file_name: str
    """What it is called on disk."""
    mirrors: tuple[str, ...] = ()
    """Other addresses of the same publisher, tried in this order after the url."""
    sha256: str | None = None
    """Only where the publisher states it; otherwise the first download is recorded and held to."""
    size_bytes: int | None = None
    """Only where the publisher states it."""
    note: str = ""
    """What is in it, in a few words."""
    license: str = ""
    """The license that its publisher gives it."""


@dataclass(frozen=True)
class StandIn:
    """Drawn images that stand in where a data set is not there."""

    name: str
    """What a report calls them."""
    unit: str
    """What they are: images, or volumes."""
    write: Callable[..., list[ManifestRow]]
    """(folder, count, progress=None) -> the rows of the first ``count``, drawn into the folder where they are not."""


@dataclass(frozen=True)
class Source:
    """A data set, or a family of data sets that share file names and classes."""

    name: str
    """What ``--dataset`` calls it."""
    title: str
    """What a report calls it."""
    modality: str
    """dermoscopy, MR, ..."""
    channels: int
    """Channels of its images: 1 gray, 3 color."""
    rows: Callable[[Path], list[ManifestRow]]
    """A folder -> its rows, sorted by row_id, with ``root`` set to the folder; InputError where nothing is found."""
    how_to_get: str
    """One paragraph: where the images are offered and which folders are recognized."""
    archives: tuple[Archive, ...] = ()
    """What meddiff.pipelines.download can fetch."""
    sequences: tuple[str, ...] = ()
    """What the channels of its images are, where they are no colors."""
    augment: str = "upright"
    """What may be done to its pictures in training, see `meddiff.build.augmentation`."""
    phantom: StandIn | None = None
    """The drawn images that stand in where there are no others."""


def real_row(root: Path, row_id: str, image_path: str, **known: Any) -> ManifestRow:
    """Return a row of a real image; every column that is not given is unknown."""
    values: dict[str, Any] = dict.fromkeys(COLUMNS)
    values |= {"row_id": row_id, "image_path": image_path, "source": "real"} | known
    return ManifestRow(**values, root=root)
