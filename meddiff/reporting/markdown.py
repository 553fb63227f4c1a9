"""A report without its pictures as Markdown: what can be pasted into an issue, a paper's supplement or a model card."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from meddiff.reporting import words
from meddiff.reporting.bibliography import Methods
from meddiff.reporting.tables import Table

PHANTOM = "> **Phantom run.** Every image here was drawn by code. No figure on this page says anything about patients."


def document(
    title: str,
    headline: str,
    *,
    phantom: bool,
    shown: Sequence[Table],
    methods: Methods,
    limitations: Sequence[str],
    provenance: Mapping[str, Any],
) -> str:
    """Headline, tables, methods with references, limitations and provenance."""
    parts = [f"# {safe(title)}", PHANTOM if phantom else "", f"**{safe(headline)}**"]
    for one in shown:
        parts += [f"## {safe(one.caption)}", table(one)]
    if methods.sentences:
        parts += ["## Methods", paragraph(methods)]
        parts += ["## References", "\n".join(f"{at}. {safe(line)}" for at, line in enumerate(methods.references, 1))]
    parts += ["## Limitations", bullets(limitations)]
    if provenance:
        parts += ["## Provenance", bullets(f"{name}: {words.setting(value)}" for name, value in provenance.items())]
    return "\n\n".join(part for part in parts if part) + "\n"


def paragraph(methods: Methods) -> str:
    """The sentences with the numbers of their references in brackets."""
    cited = (f" [{', '.join(map(str, entry.citations))}]" if entry.citations else "" for entry in methods.sentences)
    return " ".join(f"{safe(entry.text)}{numbers}." for entry, numbers in zip(methods.sentences, cited, strict=True))


def bullets(lines: Iterable[str]) -> str:
    """One line each."""
    return "\n".join(f"- {safe(line)}" for line in lines)


def table(shown: Table) -> str:
    """A table with its intervals beside the numbers."""
    lines = [[column.title for column in shown.columns]]
    lines += [[f"{cell.text} {cell.detail}".strip() for cell in row] for row in (*shown.rows, shown.total) if row]
    head, *body = ("| " + " | ".join(safe(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
    rule = "| " + " | ".join("---:" if column.numeric else "---" for column in shown.columns) + " |"
    return "\n".join([head, rule, *body])


def safe(text: str) -> str:
    """Names come from other people's files: no HTML, no line breaks."""
    return html.escape(" ".join(str(text).split()), quote=False).replace("&amp; ", "& ")  # read as text, no entity
