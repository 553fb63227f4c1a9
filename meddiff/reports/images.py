"""The report of synthetic images beside real ones: measures, pictures, copies, as sections in the order of the page.

Methods are sentences with citations; limitations say what the figures cannot show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from meddiff.evaluation.images.copies import SYNTHETIC, copied
from meddiff.evaluation.images.measures import GENERAL, MEASURES
from meddiff.reports import figures, tabular, words
from meddiff.reports.figures import Figure, Interval, Key
from meddiff.reports.galleries import NearestPair, Picture, Pictures, beside, nearest_pairs, thumbnail
from meddiff.reports.literature import CitedSentence, cited
from meddiff.reports.report import Legend, Note, Panels, Report, Section, present, section_list
from meddiff.reports.results import ImageResults
from meddiff.reports.tabular import Table

SMALL, LARGE = 0.1, 1e5
"""Figures beyond are shown in thousandths, millions ...: a row of zeros, or of digits, says nothing."""
NAMES = ("Frechet distance", "Vendi score", "MS-SSIM of pairs", "LPIPS of pairs")
"""Titles that begin with a name, which stays as it is within a sentence."""
STATISTICS = {
    "authentic_share": "AuthPct (share authentic)",
    "copying_statistic": "C_T (below 0: nearer)",
    "memorization_distance": "Cosine distance to the nearest",
    "memorization_informed_frechet": "MiFID",
}


def headline(quality: pd.DataFrame, copies: pd.DataFrame, statistics: pd.DataFrame) -> str:
    """Say what is wrong with the images in the first sentence, then the figures that say so."""
    rows = {row["metric"]: row for row in tabular.records(quality)}
    outside = [MEASURES[name].title.partition(",")[0] for name, row in rows.items() if row["outside"]]
    kernel = rows["kernel_distance"]
    against = (
        f"kernel distance {words.significant(kernel['matched'])} against {words.significant(kernel['baseline'])} "
        f"(at most {words.significant(kernel['baseline_high'])}) between halves of real images"
    )
    n = f"{words.counted(kernel['n_real'], 'real image')} and {kernel['n_synthetic']:,} synthetic"
    if outside:
        listed = ", ".join(name if name in NAMES else name[:1].lower() + name[1:] for name in outside)
        verb = "tells" if len(outside) == 1 else "tell"
        what = f"{len(outside)} of {len(rows)} measures {verb} the synthetic images from real ones ({listed})"
    else:
        what = "No measure tells the synthetic images from real ones beyond chance"
    return f"{_verdict(quality, copies, statistics)} {what}: {against}, {n}.{_copied(copies)}"


def image_report(results: ImageResults) -> Report:
    """Put the report together."""
    plain = ("confidence_level", "false_positive_rate", "group_noun", "notes")
    return Report(
        kind="image",
        title=results.title,
        headline=results.headline,
        phantom=results.phantom,
        sections=section_list(SECTIONS, results),
        methods=cited(sentences(results)),
        limitations=tuple(limitations(results)),
        provenance=results.provenance,
        values={name: getattr(results, name) for name in plain} | {"unbiased_frechet_distance": results.unbiased},
    )


def measures(results: ImageResults) -> Section:
    """Show each measure of the synthetic images beside that of halves of the real ones."""
    rows = tabular.records(results.quality)
    text = (
        f"No distance means anything alone. Real {results.group_noun}s were cut in halves {rows[0]['splits']} times: a "
        f"half against the other is what a perfect generator would get. Then {rows[0]['n_matched']} synthetic images "
        "took the second half's place. Dots are means over the splits, bars reach from the smallest to the largest."
    )
    legend = Legend((Key("real half against real half", "dot"),
                     Key("synthetic images against real half", "dot", "accent")))  # fmt: skip
    warnings = [f"{MEASURES[row['metric']].title}: {row['warning']}." for row in rows if row["warning"]]
    parts = (text, legend, Panels(tuple(map(_forest, rows))), *map(Note, (*warnings, *results.notes)))
    return Section("beside", "Beside real images", parts, values={"quality": results.quality})


def gallery(results: ImageResults) -> Section:
    """Show some images of both sets."""
    shown = beside("Drawn at random, not chosen", [
        ("Real", _thumbnails(results.real, "real", results)),
        ("Synthetic", _thumbnails(results.synthetic, "synthetic", results)),
    ])  # fmt: skip
    there = results.real or results.synthetic
    return Section("gallery", "Real and synthetic images", (shown,) if there else (), "No pictures were given.",
                   "Real and synthetic")  # fmt: skip


def every_figure(results: ImageResults) -> Section:
    """List every figure with what real halves give."""
    splits = results.quality.iloc[0]["splits"]
    text = (
        f"Brackets after a value are {100 * results.confidence_level:g}% intervals; those after real halves reach from "
        f"the smallest to the largest of {splits} splits. A fault is named where the mean over the splits lies beyond "
        "every one of them, on the side where something is wrong, and farther from their mean than the sampling error."
    )
    why = results.unbiased_note
    none = why and f"No extrapolation of the Frechet distance to infinitely many images: {why}."
    return Section("figures", "Every figure", present(text, quality_table(results), none))


def memorization(results: ImageResults) -> Section:
    """Show the images nearest to training images, and count those that are copies."""
    table = copies_table(results)
    listed = {name: [{"image": pair.synthetic_id, "nearest": pair.real_id, "distance": pair.distance}
                     for pair in getattr(results, name)] for name in ("nearest", "held_out_nearest")}  # fmt: skip
    values = {"copies": results.copies, "statistics": results.statistics} | listed
    if table is None:
        text = (
            "The images that the generator was trained on were not given, so copies cannot be counted: these are the "
            "synthetic images nearest to any of the real ones."
        )
        pairs = _pairs("Synthetic, with its nearest real image", results.nearest, "synthetic", results)
        return Section("memorization", "Nearest real images", (text, pairs) if pairs else (),
                       "The nearest images were not searched.", "Nearest images", values)  # fmt: skip
    others = "other real images" if results.group_noun == "image" else f"real images of other {results.group_noun}s"
    text = (
        f"An image nearer to a training image than {others} ever are has been copied, not drawn. The same is counted "
        f"for held-out real images, of which {round(100 * results.false_positive_rate, 1)}% are called copies by the "
        "choice of the threshold."
    )
    parts = present(
        text, _pairs("Synthetic, with its nearest training image", results.nearest, "synthetic", results),
        _pairs("Held-out real, with its nearest training image", results.held_out_nearest, "held-out real", results),
        table, statistics_table(results),
    )  # fmt: skip
    return Section("memorization", "Copies of training images", parts, short="Nearest images", values=values)


SECTIONS = (measures, gallery, every_figure, memorization)
"""The page in its order."""


def made_of(results: ImageResults) -> str:
    """Say in one line what every distance on the page carries."""
    row = results.quality.iloc[0]
    weights = f"weights {row['weights'][:8]}" if row["weights"] else "nothing learned"
    return (
        f"{row['extractor']} features ({row['dimension']:,} numbers, {weights}); "
        f"{words.counted(row['n_real'], 'real image')}, {row['n_synthetic']:,} synthetic; "
        f"{row['resolution']} {'voxels' if row['volumes'] else 'px'}, {row['fit']}, {row['resize_filter']}"
    )


def quality_table(results: ImageResults) -> Table | None:
    """List every figure with what real halves give."""
    rows = [
        {"what": MEASURES[row["metric"]].title, "value": row["value"], "low": row["low"], "high": row["high"],
         "matched": words.significant(row["matched"]),
         "baseline": f"{words.significant(row['baseline'])} "
                     f"[{words.significant(row['baseline_low'])}, {words.significant(row['baseline_high'])}]",
         "outside": row["fault"] or "none", "sees": MEASURES[row["metric"]].sees}
        for row in tabular.records(results.quality)
    ]  # fmt: skip
    if not math.isnan(results.unbiased):
        rows.insert(1, {"what": "Frechet distance, n → ∞", "value": results.unbiased, "low": np.nan, "high": np.nan,
                        "matched": "", "baseline": "", "outside": "", "sees": "without the bias in n"})  # fmt: skip
    matched = results.quality.iloc[0]["n_matched"]
    titles = {
        "what": "Measure", "value": "Synthetic, all images", "matched": f"Synthetic, n = {matched}",
        "baseline": f"Real halves, n = {matched}", "outside": "Fault", "sees": "Made to see",
    }  # fmt: skip
    return tabular.from_records(rows, f"Every figure: {made_of(results)}", titles=titles)


def copies_table(results: ImageResults) -> Table | None:
    """List how near images lie to the training images."""
    rows = [
        {"set": row["set"], "space": row["space"], "n": row["n"],
         "copies": f"{words.percent(row['share_of_copies'])} "
                   f"[{words.percent(row['low'])}, {words.percent(row['high'])}]",
         "median": words.significant(row["median_distance"]), "smallest": words.significant(row["smallest_distance"]),
         "threshold": words.significant(row["threshold"])}
        for row in tabular.records(results.copies)
    ]  # fmt: skip
    titles = {"set": "Images", "space": "Compared by", "n": "n", "copies": "Copies of training images",
              "median": "Median distance", "smallest": "Smallest", "threshold": "Threshold"}  # fmt: skip
    return tabular.from_records(rows, "How near to the training images", titles=titles)


def statistics_table(results: ImageResults) -> Table | None:
    """List AuthPct, C_T and the like."""
    rows = [
        {"what": STATISTICS[row["metric"]],
         **{name: words.percent(row[name]) if row["metric"] == "authentic_share" else words.significant(row[name])
            for name in ("synthetic", "held_out")},
         "n_training": row["n_training"], "n_synthetic": row["n_synthetic"], "n_held_out": row["n_held_out"]}
        for row in tabular.records(results.statistics)
    ]  # fmt: skip
    titles = {"what": "Statistic of features", "synthetic": "Synthetic", "held_out": "Held-out real",
              "n_training": "n, training", "n_synthetic": "n, synthetic", "n_held_out": "n, held-out"}  # fmt: skip
    return tabular.from_records(rows, "Tests for copying", titles=titles)


def _verdict(quality: pd.DataFrame, copies: pd.DataFrame, statistics: pd.DataFrame) -> str:
    """Name the faults, the worst first."""
    named = [fault for fault in dict.fromkeys(quality["fault"]) if fault]
    faults = [fault for fault in named if fault not in GENERAL] or named[:1]
    if len(copies) and copied(copies, statistics):
        faults.insert(0, "copies of training images")
    near = _nearer(copies) if len(copies) else "; whether they are copies was not asked"
    if faults:
        near = near if len(copies) else ""
        return f"The synthetic images show {', '.join(faults[:-1])}{' and ' if faults[1:] else ''}{faults[-1]}{near}."
    return f"The synthetic images show no fault that these measures see{near}."


def _nearer(copies: pd.DataFrame) -> str:
    """Say how many lie nearer to a training image than every held-out one, by pixels or features: the larger number."""
    ours = [row for row in tabular.records(copies) if row["set"] == SYNTHETIC]
    most = max(ours, key=lambda row: row["nearer_than_held_out"])
    if not most["nearer_than_held_out"]:
        return ""
    count, lie = most["nearer_than_held_out"], "lies" if most["nearer_than_held_out"] == 1 else "lie"
    nearer = f"{lie} nearer to a training image than every held-out real image does, by {most['space']}"
    return f"; {count:,} of {most['n']:,} {nearer}"


def _copied(copies: pd.DataFrame) -> str:
    if not len(copies):
        return ""
    pixels = {row["set"]: row for row in tabular.records(copies) if row["space"] == "pixels"}
    ours = pixels[SYNTHETIC]
    theirs = next(row for name, row in pixels.items() if name != SYNTHETIC)
    span = f"[{words.percent(ours['low'])}, {words.percent(ours['high'])}]"
    return (
        f" {words.percent(ours['share_of_copies'])} {span} of them are near-copies of training images, "
        f"{words.percent(theirs['share_of_copies'])} of held-out real images are."
    )


def _forest(row: dict[str, Any]) -> Figure:
    measure = MEASURES[row["metric"]]
    power = _power(max(abs(row[name]) for name in ("matched", "baseline", "baseline_low", "baseline_high")))
    factor, unit = 10.0**-power, f" x 10^{-power}" if power else ""
    title = f"{measure.title}{unit.replace('10^3', '1000')}"

    def entry(label: str, name: str, emphasized: bool) -> Interval:
        estimate, low, high = (factor * row[f"{name}{end}"] for end in ("", "_low", "_high"))
        return Interval(label, estimate, low, high, emphasized)

    verdict = "" if not row["outside"] else " (outside)"
    intervals = [entry("real halves", "baseline", False), entry(f"synthetic{verdict}", "matched", True)]
    return figures.forest(title, intervals, measure.bounds, reference=factor * row["baseline"])


def _power(largest: float) -> int:
    """Choose the power of a thousand that a figure is shown in; 0 for one of usual size."""
    return 0 if SMALL <= largest < LARGE or largest == 0 else 3 * math.floor(math.log10(largest) / 3)


def _thumbnails(images: Sequence[np.ndarray], kind: str, results: ImageResults) -> list[Picture]:
    prefix = "Phantom: " if results.phantom else ""
    return [thumbnail(image, f"{prefix}{kind} image {number}") for number, image in enumerate(images, 1)]


def _pairs(title: str, pairs: Sequence[NearestPair], kind: str, results: ImageResults) -> Pictures | None:
    prefix, what = "Phantom: " if results.phantom else "", "training" if len(results.copies) else "real"
    shown = [
        (thumbnail(pair.synthetic, f"{prefix}{kind} image {pair.synthetic_id}", pair.synthetic_id),
         thumbnail(pair.real, f"{prefix}nearest {what} image {pair.real_id}", pair.real_id),
         words.significant(pair.distance))
        for pair in pairs
    ]  # fmt: skip
    return nearest_pairs(title, shown) if shown else None


SEEN = {False: "a pixel at {0} by {0}", True: "a voxel at {0} by {0} by {0}"}
FEW = 1000


def sentences(results: ImageResults) -> list[CitedSentence]:
    """List the sentences of the methods paragraph."""
    return _measures(results) + _extras(results) + (_copies(results) if len(results.copies) else [])


def _measures(results: ImageResults) -> list[CitedSentence]:
    row = results.quality.iloc[0]
    of_planes = " of the three middle planes" if row["volumes"] else ""
    what, unit = ("Volumes", "voxels") if row["volumes"] else ("Images", "pixels")
    size = " by ".join([str(row["resolution"])] * (3 if row["volumes"] else 2))
    name, source = results.extractor or (str(row["extractor"]), ())
    weights = f" (weights {row['weights'][:8]})" if row["weights"] else ""
    return [
        (
            f"{what} were brought to {size} {unit} ({row['fit']}; "
            f"{row['resize_filter']}); features, {row['dimension']:,} per image, are those of {name}{weights}, "
            f"which sees them at {row['preprocessing']}",
            ("parmar2022", *source),
        ),
        (
            "The sets were compared by the Frechet distance of their features, by the kernel distance (unbiased, "
            "polynomial kernel of degree 3), and by precision, recall, density and coverage with 5 neighbors",
            ("heusel2017", "binkowski2018", "kynkaanniemi2019", "naeem2020"),
        ),
        (
            "Diversity is the Vendi score of the features (cosines about the real mean) and the multi-scale structural "
            f"similarity of random pairs{of_planes}",
            ("friedman2023", "wang2003"),
        ),
        (
            "The spectrum distance is the root mean square difference of mean radial power spectra, fine detail the "
            f"mean difference over the upper half of the frequencies{of_planes}; the color and brightness distance is "
            "the area between the distributions of values, of channels and of their differences",
            ("durall2020",),
        ),
        (
            f"Beside each figure stands what real images give against each other: the real {results.group_noun}s were "
            f"cut in halves {row['splits']} times, and {row['n_matched']} images of the second half, or as many "
            "synthetic ones, were compared with the first",
            (),
        ),
        (
            f"Brackets are {100 * results.confidence_level:g}% intervals from the spread over half-samples of "
            f"{results.group_noun}s",
            ("shao1989",),
        ),
    ]


def _extras(results: ImageResults) -> list[CitedSentence]:
    metrics, said = set(results.quality["metric"]), []
    if "perceptual_distance" in metrics:
        said.append(("LPIPS is the mean over all pairs, with AlexNet and the weights of version 0.1", ("zhang2018",)))
    if "label_agreement" in metrics:
        said.append(
            (
                "The label agreement is the balanced accuracy, on the other set, of a ridge classifier of the features "
                "of the first real half",
                ("shmelkov2018",),
            )
        )
    if results.unbiased == results.unbiased:  # not NaN
        said.append(("The Frechet distance was also extrapolated to infinitely many images", ("chong2020",)))
    return said


def _copies(results: ImageResults) -> list[CitedSentence]:
    return [
        (
            "For copies, each image was compared with every training image: pixels, averaged down to about 32 per "
            "side, under the eight symmetries of the square, and features. A copy is nearer to one of them than "
            f"all but {words.percent(results.false_positive_rate)} of the held-out real images are",
            (),
        ),
        (
            "AuthPct is the share of images farther from their nearest training image than that one is from the "
            "next; C_T says, in standard deviations, whether images lie nearer to training images than held-out "
            "real ones do (below 0: nearer)",
            ("alaa2022", "meehan2020"),
        ),
        (
            "MiFID is the Frechet distance to the training images, divided by the mean cosine distance to the "
            "nearest of them where that is below 0.1",
            ("bai2021",),
        ),
    ]


def limitations(results: ImageResults) -> list[str]:
    """Say what this evaluation cannot show, from its own figures."""
    row = results.quality.iloc[0]
    n, limits = min(row["n_real"], row["n_synthetic"]), []
    if results.phantom:
        limits.append("The images called real were drawn by code. Nothing here is about any disease or any patient.")
    if n < row["dimension"]:
        limits.append(
            f"{n} images are fewer than the {row['dimension']:,} features: the Frechet distance is mostly a matter of "
            "their number. Read it beside the halves of real images, and compare it with no figure from elsewhere."
        )
    elif n < FEW:
        limits.append(f"With {n} images only large differences can be seen.")
    if row["extractor"] != "inception":
        limits.append(
            f"The extractor is {row['extractor']}, not Inception: its Frechet distance is no FID, and compares with no "
            "published one."
        )
    if not row["weights"]:
        limits.append(
            "The extractor has learned nothing: it sees color, texture and coarse form, not what only a trained eye "
            "would notice. Figures that papers give need their network: --features inception or dinov2, with --weights "
            "FILE where nothing can be downloaded."
        )
    if results.group_noun == "image":
        limits.append(
            "No patients were named: real images of one patient may be in both halves, which makes real images look "
            "more alike than those of different patients are. Name them with --groups or a manifest."
        )
    if not len(results.copies):
        limits.append("The training images were not given: whether images were copied was not measured.")
    else:
        limits.append("A synthetic image that is no near-copy is not thereby anonymous.")
    return [
        *limits,
        f"Details smaller than {SEEN[bool(row['volumes'])].format(row['resolution'])} were not seen.",
        f"{len(results.quality)} measures are looked at: now and then one of them lies outside by chance alone.",
        "A figure inside the range of real halves is no proof of equality; the measures see what their features see, "
        "and none of them knows whether an image is medically right.",
    ]
