"""The content of the cache: prepared images, each with the row that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from meddiff.manifest.row import ManifestRow


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
