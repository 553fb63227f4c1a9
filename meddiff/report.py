"""A study as one HTML page that opens anywhere, as JSON for programs, as Markdown, and as a model card.

``report.html`` is self-contained: pictures are PNG data URIs, figures are SVG that plotly, packed in the page, draws
over; no font, script or style is fetched, and a content security policy forbids the page to try. ``report.json`` holds
everything but the pixels and keeps to ``reporting/report.schema.json``, which says what each key means.
``references.bib`` has what the methods paragraph cites.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd

from meddiff.errors import InputError
from meddiff.reporting.cards import study_card
from meddiff.reporting.content import AugmentationReport, Gallery, NearestPair
from meddiff.reporting.files import ReportText, write_files
from meddiff.reporting.frame import fill_in
from meddiff.reporting.page import study_content
from meddiff.reporting.plain import plain_records

__all__ = ["AugmentationReport", "Gallery", "NearestPair", "write_report"]

REQUIRED_COLUMNS = {
    "skipped": ("file", "reason"),
    "scores": ("arm", "metric", "class_name", "estimate", "low", "high", "n_images", "n_groups", "n_seeds"),
    "differences": ("arm", "reference", "metric", "difference", "low", "high"),
    "tests": ("arm", "reference", "metric", "class_name", "test", "difference", "p_value", "p_holm"),
    "subgroups": ("attribute", "subgroup", "arm", "reference", "metric", "estimate", "low", "high", "n_images"),
    "curve": ("ratio", "ratio_reached", "n_real", "n_synthetic", "arm", "metric", "estimate", "low", "high"),
    "arms": ("arm", "ratio", "n_real", "n_synthetic"),
    "distances": ("features", "comparison", "metric", "value", "n_real", "n_synthetic", "dimension", "warning"),
    "filter_counts": ("drawn", "kept", "dropped_confidence", "dropped_copy"),
    "log": ("step", "loss"),
    "stages": ("stage", "seconds", "peak_memory_mib"),
}
FRAMES = (
    *("data", "skipped", "scores", "differences", "tests", "subgroups", "curve", "arms", "distances", "copies"),
    *("filter_counts", "log", "stages"),
)


def write_report(report: AugmentationReport, folder: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Writes report.html, report.json, report.md, references.bib and model_card.md into an existing folder.

    Each is written under a temporary name first; references and the card only where the recipe is told.

    Raises:
        InputError: a table lacks a column of REQUIRED_COLUMNS, or the disk does not take the files; nothing is
            written then.
    """
    for name, columns in REQUIRED_COLUMNS.items():
        frame: pd.DataFrame = getattr(report, name)
        missing = [column for column in columns if column not in frame.columns] if len(frame) else []
        if missing:
            raise InputError(f"the report's table {name!r} lacks {missing}; it has {list(frame.columns)}")
    content = study_content(report)
    content["card"] = study_card(report, content)
    study = content["study"]
    text = ReportText(
        format="meddiff augmentation report", title=report.title, headline=report.headline, phantom=report.phantom,
        methods=content["methods"], limitations=content["limitations"],
        provenance=report.provenance | {"environment": report.environment},
        values=_values(report),
        tables=[study.arms_table, study.changes_table, *content["beside"].tables, *study.class_tables,
                *study.class_changes,
                *(content[f"{name}_table"] for name in ("distances", "copies", "filter", "stages", "data", "skipped"))],
        card=content["card"],
    )  # fmt: skip
    return write_files(Path(folder), fill_in("report.html.jinja", **content), text)


def _values(report: AugmentationReport) -> dict[str, Any]:
    """The report without pixels."""
    values: dict[str, Any] = {"split_note": report.split_note}
    values |= {name: plain_records(getattr(report, name)) for name in FRAMES}
    values["galleries"] = [
        {"class_name": entry.class_name, "real": len(entry.real), "synthetic": len(entry.synthetic)}
        for entry in report.galleries
    ]
    for name in ("nearest", "held_out_nearest"):
        values[name] = [
            {"synthetic_id": pair.synthetic_id, "real_id": pair.real_id, "distance": pair.distance}
            for pair in getattr(report, name)
        ]
    values["recipe"] = report.recipe
    values["recipe_differences"] = {
        name: {"default": pair[0], "used": pair[1]} for name, pair in report.recipe_differences.items()
    }
    return values
