"""The report of a translation: the diffusion model beside a regression and what needs no training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from meddiff.evaluation.answers import DICE, differences_of, means_of
from meddiff.evaluation.masks.summary import FEW_PATIENTS
from meddiff.evaluation.rows import distinct, numbers, rows_where
from meddiff.metrics.resampling import USUAL, Resampling
from meddiff.reports import figures, tabular, words
from meddiff.reports.figures import Interval
from meddiff.reports.galleries import Group, Picture, Pictures, thumbnail
from meddiff.reports.literature import CitedSentence, cited
from meddiff.reports.report import Report, Section, present, section_list

UNITS = {"psnr_db": "PSNR, dB", "ssim": "SSIM", "detail_db": "Detail, dB", "consistency_db": "Consistency, dB",
         "spread": "Spread of the members", DICE: "Dice of the told mask"}  # fmt: skip
"""Titles of the metrics."""


@dataclass(frozen=True, kw_only=True)
class TranslationResults:
    """All that the report of a translation shows."""

    title: str
    wanted: str
    """What is made of what, in words."""
    phantom: bool = False
    """Whether the images were drawn by code."""
    main: str
    """The model that is compared: the mean of the members, or the one member."""
    single: str
    """A single member of it."""
    by: str = "psnr_db"
    """The metric of the verdict: psnr_db, or dice where images are drawn by their masks."""
    compared: Sequence[str]
    """Models that it is compared with, the strongest opponent last."""
    cases: pd.DataFrame
    """One row per model and image: model, case, patient and METRICS."""
    means: pd.DataFrame
    differences: pd.DataFrame
    networks: pd.DataFrame
    """The networks: model, weights (their number), training_seconds, image_size."""
    group_noun: str = "patient"
    """What ``patient`` names."""
    gallery: Sequence[tuple[str, Sequence[tuple[str, np.ndarray]]]] = ()
    """Images with their names, each with its pictures and what they are."""
    methods: Sequence[CitedSentence] = ()
    """How the models were made."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Recipe, data, versions, seeds; nested as it likes."""
    confidence_level: float
    resamples: int

    @property
    def headline(self) -> str:
        """The verdict in two sentences: the error against the strongest opponent, and the detail of single members."""
        return f"{verdict(self)} {_detail(self)}".strip()


def translation_results(
    *, cases: pd.DataFrame, compared: Sequence[str], main: str, single: str, resampling: Resampling = USUAL,
    **shown: Any,
) -> TranslationResults:  # fmt: skip
    """Compute means and differences of the table of cases; ``shown`` is shown as it is."""
    return TranslationResults(
        cases=cases, main=main, single=single, compared=compared, means=means_of(cases, resampling=resampling),
        differences=differences_of(cases, compared, resampling=resampling),
        confidence_level=resampling.confidence_level, resamples=resampling.resamples, **shown,
    )  # fmt: skip


def translation_report(results: TranslationResults) -> Report:
    """Put the report together; the rows of its cases are a table of their own (cases.csv)."""
    return Report(
        kind="translation",
        title=results.title,
        headline=results.headline,
        phantom=results.phantom,
        sections=section_list(SECTIONS, results),
        methods=cited([*results.methods, *measured(results)]),
        limitations=_limitations(results),
        provenance=results.provenance,
        values={"wanted": results.wanted, "confidence_level": results.confidence_level,
                "resamples": results.resamples, "compared": list(results.compared)},
    )  # fmt: skip


def models(results: TranslationResults) -> Section:
    """Show the models side by side."""
    text = (
        "The mean of the members estimates the mean of what the wanted image may be: it has the smallest error that "
        "such a model can have, and is blurred where the known image leaves much open. A single member is a likely "
        "image: sharper, with a larger error (Blau & Michaeli 2018). Detail is the power in the finer half of the "
        "frequencies against the truth's: 0 is as sharp, below is blurred, above is noise."
    )
    if results.by == DICE:
        text += (
            " A network that learned from the real training images alone says which mask each picture shows; on the "
            "real pictures it says how well it does."
        )
    return side_by_side(results, text)


def side_by_side(results: TranslationResults, text: str) -> Section:
    """Show the means of the models below a text, with a figure of the errors."""
    rows = [row | {"metric": UNITS[row["metric"]], "estimate": row["mean"]} for row in _known(results.means)]
    table = tabular.crossed(
        rows, f"Means over the images, {results.confidence_level:.0%} intervals over {results.group_noun}s",
        down="model", across="metric", value="estimate", formats={"metric": str, "model": str},
    )  # fmt: skip
    return Section("models", "Models side by side", present(text, _forest(results, results.by), table),
                   values={"means": results.means, "networks": results.networks})  # fmt: skip


def differences(results: TranslationResults) -> Section:
    """Compare models image by image."""
    lines = [
        {"model": row["model"], "against": row["against"], "what": UNITS[row["metric"]],
         "difference": row["difference"], "low": row["low"], "high": row["high"], "smallest": row["smallest"],
         "images": row["n_cases"], "n_patients": row["n_patients"]}
        for row in tabular.records(results.differences) if not words.is_missing(row["difference"])
    ]  # fmt: skip
    text = (
        "Each model minus another, image by image. An interval that covers zero leaves open which is better; the last "
        "but one column is the smallest true difference that four of five such studies would have shown."
    )
    titles = {"what": "Metric", "against": "Minus", "smallest": "Smallest that is shown"}
    table = tabular.from_records(lines, "Paired differences on the same images", titles=titles, drop=("n_patients",),
                                 formats={"smallest": words.number})  # fmt: skip
    shown = present(text, table) if table else ()
    return Section("differences", "Paired differences", shown, "Only one model was scored.",
                   values={"differences": results.differences})  # fmt: skip


def gallery(results: TranslationResults) -> Section:
    """Show what was known, what each model made of it and what is true."""
    groups = tuple(
        Group(tuple(_picture(results, name, what, pixels) for what, pixels in shown), name)
        for name, shown in results.gallery
    )
    pictures = Pictures("Test images, evenly chosen", groups, "sides") if groups else None
    return Section("gallery", "Pictures", present(pictures), "No pictures were given.",
                   values={"gallery": [name for name, _ in results.gallery]})  # fmt: skip


def networks(results: TranslationResults) -> Section:
    """List what the networks are and took."""
    rows = [
        {"model": row["model"], "weights": row["weights"], "seconds": row["training_seconds"],
         "image": row["image_size"]}
        for row in tabular.records(results.networks)
    ]  # fmt: skip
    table = tabular.from_records(rows, "The networks, trained by one loop for as many steps",
                                 formats={"weights": words.millions})  # fmt: skip
    return Section("networks", "The networks", present(table), "No network was trained here.")


SECTIONS = (models, differences, gallery, networks)
"""Sections in the order of the page."""


def verdict(results: TranslationResults) -> str:
    """Say whether the model that is compared is nearer to the truth than its strongest opponent."""
    opponent, shows = results.compared[-1], results.by == DICE
    row = _row(results, results.main, opponent, results.by)
    groups = words.counted(row["n_patients"], results.group_noun)
    on = f"on {words.counted(row['n_cases'], 'test image')} of {groups}"
    if results.group_noun == "image":
        on = f"on {words.counted(row['n_cases'], 'test image')}"
    unit = "" if shows else " dB"
    pair = f"{'Dice' if shows else 'PSNR'} {row['estimate']:.2f} against {row['against_estimate']:.2f}{unit}"
    nearer = "nearer to the told mask" if shows else "nearer to the truth"
    if row["n_patients"] < FEW_PATIENTS:
        return (
            f"Whether {results.main} is {nearer} than {opponent} cannot be judged {on}: {pair}, and an "
            f"interval needs at least {FEW_PATIENTS} {results.group_noun}s, better 100."
        )
    if row["low"] > 0:
        verdict = f"{results.main} is {nearer} than {opponent}"
    elif row["high"] < 0:
        verdict = f"{results.main} falls short of {opponent}"
    else:
        verdict = f"No difference in {'Dice' if shows else 'error'} between {results.main} and {opponent} was shown"
    return (
        f"{results.wanted}: {verdict}: {pair}{_on_real(results)}, a difference of {row['difference']:+.2f}{unit} with "
        f"{results.confidence_level:.0%} interval {row['low']:+.2f} to {row['high']:+.2f}, {on}; a true difference of "
        f"{row['smallest']:.2f}{unit} would have been shown in four of five such studies."
    )


def _on_real(results: TranslationResults) -> str:
    """Say how well the mask is seen in the real pictures, where it is drawn by masks."""
    if results.by != DICE:
        return ""
    chosen = (results.means["model"] == results.compared[0]) & (results.means["metric"] == DICE)
    (row,) = tabular.records(rows_where(results.means, chosen))
    return f" ({row['mean']:.2f} on the real pictures)"


def _detail(results: TranslationResults) -> str:
    row = _row(results, results.single, results.compared[-1], "detail_db")
    if words.is_missing(row["difference"]):
        return ""
    nearer = abs(row["estimate"]) < abs(row["against_estimate"])
    return (
        f"In fine detail a single member is {'nearer to' if nearer else 'farther from'} the truth "
        f"({row['estimate']:+.1f} dB of power, {results.compared[-1]} {row['against_estimate']:+.1f})."
    )


def _row(results: TranslationResults, model: str, against: str, metric: str) -> dict[str, Any]:
    table = results.differences
    chosen = (table["model"] == model) & (table["against"] == against) & (table["metric"] == metric)
    return tabular.records(rows_where(table, chosen))[0]


def _known(means: pd.DataFrame) -> tabular.Records:
    """List the means of the metrics that some model has."""
    has = {metric for metric in distinct(means, "metric")
           if not np.isnan(numbers(rows_where(means, means["metric"] == metric), "mean")).all()}  # fmt: skip
    return [row for row in tabular.records(means) if row["metric"] in has]


def _forest(results: TranslationResults, metric: str) -> figures.Figure:
    rows = [row for row in _known(results.means) if row["metric"] == metric]
    line = next((row["mean"] for row in rows if row["model"] == results.compared[-1]), None)
    intervals = [
        Interval(str(row["model"]), row["mean"], row["low"], row["high"], row["model"] not in results.compared,
                 patients=row["n_patients"])
        for row in rows
    ]  # fmt: skip
    return figures.forest(f"{UNITS[metric]}, mean over the images", intervals, reference=line)


def _picture(results: TranslationResults, name: str, what: str, pixels: np.ndarray) -> Picture:
    prefix = "Phantom: " if results.phantom else ""
    return thumbnail(pixels, f"{prefix}{what} of image {name}", what)


def measured(results: TranslationResults) -> list[CitedSentence]:
    """Say what was measured and how."""
    return [
        ("Each image was scored by itself, with the peak signal-to-noise ratio and the structural similarity of one "
         "scale", ("wang2004",)),
        ("The mean of the members has the smaller error and a single member the more likely detail; both are shown",
         ("blau2018",)),
        (f"Brackets are {100 * results.confidence_level:g}% intervals from {results.resamples:,} bootstrap resamples "
         f"over {results.group_noun}s; differences are paired image by image", ("rao1988",)),
    ]  # fmt: skip


def _limitations(results: TranslationResults) -> tuple[str, ...]:
    """Say what this evaluation cannot show, from its own numbers."""
    drawn = "All images were drawn by code: the numbers show that the program works, and say nothing about patients."
    few = len(distinct(results.cases, "patient"))
    seen = f"The test images are of {few} {results.group_noun}s: only large differences could be seen."
    return (
        *([drawn] if results.phantom else []),
        *([seen] if few < 100 else []),
        "An answer looks like an image and is none: what the known image does not hold was made up, however sharp.",
        "Intervals cover other images from the same source, not another training of the networks.",
        "No reader was asked, and no diagnosis was made of the answers.",
    )
