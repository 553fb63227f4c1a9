"""A study as one HTML page that opens anywhere, and as JSON for programs.

``report.html`` is self-contained: pictures are PNG data URIs, figures are SVG, no font, script or style is fetched,
and a content security policy forbids the page to try. ``report.json`` holds everything but the pixels:

- ``format`` "meddiff augmentation report", ``format_version`` 1, ``title``, ``headline``, ``phantom``, ``split_note``
- ``data``, ``skipped``, ``scores``, ``differences``, ``distances``, ``copies``, ``filter_counts``, ``log``,
  ``stages``: each a list with one object per row, its keys are the columns
- ``galleries``: class_name, real and synthetic (how many pictures the page shows)
- ``nearest``, ``held_out_nearest``: synthetic_id, real_id, distance
- ``recipe``, ``environment``: nested objects; ``recipe_differences``: {setting: {default, used}}

What is unknown or not finite is null.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd

from meddiff.data.writing import write_text
from meddiff.errors import InputError
from meddiff.reporting.content import AugmentationReport, Gallery, NearestPair
from meddiff.reporting.page import render
from meddiff.reporting.plain import plain as plain_values
from meddiff.reporting.plain import plain_records

__all__ = ["AugmentationReport", "Gallery", "NearestPair", "report_json", "write_report"]

REQUIRED_COLUMNS = {
    "skipped": ("file", "reason"),
    "scores": ("arm", "metric", "class_name", "estimate", "low", "high", "n_images", "n_groups", "n_seeds"),
    "differences": ("arm", "reference", "metric", "difference", "low", "high"),
    "distances": ("features", "comparison", "metric", "value", "n_real", "n_synthetic", "dimension", "warning"),
    "filter_counts": ("drawn", "kept", "dropped_confidence", "dropped_copy"),
    "log": ("step", "loss"),
    "stages": ("stage", "seconds", "peak_memory_mib"),
}
FRAMES = ("data", "skipped", "scores", "differences", "distances", "copies", "filter_counts", "log", "stages")


def write_report(report: AugmentationReport, folder: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Writes report.html and report.json into an existing folder, each under a temporary name first.

    Raises:
        InputError: a table lacks a column of REQUIRED_COLUMNS, or the disk does not take the files; nothing is
            written then.
    """
    for name, columns in REQUIRED_COLUMNS.items():
        frame: pd.DataFrame = getattr(report, name)
        missing = [column for column in columns if column not in frame.columns] if len(frame) else []
        if missing:
            raise InputError(f"the report's table {name!r} lacks {missing}; it has {list(frame.columns)}")
    html = render(report)
    text = json.dumps(report_json(report), indent=1, ensure_ascii=False, allow_nan=False)
    target = Path(folder)
    page, table = target / "report.html", target / "report.json"
    write_text(page, html)
    write_text(table, text + "\n")
    return page, table


def report_json(report: AugmentationReport) -> dict[str, Any]:
    """The report without pixels, as plain values that JSON can hold; its keys are listed at the top of this file."""
    plain: dict[str, Any] = {"format": "meddiff augmentation report", "format_version": 1}
    plain |= {name: getattr(report, name) for name in ("title", "headline", "phantom", "split_note")}
    plain |= {name: plain_records(getattr(report, name)) for name in FRAMES}
    plain["galleries"] = [
        {"class_name": entry.class_name, "real": len(entry.real), "synthetic": len(entry.synthetic)}
        for entry in report.galleries
    ]
    for name in ("nearest", "held_out_nearest"):
        plain[name] = [
            {"synthetic_id": pair.synthetic_id, "real_id": pair.real_id, "distance": pair.distance}
            for pair in getattr(report, name)
        ]
    plain |= {"recipe": report.recipe, "environment": report.environment}
    plain["recipe_differences"] = {
        name: {"default": pair[0], "used": pair[1]} for name, pair in report.recipe_differences.items()
    }
    return plain_values(plain)
