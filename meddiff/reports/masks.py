"""The report of a segmentation: models beside their baselines, from the long table of cases to the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from meddiff.evaluation.masks.cases import METRICS
from meddiff.evaluation.masks.summary import LOW_DICE, finite_distances
from meddiff.evaluation.rows import distinct, numbers, parts, rows_where
from meddiff.metrics.masks.uncertainty import risk_coverage
from meddiff.reports import figures, tabular, words
from meddiff.reports.figures import Figure, Interval, Key, Series
from meddiff.reports.galleries import outline_color, tiles
from meddiff.reports.literature import cited
from meddiff.reports.masks_methods import limitations, sentences
from meddiff.reports.report import (
    NO_DEVICE,
    NO_PATIENTS,
    Folded,
    Heading,
    Legend,
    Lines,
    ModelCard,
    Note,
    Panels,
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
from meddiff.reports.results import MaskResults, overall_name
from meddiff.reports.tabular import Cell, Column, Formats, Table, findings_table

FORESTS = ("dice", "nsd")
BRIEF = ("dice", "iou", "hausdorff95", "nsd", "boundary_iou", "lesion_f1")  # as far as a screen reaches
WORST = 20
FEWEST_PIXELS = 50  # in a bin for it to be drawn: fewer, and its dot is chance
MOST_INVENTED = 8  # lesions per image: the last point of LUNA16's curve (Setio et al. 2017)
MOST_CLASSES = 4  # of which a diagram of reliability is drawn
AS_IT_IS: Formats = {"metric": str}  # column titles that are words already
EMPTY = {"": "", "truth": "false alarm", "prediction": "missed", "both": "rightly empty"}


def mask_report(results: MaskResults) -> Report:
    """Put the report together; its rows of the cases are a table of their own (cases.csv)."""
    limits = tuple(limitations(results))
    plain = ("baselines", "reference", "confidence_level", "resamples")
    return Report(
        kind="segmentation",
        title=results.title,
        headline=results.headline,
        phantom=results.phantom,
        sections=section_list(SECTIONS, results),
        methods=cited(sentences(results)),
        limitations=limits,
        provenance=results.provenance,
        values={name: getattr(results, name) for name in plain},
        card=_card(results, limits) if results.methods else None,
    )


def models(results: MaskResults) -> Section:
    """Show the models side by side."""
    reference = results.reference
    against = f"The dashed line is the best baseline: {reference}." if reference else "No baseline was scored."
    legend = Legend((Key("baseline", "dot"), Key("compared with it", "dot", "accent"))) if results.baselines else None
    text = (
        f"Every model was scored on the same cases. Brackets are {100 * results.confidence_level:g}% intervals over "
        f"{results.group_noun}s. {against}"
    )
    shown = present(text, legend, *(_forest(results, metric) for metric in FORESTS))
    return Section("models", "Models side by side", shown, values={"summary": results.summary})


def gallery(results: MaskResults) -> Section:
    """Show cases under their headings, in the order they were given."""
    names = [name for name in distinct(results.summary, "class_name") if name]
    maps = [case.uncertainty for case in results.gallery if case.uncertainty is not None]
    largest = max((float(values.max()) for values in maps), default=0.0)
    keys = [Key(name, outline_color(index)) for index, name in enumerate(names, 1)]
    keys += [Key(f"uncertainty, 0 to {words.significant(largest)}", "ramp")] if largest else []
    prefix = "Phantom: " if results.phantom else ""
    shown: list[Part] = [Legend(tuple(keys))]
    for group in dict.fromkeys(case.group for case in results.gallery):
        shown += [Heading(group)] if group else []
        shown += [tiles(case, largest, prefix) for case in results.gallery if case.group == group]
    listed = [{"name": case.name, "caption": case.caption, "group": case.group} for case in results.gallery]
    return Section("gallery", "Gallery", tuple(shown) if results.gallery else (), "No pictures were given.",
                   values={"gallery": listed})  # fmt: skip


def metrics(results: MaskResults) -> Section:
    """List the means of the models, and what was empty or failed."""
    overall = overall_name(results.summary)
    every = metric_table(results.summary, overall, brief=False)
    text = (
        "Empty masks are cases. Both empty scores 1; only one empty scores 0, with an infinite distance for which "
        "means take the image's diagonal; a case without prediction scores the worst of everything. Nothing is left "
        "out."
    )
    parts = present(
        with_networks(metric_table(results.summary, overall, brief=True), results.networks),
        counts_table(results.summary, overall, results.group_noun),
        *map(Note, _warnings(results.summary)), text, every and Folded("Every metric", (every,)),
    )  # fmt: skip
    return Section("numbers", "The models in numbers", parts, short="In numbers", values={"networks": results.networks})


def differences(results: MaskResults) -> Section:
    """Compare each model with the reference, case by case."""
    rows = tabular.records(results.differences)
    text = (
        f"Each model minus {results.reference}, case by case. An interval that covers zero leaves open which is better."
    )
    overall = overall_name(results.summary)
    intervals = [_interval(results, row, "difference") for row in rows
                 if row["class_name"] == overall and row["metric"] == "dice"]  # fmt: skip
    forest = figures.forest("Difference in mean Dice", intervals, reference=0.0, signed=True)
    lines = [
        {"model": row["model"], "class_name": row["class_name"] or "All classes", "what": METRICS[row["metric"]].title,
         "difference": row["difference"], "low": row["low"], "high": row["high"], "p_value": row["p_value"],
         "p_holm": row["p_holm"], "cases": row["n_cases"], "n_patients": row["n_patients"]}
        for row in rows
    ]  # fmt: skip
    table = tabular.from_records(
        lines, "Paired differences on the same cases", titles={"what": "Metric"}, drop=["n_patients"]
    )
    return Section("differences", "Paired differences", present(text, forest, table) if table else (),
                   "There are not a baseline and another model to compare.",
                   values={"differences": results.differences})  # fmt: skip


def cases(results: MaskResults) -> Section:
    """Show how many cases have which Dice, and name the worst."""
    text = "How many cases have which Dice. A mean hides the failures at the left; the dashed line is the median."
    legend = Legend((Key(f"Dice of {LOW_DICE:g} and more", "box", "accent"), Key("failed", "box", "copy")))
    shown = []
    for (model,), rows in parts(results.cases, ["model"]):
        dice = rows.groupby("case", sort=False)["dice"].mean()
        shown.append(figures.histogram(str(model), np.asarray(dice, float), failed_below=LOW_DICE))
    worst = worst_table(results)
    folded = worst and Folded(worst.caption, (worst,))
    return Section("cases", "Case by case", present(text, legend, Panels(tuple(shown)), folded))


def uncertainty(results: MaskResults) -> Section:
    """Show what remains if the most uncertain cases are handed to a person."""
    text = (
        "If the cases that a model is least sure of are handed to a person, how good are the others? A curve that "
        "rises from left to right has found the failures; one that is flat knows nothing."
    )
    curve = _coverage(results)
    none = "" if curve else "No model stated how sure it is of a case."
    raters = _soft_table(results.soft, {"ged": "Energy distance"},
                         "Distance of the members to the raters' masks; less is better")  # fmt: skip
    shown = (text, curve, _uncertainty_table(results.uncertainty)) if curve else (none,)
    return Section("uncertainty", "Uncertainty", present(*shown, raters) if curve or raters else (), none,
                   values={"uncertainty": results.uncertainty})  # fmt: skip


def calibration(results: MaskResults) -> Section:
    """Show how often it was true what a probability stated."""
    text = (
        "A probability of 0.8 should be right in 8 of 10 pixels: on the dashed line stated and observed agree, below "
        "it a model is too sure. Most pixels are surely background, so the errors over all pixels are small; compare "
        "them between models."
    )
    table = _calibration_table(results.calibration_errors)
    soft = _soft_table(results.soft, {"nll": "Negative log likelihood, nats", "brier": "Brier score"},
                       "What the probabilities are worth, means over the cases; less is better")  # fmt: skip
    shown = present(text, Panels(tuple(_reliability(results))), table, soft) if table else ()
    names = ("calibration", "calibration_errors", "soft")
    return Section("calibration", "Calibration", shown, "No probabilities were given: calibration was not measured.",
                   values={name: getattr(results, name) for name in names})  # fmt: skip


def detection(results: MaskResults) -> Section:
    """Show the share of lesions that is found over how many are invented."""
    text = (
        "Lesion by lesion: what share is found, and how many are invented per image, as the threshold of the "
        "probability falls from left to right. A lesion is found if a predicted one overlaps it with an IoU of 0.1 or "
        f"more. Up to {MOST_INVENTED} invented lesions per image are drawn."
    )
    shown = tuple(_free_response(results))
    return Section(
        "detection", "Detection", (text, Panels(shown)) if shown else (),
        "No probabilities were given: there is one threshold, and the lesion-wise F1 above is of it.",
        values={"free_response": results.free_response},
    )  # fmt: skip


def classes(results: MaskResults) -> Section:
    """List the means of each class."""
    names = [name for name in distinct(results.summary, "class_name") if name]
    made = [metric_table(results.summary, name, brief=True) for name in names] if len(names) > 1 else []
    made = [with_networks(table, results.networks) for table in made]
    return Section("classes", "By class", present(*made), "There is one class; the tables above are of it.")


def audited(results: MaskResults) -> Section:
    """List what is wrong with images and masks of the data, to which some failures may be due."""
    text = "A model that is right fails on a mask that is wrong: look at these files before the models are blamed."
    table = findings_table(results.findings)
    return Section("audit", "What the audit found", present(text, table) if table else (),
                   "The audit of the images and masks found nothing serious, or was not made.", "Audit",
                   values={"findings": results.findings})  # fmt: skip


SECTIONS = (models, gallery, metrics, differences, cases, uncertainty, calibration, detection, classes, audited)
"""The page in its order."""


def metric_table(summary: pd.DataFrame, class_name: str, *, brief: bool) -> Table | None:
    """List means with intervals: a line per model and a column per metric most asked for, or a line for each of all."""
    rows = [
        row | {"metric": METRICS[row["metric"]].short + (f", {row['unit']}" if row["unit"] else ""),
               "name": row["metric"], "estimate": row["mean"]}
        for row in tabular.records(rows_where(summary, summary["class_name"] == class_name))
        if not brief or row["metric"] in BRIEF
    ]  # fmt: skip
    if brief:
        rows.sort(key=lambda row: BRIEF.index(row["name"]))
    caption = f"{class_name or 'All classes'}: means over the cases" + ("" if brief else ", every metric")
    down, across = ("model", "metric") if brief else ("metric", "model")
    return tabular.crossed(rows, caption, down=down, across=across, value="estimate", formats=AS_IT_IS)


def with_networks(table: Table | None, networks: pd.DataFrame) -> Table | None:
    """Put beside the figures of each model what they took: weights, training time, image size."""
    if table is None or networks.empty:
        return table
    about = {str(row["model"]): row for row in tabular.records(networks)}
    columns = (Column("Weights", True), Column("Training", True), Column("Image", False))
    rows = []
    for row in table.rows:
        one = about[row[0].text]
        seconds = one["training_seconds"]
        rows.append((*row, Cell(words.millions(one["weights"]), sort=float(one["weights"])),
                     Cell(words.duration(seconds), sort="" if words.is_missing(seconds) else float(seconds)),
                     Cell(str(one["image_size"]), sort=str(one["image_size"]))))  # fmt: skip
    return replace(table, columns=(*table.columns, *columns), rows=tuple(rows))


def counts_table(summary: pd.DataFrame, class_name: str, group_noun: str) -> Table | None:
    """List cases, median Dice, failures, and what was empty of each model; ``group_noun`` is what patients are here."""
    chosen = (summary["class_name"] == class_name) & (summary["metric"] == "dice")
    rows = [
        {"model": row["model"], "cases": row["n_cases"], "patients": row["n_patients"],
         "held": row["n_with_class"], "estimate": row["median"], "share": row["share_below"], "missed": row["n_missed"],
         "alarms": row["n_false_alarms"], "empty": row["n_both_empty"], "absent": row["n_failures"]}
        for row in tabular.records(rows_where(summary, chosen))
    ]  # fmt: skip
    titles = {"patients": f"{group_noun.capitalize()}s", "held": "With the class" if class_name else "With any class",
              "estimate": "Median Dice",
              "share": f"Dice under {LOW_DICE:g}", "missed": "Missed",
              "alarms": "False alarms", "empty": "Rightly empty", "absent": "No prediction"}  # fmt: skip
    once = "" if class_name else "; empty masks are counted class by class"
    drop = ("patients",) if group_noun == "case" else ()
    return tabular.from_records(rows, f"Cases, and how they failed{once}", drop=drop, titles=titles)


def worst_table(results: MaskResults) -> Table | None:
    """List the cases in which the first model that is no baseline does worst, beside the baseline."""
    models = [name for name in distinct(results.cases, "model") if name not in results.baselines]
    main = models[0] if models else results.reference
    other = results.reference if results.reference != main else ""
    dice = {name: _per_case(results.cases, name) for name in (main, other) if name}
    beside = dict(zip(dice[other]["case"], dice[other]["dice"], strict=True)) if other else {}
    rows = []
    for row in tabular.records(dice[main].sort_values("dice", kind="stable").head(WORST).reset_index(drop=True)):
        line: dict[str, Any] = {"case": row["case"]}
        line |= {"patient": row["patient"]} if results.group_noun != "case" else {}
        line |= {main: row["dice"]} | ({other: beside.get(row["case"], np.nan)} if other else {})
        line["hausdorff95"] = row["hausdorff95"]
        line |= {} if words.is_missing(row.get("uncertainty")) else {"uncertainty": row["uncertainty"]}
        rows.append(line | {"what": row["failure"] or EMPTY[row["empty"]]})
    unit = distinct(results.cases, "unit")[0]
    titles = {"patient": results.group_noun.capitalize(), "hausdorff95": f"HD95, {unit}", "what": "Failure",
              **{name: f"Dice, {name}" for name in dice}}  # fmt: skip
    formats: Formats = dict.fromkeys((*dice, "uncertainty"), words.number)
    return tabular.from_records(rows, f"The {len(rows)} lowest Dice of {main}", titles=titles, formats=formats)


def _per_case(cases: pd.DataFrame, model: str) -> pd.DataFrame:
    """Reduce to one row per case: means over the classes, and of the class with the lowest Dice what failed."""
    rows = finite_distances(rows_where(cases, cases["model"] == model))
    means: Any = rows.groupby("case")[["dice", "hausdorff95"]].mean()
    worst = rows.sort_values("dice", kind="stable").drop_duplicates("case").sort_values("case")
    return worst.assign(dice=np.asarray(means["dice"]), hausdorff95=np.asarray(means["hausdorff95"]))


def _interval(results: MaskResults, row: Mapping[str, Any], value: str) -> Interval:
    estimate, low, high = (
        float("nan") if words.is_missing(row[key]) else float(row[key]) for key in (value, "low", "high")
    )
    emphasized = row["model"] not in results.baselines
    return Interval(str(row["model"]), estimate, low, high, emphasized, words.patients_in(row))


def _forest(results: MaskResults, metric: str) -> Figure:
    chosen = (results.summary["metric"] == metric) & (results.summary["class_name"] == overall_name(results.summary))
    rows = tabular.records(rows_where(results.summary, chosen))
    line = next((row["mean"] for row in rows if row["model"] == results.reference), None)
    intervals = [_interval(results, row, "mean") for row in rows]
    return figures.forest(f"{METRICS[metric].title}, mean over the cases", intervals, (0.0, 1.0), reference=line)


def _coverage(results: MaskResults) -> Figure | None:
    series = []
    for (model,), rows in parts(results.case_dice, ["model"]) if len(results.case_dice) else ():
        coverage, risk = risk_coverage(1 - numbers(rows, "dice"), -numbers(rows, "uncertainty"))
        series.append(Series(str(model), coverage, risk, model not in results.baselines))
    if not series:
        return None
    axes = ("share of cases kept, the surest first", "mean 1 \u2212 Dice")
    return figures.lines("Risk and coverage", series, axes=axes, x_domain=(0.0, 1.0))


def _uncertainty_table(uncertainty: pd.DataFrame) -> Table | None:
    rows = [
        {"model": row["model"], "estimate": row["auroc"], "low": row["low"], "high": row["high"],
         "failed": f"{row['n_failed']} of {row['n_cases']}", "area": row["aurc"], "best": row["aurc_best"],
         "random": row["aurc_random"]}
        for row in tabular.records(uncertainty)
    ]  # fmt: skip
    formats: Formats = dict.fromkeys(("area", "best", "random"), words.number)
    titles = {"estimate": "AUROC of failure", "failed": "Failed cases", "area": "Area under risk-coverage",
              "best": "The best order's", "random": "A random order's"}  # fmt: skip
    caption = "How well the uncertainty of a case finds the failures"
    return tabular.from_records(rows, caption, titles=titles, formats=formats)


def _calibration_table(errors: pd.DataFrame) -> Table | None:
    """List calibration errors in percent points, so that small numbers can be read."""
    rows = [{"model": row["model"], "ece": 100 * row["ece"], "classwise": 100 * row["classwise_ece"],
             "pixels": row["n_pixels"]} for row in tabular.records(errors)]  # fmt: skip
    formats: Formats = dict.fromkeys(("ece", "classwise"), words.number)
    titles = {"ece": "ECE of the called class, %", "classwise": "Class-wise ECE, %"}
    return tabular.from_records(rows, "Expected calibration error over all pixels of the test images", titles=titles,
                                formats=formats)  # fmt: skip


def _soft_table(soft: pd.DataFrame, titles: Mapping[str, str], caption: str) -> Table | None:
    rows = [
        row | {"metric": f"{titles[row['metric']]} {row['class_name']}".strip(), "estimate": row["mean"]}
        for row in tabular.records(soft)
        if row["metric"] in titles
    ]
    return tabular.crossed(rows, caption, down="model", across="metric", value="estimate", formats=AS_IT_IS)


def _reliability(results: MaskResults) -> list[Figure]:
    """Draw for each foreground class how often it was there, over the probability that was stated for it."""
    shown = []
    for name in [name for name in distinct(results.calibration, "class_name") if name][1 : MOST_CLASSES + 1]:
        series = []
        chosen = rows_where(results.calibration, results.calibration["class_name"] == name)
        for (model,), rows in parts(chosen, ["model"]):
            rows = rows_where(rows, numbers(rows, "count") >= FEWEST_PIXELS)
            count = numbers(rows, "count")
            stated, happened = numbers(rows, "stated") / count, numbers(rows, "happened") / count
            series.append(Series(str(model), stated, happened, model not in results.baselines, dots=True))
        shown.append(figures.lines(str(name), series, axes=("stated probability", "how often it was true"),
                                   x_domain=(0.0, 1.0), y_domain=(0.0, 1.0), diagonal=True))  # fmt: skip
    return shown


def _free_response(results: MaskResults) -> list[Figure]:
    """Draw for each class the share of its lesions that is found, over how many are invented per image."""
    shown = []
    for (name,), curves in parts(results.free_response, ["class_name"]) if len(results.free_response) else ():
        near, series = rows_where(curves, numbers(curves, "invented_per_image") <= MOST_INVENTED), []
        for (model,), rows in parts(near, ["model"]):
            invented, shares = numbers(rows, "invented_per_image"), numbers(rows, "sensitivity")
            series.append(Series(str(model), invented, shares, model not in results.baselines, dots=True))
        furthest = max((float(entry.x.max()) for entry in series), default=0.0)
        if not all(np.isnan(entry.y).all() for entry in series):
            axes = ("lesions invented per image", "share of lesions found")
            reach = (0.0, 1.05 * furthest or 1.0)
            shown.append(figures.lines(str(name), series, axes=axes, x_domain=reach, y_domain=(0.0, 1.0)))
    return shown


def _warnings(summary: pd.DataFrame) -> list[str]:
    """List the warnings of the summary, each once, with its models."""
    about: dict[str, list[str]] = {}
    for row in tabular.records(summary):
        if row["warning"] and row["metric"] == "dice":
            about.setdefault(row["warning"], []).append(str(row["model"]))
    return [f"{', '.join(dict.fromkeys(models))}: {warning}." for warning, models in about.items()]


def _card(results: MaskResults, limits: Sequence[str]) -> ModelCard:
    """Fill in the card of the models."""
    overall, task = overall_name(results.summary), {"type": "image-segmentation"}
    index = [
        {"name": str(row["model"]), "results": [{
            "task": dict(task),
            "dataset": {"name": results.title, "type": "phantom" if results.phantom else "own", "split": "test"},
            "metrics": [{"type": "dice", "name": "mean Dice", "value": float(row["mean"])}]}]}
        for row in tabular.records(results.summary)
        if (row["class_name"], row["metric"]) == (overall, "dice") and not words.is_missing(row["mean"])
    ]  # fmt: skip
    names = ", ".join(name for name in distinct(results.summary, "class_name") if name)
    test = words.counted(len(distinct(results.cases, "case")), "test case")
    groups = words.counted(len(distinct(results.cases, "patient")), results.group_noun)
    digest = results.provenance.get("manifest")
    rows = digest and f"The rows with the split train of the run's manifest.csv (SHA-256 begins with {digest})."
    head = card_head(task["type"], ["segmentation"], index, phantom=results.phantom, license=results.license)
    return model_card(results.title, head, {
        "Model details": [described(cited(results.methods).sentences),
                          made_with(results.provenance.get("environment", {})),
                          "The weights are in models/ of the run folder.", license_of(results.license)],
        "Intended use": [NO_PATIENTS if results.phantom else None,
                         "For: research on segmentation and its uncertainty, with a person who looks at every mask.",
                         NO_DEVICE],
        "Factors": [f"Classes: {names}.",
                    "Cases that the model is least sure of are named by its uncertainty; how far that can be trusted "
                    "is measured below."],
        "Metrics": ["Dice, IoU, distances of surfaces and lesion-wise F1, with empty and failed cases counted; "
                    "calibration of the probabilities; how well the uncertainty of a case finds the failures."],
        "Evaluation data": [f"{test} of {groups}, of the same source as the training images unless the title says "
                            "otherwise."],
        "Training data": [rows, licenses(results.provenance)],
        "Quantitative analyses": [results.headline,
                                  with_networks(metric_table(results.summary, overall, brief=True), results.networks),
                                  counts_table(results.summary, overall, results.group_noun),
                                  _uncertainty_table(results.uncertainty),
                                  _calibration_table(results.calibration_errors)],
        "Ethical considerations": ["A mask that looks right can be wrong, and failures are not spread evenly over "
                                   "patients: look at the worst cases of the report before any use."],
        "Caveats and recommendations": [Lines(tuple(limits))],
    })  # fmt: skip
