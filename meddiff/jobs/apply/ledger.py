"""The table of an output folder, such as predictions.csv: what was made of which image, and by what.

A line holds the SHA-256 of the image that its output was made of and the digest of the weights and settings that made
it. An output stands only where both are as they were; the name alone says nothing. What is to be done is written down
before it is begun, so that the line of an output that a killed process had just replaced claims nothing.

Lines of images that are no longer there are kept with their outputs, and say so.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from meddiff.errors import InputError
from meddiff.files.content import content_of
from meddiff.files.long_tables import read_table, write_table
from meddiff.files.writing import write_text
from meddiff.formats.find import Found, names_of

LAST = ("seconds", "sha256", "made_by", "stale")
OVERVIEW = "overview.png"
"""The sheet of all that was made, where a command draws one."""
SECONDS_BETWEEN_SAVES = 5.0
CHANGED = "the image has changed"
SETTINGS = "made with other weights or settings"
FAILED = "it failed before"
UNFINISHED = "it was not finished"
Line = dict[str, Any]


@dataclass(frozen=True)
class Product:
    """The outputs that a command makes of each image, and the words for them."""

    noun: str
    """Name of the main output, of its file (NAME_mask.png) and of its column."""
    verb: str
    """What is done to an image: segment."""
    doing: str
    """What the command is at: segmenting."""
    done: str
    """What an image is then: segmented."""
    beside: str
    """How the files beside it are called, as a regular expression: overlay|member_\\d+."""
    score: str = ""
    """Column before that of the output, by which images are told apart; empty for none."""
    also: tuple[str, ...] = ()
    """Columns of other outputs that must stand where they are named."""
    table_name: str = "predictions.csv"

    @property
    def first(self) -> tuple[str, ...]:
        """Columns that every table begins with."""
        return tuple(column for column in ("name", "file", "problem", self.score, self.noun) if column)

    @property
    def texts(self) -> tuple[str, ...]:
        """Columns that a line of a former version may lack."""
        return "name", "file", self.noun, "problem", "sha256", "made_by", "stale"

    @property
    def not_done(self) -> str:
        """Problem of an image whose turn has not come."""
        return f"not {self.done} yet"

    @property
    def missing(self) -> str:
        """Reason to make an output again that is gone."""
        return f"its {self.noun} was missing"

    @property
    def while_read(self) -> str:
        """Problem of an image of which nobody knows what was read."""
        return f"the image changed while it was {self.done}: run again"

    @cached_property
    def files(self) -> re.Pattern[str]:
        """Ends that the name of an output may have behind that of its case."""
        return re.compile(rf"({self.noun}|overlay|{self.beside})\.(png|nii\.gz|dcm)")

    def is_output(self, one: Found) -> bool:
        """Tell whether a file is called as the outputs of cases are."""
        parts = one.path.name.split("_")
        behind = ("_".join(parts[at:]) for at in range(1, len(parts)))
        return one.path.name == OVERVIEW or any(self.files.fullmatch(ending) for ending in behind)


@dataclass(frozen=True)
class Task:
    """One input, and what its outputs are called."""

    image: Found
    name: str
    again: str = ""
    """Why it is done again; empty where it never was."""


@dataclass
class Ledger:
    """The lines of an output folder."""

    folder: Path
    made_by: str
    """Digest of the weights and settings of today."""
    product: Product
    unpacked: tuple[str, str] | None = None
    """The temporary folder that an archive was unpacked into, and what it stands for in paths and messages."""
    lines: dict[str, Line] = field(default_factory=dict)
    kept: dict[str, Found] = field(default_factory=dict)
    """Inputs whose outputs stand, by name."""
    tasks: list[Task] = field(default_factory=list)
    """What is to be done."""
    _contents: dict[Found, str] = field(default_factory=dict)
    _stand: dict[str, list[Path]] = field(default_factory=dict)
    """Outputs of former runs, by name."""
    _saved: float = 0.0

    @property
    def table(self) -> Path:
        """The file of the lines."""
        return self.folder / self.product.table_name

    @property
    def mark(self) -> Path:
        """The file by which a folder is known as one of outputs."""
        return self.folder / "settings.txt"

    @property
    def gone(self) -> list[str]:
        """Names of the lines whose images are not among the inputs."""
        return [name for name, line in self.lines.items() if line.get("stale")]

    def begin(self, inputs: Sequence[Found]) -> None:
        """Compare what is there with what was done, and write down what is to be done.

        Raises:
            InputError: a table of another command, or files in the way that no line tells of.
        """
        ours = self.mark.is_file()
        before = read_lines(self.table, self.product) if ours else {}
        names = names_with_lines(inputs, before, self.is_of)
        self._stand = outputs_below(self.folder, {*names, *before}, self.product)
        in_the_way = [file for name in names for file in self._stand.get(name, ())]
        in_the_way += [file for file in (self.table, self.folder / OVERVIEW) if file.is_file()]
        if not ours and in_the_way:
            raise InputError(
                f"{in_the_way[0]} is in the way: this command has not made it, and would replace it. "
                "Name another folder with --output, or move it away"
            )
        for one, name in zip(inputs, names, strict=True):
            self._plan(one, name, before.pop(name, None))
        for name, line in before.items():
            if line["problem"] != self.product.not_done:
                other = "" if line["made_by"] == self.made_by else f"; {SETTINGS}"
                self.lines[name] = line | {"stale": f"not among the images of the last run{other}"}
        write_text(self.mark, self.made_by)
        self.save()
        for task in self.tasks:
            if task.again == CHANGED:
                self._clear(task.name)

    def start(self, task: Task) -> None:
        """Remove what was made for a case before, and hash what it is made of now."""
        self._clear(task.name)
        self._contents.pop(task.image, None)
        self.content(task.image)

    def note(self, task: Task, line: Line) -> None:
        """Take over the line of a case that is done, and save the table now and then."""
        before = self._contents.pop(task.image, None)
        if self.content(task.image) != before and not line.get("problem"):  # nobody knows which of both was read
            line = {"problem": self.product.while_read, "seconds": line.get("seconds")}
        first = {"name": task.name, "file": self.in_words(task.image.path), "problem": ""}
        made = {"sha256": self.content(task.image), "made_by": self.made_by, "stale": ""}
        self.lines[task.name] = first | line | made
        if time.monotonic() - self._saved > SECONDS_BETWEEN_SAVES:
            self.save()

    def save(self) -> None:
        """Write the table with the lines there are."""
        sizes = [key for line in self.lines.values() for key in line if key not in LAST]
        columns = dict.fromkeys([*self.product.first, *sizes, *LAST])
        write_table(pd.DataFrame(list(self.lines.values()), columns=list(columns), dtype=object), self.table)
        self._saved = time.monotonic()

    def in_words(self, what: object) -> str:
        """Write a path or message down with the input's own name in it, also where that was an archive."""
        return str(what).replace(*self.unpacked) if self.unpacked else str(what)

    def content(self, one: Found) -> str:
        """Hash what an input is read from, once; empty where it cannot be read."""
        if one not in self._contents:
            try:
                self._contents[one] = content_of(one.files, ordered=one.kind == "channels")
            except OSError:
                self._contents[one] = ""
        return self._contents[one]

    def is_of(self, line: Line, one: Found, by: str) -> bool:
        """Tell whether a line is of an input, by its "file" or by its "sha256"."""
        return line[by] == (self.in_words(one.path) if by == "file" else self.content(one)) != ""

    def _plan(self, one: Found, name: str, line: Line | None) -> None:
        """Keep the line of an input where its output stands; else note that it is to be made."""
        again = "" if line is None else _why_again(self, line, one)
        if line is None or again:
            self.tasks.append(Task(one, name, again))
            self.lines[name] = {"name": name, "file": self.in_words(one.path), "problem": self.product.not_done}
        else:
            self.kept[name] = one
            self.lines[name] = line | {"file": self.in_words(one.path), "stale": ""}

    def _clear(self, name: str) -> None:
        for file in self._stand.pop(name, []):
            file.unlink(missing_ok=True)


def _why_again(ledger: Ledger, line: Line, one: Found) -> str:
    product = ledger.product
    if line["problem"]:
        return UNFINISHED if line["problem"] == product.not_done else FAILED
    if not ledger.is_of(line, one, "sha256"):
        return CHANGED
    if line["made_by"] != ledger.made_by:
        return SETTINGS
    made = [line[what] for what in (product.noun, *product.also) if line.get(what)]
    return "" if made and all((ledger.folder / file).is_file() for file in made) else product.missing


def read_lines(table: Path, product: Product) -> dict[str, Line]:
    """Read the lines of a table by their names, every cell as it was written; none where there is no table.

    Raises:
        InputError: it is damaged.
    """
    if not table.is_file():
        return {}
    lines = read_table(table, (*product.first, "seconds"), as_text=True).to_dict("records")
    return {line["name"]: dict.fromkeys(product.texts, "") | line for line in lines}


def names_with_lines(
    inputs: Sequence[Found], lines: Mapping[str, Line], is_of: Callable[[Line, Found, str], bool]
) -> list[str]:
    """Name each input: as the line that its file, or else its content, is known by; or by a name of its own."""
    names: dict[Found, str] = {}
    used: set[str] = set()
    for by in ("file", "sha256"):
        for one in [one for one in inputs if one not in names]:
            known = [name for name in one.names if name in lines and name not in used and is_of(lines[name], one, by)]
            if known:
                names[one] = known[0]
                used.add(known[0])
    new = [one for one in inputs if one not in names]
    names |= dict(zip(new, names_of(new, used), strict=True))
    return [names[one] for one in inputs]


def outputs_below(folder: Path, names: Collection[str], product: Product) -> dict[str, list[Path]]:
    """List the output files that stand, by the name of their case; of two that fit the longer name."""
    stand: dict[str, list[Path]] = {}
    cases = {folder / name: name for name in names}
    for place in sorted({case.parent for case in cases}):
        for file in sorted(place.iterdir()) if place.is_dir() else ():
            parts = file.name.split("_")
            for length in range(len(parts) - 1, 0, -1):
                case = file.with_name("_".join(parts[:length]) or file.name)
                if case in cases and product.files.fullmatch("_".join(parts[length:])):
                    stand.setdefault(cases[case], []).append(file)
                    break
    return stand
