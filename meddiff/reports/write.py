"""A report as files: report.html, report.json, report.md, references.bib, and a model card.

The page is self-contained: pictures are PNG data URIs, figures are SVG; no font, script or style is fetched, and a
content security policy forbids the page to try. Class names, paths and reasons come from other people's files: the
template escapes all of them. ``report.json`` holds everything but the pixels and keeps to ``report.schema.json``, which
says what each key means.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from meddiff.files.printable import printable
from meddiff.files.writing import write_text
from meddiff.reports import words
from meddiff.reports.figures import draw, draw_axis
from meddiff.reports.galleries import Picture, Pictures, addresses, digest
from meddiff.reports.literature import Methods
from meddiff.reports.report import Folded, Lines, ModelCard, Note, Part, Report
from meddiff.reports.tabular import Table, flat, plain, settings_table

HERE = Path(__file__).parent
SCHEMA = "https://raw.githubusercontent.com/meddiff/meddiff/main/meddiff/reports/report.schema.json"
"""The $id of report.schema.json, which lies beside this file: what report.json keeps to."""
FORMAT_VERSION = 1
"""Raised when a key of report.json is dropped or changes its meaning; new keys leave it."""
PHANTOM = "> **Phantom run.** Every image here was drawn by code. No figure on this page says anything about patients."


def write_report(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write the files into an existing folder, each under a temporary name first; report.html and report.json lead.

    References and card are written where there are any.

    Raises:
        InputError: the disk does not take the files.
    """
    contents = {"report.html": as_html(report), "report.json": as_json(report), "report.md": as_markdown(report)}
    if report.methods.bibtex:
        contents["references.bib"] = report.methods.bibtex
    if report.card:
        contents["model_card.md"] = as_card(report.card)
    for name, content in contents.items():
        write_text(Path(folder) / name, content)
    return tuple(Path(folder) / name for name in contents)


def as_html(report: Report) -> str:
    """Fill in the page, with the style and the only script that its security policy lets run."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["kind"] = lambda part: type(part).__name__
    script = (HERE / "page.js").read_text(encoding="utf-8")
    images = addresses(picture for section in report.sections for picture in _pictures(section.parts))
    drawn: set[str] = set()

    def first(picture: Picture) -> bool:
        """Tell whether an image is met for the first time; later pictures of it refer to it."""
        met = digest(picture.pixels) in drawn
        drawn.add(digest(picture.pixels))
        return not met

    page = environment.get_template("page.html.jinja").render(
        report=report,
        settings=report.settings or _settings(report),
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        address=lambda picture: images[digest(picture.pixels)],
        name=lambda picture: f"image-{digest(picture.pixels)}",
        first=first,
        draw=draw,
        draw_axis=draw_axis,
    )
    return page.strip() + "\n"


def as_json(report: Report) -> str:
    """Write everything but the pixels, with null for what is unknown or not finite."""
    values: dict[str, Any] = {
        "$schema": SCHEMA, "format": f"meddiff {report.kind} report", "format_version": FORMAT_VERSION,
        "title": report.title, "headline": report.headline, "phantom": report.phantom,
    }  # fmt: skip
    for section in report.sections:
        values |= section.values
    values |= report.values
    values["methods"] = [{"text": entry.text, "citations": entry.citations} for entry in report.methods.sentences]
    values |= {"references": report.methods.references, "limitations": report.limitations}
    values["provenance"] = report.provenance
    return json.dumps(plain(values), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_markdown(report: Report) -> str:
    """Write the report without figures and pictures: what can be pasted into an issue or a paper's supplement."""
    parts = [f"# {safe(report.title)}", PHANTOM if report.phantom else "", f"**{safe(report.headline)}**"]
    for section in report.sections:
        lines = list(_markdown(section.parts)) or [safe(section.missing)]
        parts += [f"## {safe(section.title)}", *lines]
    if report.methods.sentences:
        parts += ["## Methods", _paragraph(report.methods), "## References"]
        parts.append("\n".join(f"{at}. {safe(line)}" for at, line in enumerate(report.methods.references, 1)))
    parts += ["## Limitations", _bullets(report.limitations)]
    if report.provenance:
        lines = (f"{name}: {words.setting(value)}" for name, value in flat(report.provenance).items())
        parts += ["## Provenance", _bullets(lines)]
    return "\n\n".join(part for part in parts if part) + "\n"


def as_card(card: ModelCard) -> str:
    """Write model_card.md."""
    parts = [f"---\n{yaml.safe_dump(dict(card.head), sort_keys=False, allow_unicode=True)}---"]
    parts.append(f"# Model card: {safe(card.title)}")
    for name, contents in card.sections:
        parts += [f"## {name}", *_markdown(contents)]
    return "\n\n".join(parts) + "\n"


_MARKS = re.compile(r"[\\*`|$]|~(?=~)|(?<=~)~|(?<=\])(?=\()|(?<![^\W_])_|_(?![^\W_])")
"""What Markdown obeys within a line; an underscore inside a word is none."""
_LEADS = re.compile(r"\[|-{3,}|[#+-](?=[#\s]|$)|\d+[.)](?=\s|$)")
"""What it obeys at the beginning of one."""


def safe(text: str) -> str:
    """Make text of other people's names: no HTML, nothing that Markdown or a terminal obeys, no line breaks."""
    line = _MARKS.sub(lambda mark: f"\\{mark[0]}", " ".join(printable(str(text)).split()))
    if lead := _LEADS.match(line):
        line = f"{line[: lead.end() - 1]}\\{line[lead.end() - 1 :]}"
    return html.escape(line, quote=False).replace("&amp; ", "& ")  # read as text, no entity


def _settings(report: Report) -> tuple[Part, ...]:
    """Show all of the provenance as one table."""
    table = settings_table(report.provenance, "Settings, data, machine and versions")
    return (table,) if table else ("Nothing was told about the run.",)


def _pictures(parts: Sequence[Part]) -> Iterator[Picture]:
    for part in parts:
        if isinstance(part, Pictures):
            yield from (picture for group in part.groups for picture in group.pictures)
        elif isinstance(part, Folded):
            yield from _pictures(part.parts)


def _markdown(parts: Sequence[Part]) -> Iterator[str]:
    """Write texts, tables and lists; figures and pictures are left out, as the tables have their numbers."""
    for part in parts:
        if isinstance(part, str):
            yield safe(part)
        elif isinstance(part, Table):
            yield f"{safe(part.caption)}:\n\n{_table(part)}"
        elif isinstance(part, Note):
            yield f"> {safe(part.text)}"
        elif isinstance(part, Lines):
            yield _bullets(part.lines)
        elif isinstance(part, Folded):
            yield from _markdown(part.parts)


def _table(table: Table) -> str:
    """Write a table with its intervals beside the numbers."""
    lines = [[column.title for column in table.columns]]
    lines += [[f"{cell.text} {cell.detail}".strip() for cell in row] for row in (*table.rows, table.total) if row]
    head, *body = ("| " + " | ".join(safe(cell) for cell in line) + " |" for line in lines)
    rule = "| " + " | ".join("---:" if column.numeric else "---" for column in table.columns) + " |"
    return "\n".join([head, rule, *body])


def _paragraph(methods: Methods) -> str:
    """Write the sentences with the numbers of their references in brackets."""
    cited = (f" [{', '.join(map(str, entry.citations))}]" if entry.citations else "" for entry in methods.sentences)
    return " ".join(safe(f"{entry.text}{numbers}.") for entry, numbers in zip(methods.sentences, cited, strict=True))


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {safe(line)}" for line in lines)
