"""Stage 5: classifiers with and without synthetic images, all judged on the same held-out real images.

Every arm gets the same number of optimizer steps. Each (arm, seed) is written as soon as it is trained, under a name
that tells all that it depends on: a killed run goes on with the next one, and a study with more arms, ratios or seeds
trains those alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from meddiff import build
from meddiff.batches.images import Images
from meddiff.evaluation.classifiers.subgroups import attributes_of
from meddiff.evaluation.rows import rows_where
from meddiff.files.long_tables import read_table, write_table
from meddiff.jobs import weights
from meddiff.jobs.describe import Work
from meddiff.jobs.generate.arms import AUTO, arms_table, images_of_arms, strength_of
from meddiff.jobs.progress import progress
from meddiff.jobs.splits import labeled, labeled_rows
from meddiff.jobs.stage import Stage, need
from meddiff.jobs.weights import train_classifier
from meddiff.manifest.row import ManifestRow
from meddiff.metrics.images.skin_tone import typology_angle_degrees
from meddiff.recipe import Recipe, to_dict
from meddiff.run import Run, digest
from meddiff.seeds import child_seed
from meddiff.training.apply import predict

PHOTOGRAPHS = ("dermoscopy", "photography", "clinical")
"""Modalities whose pictures show skin."""


def _inputs(run: Run[Recipe]) -> str:
    return digest(
        run.folder.filter,
        run.folder.manifest,
        to_dict(run.recipe.classifier),
        weights.data_settings(run.recipe),
        run.recipe.seed,
    )


def _check(run: Run[Recipe]) -> None:
    need(run, "test", "on which the classifiers are judged")


def _work(run: Run[Recipe]) -> list[Path]:
    names = run.classes
    judged = {split: labeled(run, split) for split in ("test", "val")}
    train = labeled(run, "train")
    images = images_of_arms(run)
    parts = run.folder.path / "predictions"
    strength = strength_of(run.recipe, train, judged["val"], parts / f"classical-{_basis(run)}.csv", run.console)
    files = {(name, seed): parts / _key(name, images[name], strength, run) / f"{name}-{seed}.csv"
             for seed in range(run.recipe.classifier.seeds) for name in images}  # fmt: skip
    with progress(run.console, unit="classifiers") as shown:
        task = shown.add_task("training classifiers", total=len(files), note="")
        for (name, seed), file in files.items():
            shown.update(task, note=f"{name}, seed {seed}")
            if not file.is_file():
                rows = labeled_rows(run, images[name])
                write_table(_predictions(name, seed, rows, judged, strength, run.recipe), file)
            shown.advance(task)
        shown.update(task, note="")
    table = pd.concat([read_table(file, ["split", *predicted_columns(names)]) for file in files.values()])
    classical = {name: strength for name in images if build.arm(name).classical}
    return _written({
        run.folder.predictions: rows_where(table, table["split"] == "test").drop(columns="split"),
        run.folder.validation_predictions: rows_where(table, table["split"] == "val").drop(columns="split"),
        run.folder.arms: arms_table(images, run.recipe, classical),
        run.folder.attributes: attributes_of(judged["test"].rows, skin_angles(judged["test"])),
    })  # fmt: skip


def predicted_columns(class_names: Sequence[str]) -> list[str]:
    """Return the columns of predictions.csv."""
    return ["arm", "seed", "row_id", "group", "label", *(f"p_{name}" for name in class_names)]


def skin_angles(images: Images) -> dict[str, float]:
    """Return the individual typology angle of photographs of skin, by row_id; empty for other images."""
    if images.shape[0] != 3 or any(row.modality not in PHOTOGRAPHS for row in images.rows):
        return {}
    angles = {}
    for position, row in enumerate(images.rows):
        batch = images.batch([position])
        mask = None if batch.mask is None else batch.mask[0, 0].numpy()
        angles[row.row_id] = typology_angle_degrees(batch.image[0].numpy(), mask)
    return angles


def _basis(run: Run[Recipe]) -> str:
    """Digest of what all classifiers of the study depend on."""
    return digest(
        run.folder.manifest, weights.training_settings(run.recipe), weights.data_settings(run.recipe), run.recipe.seed
    )


def _key(name: str, rows: Sequence[ManifestRow], strength: str, run: Run[Recipe]) -> str:
    """Digest of what the classifiers of an arm depend on; a synthetic image's path tells what drew it."""
    arm = build.arm(name)
    drawn = [row.image_path for row in rows if row.source == "synthetic"]
    return digest(_basis(run), asdict(arm), strength if arm.classical else "", drawn)


def _predictions(
    name: str, seed: int, train: Images, judged: dict[str, Images], strength: str, recipe: Recipe
) -> pd.DataFrame:
    """Train one classifier and let it judge: one row per test and validation image."""
    own_seed = child_seed(recipe.seed, "classify", seed)
    network = train_classifier(recipe, build.arm(name), train, own_seed, strength=strength)
    tables = []
    for split, images in judged.items():
        known = {
            "split": split,
            "arm": name,
            "seed": seed,
            "row_id": [row.row_id for row in images.rows],
            "group": [row.group for row in images.rows],
            "label": [row.label for row in images.rows],
        }
        # single precision: the log of a small probability keeps its digits, which rounding to 6 decimals would not
        probabilities = predict(network, images, batch_size=recipe.classifier.batch_size).astype(np.float32)
        tables.append(
            pd.DataFrame(known | {f"p_{label}": probabilities[:, k] for k, label in enumerate(images.class_names)})
        )
    return pd.concat(tables)


def _written(tables: dict[Path, pd.DataFrame]) -> list[Path]:
    for path, table in tables.items():
        write_table(table, path)
    return list(tables)


def _asks(run: Run[Recipe]) -> list[Work]:
    settings = run.recipe.classifier
    arms, trials = len(settings.arms) + len(settings.ratios), len(build.CLASSICAL) * (settings.classical == AUTO)
    return [weights.classifier_work(run, times=arms * settings.seeds + trials)]


STAGE = Stage("classify", "training classifiers with and without synthetic images", _inputs, _work, _check, _asks)
