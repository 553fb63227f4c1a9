"""The content of an image evaluation -> one HTML string; everything that the template shows is worked out here."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from meddiff.evaluation.images.measures import MEASURES
from meddiff.reporting import tables, words
from meddiff.reporting.bibliography import cited
from meddiff.reporting.content import NearestPair
from meddiff.reporting.forest import Forest, Interval, forest
from meddiff.reporting.frame import Picture, picture
from meddiff.reporting.images_content import ImageReport
from meddiff.reporting.images_methods import limitations, sentences
from meddiff.reporting.plain import flat
from meddiff.reporting.tables import Table

SECTIONS = (
    ("beside", "Beside real images"),
    ("figures", "Every figure"),
    ("gallery", "Real and synthetic"),
    ("memorization", "Nearest images"),
    ("methods", "Methods"),
    ("limitations", "Limitations"),
    ("provenance", "Provenance"),
)
SMALL, LARGE = 0.1, 1e5
"""Figures beyond are shown in thousandths, millions ...: a row of zeros, or of digits, says nothing."""
STATISTICS = {
    "authentic_share": "AuthPct (share authentic)",
    "copying_statistic": "C_T (below 0: nearer)",
    "memorization_distance": "Cosine distance to the nearest",
    "memorization_informed_frechet": "MiFID",
}


def image_content(report: ImageReport) -> dict[str, Any]:
    """What images.html.jinja shows, by its names there."""
    rows = tables.records(report.quality)
    told = {name: [value] for name, value in flat(report.provenance).items()}
    return {
        "sections": SECTIONS,
        "report": report,
        "level": f"{100 * report.confidence_level:g}% ",
        "matched": rows[0]["n_matched"],
        "splits": rows[0]["splits"],
        "forests": [_forest(row) for row in rows],
        "quality_table": quality_table(report),
        "made_with": made_with(report),
        "warnings": [f"{MEASURES[row['metric']].title}: {row['warning']}." for row in rows if row["warning"]],
        "real": _row(report.real, "real", report.phantom),
        "synthetic": _row(report.synthetic, "synthetic", report.phantom),
        "nearest": _pairs(report.nearest, "synthetic", report),
        "held_out_nearest": _pairs(report.held_out_nearest, "held-out real", report),
        "copies_table": copies_table(report),
        "statistics_table": statistics_table(report),
        "methods": cited(sentences(report)),
        "limitations": limitations(report),
        "provenance_table": tables.from_settings(told, "Settings, data, machine and versions", ("What", "Value")),
    }


def made_with(report: ImageReport) -> str:
    """What every distance on the page carries, in one line."""
    row = report.quality.iloc[0]
    return (
        f"{row['extractor']} features ({row['dimension']:,} numbers, weights {row['weights'][:8]}); "
        f"{words.counted(row['n_real'], 'real image')}, {row['n_synthetic']:,} synthetic; "
        f"{row['resolution']} {'voxels' if row['volumes'] else 'px'}, {row['fit']}, {row['resize_filter']}"
    )


def quality_table(report: ImageReport) -> Table:
    """Every figure with what real halves give."""
    rows = [
        {"what": MEASURES[row["metric"]].title, "value": row["value"], "low": row["low"], "high": row["high"],
         "matched": words.significant(row["matched"]),
         "baseline": f"{words.significant(row['baseline'])} "
                     f"[{words.significant(row['baseline_low'])}, {words.significant(row['baseline_high'])}]",
         "outside": row["fault"] or "none", "sees": MEASURES[row["metric"]].sees}
        for row in tables.records(report.quality)
    ]  # fmt: skip
    if report.unbiased == report.unbiased:
        rows.insert(1, {"what": "Frechet distance, n → ∞", "value": report.unbiased, "low": np.nan, "high": np.nan,
                        "matched": "", "baseline": "", "outside": "", "sees": "without the bias in n"})  # fmt: skip
    first = report.quality.iloc[0]
    titles = {
        "what": "Measure", "value": "Synthetic, all images", "matched": f"Synthetic, n = {first['n_matched']}",
        "baseline": f"Real halves, n = {first['n_matched']}", "outside": "Fault", "sees": "Made to see",
    }  # fmt: skip
    table = tables.from_records(rows, f"Every figure: {made_with(report)}", titles=titles)
    if table is None:
        raise ValueError("there is always a figure")
    return table


def copies_table(report: ImageReport) -> Table | None:
    """How near images lie to the training images."""
    rows = [
        {"set": row["set"], "space": row["space"], "n": row["n"],
         "copies": f"{words.percent(row['share_of_copies'])} "
                   f"[{words.percent(row['low'])}, {words.percent(row['high'])}]",
         "median": words.significant(row["median_distance"]), "smallest": words.significant(row["smallest_distance"]),
         "threshold": words.significant(row["threshold"])}
        for row in tables.records(report.copies)
    ]  # fmt: skip
    titles = {"set": "Images", "space": "Compared by", "n": "n", "copies": "Copies of training images",
              "median": "Median distance", "smallest": "Smallest", "threshold": "Threshold"}  # fmt: skip
    return tables.from_records(rows, "How near to the training images", titles=titles)


def statistics_table(report: ImageReport) -> Table | None:
    """AuthPct and C_T."""
    rows = [
        {"what": STATISTICS[row["metric"]],
         **{name: words.percent(row[name]) if row["metric"] == "authentic_share" else words.significant(row[name])
            for name in ("synthetic", "held_out")},
         "n_training": row["n_training"], "n_synthetic": row["n_synthetic"], "n_held_out": row["n_held_out"]}
        for row in tables.records(report.statistics)
    ]  # fmt: skip
    titles = {"what": "Statistic of features", "synthetic": "Synthetic", "held_out": "Held-out real",
              "n_training": "n, training", "n_synthetic": "n, synthetic", "n_held_out": "n, held-out"}  # fmt: skip
    return tables.from_records(rows, "Tests for copying", titles=titles)


def _forest(row: dict[str, Any]) -> Forest:
    measure = MEASURES[row["metric"]]
    power = _power(max(abs(row[name]) for name in ("matched", "baseline", "baseline_low", "baseline_high")))
    factor, unit = 10.0**-power, f" x 10^{-power}" if power else ""
    title = f"{measure.title}{unit.replace('10^3', '1000')}"

    def entry(label: str, name: str, emphasized: bool) -> Interval:
        estimate, low, high = (factor * row[f"{name}{end}"] for end in ("", "_low", "_high"))
        return Interval(label, estimate, low, high, emphasized)

    verdict = "" if not row["outside"] else " (outside)"
    intervals = [entry("real halves", "baseline", False), entry(f"synthetic{verdict}", "matched", True)]
    return forest(title, intervals, measure.bounds, reference=factor * row["baseline"])


def _power(largest: float) -> int:
    """The power of a thousand that a figure is shown in; 0 for one of usual size."""
    return 0 if SMALL <= largest < LARGE or largest == 0 else 3 * math.floor(math.log10(largest) / 3)


def _row(images: list[np.ndarray], kind: str, phantom: bool) -> list[Picture]:
    prefix = "Phantom: " if phantom else ""
    return [picture(image, f"{prefix}{kind} image {number}") for number, image in enumerate(images, 1)]


def _pairs(found: list[NearestPair], kind: str, report: ImageReport) -> list[tuple[Picture, Picture, str]]:
    prefix = "Phantom: " if report.phantom else ""
    what = "training" if len(report.copies) else "real"
    return [
        (
            picture(pair.synthetic, f"{prefix}{kind} image {pair.synthetic_id}", pair.synthetic_id),
            picture(pair.real, f"{prefix}nearest {what} image {pair.real_id}", pair.real_id),
            words.significant(pair.distance),
        )
        for pair in found
    ]
