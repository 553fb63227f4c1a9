"""The report of an augmentation study: its tables and pictures as sections, in the order of the page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from meddiff.errors import InputError
from meddiff.reports import contrasts, figures, tabular, words
from meddiff.reports.figures import Color, Figure, Key, Series, Share
from meddiff.reports.galleries import NearestPair, Picture, Pictures, beside, nearest_pairs, thumbnail
from meddiff.reports.literature import cited
from meddiff.reports.report import (
    NO_DEVICE,
    NO_PATIENTS,
    Folded,
    Lines,
    ModelCard,
    Note,
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
from meddiff.reports.results import StudyResults
from meddiff.reports.study_methods import generator_sentences, limitations, methods
from meddiff.reports.tabular import Cell, Records, Table, findings_table

KEPT: dict[str, tuple[str, Color]] = {
    "kept": ("kept", "accent"),
    "dropped_confidence": ("label not confirmed", "confidence"),
    "dropped_copy": ("near-copy", "copy"),
}
REQUIRED_COLUMNS = {
    "skipped": ("file", "reason"),
    "scores": ("arm", "metric", "class_name", "estimate", "low", "high", "n_images", "n_groups", "n_seeds"),
    "differences": ("arm", "reference", "metric", "difference", "low", "high"),
    "tests": ("arm", "reference", "metric", "class_name", "test", "difference", "p_value", "p_holm"),
    "subgroups": ("attribute", "subgroup", "arm", "reference", "metric", "estimate", "low", "high", "n_images"),
    "curve": ("ratio", "ratio_reached", "n_real", "n_synthetic", "arm", "metric", "estimate", "low", "high"),
    "arms": ("arm", "ratio", "n_real", "n_synthetic"),
    "distances": ("features", "comparison", "metric", "value", "n_real", "n_synthetic", "dimension", "warning"),
    "filter_counts": ("drawn", "kept", "dropped_confidence", "dropped_copy"),
    "log": ("step", "loss"),
    "stages": ("stage", "seconds", "peak_memory_mib"),
}
"""Those that a table must have unless it is empty; others are shown under their name."""


def study_report(results: StudyResults) -> Report:
    """Put the report together.

    Raises:
        InputError: a table lacks a column of REQUIRED_COLUMNS, or a picture is none.
    """
    for name, columns in REQUIRED_COLUMNS.items():
        frame: pd.DataFrame = getattr(results, name)
        missing = [column for column in columns if column not in frame.columns] if len(frame) else []
        if missing:
            raise InputError(f"the report's table {name!r} lacks {missing}; it has {list(frame.columns)}")
    limits = limitations(results.phantom, tabular.records(results.scores), results.recipe,
                         group_noun=results.group_noun, distances=distances_table(results) is not None)  # fmt: skip
    changed = {name: {"default": pair[0], "used": pair[1]} for name, pair in results.recipe_differences.items()}
    return Report(
        kind="augmentation",
        title=results.title,
        headline=results.headline,
        phantom=results.phantom,
        sections=section_list(SECTIONS, results),
        methods=methods(results.recipe, results.alternatives, results.group_noun),
        limitations=tuple(limits),
        provenance=results.provenance | {"environment": results.environment},
        settings=_settings(results),
        values={"recipe": results.recipe, "recipe_differences": changed},
        card=_card(results, limits) if results.recipe else None,
    )


def galleries(results: StudyResults) -> Section:
    """Show random images of each class, real beside synthetic."""
    prefix = "Phantom: " if results.phantom else ""

    def side(kind: str, name: str, images: Sequence[np.ndarray]) -> tuple[str, tuple[Picture, ...]]:
        shown = (thumbnail(image, f"{prefix}{kind} image {at} of class {name}") for at, image in enumerate(images, 1))
        return kind.capitalize(), tuple(shown)

    shown = tuple(
        beside(entry.class_name, [side("real", entry.class_name, entry.real),
                                  side("synthetic", entry.class_name, entry.synthetic)])
        for entry in results.galleries
    )  # fmt: skip
    text = "Drawn at random, not chosen. A click opens one large, as the network sees it."
    counts = [{"class_name": entry.class_name, "real": len(entry.real), "synthetic": len(entry.synthetic)}
              for entry in results.galleries]  # fmt: skip
    return Section("galleries", "Real and synthetic images", (text, *shown) if shown else (),
                   "This run drew no images.", "Real and synthetic", {"galleries": counts})  # fmt: skip


def memorization(results: StudyResults) -> Section:
    """Show the images nearest to a training image, synthetic and held-out real ones."""
    shown = [
        _pairs(results, f"{kind.capitalize()} image, its nearest training image, their distance", kind, pairs)
        for kind, pairs in (("synthetic", results.nearest), ("held-out real", results.held_out_nearest)) if pairs
    ]  # fmt: skip
    copies = copies_table(results)
    text = (
        "The synthetic images that lie closest to a training image, beside the held-out real images that lie closest. "
        "A generator that copies shows pairs nearer and more alike than real images do among themselves."
    )
    pairs = {name: [{"synthetic_id": pair.synthetic_id, "real_id": pair.real_id, "distance": pair.distance}
                    for pair in getattr(results, name)] for name in ("nearest", "held_out_nearest")}  # fmt: skip
    return Section("memorization", "Memorization", present(text, *shown, copies) if shown or copies else (),
                   "The nearest training images were not searched in this run.",
                   values=pairs | {"copies": results.copies})  # fmt: skip


def distances(results: StudyResults) -> Section:
    """List the distances between sets of images, with what spoils them."""
    warnings = list(dict.fromkeys(row["warning"] for row in tabular.records(results.distances) if row["warning"]))
    table = distances_table(results)
    text = (
        "Lower is nearer. A distance between two sets of real images stands beside each as what zero looks like at "
        "this number of images."
    )
    why = f": {'; '.join(warnings)}" if warnings else ""
    parts = present(text, *map(Note, warnings), table) if table else ()
    missing = f"No distance was computed in this run{why}."
    values = {"distances": results.distances}
    return Section("distances", "Distances between sets", parts, missing, "Distances", values)


def filtered(results: StudyResults) -> Section:
    """Show which of the drawn images joined training."""
    counts = tabular.records(results.filter_counts)
    table = tabular.from_records(counts, "Synthetic images that were drawn and that joined training")
    text = (
        "A synthetic image joins training only if a classifier trained on real images confirms its label, and if it is "
        "no near-copy of a training image."
    )
    return Section("filter", "Filter", (text, _kept_bars(counts), table) if table else (),
                   "No image was filtered in this run.", values={"filter_counts": results.filter_counts})  # fmt: skip


def training(results: StudyResults) -> Section:
    """Show the loss over the steps, and what each stage cost."""
    curve = loss_curve(tabular.records(results.log))
    stages, few = _stages_table(results), "Too few steps were logged to draw a curve."
    parts = present(curve or few, stages) if curve or stages else ()
    return Section("training", "Training, time and memory", parts, few, "Training",
                   values={"log": results.log, "stages": results.stages})  # fmt: skip


def data(results: StudyResults) -> Section:
    """List the images of each class in each split, and the files that were left out."""
    skipped = tabular.from_records(tabular.records(results.skipped),
                                  "Files that could not be read and were left out, as the recipe allows")  # fmt: skip
    table, names = data_table(results), ("data", "split_note", "skipped", "findings")
    parts = present(results.split_note, table, skipped or "No file was skipped.", findings_table(results.findings))
    return Section("data", "Data and split", parts if table or skipped else (), "No images were counted.",
                   values={name: getattr(results, name) for name in names})  # fmt: skip


SECTIONS = (contrasts.arms, galleries, contrasts.numbers, contrasts.differences, contrasts.classes, contrasts.ratio,
            contrasts.subgroups, memorization, distances, filtered, training, data)  # fmt: skip
"""The page in its order."""


def distances_table(results: StudyResults) -> Table | None:
    """List the known distances in fewer columns than the JSON has: features and their number in one."""
    rows = [
        {"comparison": row["comparison"], "metric": row["metric"],
         **{name: row[name] for name in ("value", "low", "high") if name in row},
         "n_real": row["n_real"], "n_synthetic": row["n_synthetic"],
         "features": f"{words.in_words(row['features'])}, {words.plain(row['dimension'])} dimensions"}
        for row in tabular.records(results.distances) if not words.is_missing(row["value"])
    ]  # fmt: skip
    return tabular.from_records(rows, "Distances between sets of images")


def copies_table(results: StudyResults) -> Table | None:
    """List how near sets of images are to the training images."""
    return tabular.from_records(tabular.records(results.copies), "How close to the training images")


def data_table(results: StudyResults) -> Table | None:
    """List the images of each class in each split, and the patients (or lesions) behind all of them."""
    groups = f"{results.group_noun}s".capitalize()
    caption = "Images by class and split" if groups == "Images" else f"Images and {groups.lower()} by class and split"
    return tabular.from_records(tabular.records(results.data), caption, titles={"groups": groups})


def loss_curve(log: Records) -> Figure | None:
    """Draw the loss with its running median over the steps; None below two steps of finite positive loss.

    A step that was logged twice (a run that was killed and went on) counts with its last line.
    """
    by_step = {float(row["step"]): float(row["loss"]) for row in log if not words.is_missing(row["loss"])}
    points = sorted((step, loss) for step, loss in by_step.items() if np.isfinite(loss) and loss > 0)
    if len(points) < 2:
        return None
    step, loss = np.asarray(points).T
    width = 2 * max(1, len(points) // 25) + 1
    smooth = 10 ** pd.Series(np.log10(loss)).rolling(width, center=True, min_periods=1).median().to_numpy()
    speeds = [row["images_per_second"] for row in log if not words.is_missing(row.get("images_per_second"))]
    ends = (f"{words.significant(smooth[at])} at step {words.number(step[at], 0)}" for at in (0, -1))
    speed = f"; {words.significant(float(np.median(speeds)))} images per second (median)" if speeds else ""
    return figures.lines(
        "Loss of the diffusion model over optimizer steps",
        [Series("loss", step, loss, faint=True), Series("running median", step, smooth, emphasized=True)],
        axes=("step", "loss"), x_domain=(step[0], step[-1]), logarithmic=True,
        aside=f"logarithmic axis; from {' to '.join(ends)}{speed}",
    )  # fmt: skip


def _pairs(results: StudyResults, title: str, kind: str, pairs: Sequence[NearestPair]) -> Pictures:
    prefix = "Phantom: " if results.phantom else ""
    shown = [
        (thumbnail(pair.synthetic, f"{prefix}{kind} image {pair.synthetic_id}", pair.synthetic_id),
         thumbnail(pair.real, f"{prefix}nearest training image {pair.real_id}", pair.real_id),
         words.significant(pair.distance))
        for pair in pairs
    ]  # fmt: skip
    return nearest_pairs(title, shown)


def _kept_bars(counts: Records) -> Figure:
    """Draw the shares of kept and dropped images of each class."""
    rows = []
    for row in counts:
        label, drawn = str(row.get("class_name", next(iter(row.values())))), words.number(row["drawn"], 0)
        shares = [Share(100 * row[part] / row["drawn"] if row["drawn"] else 0.0,
                        f"{label}: {words.number(row[part], 0)} of {drawn} {what}", color)
                  for part, (what, color) in KEPT.items()]  # fmt: skip
        rows.append((label, f"{words.number(row['kept'], 0)} of {drawn} kept", shares))
    return figures.bars("Share of the drawn images", rows, [Key(what, "box", color) for what, color in KEPT.values()])


def _stages_table(results: StudyResults) -> Table | None:
    """List time, memory and energy (where it could be read), with a last line: sums, and the largest memory."""
    stages = tabular.records(results.stages)
    energies = [name for name in ("cpu_energy_wh", "gpu_energy_wh") if stages and name in stages[0]]
    kept = [{name: row[name] for name in ("stage", "seconds", "peak_memory_mib", *energies)} for row in stages]
    table = tabular.from_records(kept, "Time, memory and energy by stage" if energies else "Time and memory by stage")
    if table is None:
        return None
    seconds, mebibytes, *spent = (
        [row[name] for row in kept if not words.is_missing(row[name])] for name in list(kept[0])[1:]
    )
    total = (words.duration(sum(seconds)), words.memory(max(mebibytes, default=None)),
             *(words.significant(sum(values)) for values in spent))  # fmt: skip
    return Table(table.caption, table.columns, table.rows, (Cell("All"), *(Cell(text) for text in total)))


def _card(results: StudyResults, limits: Sequence[str]) -> ModelCard:
    """Fill in the card of the generator."""
    names = [gallery.class_name for gallery in results.galleries]
    classes, kind = ", ".join(names), ("class-conditional" if len(names) > 1 else "unconditional")
    name = "phantom" if results.phantom else str(results.recipe.get("dataset", ""))
    task = {"type": f"{kind}-image-generation"}
    measured = [
        {"type": row["metric"],
         "name": f"{words.in_words(row['metric'])}, {row['comparison']}, features: {row['features']}",
         "value": float(row["value"])}
        for row in tabular.records(results.distances)
        if "synthetic" in row["comparison"] and not words.is_missing(row["value"])
    ]  # fmt: skip
    index = [{"name": f"{name or 'study'} generator",
              "results": [{"task": task, "dataset": {"name": name, "type": name, "split": "val and test"},
                          "metrics": measured}]}]  # fmt: skip
    sentences = cited(generator_sentences(results.recipe, results.alternatives)).sentences if results.recipe else ()
    tags = ["synthetic-data", f"{kind}-image-generation"]
    head = card_head(task["type"], tags, index, phantom=results.phantom, license=results.license)
    return model_card(results.title, head, {
        "Model details": [described(sentences), made_with(results.environment),
                          "The weights are in checkpoints/ of the run folder, with the recipe beside them.",
                          license_of(results.license)],
        "Intended use": [NO_PATIENTS if results.phantom else None,
                         "For: research on training data, such as adding synthetic images to the training set of a "
                         "classifier that is then tested on real images.", NO_DEVICE,
                         "Not for: images that are passed off as a patient's, or sharing in the belief that synthetic "
                         "images are anonymous."],
        "Factors": [f"Classes that it was told: {classes}." if classes else None, *contrasts.class_tables(results)[:1]],
        "Metrics": ["Whether classifiers trained with its images do better on real test images, distances between sets "
                    "of images beside those of real sets, and how near its images come to the training images."],
        "Evaluation data": ["The test split, of the same source as the training images.", results.split_note],
        "Training data": [data_table(results), licenses(results.provenance)],
        "Quantitative analyses": [results.headline, contrasts.arms_table(results), distances_table(results)],
        "Ethical considerations": [
            "A diffusion model can give away images that it was trained on. How near the drawn images are to training "
            "images, beside held-out real images:", copies_table(results),
            "What is rare in the training images is rarer or wrong in the drawn ones: groups that are small in the "
            "data are served worst."],
        "Caveats and recommendations": [Lines(tuple(limits))],
    })  # fmt: skip


def _settings(results: StudyResults) -> tuple[Part, ...]:
    """Show the recipe, what is special in it, data and machine."""
    changed = tabular.from_settings(results.recipe_differences, "Settings that differ from the defaults",
                                   ("Setting", "Default", "This run"))  # fmt: skip
    recipe = tabular.settings_table(results.recipe, "All settings", ("Setting", "Value"))
    machine = tabular.settings_table(results.provenance | results.environment, "Data, machine and versions")
    return present(changed or "Every setting has its default.", recipe and Folded("All settings", (recipe,)),
                   machine and Folded("Data, machine and versions", (machine,), open=True))  # fmt: skip
