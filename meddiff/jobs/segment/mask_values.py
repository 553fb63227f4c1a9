"""The meaning of the values of a run's masks: decided once from all, shown as a table, kept in the run's folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from meddiff.build import segmenting
from meddiff.errors import InputError
from meddiff.formats.masks import Levels, MaskMeaning, decide, masks_of_rows
from meddiff.formats.masks.meaning import NOT_JUDGED, Values, write_meaning
from meddiff.jobs.progress import bar
from meddiff.jobs.stage import AnyRun
from meddiff.manifest.row import ManifestRow
from meddiff.recipe import MaskedRecipe
from meddiff.recipe.segment import SegmentRecipe
from meddiff.run import Run


@dataclass(frozen=True)
class MaskValues:
    """The values that the masks of a run hold, and their meaning."""

    levels: dict[str, Levels]
    """File -> the values in it."""
    meaning: MaskMeaning
    names: tuple[str, ...]
    """Of the classes from 0 on, as far as they are known."""

    @classmethod
    def of(cls, rows: Sequence[ManifestRow], run: Run[MaskedRecipe]) -> MaskValues:
        """Look at the masks of these rows and decide.

        Raises:
            InputError: none can be read, or their values may mean this or that.
        """
        levels = segmenting.mask_levels(rows, run.recipe, progress=bar(run.console, "reading masks", unit="masks"))
        meaning = segmenting.meaning(levels, run.recipe)
        return cls({one.path: one for one in levels}, meaning, run.recipe.classes or meaning.names)

    def name(self, index: int) -> str:
        """Call a class by its name, or by its number where it has none."""
        if index == NOT_JUDGED:
            return "not judged"
        if index < len(self.names):
            return self.names[index]
        return f"class {index}" if index else "background"

    def table(self) -> Table:
        """Show which value is which class, how much of the masks it is, and in how many files it stands."""
        pixels, files = Counter[Values](), Counter[Values]()
        for one in self.levels.values():
            counts = self.meaning.counted(one)
            pixels.update(counts)
            files.update(counts.keys())
        table = Table("value", "class", "pixels", "masks", title=f"what the masks hold: {self.meaning.reason}")
        for values in self.meaning.values:
            share = pixels[values] / max(pixels.total(), 1)
            shown = f"{share:.2%}" if share >= 5e-5 or not pixels[values] else "< 0.01%"
            table.add_row(self.meaning.in_words(values), self.name(values.index), shown, str(files[values]))
        return table

    def held(self, rows: Sequence[ManifestRow]) -> Counter[int]:
        """Count the masks of these rows that hold each class."""
        held: Counter[int] = Counter()
        for mask in masks_of_rows(rows):
            one = self.levels.get(mask.name)
            held.update({values.index for values in self.meaning.counted(one)} if one else ())
        return held

    def check(self, rows: Sequence[ManifestRow]) -> list[str]:
        """Refuse what cannot be learned from; returns what is to be said of the rest.

        Raises:
            InputError: classes that no mask holds, a training or validation split whose masks are all empty.
        """
        held = self.held(rows)
        largest = max((index for index in held), default=0)
        beyond = [name for index, name in enumerate(self.names) if index > largest or (index == 0 and not held[0])]
        if not any(index > 0 for index in held):
            raise InputError(
                f"all {len(rows)} masks are empty: {self.meaning.reason}, and nothing else than background is in them. "
                "Say with --data.mask_values what their values mean, or give masks that mark something"
            )
        if beyond or not held[0]:
            absent = ", ".join(map(repr, beyond or ["background"]))
            raise InputError(
                f"no mask holds {absent}; the masks hold {self.meaning.allowed()}. Name the classes that are there "
                "with --classes, or say with --data.mask_values which value is which"
            )
        for split, what in (("train", "nothing can be learned from them"), ("val", "no weights can be chosen by them")):
            own = [row for row in rows if row.split == split]
            if own and not any(index > 0 for index in self.held(own)):
                raise InputError(
                    f"all {len(own)} masks of the {split} split are empty: {what}. Put images with something to mark "
                    f"into it (split column), or say with --data.mask_values what the values mean"
                )
        return self._notes(rows, held)

    def _notes(self, rows: Sequence[ManifestRow], held: Counter[int]) -> list[str]:
        notes = []
        for index, name in enumerate(self.names):
            if not held[index]:
                notes.append(f"no mask holds {name!r} (class {index}): it is not measured, and enters no mean")
        for split, cannot in (("train", "cannot be learned"), ("test", "is not measured")):
            own = [row for row in rows if row.split == split]
            lacking = [index for index in sorted(held) if index > 0 and not self.held(own)[index]]
            if own and lacking:
                names = ", ".join(repr(self.name(index)) for index in lacking)
                notes.append(f"no mask of the {split} split holds {names}, which {cannot} there")
        return notes

    def tell(self, rows: Sequence[ManifestRow], run: AnyRun) -> list[Path]:
        """Print the table and keep the meaning in the run's folder.

        Raises:
            InputError: as `check`.
        """
        run.console.print(self.table())
        for note in self.check(rows):
            run.console.print(note, style="yellow", soft_wrap=True, markup=False)
        write_meaning(self.meaning, run.folder.mask_values)
        return [run.folder.mask_values]


def tell_of_others(rows: Sequence[ManifestRow], run: Run[SegmentRecipe], names: Sequence[str], text: str) -> None:
    """Decide what masks mean that other images came with, stored in another way perhaps; print it and keep it.

    Args:
        rows: the images.
        run: its recipe may say what the values of the masks trained on mean; that is tried first.
        names: of the classes of the networks.
        text: the values of these masks by name, where a user gave them.

    Raises:
        InputError: none can be read, or their values may mean this or that.
    """
    levels = segmenting.mask_levels(rows, run.recipe)
    how: dict[str, Any] = {"setting": "mask_values", "rules": segmenting.rules_for_names(run.recipe)}
    try:
        meaning = decide(levels, names=names, text=text or run.recipe.data.mask_values, **how)
    except InputError:
        if text or not run.recipe.data.mask_values:
            raise
        meaning = decide(levels, names=names, **how)
    run.console.print(MaskValues({one.path: one for one in levels}, meaning, tuple(names)).table())
    write_meaning(meaning, run.folder.mask_values)
