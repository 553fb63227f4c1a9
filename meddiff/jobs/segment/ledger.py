"""predictions.csv: which mask was made of which image, and by what.

A line holds the SHA-256 of the image that its mask was made of and the digest of the weights and settings that made
it. A mask stands only where both are as they were; the name alone says nothing. What is to be done is written down
before it is begun, so that the line of a mask that a killed process had just replaced claims nothing.

Lines of images that are no longer there are kept with their masks, and say so.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from meddiff.errors import InputError
from meddiff.files.content import content_of
from meddiff.files.tables import read_table, write_table
from meddiff.files.writing import write_text
from meddiff.formats.find import Found, names_of

FIRST = ("name", "file", "problem", "uncertainty", "mask")
LAST = ("seconds", "sha256", "made_by", "stale")
COLUMNS = (*FIRST, "seconds")
"""Of predictions.csv; between them are the sizes of the classes."""
TEXTS = ("name", "file", "mask", "problem", "sha256", "made_by", "stale")
NOT_DONE = "not segmented yet"
SECONDS_BETWEEN_SAVES = 5.0
CHANGED = "the image has changed"
SETTINGS = "made with other weights or settings"
MISSING = "its mask was missing"
FAILED = "it failed before"
UNFINISHED = "it was not finished"
_OUTPUT = re.compile(r"(mask|seg|overlay|probability_.+|member_\d+|deviation|entropy)\.(png|nii\.gz|dcm)")
"""How the name of an output goes on behind that of its case."""
Line = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One input, and what its outputs are called."""

    image: Found
    name: str
    again: str = ""
    """Why it is segmented again; empty where it never was."""


@dataclass
class Ledger:
    """The lines of an output folder."""

    folder: Path
    made_by: str
    """Digest of the weights and settings of today."""
    in_words: Callable[[object], str] = str
    """How paths and messages are written down."""
    lines: dict[str, Line] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    """Names of the inputs whose masks stand."""
    tasks: list[Task] = field(default_factory=list)
    """What is to be segmented."""
    _contents: dict[Found, str] = field(default_factory=dict)
    _stand: dict[str, list[Path]] = field(default_factory=dict)
    _saved: float = 0.0

    @property
    def table(self) -> Path:
        """predictions.csv."""
        return self.folder / "predictions.csv"

    @property
    def mark(self) -> Path:
        """The file by which a folder is known as one of masks."""
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
        before = self._read()
        names = self._names(inputs, before)
        ours = self.mark.is_file()
        self._stand = outputs_below(self.folder, {*names, *before})
        for one, name in zip(inputs, names, strict=True):
            line = before.pop(name, {})
            again = self._why_again(one, line)
            if line and not again:
                self.kept.append(name)
                self.lines[name] = line | {"file": self.in_words(one.path), "stale": ""}
                continue
            if not ours and name in self._stand:
                raise InputError(
                    f"{self._stand[name][0]} is in the way: it was not made by this command, and would be replaced. "
                    "Name another folder with --output, or move it away"
                )
            self.tasks.append(Task(one, name, again))
            self.lines[name] = {"name": name, "file": self.in_words(one.path), "problem": NOT_DONE}
        for name, line in before.items():
            if line["problem"] != NOT_DONE:
                other = "" if line["made_by"] == self.made_by else "; made with other weights or settings"
                self.lines[name] = line | {"stale": f"not among the images of the last run{other}"}
        write_text(self.mark, self.made_by)
        self.save()
        for task in self.tasks:
            if task.again == CHANGED:
                self._clear(task.name)

    def start(self, task: Task) -> None:
        """Remove what was made for a case before, and hash what it is made of now."""
        self._clear(task.name)
        self.content(task.image)

    def content(self, one: Found) -> str:
        """Hash what an input is read from; empty where it cannot be read.

        The order of the files of a series does not matter.
        """
        if one not in self._contents:
            try:
                self._contents[one] = content_of(one.files)
            except OSError:
                self._contents[one] = ""
        return self._contents[one]

    def note(self, task: Task, line: Line) -> None:
        """Take over the line of a case that is done, and save the table now and then."""
        first = {"name": task.name, "file": self.in_words(task.image.path), "problem": ""}
        made = {"sha256": self.content(task.image), "made_by": self.made_by, "stale": ""}
        self.lines[task.name] = first | line | made
        if time.monotonic() - self._saved > SECONDS_BETWEEN_SAVES:
            self.save()

    def save(self) -> None:
        """Write predictions.csv with the lines there are."""
        told = (key for line in self.lines.values() for key in line)
        columns = dict.fromkeys([*FIRST, *(key for key in told if key not in LAST), *LAST])
        write_table(pd.DataFrame(list(self.lines.values()), columns=list(columns), dtype=object), self.table)
        self._saved = time.monotonic()

    def _clear(self, name: str) -> None:
        for file in self._stand.pop(name, []):
            file.unlink(missing_ok=True)

    def _read(self) -> dict[str, Line]:
        """The lines there are, every cell as it was written."""
        if not self.table.is_file():
            return {}
        if not self.mark.is_file():
            raise InputError(f"{self.table} is of another command, and would be replaced. Name another folder with "
                             "--output")  # fmt: skip
        table = read_table(self.table, COLUMNS, as_text=True)
        return {line["name"]: dict.fromkeys(TEXTS, "") | line for line in table.to_dict("records")}

    def _names(self, inputs: Sequence[Found], before: dict[str, Line]) -> list[str]:
        """A name for each input: that of its line, which its file or else its content tells; else one of its own."""
        names: dict[Found, str] = {}
        used: set[str] = set()
        for same in (self._of_this_file, self._of_this_content):
            for one in inputs:
                for name in one.names if one not in names else ():
                    if name in before and name not in used and same(one, before[name]):
                        names[one] = name
                        used.add(name)
                        break
        new = [one for one in inputs if one not in names]
        names |= dict(zip(new, names_of(new, names.values()), strict=True))
        return [names[one] for one in inputs]

    def _of_this_file(self, one: Found, line: Line) -> bool:
        return line["file"] == self.in_words(one.path)

    def _of_this_content(self, one: Found, line: Line) -> bool:
        return bool(line["sha256"]) and line["sha256"] == self.content(one)

    def _why_again(self, one: Found, line: Line) -> str:
        """Why what a line tells of must be done again; empty where it stands, or where there is nothing yet."""
        if not line or line["problem"] == NOT_DONE:
            return "" if not line else UNFINISHED
        if line["problem"]:
            return FAILED
        if not self._of_this_content(one, line):
            return CHANGED
        if line["made_by"] != self.made_by:
            return SETTINGS
        made = [line[what] for what in ("mask", "dicom_seg") if line.get(what)]
        return "" if made and all((self.folder / file).is_file() for file in made) else MISSING


def is_output(one: Found) -> bool:
    """Tell whether a file is called as the outputs of cases are."""
    parts = one.path.name.split("_")
    return any(_OUTPUT.fullmatch("_".join(parts[at:])) for at in range(1, len(parts)))


def outputs_below(folder: Path, names: Collection[str]) -> dict[str, list[Path]]:
    """List the output files that stand, by the name of their case; of two that fit the longer name."""
    stand: dict[str, list[Path]] = {}
    for place in sorted({(folder / name).parent for name in names}):
        for file in sorted(place.iterdir()) if place.is_dir() else ():
            parts = file.name.split("_")
            for length in range(len(parts) - 1, 0, -1):
                case = file.with_name("_".join(parts[:length])).relative_to(folder).as_posix()
                if case in names and _OUTPUT.fullmatch("_".join(parts[length:])):
                    stand.setdefault(case, []).append(file)
                    break
    return stand
