"""A report's content -> one HTML string: everything the template shows is worked out here, nothing in the template.

Class names, paths and reasons come from other people's files: the template escapes all of them, and the page's
content security policy allows no script but ours (by its hash) and no request at all.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from meddiff.pictures import png_data_uri
from meddiff.reporting import methods, plots, tables, words
from meddiff.reporting.content import AugmentationReport, NearestPair
from meddiff.reporting.plots import Interval

HERE = Path(__file__).parent
THUMBNAIL = 128  # CSS pixels: four times a 32-pixel image, twice a 64-pixel one
HEADLINE_METRICS = ("balanced_accuracy", "macro_auroc")


@dataclass(frozen=True)
class Picture:
    """A PNG with what is said of it; `side` is its size on the page in CSS pixels."""

    uri: str
    alt: str
    width: int
    height: int
    pixelated: bool
    caption: str = ""


def render(report: AugmentationReport) -> str:
    """The whole page as a string."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = (HERE / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    sentences, references = methods.methods(report.recipe)
    return environment.get_template("report.html.jinja").render(
        report=report,
        style=Markup((HERE / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_digest=digest,
        **_study(report),
        **_pictures(report),
        **_details(report),
        sentences=sentences,
        references=references,
        limitations=methods.limitations(report.phantom, report.scores, report.recipe, _warnings(report.distances)),
    )


def picture(image: np.ndarray, alt: str, caption: str = "") -> Picture:
    """Small images are shown at a whole multiple of their size with hard pixels, large ones at THUMBNAIL pixels."""
    height, width = image.shape[:2]
    longest = max(height, width)
    factor = THUMBNAIL // longest if longest <= THUMBNAIL else THUMBNAIL / longest
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return Picture(png_data_uri(image), alt, *size, longest <= THUMBNAIL, caption)


def _is_overall(frame: pd.DataFrame) -> pd.Series:
    if "class_name" not in frame.columns:
        return pd.Series(True, index=frame.index)
    return frame["class_name"].map(lambda name: words.is_missing(name) or name == "").astype(bool)


def _interval(record: dict[str, Any], value: str) -> Interval:
    numbers = (float("nan") if words.is_missing(record[key]) else float(record[key]) for key in (value, "low", "high"))
    return Interval(words.arm_title(record["arm"]), *numbers, words.uses_synthetic(record["arm"]))


def _study(report: AugmentationReport) -> dict[str, Any]:
    """The arms side by side, the paired differences, and the sensitivities of the classes."""
    if not len(report.scores):
        lists: dict[str, Any] = {name: [] for name in ("arms", "changes", "classes", "class_tables")}
        return {**lists, "arms_table": None, "changes_table": None, "reference_title": ""}
    overall = report.scores[_is_overall(report.scores)]
    per_class = report.scores[~_is_overall(report.scores)]
    reference = report.differences["reference"].iloc[0] if len(report.differences) else None
    arms = [_arms_plot(overall, metric, reference) for metric in _ordered(overall["metric"])]
    changed = report.differences[_is_overall(report.differences)] if len(report.differences) else report.differences
    changes = [
        plots.forest(
            words.in_words(metric),
            [_interval(row, "difference") for row in changed[changed["metric"] == metric].to_dict("records")],
            reference=0.0,
            signed=True,
        )
        for metric in (_ordered(changed["metric"]) if len(changed) else [])
    ]
    sensitivity = per_class[per_class["metric"] == "sensitivity"]
    classes = [
        plots.forest(
            f"{name} ({_count(rows['n_images'])} test images)",
            [_interval(row, "estimate") for row in rows.to_dict("records")],
            domain=(0.0, 1.0),
        )
        for name, rows in sensitivity.groupby("class_name", sort=False)
    ]
    class_tables = [
        tables.crossed(rows, f"{words.in_words(str(metric))} by class", rows="class_name", columns="arm")
        for metric, rows in per_class.groupby("metric", sort=False)
    ]
    return {
        "arms": arms[: len(HEADLINE_METRICS)],
        "arms_table": tables.crossed(overall, f"All metrics; {_counts(overall)}", rows="arm", columns="metric"),
        "changes": changes[: len(HEADLINE_METRICS)],
        "changes_table": tables.from_frame(changed, "Paired differences on the same test images")
        if len(changed)
        else None,
        "reference_title": words.arm_title(reference) if reference else "",
        "classes": classes,
        "class_tables": class_tables,
    }


def _ordered(metrics: pd.Series) -> list[str]:
    """Headline metrics first, then the rest as they come."""
    names = list(dict.fromkeys(metrics))
    return [name for name in HEADLINE_METRICS if name in names] + [n for n in names if n not in HEADLINE_METRICS]


def _arms_plot(overall: pd.DataFrame, metric: str, reference: str | None) -> plots.Forest:
    rows = overall[overall["metric"] == metric].to_dict("records")
    line = next((row["estimate"] for row in rows if row["arm"] == reference), None)
    return plots.forest(words.in_words(metric), [_interval(row, "estimate") for row in rows], (0, 1), reference=line)


def _count(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    return words.number(low, 0) if low == high else f"{words.number(low, 0)} to {words.number(high, 0)}"


def _counts(scores: pd.DataFrame) -> str:
    return (
        f"{_count(scores['n_images'])} test images of {_count(scores['n_groups'])} patients, "
        f"{_count(scores['n_seeds'])} seeds per arm"
    )


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

    return {
        "galleries": [
            (
                entry.class_name,
                row(entry.real, "real", entry.class_name),
                row(entry.synthetic, "synthetic", entry.class_name),
            )
            for entry in report.galleries
        ],
        "nearest": pairs(report.nearest, "synthetic"),
        "held_out_nearest": pairs(report.held_out_nearest, "held-out real"),
    }


def _details(report: AugmentationReport) -> dict[str, Any]:
    """All other tables and the training curve."""
    speed = report.log["images_per_second"].median() if "images_per_second" in report.log.columns else None
    return {
        "copies_table": _table(report.copies, "How close to the training images"),
        "distances_table": _table(report.distances, "Distances between sets of images", drop=("warning",)),
        "warnings": _warnings(report.distances),
        "filter_table": _table(report.filter_counts, "Synthetic images that were drawn and that joined training"),
        "kept": _kept(report.filter_counts),
        "curve": plots.curve(report.log) if len(report.log) else None,
        "speed": "" if words.is_missing(speed) else f"{words.significant(speed)} images per second (median)",
        "stages_table": _stages(report.stages),
        "data_table": _table(report.data, "Images and patients by class and split"),
        "skipped_table": _table(report.skipped, "Files that could not be read and were left out, as the recipe allows"),
        "changed_table": tables.from_pairs(
            {name: [words.setting(value) for value in pair] for name, pair in report.recipe_differences.items()},
            "Settings that differ from the defaults",
            ("Setting", "Default", "This run"),
        ),
        "recipe_table": tables.from_pairs(
            {name: [words.setting(value)] for name, value in _flat(report.recipe).items()},
            "All settings",
            ("Setting", "Value"),
        ),
        "environment_table": tables.from_pairs(
            {name: [words.setting(value)] for name, value in _flat(report.environment).items()},
            "Machine and versions",
            ("What", "Value"),
        ),
    }


def _table(frame: pd.DataFrame, caption: str, drop: tuple[str, ...] = ()) -> tables.Table | None:
    return tables.from_frame(frame, caption, drop=drop) if len(frame) else None


def _warnings(distances: pd.DataFrame) -> list[str]:
    if not len(distances):
        return []
    return list(dict.fromkeys(text for text in distances["warning"] if not words.is_missing(text) and text))


def _kept(counts: pd.DataFrame) -> list[dict[str, Any]]:
    """Shares of kept and dropped images per class, in percent of those drawn, for the bars."""
    if not len(counts):
        return []
    frame = counts.reset_index() if counts.index.name else counts
    parts = ("kept", "dropped_confidence", "dropped_copy")
    return [
        {
            "label": str(row.iloc[0]),
            "text": f"{words.number(row['kept'], 0)} of {words.number(row['drawn'], 0)} kept",
            "shares": [100 * row[part] / row["drawn"] if row["drawn"] else 0.0 for part in parts],
        }
        for _, row in frame.iterrows()
    ]


def _stages(stages: pd.DataFrame) -> tables.Table | None:
    """Time and memory with a last line: the sum of the times and the largest memory."""
    if not len(stages):
        return None
    table = tables.from_frame(stages[["stage", "seconds", "peak_memory_mib"]], "Time and memory by stage")
    total = (words.duration(stages["seconds"].sum()), words.memory(stages["peak_memory_mib"].max()))
    cells = (tables.Cell("All"), *(tables.Cell(text) for text in total))
    return tables.Table(table.caption, table.columns, table.rows, cells)


def _flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in nested.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found
