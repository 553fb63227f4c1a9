"""The arms of a study, and the images that each of them trains on.

How strong the classical augmentation may be: what synthetic images are compared with must not be a weak opponent.

One classifier of real images per strength, trained with a seed that the study does not use, and judged on the
validation images; the best one's strength is that of all classical arms. Measured on phantoms (563 training images of
32 px, 3 seeds, balanced accuracy on 78 validation images after 600 steps): flips alone 0.85, crops of 0.8 of the area
0.87, of 0.4 0.85; the same with the colors of Perez et al. 2018 0.71 and 0.60, because there color tells the classes
apart (benchmarks/classical_baseline.py).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console

from meddiff import build
from meddiff.batches.images import Images
from meddiff.errors import InputError
from meddiff.files.long_tables import read_table, write_table
from meddiff.jobs.generate.filter import accepted
from meddiff.jobs.generate.synthesize import wanted
from meddiff.jobs.progress import progress
from meddiff.jobs.weights import train_classifier
from meddiff.manifest.row import ManifestRow
from meddiff.metrics.classifiers.discrimination import balanced_accuracy
from meddiff.recipe import Recipe
from meddiff.run import Run
from meddiff.seeds import child_seed
from meddiff.training.apply import predict

RowsOfArms = dict[str, list[ManifestRow]]
"""Arm -> the rows that it trains on."""


def images_of_arms(run: Run[Recipe]) -> RowsOfArms:
    """Choose the arms that there are images for; say which are left out, and what falls short.

    Raises:
        InputError: no arm is left.
    """
    kept = accepted(run)
    asked = build.arms_of(run.recipe)
    arms = [name for name in asked if kept or not build.arm(name).synthetic]
    advice = "Train the denoiser for longer (--training.steps) or lower --filter.confidence"
    if not arms:
        raise InputError(
            f"the filter kept no synthetic image: nothing to train {', '.join(asked)} on. {advice}, or add the arm real"
        )
    if left_out := [name for name in asked if name not in arms]:
        run.console.print(
            f"the filter kept no synthetic image: {', '.join(left_out)} left out. {advice}", soft_wrap=True
        )  # fmt: skip
    unseen = [name for name in run.classes if name not in {row.label for row in kept}]
    alone = [name for name in arms if build.arm(name).synthetic and not build.arm(name).real]
    if unseen and alone:
        sentence = f"{', '.join(alone)}: no image of {', '.join(unseen)}, of which the filter kept none"
        run.console.print(sentence, soft_wrap=True)
    images = {name: training_rows(build.arm(name), kept, run) for name in arms}
    return _without_repeats(images, run)


def training_rows(arm: build.Arm, kept: Sequence[ManifestRow], run: Run[Recipe]) -> list[ManifestRow]:
    """Return the images an arm trains on: real, synthetic, or real with synthetic ones that fill up or keep to a ratio.

    ``kept`` are the synthetic images that passed the filter.
    """
    real = list(run.of("train"))
    if not arm.synthetic:
        return real
    room = _room(arm, real, wanted(run))
    offered: dict[str, list[ManifestRow]] = defaultdict(list)
    for row in kept:
        offered[row.label or ""].append(row)
    chosen = [row for label, count in room.items() for row in offered[label][:count]]
    return [*real, *chosen] if arm.real else chosen


def arms_table(images: RowsOfArms, recipe: Recipe, strengths: Mapping[str, str]) -> pd.DataFrame:
    """List what each arm was trained on: arm, ratio (asked for), n_real, n_synthetic, steps, n_seeds, augmentation.

    ``strengths`` name the classical augmentation of the arms that have one.
    """
    records = []
    for name, rows in images.items():
        synthetic = sum(row.source == "synthetic" for row in rows)
        flips = "flips" if build.arm(name).flips and build.augmentation(recipe) else "none"
        records.append(
            {"arm": name, "ratio": build.arm(name).ratio, "n_real": len(rows) - synthetic, "n_synthetic": synthetic,
             "steps": recipe.classifier.steps, "n_seeds": recipe.classifier.seeds,
             "augmentation": strengths.get(name, flips)}
        )  # fmt: skip
    return pd.DataFrame(records)


def _room(arm: build.Arm, real: list[ManifestRow], full: Mapping[str, int]) -> dict[str, int]:
    """Count the synthetic images of each class that the arm has room for."""
    have = Counter(row.label or "" for row in real)
    if arm.ratio is not None:
        return {label: round(arm.ratio * have[label]) for label in full}
    return {label: max(0, count - have[label] * arm.real) for label, count in full.items()}


def _without_repeats(images: RowsOfArms, run: Run[Recipe]) -> RowsOfArms:
    """Return the arms without those ratios that no more images are left for; says where a ratio was not reached."""
    real = len(run.of("train"))
    kept: RowsOfArms = {}
    most, repeats = real, []
    for name, rows in images.items():
        ratio = build.arm(name).ratio
        if ratio is not None:
            reached = f"a ratio of {len(rows) / real - 1:.2g}"
            if len(rows) == most:
                repeats.append(name)
                continue
            if len(rows) < (1 + ratio) * real - len(run.classes):
                run.console.print(f"{name}: the filter kept images for {reached} only; all are used", soft_wrap=True)
            most = len(rows)
        kept[name] = rows
    if repeats:
        run.console.print(
            f"{', '.join(repeats)} left out: the filter kept no more images than for a ratio of {most / real - 1:.2g}. "
            "Draw more with --synthesis.oversample", soft_wrap=True
        )  # fmt: skip
    return kept


COLUMNS = ("strength", "balanced_accuracy")
AUTO = "auto"


def strength_of(recipe: Recipe, train: Images, held_out: Images, part: Path, console: Console) -> str:
    """Return the strength that the recipe names, or the best on the validation images: the first of several equal ones.

    ``part`` is the table that the comparison is written to, and read from where it stands.
    """
    if recipe.dimensions == 3 or not any(build.arm(name).classical for name in recipe.classifier.arms):
        return "strong"  # nothing is asked: volumes have one strength
    if recipe.classifier.classical != AUTO:
        return recipe.classifier.classical
    if not part.is_file():
        write_table(_compared(recipe, train, held_out, console), part)
    table = read_table(part, COLUMNS)
    scores = dict(zip(table["strength"], table["balanced_accuracy"], strict=True))
    best = max(scores, key=scores.__getitem__)
    shown = ", ".join(f"{strength} {value:.3f}" for strength, value in scores.items())
    console.print(f"classical augmentation: {best} (validation balanced accuracy: {shown})", soft_wrap=True)
    return best


def _compared(recipe: Recipe, train: Images, held_out: Images, console: Console) -> pd.DataFrame:
    seed = child_seed(recipe.seed, "classify", "classical strength")
    arm = build.ARMS["real_classical"]
    choices, records = build.classical_choices(recipe), []
    with progress(console, unit="classifiers") as shown:
        task = shown.add_task("choosing the classical augmentation", total=len(choices), note="")
        for strength in choices:
            network = train_classifier(recipe, arm, train, seed, strength=strength)
            probabilities = predict(network, held_out, batch_size=recipe.classifier.batch_size)
            records.append(
                {"strength": strength, "balanced_accuracy": balanced_accuracy(held_out.labels, probabilities)}
            )
            shown.advance(task)
    return pd.DataFrame(records)
