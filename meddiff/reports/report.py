"""The parts of every report: sections of texts, tables, figures and pictures, and what is written beside them.

A page is written by listing its sections; `meddiff.reports.write` makes HTML, Markdown and JSON of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from meddiff.reports.figures import Figure, Key
from meddiff.reports.galleries import Pictures
from meddiff.reports.literature import Methods
from meddiff.reports.tabular import Table

Content = TypeVar("Content")


@dataclass(frozen=True)
class Note:
    """A warning that stands out from the text."""

    text: str


@dataclass(frozen=True)
class Legend:
    """Keys shared by the figures that follow."""

    keys: tuple[Key, ...]


@dataclass(frozen=True)
class Lines:
    """A list of sentences."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Panels:
    """Figures side by side where the screen is wide enough."""

    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Folded:
    """Parts behind a line that opens them; ``printed`` are they on paper too."""

    title: str
    parts: tuple[Part, ...]
    open: bool = False
    printed: bool = True


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str


Part = str | Note | Legend | Lines | Panels | Folded | Heading | Table | Figure | Pictures
"""What a section may hold; a text is a paragraph."""


@dataclass(frozen=True)
class Section:
    """One heading of a report; ``missing`` is shown instead of the parts where there are none."""

    anchor: str
    title: str
    parts: tuple[Part, ...]
    missing: str = ""
    short: str = ""
    """The title in the list of contents, where it is another."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """What programs read of it in report.json: tables and plain values under their keys."""


@dataclass(frozen=True)
class ModelCard:
    """A title, the head of the file, and under each of HEADINGS what is to be said."""

    title: str
    head: Mapping[str, Any]
    sections: tuple[tuple[str, tuple[Part, ...]], ...]


@dataclass(frozen=True)
class Report:
    """All that the files of a report hold."""

    kind: str
    """Such as "segmentation"; report.json says "meddiff segmentation report"."""
    title: str
    headline: str
    phantom: bool
    sections: tuple[Section, ...]
    """What was measured; methods, limitations and provenance follow by themselves."""
    methods: Methods
    limitations: tuple[str, ...]
    provenance: Mapping[str, Any]
    """Data, settings, machine and versions; nested as it likes."""
    settings: tuple[Part, ...] = ()
    """What the page shows of the provenance; nothing: a table of all of it."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """What programs read beside the values of the sections."""
    card: ModelCard | None = None
    """None where no model was trained."""


def present(*parts: Part | None) -> tuple[Part, ...]:
    """Leave out what was not measured: None, and the empty text."""
    return tuple(part for part in parts if part)


def tables_of(parts: Sequence[Part]) -> tuple[Table, ...]:
    """List the tables among the parts, in their order."""
    return tuple(part for part in parts if isinstance(part, Table))


def section_list(makers: Sequence[Callable[[Content], Section]], content: Content) -> tuple[Section, ...]:
    """Make every section of a page."""
    return tuple(make(content) for make in makers)
