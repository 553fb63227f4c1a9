"""Stage 6: scores with intervals, distances, memorization; all of it in report.html and report.json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from meddiff import build, evaluation
from meddiff.batches.images import Labeled
from meddiff.errors import InputError
from meddiff.evaluation.classifiers.tables import StudyTables
from meddiff.files.tables import read_table, write_table
from meddiff.jobs.facts import data_table, group_noun, provenance, size_of, skipped_table, split_note, stages_table
from meddiff.jobs.generate import filter as filtering
from meddiff.jobs.generate.report_pictures import galleries, memorization
from meddiff.jobs.generate.study import tables_of, write_tables
from meddiff.jobs.manifest import class_names_of, rows_of
from meddiff.jobs.stage import Stage
from meddiff.jobs.training_run import LOG_COLUMNS
from meddiff.recipe import Recipe, differences, to_dict
from meddiff.report import AugmentationReport, write_report
from meddiff.reporting.words import arm_title
from meddiff.run import RunFolder, digest
from meddiff.seeds import child_seed
from meddiff.training.classifier_loop import features as extract_features


def _inputs(recipe: Recipe, folder: RunFolder) -> str:
    study = folder.predictions, folder.validation_predictions, folder.arms, folder.attributes
    return digest(*study, folder.filter, folder.log, folder.classifier, to_dict(recipe))


def _check(recipe: Recipe, folder: RunFolder) -> None:
    if all(build.arm(name).synthetic for name in recipe.classifier.arms):
        raise InputError(
            f"classifier.arms are {', '.join(recipe.classifier.arms)}, all with synthetic images: add one without, "
            "such as real, to compare them with"
        )


def _run(recipe: Recipe, folder: RunFolder, console: Console) -> list[Path]:
    names = class_names_of(recipe, folder)
    sets = {split: build.images(rows_of(recipe, folder, split), recipe, names) for split in ("train", "val", "test")}
    kept = filtering.accepted(folder)
    if kept:
        sets["synthetic"] = build.images(kept, recipe, names)
    study = tables_of(recipe, folder, names)
    measured = image_distances(sets, recipe, folder)
    tables = write_tables(study, folder)
    write_table(measured, folder.distances)
    headline = headline_of(study, sets)
    written = write_report(assemble(recipe, folder, sets, headline, study, measured), folder.path)
    console.print(scores_table(study.scores))
    console.print(f"{headline}\n", style="bold")
    console.print(f"The report: {written[0]}", soft_wrap=True)
    return [*tables, folder.distances, *written]


def headline_of(study: StudyTables, sets: dict[str, Labeled]) -> str:
    """Whether the synthetic images helped, or that there were none to find it out with."""
    if "synthetic" not in sets:
        return "Whether synthetic images help stays open: not one of those drawn passed the filter."
    added = study.arms.loc[study.arms["arm"] == "real_synthetic", "n_synthetic"]
    if len(added) and not added.any():
        return (
            "Whether synthetic images help stays open: none was added to the real ones, as every class already has "
            "the number that synthesis.per_class asks for, or lost its synthetic images to the filter."
        )
    return evaluation.summary_sentence(study.differences, group_noun=group_noun(sets["train"]), arm_title=arm_title)


def image_distances(sets: dict[str, Labeled], recipe: Recipe, folder: RunFolder) -> pd.DataFrame:
    """Distances of the accepted synthetic images to real ones that neither the denoiser nor the extractor has seen."""
    own = f"{recipe.classifier.network} of this run, trained on its real images"
    given = build.extractor(recipe)
    name = own if given is None else f"{recipe.evaluation.features} ({Path(recipe.evaluation.weights).name})"
    extractor = filtering.judge_of(recipe, folder, sets["test"]) if given is None else given

    def features(*names: str) -> evaluation.ImageFeatures:
        values = [extract_features(extractor, sets[name], batch_size=recipe.classifier.batch_size) for name in names]
        rows = [row for name in names for row in sets[name].rows]
        return evaluation.ImageFeatures(
            np.concatenate(values), np.array([row.group for row in rows]), np.array([row.label for row in rows])
        )

    real = features("val", "test")
    return evaluation.distances(
        real,
        features("synthetic") if "synthetic" in sets else real.chosen(np.zeros(len(real.values), dtype=bool)),
        features=name,
        confidence_level=recipe.evaluation.confidence_level,
        seed=recipe.seed,
    )


def assemble(
    recipe: Recipe,
    folder: RunFolder,
    sets: dict[str, Labeled],
    headline: str,
    study: StudyTables,
    measured: pd.DataFrame,
) -> AugmentationReport:
    """Everything the page shows."""
    filtered = read_table(folder.filter, filtering.COLUMNS)
    nearest, held_out, copies = memorization(sets, recipe)
    source = build.source(recipe.dataset)
    phantom = any(row.source == "phantom" for row in sets["train"].rows)
    shown = f"phantom {source.phantom or ''}".replace("_", " ") if phantom else source.title
    return AugmentationReport(
        title=f"Do synthetic images help? {shown}, {size_of(sets['train'])}",
        headline=headline,
        phantom=phantom,
        data=data_table(sets),
        split_note=split_note(sets["train"]),
        group_noun=group_noun(sets["train"]),
        skipped=skipped_table(sets, folder),
        scores=study.scores,
        differences=study.differences,
        tests=study.tests,
        subgroups=study.subgroups,
        curve=study.curve,
        arms=study.arms,
        distances=measured,
        galleries=galleries(sets, child_seed(recipe.seed, "report", "gallery")),
        nearest=nearest,
        held_out_nearest=held_out,
        copies=copies,
        filter_counts=filtering.filter_counts(filtered),
        log=read_table(folder.log, LOG_COLUMNS),
        stages=stages_table(folder),
        environment=json.loads(folder.environment.read_text()),
        recipe=to_dict(recipe),
        recipe_differences=differences(recipe, Recipe()),
        provenance=provenance(recipe, folder, sets),
    )


def scores_table(scores: pd.DataFrame) -> Table:
    """The averages over classes for the terminal."""
    shown = Table("arm", "balanced accuracy", "macro AUROC", title="test images, mean over seeds [95% interval]")
    for arm in scores["arm"].unique():
        cells = []
        for metric in ("balanced_accuracy", "macro_auroc"):
            row = scores[(scores["arm"] == arm) & (scores["metric"] == metric)].iloc[0]
            cells.append(f"{row['estimate']:.3f} [{row['low']:.3f}, {row['high']:.3f}]")
        shown.add_row(arm, *cells)
    return shown


STAGE = Stage("report", "scores, distances, memorization, pictures", _inputs, _run, _check)
