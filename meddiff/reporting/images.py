"""An evaluation of synthetic images as one HTML page, as JSON for programs, and as plain tables in Markdown.

The files are those of `meddiff.report`; ``report.json`` keeps to the same ``reporting/report.schema.json``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from meddiff.evaluation.images.copies import SYNTHETIC, copied
from meddiff.evaluation.images.measures import GENERAL, MEASURES
from meddiff.reporting import tables, words
from meddiff.reporting.files import ReportText, write_files
from meddiff.reporting.frame import fill_in
from meddiff.reporting.images_content import ImageReport
from meddiff.reporting.images_page import image_content
from meddiff.reporting.plain import plain_records

__all__ = ["ImageReport", "headline", "write_image_report"]

NAMES = ("Frechet distance", "Vendi score", "MS-SSIM of pairs", "LPIPS of pairs")
"""Titles that begin with a name, which stays as it is within a sentence."""
PLAIN = ("confidence_level", "false_positive_rate", "group_noun", "notes")


def write_image_report(folder: Path, report: ImageReport) -> tuple[Path, ...]:
    """Write report.html, report.json, report.md and references.bib into an existing folder."""
    content = image_content(report)
    values: dict[str, Any] = {name: getattr(report, name) for name in PLAIN}
    values |= {name: plain_records(getattr(report, name)) for name in ("quality", "copies", "statistics")}
    values["unbiased_frechet_distance"] = report.unbiased
    for name in ("nearest", "held_out_nearest"):
        values[name] = [
            {"image": pair.synthetic_id, "nearest": pair.real_id, "distance": pair.distance}
            for pair in getattr(report, name)
        ]
    text = ReportText(
        format="meddiff image report", title=report.title, headline=report.headline, phantom=report.phantom,
        methods=content["methods"], limitations=content["limitations"], provenance=report.provenance, values=values,
        tables=[content[name] for name in ("quality_table", "copies_table", "statistics_table")],
    )  # fmt: skip
    return write_files(Path(folder), fill_in("images.html.jinja", **content), text)


def headline(quality: pd.DataFrame, copies: pd.DataFrame, statistics: pd.DataFrame) -> str:
    """What is wrong with the images in the first sentence, then the figures that say so."""
    rows = {row["metric"]: row for row in tables.records(quality)}
    outside = [MEASURES[name].title.partition(",")[0] for name, row in rows.items() if row["outside"]]
    kernel = rows["kernel_distance"]
    against = (
        f"kernel distance {words.significant(kernel['matched'])} against {words.significant(kernel['baseline'])} "
        f"(at most {words.significant(kernel['baseline_high'])}) between halves of real images"
    )
    n = f"{words.counted(kernel['n_real'], 'real image')} and {kernel['n_synthetic']:,} synthetic"
    if outside:
        listed = ", ".join(name if name in NAMES else name[:1].lower() + name[1:] for name in outside)
        told = "tells" if len(outside) == 1 else "tell"
        what = f"{len(outside)} of {len(rows)} measures {told} the synthetic images from real ones"
        found = f"{what} ({listed}): {against}"
    else:
        found = f"No measure tells the synthetic images from real ones beyond chance: {against}"
    return f"{_verdict(quality, copies, statistics)} {found}, {n}.{_copied(copies)}"


def _verdict(quality: pd.DataFrame, copies: pd.DataFrame, statistics: pd.DataFrame) -> str:
    """The faults that were found, the worst first."""
    found = [fault for fault in dict.fromkeys(quality["fault"]) if fault]
    faults = [fault for fault in found if fault not in GENERAL] or found[:1]
    if len(copies) and copied(copies, statistics):
        faults.insert(0, "copies of training images")
    if faults:
        return f"The synthetic images show {', '.join(faults[:-1])}{' and ' if faults[1:] else ''}{faults[-1]}."
    unasked = "" if len(copies) else "; whether they are copies was not asked"
    return f"The synthetic images show no fault that these measures see{unasked}."


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
