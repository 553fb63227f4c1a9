"""A report's content -> one HTML string: everything the template shows is worked out here, nothing in the template.

Class names, paths and reasons come from other people's files: the template escapes all of them, and the page's
content security policy allows no script but ours (by its hash) and no request at all.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from meddiff.pictures import png_data_uri
from meddiff.reporting import methods, tables, words
from meddiff.reporting.content import AugmentationReport, NearestPair
from meddiff.reporting.curve import curve
from meddiff.reporting.interactive import Figure, shares_figure, told
from meddiff.reporting.study import study_section
from meddiff.reporting.tables import Cell, Records, Table

HERE = Path(__file__).parent
SECTIONS = (
    ("arms", "Arms side by side"),
    ("differences", "Paired differences"),
    ("classes", "By class"),
    ("galleries", "Real and synthetic"),
    ("memorization", "Memorization"),
    ("distances", "Distances"),
    ("filter", "Filter"),
    ("training", "Training"),
    ("data", "Data and split"),
    ("methods", "Methods"),
    ("limitations", "Limitations"),
    ("recipe", "Recipe and machine"),
)
THUMBNAIL = 128  # CSS pixels: four times a 32-pixel image, twice a 64-pixel one


@dataclass(frozen=True)
class Picture:
    """A PNG with what is said of it; `width` and `height` are its size on the page in CSS pixels."""

    uri: str
    alt: str
    width: int
    height: int
    pixelated: bool
    caption: str = ""


def render(report: AugmentationReport) -> str:
    """The whole page as a string."""
    distances = tables.records(report.distances)
    warnings = list(dict.fromkeys(row["warning"] for row in distances if row["warning"]))
    level = report.recipe.get("evaluation", {}).get("confidence_level")
    sentences, references = methods.methods(report.recipe)
    return fill_in(
        "report.html.jinja",
        sections=SECTIONS,
        report=report,
        level=f"{100 * level:g}% " if level else "",
        study=study_section(report.scores, report.differences),
        distances_table=tables.from_records(_compact(distances), "Distances between sets of images"),
        warnings=warnings,
        sentences=sentences,
        references=references,
        limitations=methods.limitations(report.phantom, tables.records(report.scores), report.recipe),
        **_pictures(report),
        **_measured(report),
        **_provenance(report),
    )


SCRIPTS = ("report.js", "lightbox.js", "plots.js")


def fill_in(template: str, **content: Any) -> str:
    """A template with its content, the style and the only scripts that the page's security policy lets run.

    Every page needs ``sections`` (anchor and title of each) and ``report`` (with title, headline and phantom).
    """
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = "".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    library, packed = plotly_library()
    return environment.get_template(template).render(
        style=Markup((HERE / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_digests=[_sha256(script), library],
        plotly=Markup(packed),
        **content,
    )


@cache
def plotly_library() -> tuple[str, str]:
    """The digest of plotly.js, and the library packed by gzip as letters: 2 of its 5 MB."""
    from plotly.offline import get_plotlyjs  # a page alone needs it

    text = get_plotlyjs()
    return _sha256(text), base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def picture(image: np.ndarray, alt: str, caption: str = "") -> Picture:
    """Small images are shown at a whole multiple of their size with hard pixels, large ones at THUMBNAIL pixels."""
    height, width = image.shape[:2]
    longest = max(height, width)
    factor = THUMBNAIL // longest if longest <= THUMBNAIL else THUMBNAIL / longest
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return Picture(png_data_uri(image), alt, *size, longest <= THUMBNAIL, caption)


def _compact(distances: Records) -> Records:
    """Fewer columns than the JSON has, so that a row is read at a glance: features and their number in one."""
    return [
        {
            "comparison": row["comparison"],
            "metric": row["metric"],
            **{name: row[name] for name in ("value", "low", "high") if name in row},
            "n_real": row["n_real"],
            "n_synthetic": row["n_synthetic"],
            "features": f"{words.in_words(row['features'])}, {words.plain(row['dimension'])} dimensions",
        }
        for row in distances
    ]


def _pictures(report: AugmentationReport) -> dict[str, Any]:
    """Galleries and nearest pairs as PNGs with alternative texts."""
    prefix = "Phantom: " if report.phantom else ""

    def row(images: list[np.ndarray], kind: str, name: str) -> list[Picture]:
        return [picture(image, f"{prefix}{kind} image {i} of class {name}") for i, image in enumerate(images, 1)]

    def pairs(found: list[NearestPair], kind: str) -> list[tuple[Picture, Picture, str]]:
        return [
            (
                picture(pair.synthetic, f"{prefix}{kind} image {pair.synthetic_id}", pair.synthetic_id),
                picture(pair.real, f"{prefix}nearest training image {pair.real_id}", pair.real_id),
                words.significant(pair.distance),
            )
            for pair in found
        ]

    galleries = [
        (name, row(entry.real, "real", name), row(entry.synthetic, "synthetic", name))
        for entry in report.galleries
        for name in [entry.class_name]
    ]
    return {
        "galleries": galleries,
        "nearest": pairs(report.nearest, "synthetic"),
        "held_out_nearest": pairs(report.held_out_nearest, "held-out real"),
    }


def _measured(report: AugmentationReport) -> dict[str, Any]:
    """Copies, filter, training curve, time and memory, data."""
    log, counts = tables.records(report.log), tables.records(report.filter_counts)
    speeds = [row["images_per_second"] for row in log if not words.is_missing(row.get("images_per_second"))]
    speed = f"{words.significant(float(np.median(speeds)))} images per second (median)" if speeds else ""
    return {
        "copies_table": tables.from_records(tables.records(report.copies), "How close to the training images"),
        "filter_table": tables.from_records(counts, "Synthetic images that were drawn and that joined training"),
        "kept": _kept(counts),
        "kept_figure": _kept_figure(counts),
        "curve": curve(log),
        "speed": speed,
        "stages_table": _stages(tables.records(report.stages)),
        "data_table": tables.from_records(tables.records(report.data), "Images and patients by class and split"),
        "skipped_table": tables.from_records(
            tables.records(report.skipped), "Files that could not be read and were left out, as the recipe allows"
        ),
    }


def _provenance(report: AugmentationReport) -> dict[str, Any]:
    """The recipe, what is special in it, and the machine."""
    recipe = {name: [value] for name, value in _flat(report.recipe).items()}
    environment = {name: [value] for name, value in _flat(report.environment).items()}
    return {
        "changed_table": tables.from_settings(
            report.recipe_differences, "Settings that differ from the defaults", ("Setting", "Default", "This run")
        ),
        "recipe_table": tables.from_settings(recipe, "All settings", ("Setting", "Value")),
        "environment_table": tables.from_settings(environment, "Machine and versions", ("What", "Value")),
    }


def _kept(counts: Records) -> list[dict[str, Any]]:
    """Shares of kept and dropped images per class, in percent of those drawn, for the bars."""
    return [
        {
            "label": str(row.get("class_name", next(iter(row.values())))),
            "text": f"{words.number(row['kept'], 0)} of {words.number(row['drawn'], 0)} kept",
            "shares": [100 * row[part] / row["drawn"] if row["drawn"] else 0.0
                       for part in ("kept", "dropped_confidence", "dropped_copy")],
        }
        for row in counts
    ]  # fmt: skip


def _kept_figure(counts: Records) -> Figure:
    """The same bars for plotly."""
    parts = {"kept": "kept", "dropped_confidence": "label not confirmed", "dropped_copy": "near-copy"}
    rows = [
        (bar["shares"], [told(bar["label"], f"{words.number(row[part], 0)} of {words.number(row['drawn'], 0)} {what}")
                         for part, what in parts.items()])
        for bar, row in zip(_kept(counts), counts, strict=True)
    ]  # fmt: skip
    return shares_figure(rows, ("var(--accent)", "var(--confidence)", "var(--copy)"))


def _stages(stages: Records) -> Table | None:
    """Time and memory with a last line: the sum of the times and the largest memory."""
    kept = [{name: row[name] for name in ("stage", "seconds", "peak_memory_mib")} for row in stages]
    table = tables.from_records(kept, "Time and memory by stage")
    if table is None:
        return None
    seconds, mebibytes = (
        [row[name] for row in kept if not words.is_missing(row[name])] for name in ("seconds", "peak_memory_mib")
    )
    total = (words.duration(sum(seconds)), words.memory(max(mebibytes, default=None)))
    return Table(table.caption, table.columns, table.rows, (Cell("All"), *(Cell(text) for text in total)))


def _flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in nested.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found
