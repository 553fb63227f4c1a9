"""The report of a detection: methods by diffusion beside what answers without it, from scores to the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from meddiff.evaluation.anomalies.anomaly_scores import METRICS
from meddiff.reports import figures, tabular, words
from meddiff.reports.figures import Figure, Interval, Key
from meddiff.reports.galleries import colored, outline_color, outlines, shown_beside, stored
from meddiff.reports.literature import CitedSentence, cited
from meddiff.reports.report import (
    NO_DEVICE,
    NO_PATIENTS,
    Heading,
    Legend,
    Lines,
    ModelCard,
    Part,
    Report,
    Section,
    card_head,
    described,
    license_of,
    licenses,
    made_with,
    model_card,
    present,
    section_list,
)
from meddiff.reports.tabular import Formats, findings_table

TITLES: Formats = {"metric": lambda name: METRICS[name].title}
CITATIONS = {
    "anoddpm": "wyatt2022",
    "ddim_encoding": "wolleb2022",
    "counterfactual": "sanchez2022",
    "multi_level": "graham2023",
}
DOES = {
    "anoddpm": "anoddpm noises an image to a level and denoises it by ancestral steps",
    "ddim_encoding": "ddim_encoding encodes an image by inverse DDIM steps up to a level and decodes it by DDIM as a "
    "healthy one",
    "counterfactual": "counterfactual encodes an image untold and decodes it as a healthy one with classifier-free "
    "guidance and a dynamic threshold",
    "multi_level": "multi_level averages the errors of one-call estimates from five levels",
}


@dataclass(frozen=True)
class AnomalyCase:
    """One image to look at, all of one size."""

    name: str
    caption: str
    group: str
    """The heading under which it is shown."""
    image: np.ndarray
    """uint8 [H, W] or [H, W, 3]."""
    healthy: np.ndarray
    """The same as a healthy one."""
    map: np.ndarray
    """[H, W], 0 or more."""
    truth: np.ndarray | None
    """bool [H, W]; None where it is not known."""


@dataclass(frozen=True)
class AnomalyResults:
    """The results of a detection, all that its report shows."""

    title: str
    headline: str
    phantom: bool
    method: str
    """The method by diffusion that validation images chose."""
    baselines: tuple[str, ...]
    scores: pd.DataFrame
    differences: pd.DataFrame
    choices: pd.DataFrame
    alarms: pd.DataFrame
    kinds: pd.DataFrame
    networks: pd.DataFrame
    gallery: Sequence[AnomalyCase]
    recipe: Mapping[str, Any]
    """What the methods paragraph says of the settings."""
    counts: Mapping[str, Any]
    findings: pd.DataFrame
    """Of the audit."""
    provenance: Mapping[str, Any]
    confidence_level: float
    license: str = ""


def anomaly_report(results: AnomalyResults) -> Report:
    """Put the report together."""
    return Report(
        kind="anomaly",
        title=results.title,
        headline=results.headline,
        phantom=results.phantom,
        sections=section_list(SECTIONS, results),
        methods=cited(sentences(results)),
        limitations=limitations(results),
        provenance=results.provenance,
        values={"method": results.method, "baselines": results.baselines, "counts": results.counts,
                "confidence_level": results.confidence_level},
        card=_card(results),
    )  # fmt: skip


def detectors(results: AnomalyResults) -> Section:
    """Show all detectors side by side."""
    text = (
        f"Every detector looked at the same test images; the settings of each were chosen on validation images. "
        f"Brackets are {100 * results.confidence_level:g}% intervals over patients. The oracle's threshold is the best "
        "on the test images, which nobody knows beforehand."
    )
    legend = Legend((Key("without diffusion", "dot"), Key("by diffusion", "dot", "accent")))
    table = tabular.crossed(tabular.records(results.scores), "Every score on the test images", down="model",
                            across="metric", value="estimate", formats=TITLES)  # fmt: skip
    networks = tabular.from_records(
        tabular.records(results.networks), "The trained networks",
        titles={"weights": "Weights", "training_seconds": "Training", "images": "Training images"},
        formats={"weights": words.millions, "training_seconds": words.duration},
    )  # fmt: skip
    shown = present(text, legend, *(_forest(results, name) for name in ("auroc", "pixel_average_precision")), table,
                    networks)  # fmt: skip
    values = {"scores": results.scores, "networks": results.networks}
    return Section("detectors", "Detectors side by side", shown, values=values)


def gallery(results: AnomalyResults) -> Section:
    """Show images, what they would be as healthy ones, the difference, and the truth."""
    largest = max((float(case.map.max()) for case in results.gallery), default=0.0)
    keys = [Key(f"map of {results.method}, 0 to {words.significant(largest)}", "ramp"), Key("truth", outline_color(1))]
    shown: list[Part] = [Legend(tuple(keys))]
    prefix = "Phantom: " if results.phantom else ""
    for group in dict.fromkeys(case.group for case in results.gallery):
        shown.append(Heading(group))
        for case in [case for case in results.gallery if case.group == group]:
            image = stored(case.image)
            parts = {"Image": (image, ()), "As a healthy one": (stored(case.healthy), ()),
                     "Map": (stored(colored(case.map, largest)), ())}  # fmt: skip
            if case.truth is not None:
                parts["Truth"] = image, outlines(case.truth)
            shown.append(shown_beside(case.name, parts, case.caption, case.image.shape[:2], prefix))
    listed = [{"name": case.name, "caption": case.caption, "group": case.group} for case in results.gallery]
    return Section("gallery", "Gallery", tuple(shown) if results.gallery else (), "No pictures were given.",
                   values={"gallery": listed})  # fmt: skip


def differences(results: AnomalyResults) -> Section:
    """Compare each method by diffusion with the best that answers without."""
    text = (
        "Each method by diffusion minus the best baseline on these images: of images that with the best AUROC, of maps "
        "that with the best average precision of pixels. An interval that covers zero leaves open which is better; "
        "the last column is the smallest difference that would have been found in 80% of such tests."
    )
    rows = [row | {"what": METRICS[row["metric"]].title} for row in tabular.records(results.differences)]
    names = ("model", "against", "what", "difference", "low", "high", "detectable")
    table = tabular.from_records([{name: row[name] for name in names} for row in rows], "Paired differences",
                                 titles={"what": "Metric", "against": "Against", "detectable": "Could be found"},
                                 formats={"detectable": words.number})  # fmt: skip
    return Section("differences", "Paired differences", present(text, table) if table else (),
                   "There is nothing to compare.", values={"differences": results.differences})  # fmt: skip


def alarms(results: AnomalyResults) -> Section:
    """Show how often healthy images are called at the threshold of `predict`."""
    text = (
        "The threshold of `predict` is fitted to the scores of healthy validation images, so that at most the asked "
        "share of healthy images lies above it. How sure that share is with so few images stands beside it; the false "
        "alarms on healthy test images are measured, with their interval over patients."
    )
    rows = [
        {"model": row["model"], "rate": words.percent(row["rate"]),
         "sure": f"{words.percent(row['rate_low'])} to {words.percent(row['rate_high'])}", "images": row["images"],
         "alarms": f"{words.percent(row['false_alarms'])} "
                   f"({words.percent(row['low'])} to {words.percent(row['high'])})",
         "sensitivity": words.percent(row["sensitivity"])}
        for row in tabular.records(results.alarms)
    ]  # fmt: skip
    titles = {"rate": "Asked for", "sure": "Sure to lie in", "images": "Fitted to", "alarms": "Measured false alarms"}
    table = tabular.from_records(rows, "False alarms at the threshold", titles=titles)
    return Section("alarms", "False alarms", present(text, table) if table else (),
                   "Too few healthy images were held out for a threshold.",
                   values={"alarms": results.alarms})  # fmt: skip


def choices(results: AnomalyResults) -> Section:
    """List how each detector was set, and by what."""
    rows = [{name: value for name, value in row.items() if name != "threshold"}
            for row in tabular.records(results.choices)]  # fmt: skip
    titles = {"by": "Chosen by", "value": "Its value", "median": "Median filter, px", "pooling": "Score",
              "level": "Level, share of T"}  # fmt: skip
    table = tabular.from_records(rows, "Settings", titles=titles)
    return Section("choices", "How they were set", present(table), "Nothing was chosen.",
                   values={"choices": results.choices})  # fmt: skip


def kinds(results: AnomalyResults) -> Section:
    """Show the AUROC of each kind of anomaly against the healthy images."""
    table = tabular.crossed(
        tabular.records(results.kinds), "AUROC of each kind against all healthy images", down="model", across="kind",
        value="auroc", formats={"kind": str, "auroc": words.number},
    )  # fmt: skip
    return Section("kinds", "By kind", present(table), "No test image is anomalous.", values={"kinds": results.kinds})


def audited(results: AnomalyResults) -> Section:
    """List what is wrong with the images of the data."""
    table = findings_table(results.findings)
    return Section("audit", "What the audit found", present(table),
                   "The audit of the images found nothing serious, or was not made.", "Audit",
                   values={"findings": results.findings})  # fmt: skip


SECTIONS = (detectors, gallery, differences, alarms, choices, kinds, audited)
"""The page in its order."""


def sentences(results: AnomalyResults) -> list[CitedSentence]:
    """List the sentences of the methods paragraph."""
    asked = results.recipe
    noise = "white noise" if not asked["octaves"] else f"simplex noise of {asked['octaves']} octaves"
    network, schedule = asked["network"], asked["schedule"]
    guided = "" if asked["guidance"] == 1 else f", decoded with guidance {asked['guidance']:g}"
    said: list[CitedSentence] = [
        (f"A denoiser ({network.title}) learned {results.counts['learned']} ({results.counts['training images']} "
         f"images of {asked['size']} px) in {asked['timesteps']} levels of {noise} (schedule {schedule.title}), for "
         f"{asked['steps']} steps of {asked['batch_size']} images",
         ("ho2020", *schedule.citations, *network.citations)),
        *((f"{DOES[name]}{guided if name in ('ddim_encoding', 'counterfactual') else ''}", (CITATIONS[name],))
          for name in asked["methods"]),
        ("A map is the absolute difference of an image and what is made of it, a mean over the channels, smoothed by a "
         "median filter; an image's score is the mean of its map, or of its highest 2%", ()),
        ("The autoencoder learned the same images by the same trainer", ("baur2021",)),
        ("Plain intensity is the brightness of a pixel, its distance from the mean of healthy images at its place, and "
         "that divided by their standard deviation", ("meissen2022",)),
        ("The distance of features is that of Mahalanobis from healthy images, of brightness, layout, texture and "
         "edges", ("lee2018",)),
        ("Thresholds of scores are those of split conformal prediction on healthy validation images", ("vovk2005",)),
        (f"Brackets are {100 * results.confidence_level:g}% intervals from {asked['resamples']:,} bootstrap resamples "
         "over patients", ("rao1988",)),
    ]  # fmt: skip
    return said


def limitations(results: AnomalyResults) -> tuple[str, ...]:
    """Say what this evaluation cannot show."""
    limits = ["All images were drawn by code: no figure here says anything about patients."] if results.phantom else []
    if not results.counts["test images with a map of the truth"] - (
        results.counts["test images"] - results.counts["anomalous test images"]
    ):
        limits.append("Nobody has marked where the anomalies are: maps were not judged.")
    return (
        *limits,
        "Healthy and anomalous images may come from different scanners or hospitals; then a detector can tell these.",
        "Intervals cover other patients of the same source, not another training of the networks.",
        "A pseudo-healthy image is what a model makes of an image, and no picture of the patient in health.",
        "Scores and maps are for research. They are no medical device and decide nothing.",
    )


def _forest(results: AnomalyResults, metric: str) -> Figure | None:
    rows = [row for row in tabular.records(results.scores) if row["metric"] == metric]
    if not rows:
        return None
    intervals = [Interval(str(row["model"]), row["estimate"], row["low"], row["high"],
                          row["model"] not in results.baselines) for row in rows]  # fmt: skip
    return figures.forest(METRICS[metric].title, intervals, (0.0, 1.0), reference=0.5 if metric == "auroc" else None)


def _card(results: AnomalyResults) -> ModelCard:
    rows = [row for row in tabular.records(results.scores) if row["metric"] == "auroc"]
    index = [
        {"name": str(row["model"]), "results": [{
            "task": {"type": "anomaly-detection"},
            "dataset": {"name": results.title, "type": "phantom" if results.phantom else "own", "split": "test"},
            "metrics": [{"type": "auroc", "name": "AUROC", "value": float(row["estimate"])}]}]}
        for row in rows if not words.is_missing(row["estimate"])
    ]  # fmt: skip
    head = card_head(
        "anomaly-detection", ["anomaly-detection"], index, phantom=results.phantom, license=results.license
    )
    counts = results.counts
    test = f"{counts['test images']} images of {counts['test patients']} patients or lesions, " \
           f"{counts['anomalous test images']} of them anomalous."  # fmt: skip
    return model_card(results.title, head, {
        "Model details": [described(cited(sentences(results)[:1]).sentences),
                          made_with(results.provenance.get("environment", {})),
                          "The weights are in models/ of the run folder.", license_of(results.license)],
        "Intended use": [NO_PATIENTS if results.phantom else None,
                         "For: research on what is unlike healthy images, with a person who looks at every map.",
                         NO_DEVICE],
        "Factors": ["Whatever is rare among healthy images is called anomalous too: another scanner, age or position."],
        "Metrics": ["AUROC, average precision and false alarms of images; AUROC, average precision, Dice of pixels."],
        "Evaluation data": [test],
        "Training data": [f"{counts['training images']} images: {counts['learned']}.", licenses(results.provenance)],
        "Quantitative analyses": [results.headline],
        "Ethical considerations": ["A dark map says that nothing unusual was seen, not that a patient is well."],
        "Caveats and recommendations": [Lines(limitations(results))],
    })  # fmt: skip
