"""Stage 5: classifiers with and without synthetic images, all judged on the same held-out real images.

Every arm gets the same number of optimizer steps. Each (arm, seed) is written as soon as it is trained, so a killed
run goes on with the next one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console

from meddiff import assembly
from meddiff.data.batch import Labeled
from meddiff.data.manifest import ManifestRow
from meddiff.data.tables import read_table, write_table
from meddiff.errors import InputError
from meddiff.pipelines.stages import model
from meddiff.pipelines.stages.filter import accepted
from meddiff.pipelines.stages.manifest import class_names_of, need, rows_of
from meddiff.pipelines.stages.progress import progress
from meddiff.pipelines.stages.stage import Stage
from meddiff.pipelines.stages.synthesize import wanted
from meddiff.recipe import Recipe, to_dict
from meddiff.run_folder import RunFolder, digest
from meddiff.seeds import child_seed
from meddiff.training.classifier_loop import predict, train_classifier


def _inputs(recipe: Recipe, folder: RunFolder) -> str:
    return digest(folder.filter, folder.manifest, to_dict(recipe.classifier), model.data_settings(recipe), recipe.seed)


def _check(recipe: Recipe, folder: RunFolder) -> None:
    need(recipe, folder, "test", "on which the classifiers are judged")


def _run(recipe: Recipe, folder: RunFolder, console: Console) -> list[Path]:
    names = class_names_of(recipe, folder)
    test = assembly.images(rows_of(recipe, folder, "test"), recipe, names)
    parts = folder.path / "predictions" / _inputs(recipe, folder)
    runs = [(name, seed) for seed in range(recipe.classifier.seeds) for name in possible_arms(recipe, folder, console)]
    with progress(console, unit="classifiers") as shown:
        task = shown.add_task("training classifiers", total=len(runs), note="")
        for name, seed in runs:
            shown.update(task, note=f"{name}, seed {seed}")
            part = parts / f"{name}-{seed}.csv"
            if not part.is_file():
                write_table(_predictions(name, seed, test, recipe, folder), part)
            shown.advance(task)
        shown.update(task, note="")
    table = pd.concat([read_table(parts / f"{name}-{seed}.csv", predicted_columns(names)) for name, seed in runs])
    write_table(table, folder.predictions)
    return [folder.predictions]


def predicted_columns(class_names: Sequence[str]) -> list[str]:
    """The columns of predictions.csv."""
    return ["arm", "seed", "row_id", "group", "label", *(f"p_{name}" for name in class_names)]


def possible_arms(recipe: Recipe, folder: RunFolder, console: Console) -> list[str]:
    """The arms that there are images for. Those with synthetic images are left out where the filter kept none.

    Raises:
        InputError: no arm is left.
    """
    kept = {row.label for row in accepted(folder)}
    arms = [name for name in recipe.classifier.arms if kept or not assembly.arm(name).synthetic]
    if not arms:
        raise InputError(
            f"the filter kept no synthetic image: nothing to train {', '.join(recipe.classifier.arms)} on. Train the "
            "denoiser for longer (--training.steps), lower --filter.confidence, or add the arm real"
        )
    left_out = [name for name in recipe.classifier.arms if name not in arms]
    if left_out:
        console.print(
            f"the filter kept no synthetic image: {', '.join(left_out)} left out. Train the denoiser for longer "
            "(--training.steps) or lower --filter.confidence", soft_wrap=True
        )  # fmt: skip
    unseen = [name for name in class_names_of(recipe, folder) if name not in kept]
    for name in arms:
        if unseen and assembly.arm(name).synthetic and not assembly.arm(name).real:
            console.print(f"{name}: no image of {', '.join(unseen)}, of which the filter kept none", soft_wrap=True)
    return arms


def _predictions(name: str, seed: int, test: Labeled, recipe: Recipe, folder: RunFolder) -> pd.DataFrame:
    """Train one classifier and let it judge the test images: one row per image."""
    arm, names = assembly.arm(name), list(test.class_names)
    images = assembly.images(training_rows(arm, recipe, folder), recipe, names)
    own_seed = child_seed(recipe.seed, "classify", seed)
    network = train_classifier(
        images, model.new_classifier(recipe, images, own_seed), **model.classifier_settings(recipe, arm, own_seed)
    )
    probabilities = predict(network, test, batch_size=recipe.classifier.batch_size)
    known = {
        "arm": name,
        "seed": seed,
        "row_id": [row.row_id for row in test.rows],
        "group": [row.group for row in test.rows],
        "label": [row.label for row in test.rows],
    }
    return pd.DataFrame(known | {f"p_{label}": probabilities[:, k].round(6) for k, label in enumerate(names)})


def training_rows(arm: assembly.Arm, recipe: Recipe, folder: RunFolder) -> list[ManifestRow]:
    """The images an arm trains on: real, synthetic, or real filled up with synthetic ones."""
    real = rows_of(recipe, folder, "train")
    if not arm.synthetic:
        return real
    have = Counter(row.label for row in real) if arm.real else Counter()
    room = {label: max(0, count - have[label]) for label, count in wanted(recipe, folder).items()}
    offered: dict[str, list[ManifestRow]] = defaultdict(list)
    for row in accepted(folder):
        offered[row.label or ""].append(row)
    chosen = [row for label, count in room.items() for row in offered[label][:count]]
    return [*real, *chosen] if arm.real else chosen


STAGE = Stage("classify", "training classifiers with and without synthetic images", _inputs, _run, _check)
