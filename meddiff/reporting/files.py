"""What every report leaves in its folder: report.html, report.json, report.md, references.bib, and a model card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meddiff.files.writing import write_text
from meddiff.reporting import markdown
from meddiff.reporting.bibliography import Methods
from meddiff.reporting.model_card import ModelCard, as_markdown
from meddiff.reporting.plain import flat, plain
from meddiff.reporting.tables import Table

SCHEMA = "https://raw.githubusercontent.com/meddiff/meddiff/main/meddiff/reporting/report.schema.json"
"""The $id of report.schema.json, which lies beside this file: what report.json keeps to."""
FORMAT_VERSION = 1
"""Raised when a key of report.json is dropped or changes its meaning; new keys leave it."""


@dataclass(frozen=True)
class ReportText:
    """What the files beside the page hold, in plain values and words."""

    format: str
    """Such as "meddiff segmentation report"."""
    title: str
    headline: str
    phantom: bool
    methods: Methods
    limitations: Sequence[str]
    provenance: Mapping[str, Any]
    values: Mapping[str, Any]
    """The tables and whatever else programs read in report.json."""
    tables: Sequence[Table | None]
    """Those of report.md; None where something was not measured."""
    card: ModelCard | None = None
    """None where no model was trained."""


def write_files(folder: Path, page: str, text: ReportText) -> tuple[Path, ...]:
    """Write the files, each under a temporary name first; their paths, report.html and report.json leading."""
    contents = {"report.html": page, "report.json": as_json(text), "report.md": _markdown(text)}
    if text.methods.bibtex:
        contents["references.bib"] = text.methods.bibtex
    if text.card:
        contents["model_card.md"] = as_markdown(text.card)
    for name, content in contents.items():
        write_text(Path(folder) / name, content)
    return tuple(Path(folder) / name for name in contents)


def as_json(text: ReportText) -> str:
    """report.json: null for what is unknown or not finite."""
    shared = {
        "$schema": SCHEMA, "format": text.format, "format_version": FORMAT_VERSION, "title": text.title,
        "headline": text.headline, "phantom": text.phantom,
    }  # fmt: skip
    methods = [{"text": entry.text, "citations": list(entry.citations)} for entry in text.methods.sentences]
    last = {"methods": methods, "references": text.methods.references, "limitations": text.limitations}
    values = plain(shared | dict(text.values) | last | {"provenance": dict(text.provenance)})
    return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _markdown(text: ReportText) -> str:
    return markdown.document(
        text.title, text.headline, phantom=text.phantom, shown=[table for table in text.tables if table],
        methods=text.methods, limitations=text.limitations, provenance=flat(text.provenance),
    )  # fmt: skip
