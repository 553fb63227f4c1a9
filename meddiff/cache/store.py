"""The cache: prepared images, each with the row that it belongs to, made once and kept in folders.

The name of a folder is the hash of what was made into it: the contents of files and how they were prepared. So it is
never stale, and moving or renaming a data set does not make it again. It is built under a temporary name, under a lock,
and renamed when it is whole: a killed build leaves nothing that could be taken for one, and two processes that need the
same one build it once. One folder holds a set of pictures (`image_array`) or one volume (`volume_array`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np

from meddiff.errors import InputError, Problems
from meddiff.files.writing import in_plain_words, write_folder
from meddiff.manifest.row import ManifestRow

Progress = Callable[[Iterable, int], Iterable]
"""Wraps (iterable, total) while images are prepared, for a progress bar."""


class PreparedCase(Protocol):
    """One image as it was prepared: a picture, a volume, or a slice of one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels or voxels along each axis."""
        ...

    @property
    def image(self) -> np.ndarray:
        """[C, *shape] uint8 or uint16; 0 is -1 for the model, the largest value 1."""
        ...

    @property
    def mask(self) -> np.ndarray | None:
        """[*shape] uint8 class indices, IGNORED (255) is not judged; None where it was prepared without mask."""
        ...

    @property
    def largest_class(self) -> int:
        """The largest class index in the mask; 0 without mask."""
        ...


Kind = TypeVar("Kind", bound=PreparedCase, covariant=True)


@dataclass(frozen=True)
class Prepared(Generic[Kind]):
    """Prepared images of any sizes; case i belongs to row i."""

    cases: tuple[Kind, ...]
    rows: tuple[ManifestRow, ...]
    """The rows that could be read."""
    skipped: tuple[tuple[ManifestRow, str], ...] = ()
    """Rows that could not, each with the reason (on_bad_file="skip")."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.cases)

    def __getitem__(self, index: int) -> Kind:
        """Return the case of row ``index``."""
        return self.cases[index]

    def __iter__(self) -> Iterator[Kind]:
        """Return the cases in the order of the rows."""
        return iter(self.cases)


def default_folder() -> Path:
    """Name the folder of the cache where none is given: XDG_CACHE_HOME/meddiff, or ~/.cache/meddiff."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "meddiff"
    except RuntimeError as error:
        cure = "Name a folder for prepared images with XDG_CACHE_HOME (or --data.cache), or set HOME"
        raise InputError(f"there is no home folder to keep prepared images in. {cure}.") from error


def check_on_bad_file(on_bad_file: str) -> None:
    """Refuse what is no answer to files that cannot be used."""
    if on_bad_file not in ("stop", "skip"):
        raise ValueError(f"on_bad_file is stop or skip, not {on_bad_file!r}")


def refuse(reasons: Sequence[str], count: int, what: str = "images") -> None:
    """Raise the InputError for files that cannot be used, ``count`` being how many were asked for."""
    problems = Problems(f"{len(reasons)} of {count} {what} cannot be used")
    cure = "Put good copies in their place, or go on without them: --data.on_bad_file skip lists and skips them."
    for reason in reasons:
        problems.add("bad file", reason, cure if len(reasons) < count else "Check --data-root and the manifest.")
    problems.raise_if_any()


def build_once(home: Path, stands: Callable[[], bool], write: Callable[[Path], None]) -> None:
    """Build a folder of the cache unless another process does so meanwhile, which is waited for.

    Args:
        home: the folder.
        stands: whether it is there and whole.
        write: fills a folder of a temporary name.

    Raises:
        InputError: as ``write``; or, with an OSError as its cause, what is wrong with the cache's folder.
    """
    from filelock import FileLock

    with in_plain_words(home, option="--data.cache"):
        home.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(home.with_suffix(".lock")):  # the system frees it when its holder is killed
            if stands():
                return
            for leftover in home.parent.glob(f".{home.name}.*"):  # of a killed build; a living one holds the lock
                shutil.rmtree(leftover)
            write_folder(home, write, option="--data.cache", durable=False)
