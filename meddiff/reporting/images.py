"""An evaluation of synthetic images as one HTML page, as JSON for programs, and as plain tables in Markdown.

``report.html`` is self-contained like the one of `meddiff.report`. ``report.json`` holds everything but the pixels:

- ``format`` "meddiff image report", ``format_version`` 1, ``title``, ``headline``, ``phantom``, ``confidence_level``
- ``quality``, ``copies``, ``statistics``: lists with one object per row; ``unbiased_frechet_distance``
- ``nearest``, ``held_out_nearest``: names and distances of pairs; ``limitations``; ``notes``; ``provenance``

What is unknown or not finite is null.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from meddiff.data.writing import write_text
from meddiff.evaluation.image_copies import SYNTHETIC
from meddiff.evaluation.image_quality import MEASURES
from meddiff.reporting import tables, words
from meddiff.reporting.images_content import ImageReport
from meddiff.reporting.images_methods import REFERENCES, limitations, sentences
from meddiff.reporting.images_page import copies_table, made_with, quality_table, render_images, statistics_table
from meddiff.reporting.methods import cited
from meddiff.reporting.plain import plain, plain_records
from meddiff.reporting.tables import Table

__all__ = ["ImageReport", "headline", "write_image_report"]

PLAIN = ("title", "headline", "phantom", "confidence_level", "false_positive_rate", "group_noun", "notes", "provenance")


def write_image_report(folder: Path, report: ImageReport) -> tuple[Path, Path, Path]:
    """Write report.html, report.json and report.md into an existing folder."""
    values: dict[str, Any] = {"format": "meddiff image report", "format_version": 1}
    values |= {name: getattr(report, name) for name in PLAIN}
    values |= {name: plain_records(getattr(report, name)) for name in ("quality", "copies", "statistics")}
    values["unbiased_frechet_distance"] = report.unbiased
    for name in ("nearest", "held_out_nearest"):
        values[name] = [
            {"image": pair.synthetic_id, "nearest": pair.real_id, "distance": pair.distance}
            for pair in getattr(report, name)
        ]
    values["limitations"] = limitations(report)
    text = json.dumps(plain(values), indent=1, ensure_ascii=False, allow_nan=False)
    paths = Path(folder) / "report.html", Path(folder) / "report.json", Path(folder) / "report.md"
    for path, content in zip(paths, (render_images(report), text + "\n", _markdown(report)), strict=True):
        write_text(path, content)
    return paths


def headline(quality: pd.DataFrame, copies: pd.DataFrame) -> str:
    """The result in one sentence."""
    rows = {row["metric"]: row for row in tables.records(quality)}
    outside = [MEASURES[name].title.partition(",")[0] for name, row in rows.items() if row["outside"]]
    kernel = rows["kernel_distance"]
    against = (
        f"kernel distance {words.significant(kernel['matched'])} against {words.significant(kernel['baseline'])} "
        f"(at most {words.significant(kernel['baseline_high'])}) between halves of real images"
    )
    n = f"{words.counted(kernel['n_real'], 'real image')} and {kernel['n_synthetic']:,} synthetic"
    if outside:
        listed = ", ".join(name[:1].lower() + name[1:] if name[1:2].islower() else name for name in outside)
        found = f"{len(outside)} of {len(rows)} measures tell the synthetic images from real ones ({listed}): {against}"
    else:
        found = f"No measure tells the synthetic images from real ones beyond chance: {against}"
    return f"{found}, {n}.{_copied(copies)}"


def _copied(copies: pd.DataFrame) -> str:
    if not len(copies):
        return ""
    pixels = {row["set"]: row for row in tables.records(copies) if row["space"] == "pixels"}
    ours = pixels[SYNTHETIC]
    theirs = next(row for name, row in pixels.items() if name != SYNTHETIC)
    span = f"[{words.percent(ours['low'])}, {words.percent(ours['high'])}]"
    return (
        f" {words.percent(ours['share_of_copies'])} {span} of them are near-copies of training images, "
        f"{words.percent(theirs['share_of_copies'])} of held-out real images are."
    )


def _markdown(report: ImageReport) -> str:
    """Headline, tables, methods and limitations; no pictures."""
    cited_sentences, references = cited(sentences(report), REFERENCES)
    parts = [f"# {report.title}", report.headline, made_with(report)]
    found = (quality_table(report), copies_table(report), statistics_table(report))
    for table in [table for table in found if table is not None]:
        parts += [f"## {table.caption.partition(':')[0]}", _rows(table)]
    text = " ".join(
        f"{entry.text}{' [' + ', '.join(map(str, entry.citations)) + ']' if entry.citations else ''}."
        for entry in cited_sentences
    )
    parts += ["## Methods", text, "\n".join(f"{number}. {line}" for number, line in enumerate(references, 1))]
    parts += ["## Limitations", "\n".join(f"- {line}" for line in limitations(report))]
    return "\n\n".join(parts) + "\n"


def _rows(table: Table) -> str:
    lines = [[column.title for column in table.columns], ["---"] * len(table.columns)]
    lines += [[f"{cell.text} {cell.detail}".strip() for cell in row] for row in table.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
