"""Shapes with names on the grid of one image, as masks of several files and objects of DICOM hold them; they overlap.

A mask of class indices has one number per voxel, so shapes that share voxels become one only by a rule, which
`masks.by_name` takes from who knows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from meddiff.files.bad import bad_file


class Drawing:
    """Shapes, numbered from 1 in the order in which they were added."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path = path
        self.names = [""]
        """Of the shapes by their number; 0 is where nothing was drawn."""
        self.numbers = np.zeros(shape, np.uint16)
        """[*S] the first shape that holds a voxel."""
        self.more: list[tuple[int, np.ndarray]] = []
        """A shape, and the flat positions of its voxels that an earlier one holds too."""
        self.unusable: dict[str, str] = {}
        """Name of a shape that marks no voxels -> why."""

    def add(self, name: str, marked: np.ndarray) -> None:
        """Add a shape, bool [*S].

        Raises:
            InputError: it has another size than the others.
        """
        if marked.shape != self.numbers.shape:
            raise bad_file(self.path, f"{name} is {_size(marked.shape)}, and what else was drawn on this image is "
                                      f"{_size(self.numbers.shape)}")  # fmt: skip
        number = len(self.names)
        self.names.append(name)
        taken = marked & (self.numbers > 0)
        if taken.any():
            self.more.append((number, np.flatnonzero(taken)))
        self.numbers[marked & ~taken] = number

    def plane(self, axis: int, index: int) -> Drawing:
        """Cut out a slice."""
        if axis >= self.numbers.ndim or index >= self.numbers.shape[axis]:
            raise bad_file(self.path, f"there is no slice {index} along axis {axis} of {self.numbers.shape}")
        cut = Drawing(self.path, np.take(self.numbers, index, axis).shape)
        cut.names, cut.unusable, cut.numbers = self.names, self.unusable, np.take(self.numbers, index, axis)
        for number, at in self.more:
            places = np.stack(np.unravel_index(at, self.numbers.shape))
            places = np.delete(places[:, places[axis] == index], axis, axis=0)
            cut.more.append((number, np.asarray(np.ravel_multi_index(tuple(places), cut.numbers.shape))))
        return cut

    def classes(self, indices: Sequence[int], overlap: str) -> tuple[np.ndarray, dict[tuple[int, int], int]]:
        """Turn shapes into class indices int16 [*S], negative is not judged.

        Args:
            indices: class index of each shape by its number; shapes of class 0 count for nothing.
            overlap: later or ignore: what voxels of two shapes become, the larger index or not judged; else they are
                counted.

        Returns:
            the indices, and the voxels that two shapes share and no rule decides, by the numbers of both.
        """
        table = np.array(indices, np.int16)
        result, unclear = table[self.numbers], Counter[tuple[int, int]]()
        holder = self.numbers.astype(np.uint16)
        for number, at in self.more:
            new, old = table[number], result.flat[at]
            if new == 0:
                continue
            clash = (old > 0) & (new > 0)
            if overlap not in ("later", "ignore"):
                first = np.bincount(holder.flat[at][clash], minlength=1)
                unclear.update({(one, number): int(first[one]) for one in np.flatnonzero(first).tolist()})
            both = np.where(clash, -1 if overlap == "ignore" else np.maximum(old, new), np.minimum(old, new))
            result.flat[at] = np.where(old == 0, new, both)
            holder.flat[at[old == 0]] = number
        return result, dict(unclear)

    def voxels(self) -> dict[int, int]:
        """Count the voxels of each shape by its number, those that several hold for each of them."""
        counts = np.bincount(self.numbers.ravel(), minlength=len(self.names))
        for number, at in self.more:
            counts[number] += len(at)
        return dict(enumerate(counts.tolist()))


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} pixels" if len(shape) == 2 else f"{list(shape)} voxels"


def folded(name: str) -> str:
    """Write a name as all that are the same name are written: capitals and blanks make no difference."""
    return " ".join(name.split()).casefold()
