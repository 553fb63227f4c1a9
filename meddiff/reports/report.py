"""The parts of every report: sections of texts, tables, figures and pictures, and what is written beside them.

A page is written by listing its sections; `meddiff.reports.write` makes HTML, Markdown and JSON of them.
A model card has the headings of Mitchell et al. 2019 and is filled in from the run alone: what the run cannot know (who
may use the weights, under which license) is said to be open. Its head is the YAML that the Hugging Face hub reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from meddiff.reports import words
from meddiff.reports.figures import Figure, Key
from meddiff.reports.galleries import Pictures
from meddiff.reports.literature import Methods, Sentence
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


HEADINGS = (
    "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data", "Quantitative analyses",
    "Ethical considerations", "Caveats and recommendations",
)  # fmt: skip
"""Those of Mitchell et al. 2019, "Model cards for model reporting", section 4."""
NO_PATIENTS = "This model was trained on images drawn by code: it shows that the program works, and is of no other use."
NO_DEVICE = "Not for: diagnosis, treatment or any decision about a patient. This is no medical device."
HUB_TASKS = ("image-segmentation", "unconditional-image-generation")
"""Tasks of ours that the Hugging Face hub has; it has none for images of a class."""
HUB_LICENSES = (
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nd-4.0",
    "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "gpl-3.0", "agpl-3.0", "lgpl-3.0", "openrail",
)  # fmt: skip
"""Names under which the Hugging Face hub lists licenses that are given to weights; of another it wants the name beside
"other"."""


def model_card(title: str, head: Mapping[str, Any], sections: Mapping[str, Sequence[Part | None]]) -> ModelCard:
    """Put sections in the order of HEADINGS; parts that are None or empty were not measured and are left out.

    Raises:
        KeyError: a heading is missing.
    """
    return ModelCard(title, head, tuple((name, present(*sections[name])) for name in HEADINGS))


def card_head(
    task: str, tags: Sequence[str], index: Sequence[Mapping[str, Any]], *, phantom: bool, license: str
) -> dict[str, Any]:
    """Fill in the head: license, the task where the hub has it, tags of ours, and the figures that the hub lists."""
    known = license.strip().lower()
    if known and known not in HUB_LICENSES:
        head = {"license": "other", "license_name": license.strip()}
    else:
        head = {"license": known or "unknown"}
    head |= {"library_name": "meddiff"} | ({"pipeline_tag": task} if task in HUB_TASKS else {})
    every = ["medical-imaging", "diffusion", *tags, *(["phantom"] if phantom else [])]
    return head | {"tags": every, "model-index": list(index)}


def license_of(license: str) -> str:
    """Say under which license the weights are, or that nobody has said it."""
    known = f"License of the weights: {license}." if license else (
        "License of the weights: unknown; their owner sets it (--license)."
    )  # fmt: skip
    return (
        f"{known} Contact: for the owner to add. The license of the training data applies to what is derived from them."
    )


def described(sentences: Iterable[Sentence]) -> str:
    """Say how the model was made, by the first sentences of the methods paragraph."""
    return " ".join(f"{sentence.text}." for sentence in sentences)


def made_with(environment: Mapping[str, Any]) -> str | None:
    """Say which versions made it, where they are known."""
    if "meddiff" not in environment:
        return None
    return f"Made with meddiff {environment['meddiff']} and torch {environment.get('torch', 'of unknown version')}."


def licenses(provenance: Mapping[str, Any]) -> str | None:
    """Say under which licenses the training images are, where their manifest says so."""
    known = provenance.get("licenses")
    return f"License of the training images, as their manifest says: {words.setting(known)}." if known else None
