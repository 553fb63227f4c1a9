"""Stage 6: scores with intervals, distances, memorization; all of it in report.html and report.json.

Pictures of a study's report: random images of each class, and pairs of images with the training image nearest.

The tables of a run's study, from what its classifiers said: read, computed, written beside the predictions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.table import Table

from meddiff import build, evaluation
from meddiff.batches.images import Images
from meddiff.errors import InputError
from meddiff.evaluation.classifiers.study import Study, read_study
from meddiff.evaluation.classifiers.study_tables import StudyTables, study_tables
from meddiff.files.documents import read_json
from meddiff.files.long_tables import damaged, read_table, write_table
from meddiff.images.views import as_rgb, tile
from meddiff.jobs.audit import findings_in
from meddiff.jobs.generate import filter as filtering
from meddiff.jobs.generate.classify import predicted_columns
from meddiff.jobs.run_facts import (
    data_table,
    group_noun,
    provenance,
    resampling_of,
    size_of,
    skipped_table,
    split_note,
    stages_table,
)
from meddiff.jobs.splits import labeled, labeled_rows
from meddiff.jobs.stage import Stage
from meddiff.jobs.training_run import LOG_COLUMNS
from meddiff.metrics.images.memorization import copy_threshold, nearest_image
from meddiff.recipe import Recipe, differences, to_dict
from meddiff.reports import words
from meddiff.reports.galleries import NearestPair
from meddiff.reports.results import ArmName, Gallery, Named, StudyResults
from meddiff.reports.study import study_report
from meddiff.reports.write import write_report
from meddiff.run import Run, RunFolder, digest
from meddiff.seeds import child_seed
from meddiff.training.apply import features as extract_features
from meddiff.training.fabric import device_here


def _inputs(run: Run[Recipe]) -> str:
    study = run.folder.predictions, run.folder.validation_predictions, run.folder.arms, run.folder.attributes
    return digest(*study, run.folder.filter, run.folder.log, run.folder.classifier, to_dict(run.recipe))


def _check(run: Run[Recipe]) -> None:
    if all(build.arm(name).synthetic for name in run.recipe.classifier.arms):
        raise InputError(
            f"classifier.arms are {', '.join(run.recipe.classifier.arms)}, all with synthetic images: add one without, "
            "such as real, to compare them with"
        )


def _work(run: Run[Recipe]) -> list[Path]:
    sets = {split: labeled(run, split) for split in ("train", "val", "test")}
    kept = filtering.accepted(run)
    if kept:
        sets["synthetic"] = labeled_rows(run, kept)
    study = tables_of(run)
    measured = image_distances(sets, run)
    tables = write_tables(study, run.folder)
    write_table(measured, run.folder.distances)
    headline = headline_of(study, sets)
    written = write_report(study_report(assemble(run, sets, headline, study, measured)), run.folder.path)
    run.console.print(scores_table(study.scores))
    run.console.print(f"{headline}\n", style="bold")
    run.console.print(f"The report: {written[0]}", soft_wrap=True)
    return [*tables, run.folder.distances, *written]


def headline_of(study: StudyTables, sets: dict[str, Images]) -> str:
    """Say whether the synthetic images helped, or that there were none to find it out with."""
    if "synthetic" not in sets:
        return "Whether synthetic images help stays open: not one of those drawn passed the filter."
    added = study.arms.loc[study.arms["arm"] == "real_synthetic", "n_synthetic"]
    if len(added) and not added.any():
        return (
            "Whether synthetic images help stays open: none was added to the real ones, as every class already has "
            "the number that synthesis.per_class asks for, or lost its synthetic images to the filter."
        )
    return evaluation.summary_sentence(study.differences, group_noun=group_noun(sets["train"]), arm_title=arm_title)


def image_distances(sets: dict[str, Images], run: Run[Recipe]) -> pd.DataFrame:
    """Measure accepted synthetic images against real ones that neither the denoiser nor the extractor has seen."""
    own = f"{run.recipe.classifier.network} of this run, trained on its real images"
    given = build.extractor(run.recipe)
    name = own if given is None else f"{run.recipe.evaluation.features} ({Path(run.recipe.evaluation.weights).name})"
    extractor = (filtering.judge_of(run, sets["test"]) if given is None else given).to(device_here())

    def features(*names: str) -> evaluation.ImageFeatures:
        values = [
            extract_features(extractor, sets[name], batch_size=run.recipe.classifier.batch_size) for name in names
        ]
        rows = [row for name in names for row in sets[name].rows]
        return evaluation.ImageFeatures(
            np.concatenate(values), np.array([row.group for row in rows]), np.array([row.label for row in rows])
        )

    real = features("val", "test")
    return evaluation.distances(
        real,
        features("synthetic") if "synthetic" in sets else real.chosen(np.zeros(len(real.values), dtype=bool)),
        features=name,
        confidence_level=run.recipe.evaluation.confidence_level,
        seed=run.recipe.seed,
    )


def assemble(
    run: Run[Recipe],
    sets: dict[str, Images],
    headline: str,
    study: StudyTables,
    measured: pd.DataFrame,
) -> StudyResults:
    """Gather everything the page shows."""
    filtered = read_table(run.folder.filter, filtering.COLUMNS)
    nearest, held_out, copies = memorization(sets, run.recipe)
    source = build.source(run.recipe.dataset)
    phantom = any(row.source == "phantom" for row in sets["train"].rows)
    shown = f"phantom {source.phantom.name if source.phantom else ''}" if phantom else source.title
    return StudyResults(
        title=f"Do synthetic images help? {shown}, {size_of(sets['train'])}",
        headline=headline,
        phantom=phantom,
        data=data_table(sets),
        split_note=split_note(sets["train"]),
        group_noun=group_noun(sets["train"]),
        skipped=skipped_table(sets, run.folder),
        license=run.recipe.license,
        findings=findings_in(run.folder),
        scores=study.scores,
        differences=study.differences,
        tests=study.tests,
        subgroups=study.subgroups,
        curve=study.curve,
        arms=study.arms,
        arm_names=arm_names(study.arms["arm"]),
        alternatives=alternatives(run.recipe),
        distances=measured,
        galleries=galleries(sets, child_seed(run.recipe.seed, "report", "gallery")),
        nearest=nearest,
        held_out_nearest=held_out,
        copies=copies,
        filter_counts=filtering.filter_counts(filtered),
        log=read_table(run.folder.log, LOG_COLUMNS),
        stages=stages_table(run.folder),
        environment=read_json(run.folder.environment),
        recipe=to_dict(run.recipe),
        recipe_differences=differences(run.recipe, Recipe()),
        provenance=provenance(run, sets),
    )


def arm_names(names: Iterable[str]) -> dict[str, ArmName]:
    """Say what each arm of the study is."""
    entries = {str(name): build.arm_entry(str(name)) for name in names}
    return {name: ArmName(arm.title, arm.thing.synthetic, arm.thing.ratio) for name, arm in entries.items()}


def arm_title(name: str) -> str:
    """Name an arm as a sentence does."""
    return build.arm_entry(name).title


def alternatives(recipe: Recipe) -> dict[str, Named]:
    """Say how what the recipe names is called, and what it rests on."""
    entries = {
        "network": build.NETWORKS.entries[recipe.network.name],
        "schedule": build.SCHEDULES.entries[recipe.diffusion.schedule],
        "loss weight": build.LOSS_WEIGHTS.entries[recipe.diffusion.loss_weight],
        "prediction": build.PREDICTIONS.entries[recipe.diffusion.prediction],
        "sampler": build.SAMPLERS.entries[recipe.synthesis.sampler],
        "classifier": build.CLASSIFIERS.entries[recipe.classifier.network],
    }
    return {kind: (entry.title, entry.citations) for kind, entry in entries.items()}


def scores_table(scores: pd.DataFrame) -> Table:
    """Return the averages over classes for the terminal."""
    shown = Table("arm", "balanced accuracy", "macro AUROC", title="test images, mean over seeds [95% interval]")
    for arm in scores["arm"].unique():
        cells = []
        for metric in ("balanced_accuracy", "macro_auroc"):
            row = scores[(scores["arm"] == arm) & (scores["metric"] == metric)].iloc[0]
            cells.append(f"{row['estimate']:.3f} {words.interval_of(row.to_dict())}")
        shown.add_row(arm, *cells)
    return shown


STAGE = Stage("report", "scores, distances, memorization, pictures", _inputs, _work, _check)


SHOWN_PER_CLASS = 12
SHOWN_PAIRS = 6


def memorization(sets: dict[str, Images], recipe: Recipe) -> tuple[list[NearestPair], list[NearestPair], pd.DataFrame]:
    """Return the synthetic and the held-out real images nearest to a training image, and both sets in numbers."""
    references = filtering.compared(sets["train"])
    distance, index = {}, {}
    for name in [name for name in ("synthetic", "val") if name in sets]:
        distance[name], index[name], _ = nearest_image(filtering.compared(sets[name]), references)
    originals = filtering.originals(sets["val"], sets["train"])
    threshold = copy_threshold(distance["val"][originals], recipe.filter.copy_quantile)
    pairs = {
        name: [
            NearestPair(
                synthetic=picture(sets[name], position),
                real=picture(sets["train"], index[name][position]),
                distance=float(distance[name][position]),
                synthetic_id=sets[name].rows[position].row_id,
                real_id=sets["train"].rows[index[name][position]].row_id,
            )
            for position in np.argsort(distance[name], kind="stable")[:SHOWN_PAIRS]
        ]
        for name in distance
    }
    copies = pd.DataFrame(
        {
            "set": title,
            "n": len(distance[name]),
            "median_distance": float(np.median(distance[name])),
            "smallest_distance": float(distance[name].min()),
            "share_below_threshold": float((distance[name] < threshold).mean()),
            "threshold": threshold,
        }
        for name, title in (("synthetic", "synthetic images kept"), ("val", "held-out real images"))
        if name in sets
    )
    return pairs.get("synthetic", []), pairs["val"], copies


def galleries(sets: dict[str, Images], seed: int) -> list[Gallery]:
    """Return random images of each class, real (training) and synthetic (kept)."""
    generator = np.random.default_rng(seed)
    shown = []
    for label, name in enumerate(sets["train"].class_names):
        chosen = {
            kind: generator.permutation(np.flatnonzero(sets[kind].labels == label))[:SHOWN_PER_CLASS]
            for kind in ("train", "synthetic")
            if kind in sets
        }
        pictures = {kind: [picture(sets[kind], position) for position in chosen[kind]] for kind in chosen}
        shown.append(Gallery(name, real=pictures["train"], synthetic=pictures.get("synthetic", [])))
    return shown


def picture(images: Images, position: int) -> np.ndarray:
    """Return one image, or three middle planes of a volume, as the page shows it: uint8 [H, W, 3]."""
    return as_rgb(tile(images.batch([position]).image[0].numpy(), images.spacing_mm))


def read_predictions(path: Path, names: Sequence[str]) -> pd.DataFrame:
    """Read the long table of predictions of a run."""
    return read_table(path, predicted_columns(names))


def study_of(folder: RunFolder, names: Sequence[str]) -> Study:
    """Read what the classifiers of a run said of test and validation images."""
    predictions, validation = (
        read_predictions(path, names) for path in (folder.predictions, folder.validation_predictions)
    )
    return read_study(predictions, list(names), validation)


def tables_of(run: Run[Recipe]) -> StudyTables:
    """Return all tables of the study; every arm is compared with the best of those without synthetic images."""
    attributes = read_table(run.folder.attributes, ["row_id"])
    if attributes["row_id"].duplicated().any():
        raise damaged(run.folder.attributes, "it names an image twice")
    return study_tables(
        study_of(run.folder, run.classes),
        reference_arms=[name for name in run.recipe.classifier.arms if not build.arm(name).synthetic],
        attributes=attributes,
        arms=read_table(run.folder.arms, ["arm", "ratio", "n_real", "n_synthetic", "n_seeds"]),
        resampling=resampling_of(run.recipe),
    )


def write_tables(tables: StudyTables, folder: RunFolder) -> list[Path]:
    """Write scores.csv, differences.csv, tests.csv, subgroups.csv and curve.csv; returns their paths."""
    files = {
        folder.scores: tables.scores,
        folder.differences: tables.differences,
        folder.tests: tables.tests,
        folder.subgroups: tables.subgroups,
        folder.curve: tables.curve,
    }
    for path, table in files.items():
        write_table(table, path)
    return list(files)
