"""The model card of a run, by the headings of Mitchell et al. 2019 ("Model cards for model reporting", section 4).

It is filled from the run alone; what the run cannot know (who may use the weights, under which license) is said to be
open. The head is the YAML that the Hugging Face hub reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from meddiff.reporting import markdown
from meddiff.reporting.bibliography import Methods
from meddiff.reporting.tables import Table

HEADINGS = (
    "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data", "Quantitative analyses",
    "Ethical considerations", "Caveats and recommendations",
)  # fmt: skip
Part = str | Table | tuple[str, ...]
"""A paragraph, a table, or lines of a list."""
OPEN = (
    "License and contact: for the owner of the weights to set. The license of the training data applies to what is "
    "derived from them."
)


@dataclass(frozen=True)
class ModelCard:
    """A title, the head of the file, and under each of HEADINGS what is to be said."""

    title: str
    head: Mapping[str, Any]
    sections: tuple[tuple[str, tuple[Part, ...]], ...]


def model_card(title: str, head: Mapping[str, Any], sections: Mapping[str, Sequence[Part | None]]) -> ModelCard:
    """Sections in the order of HEADINGS; parts that are None or empty were not measured and are left out.

    Raises:
        KeyError: a heading is missing.
    """
    filled = tuple((name, tuple(part for part in sections[name] if part)) for name in HEADINGS)
    return ModelCard(title, head, filled)


def described(methods: Methods, count: int) -> str:
    """The first sentences of the methods paragraph: how the model was made."""
    return " ".join(f"{sentence.text}." for sentence in methods.sentences[:count])


def as_markdown(card: ModelCard) -> str:
    """model_card.md."""
    parts = [f"---\n{yaml.safe_dump(dict(card.head), sort_keys=False, allow_unicode=True)}---"]
    parts.append(f"# Model card: {markdown.safe(card.title)}")
    for name, found in card.sections:
        parts += [f"## {name}", *map(_as_markdown, found)]
    return "\n\n".join(parts) + "\n"


def _as_markdown(part: Part) -> str:
    if isinstance(part, Table):
        return f"{markdown.safe(part.caption)}:\n\n{markdown.table(part)}"
    return markdown.safe(part) if isinstance(part, str) else markdown.bullets(part)
