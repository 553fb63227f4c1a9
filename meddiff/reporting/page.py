"""The content of a study's report -> one HTML string: what the template shows is worked out here, nothing in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from meddiff.reporting import methods, tables, words
from meddiff.reporting.content import AugmentationReport, NearestPair
from meddiff.reporting.curve import curve
from meddiff.reporting.frame import Picture, picture
from meddiff.reporting.interactive import Figure, shares_figure, told
from meddiff.reporting.plain import flat
from meddiff.reporting.study import study_section
from meddiff.reporting.study_tables import beside_scores
from meddiff.reporting.tables import Cell, Records, Table

SECTIONS = (
    ("arms", "Arms side by side"),
    ("differences", "Paired differences"),
    ("classes", "By class"),
    ("ratio", "Synthetic per real"),
    ("subgroups", "Subgroups"),
    ("galleries", "Real and synthetic"),
    ("memorization", "Memorization"),
    ("distances", "Distances"),
    ("filter", "Filter"),
    ("training", "Training"),
    ("data", "Data and split"),
    ("methods", "Methods"),
    ("limitations", "Limitations"),
    ("provenance", "Provenance"),
)


def study_content(report: AugmentationReport) -> dict[str, Any]:
    """What report.html.jinja shows, by its names there."""
    distances = tables.records(report.distances)
    known = [row for row in distances if not words.is_missing(row["value"])]
    level = report.recipe.get("evaluation", {}).get("confidence_level")
    return {
        "sections": SECTIONS,
        "report": report,
        "level": f"{100 * level:g}% " if level else "",
        "study": study_section(report.scores, report.differences, report.group_noun),
        "beside": beside_scores(report),
        "distances_table": tables.from_records(_compact(known), "Distances between sets of images"),
        "warnings": list(dict.fromkeys(row["warning"] for row in distances if row["warning"])),
        "methods": methods.methods(report.recipe, report.group_noun),
        "limitations": methods.limitations(report.phantom, tables.records(report.scores), report.recipe,
                                           group_noun=report.group_noun, distances=bool(known)),
        **_pictures(report),
        **_measured(report),
        **_provenance(report),
    }  # fmt: skip


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
        "data_table": _data(report),
        "skipped_table": tables.from_records(
            tables.records(report.skipped), "Files that could not be read and were left out, as the recipe allows"
        ),
    }


def _data(report: AugmentationReport) -> Table | None:
    """Images of each class in each split, and the patients (or lesions) behind all of them."""
    groups = f"{report.group_noun}s".capitalize()
    caption = "Images by class and split" if groups == "Images" else f"Images and {groups.lower()} by class and split"
    return tables.from_records(tables.records(report.data), caption, titles={"groups": groups})


def _provenance(report: AugmentationReport) -> dict[str, Any]:
    """The recipe, what is special in it, data and machine."""
    recipe = {name: [value] for name, value in flat(report.recipe).items()}
    told = flat(report.provenance | report.environment)
    return {
        "changed_table": tables.from_settings(
            report.recipe_differences, "Settings that differ from the defaults", ("Setting", "Default", "This run")
        ),
        "recipe_table": tables.from_settings(recipe, "All settings", ("Setting", "Value")),
        "provenance_table": tables.from_settings(
            {name: [value] for name, value in told.items()}, "Data, machine and versions", ("What", "Value")
        ),
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
    """Time, memory and energy (where it could be read) with a last line: sums, and the largest memory."""
    energies = [name for name in ("cpu_energy_wh", "gpu_energy_wh") if stages and name in stages[0]]
    kept = [{name: row[name] for name in ("stage", "seconds", "peak_memory_mib", *energies)} for row in stages]
    table = tables.from_records(kept, "Time, memory and energy by stage" if energies else "Time and memory by stage")
    if table is None:
        return None
    seconds, mebibytes, *spent = (
        [row[name] for row in kept if not words.is_missing(row[name])] for name in list(kept[0])[1:]
    )
    total = (words.duration(sum(seconds)), words.memory(max(mebibytes, default=None)),
             *(words.significant(sum(values)) for values in spent))  # fmt: skip
    return Table(table.caption, table.columns, table.rows, (Cell("All"), *(Cell(text) for text in total)))
