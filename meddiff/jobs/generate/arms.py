"""Which arms a study has, and which images each of them trains on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

import pandas as pd
from rich.console import Console

from meddiff import build
from meddiff.errors import InputError
from meddiff.jobs.generate.filter import accepted
from meddiff.jobs.generate.synthesize import wanted
from meddiff.jobs.manifest import class_names_of, rows_of
from meddiff.manifest.manifest_row import ManifestRow
from meddiff.recipe import Recipe
from meddiff.run import RunFolder

Images = dict[str, list[ManifestRow]]
"""Arm -> the rows that it trains on."""


def images_of_arms(recipe: Recipe, folder: RunFolder, console: Console) -> Images:
    """The arms that there are images for, with these; says which are left out, and what falls short.

    Raises:
        InputError: no arm is left.
    """
    kept = accepted(folder)
    asked = build.arms_of(recipe)
    arms = [name for name in asked if kept or not build.arm(name).synthetic]
    advice = "Train the denoiser for longer (--training.steps) or lower --filter.confidence"
    if not arms:
        raise InputError(
            f"the filter kept no synthetic image: nothing to train {', '.join(asked)} on. {advice}, or add the arm real"
        )
    if left_out := [name for name in asked if name not in arms]:
        console.print(
            f"the filter kept no synthetic image: {', '.join(left_out)} left out. {advice}", soft_wrap=True
        )  # fmt: skip
    unseen = [name for name in class_names_of(recipe, folder) if name not in {row.label for row in kept}]
    for name in arms:
        if unseen and build.arm(name).synthetic and not build.arm(name).real:
            console.print(f"{name}: no image of {', '.join(unseen)}, of which the filter kept none", soft_wrap=True)
    images = {name: training_rows(build.arm(name), recipe, folder) for name in arms}
    return _without_repeats(images, recipe, folder, console)


def training_rows(arm: build.Arm, recipe: Recipe, folder: RunFolder) -> list[ManifestRow]:
    """The images an arm trains on: real, synthetic, or real with synthetic ones that fill up or keep to a ratio."""
    real = rows_of(recipe, folder, "train")
    if not arm.synthetic:
        return real
    room = _room(arm, real, wanted(recipe, folder))
    offered: dict[str, list[ManifestRow]] = defaultdict(list)
    for row in accepted(folder):
        offered[row.label or ""].append(row)
    chosen = [row for label, count in room.items() for row in offered[label][:count]]
    return [*real, *chosen] if arm.real else chosen


def arms_table(images: Images, recipe: Recipe, strengths: Mapping[str, str]) -> pd.DataFrame:
    """What each arm was trained on: arm, ratio (asked for), n_real, n_synthetic, steps, n_seeds, augmentation.

    ``strengths`` name the classical augmentation of the arms that have one.
    """
    records = []
    for name, rows in images.items():
        synthetic = sum(row.source == "synthetic" for row in rows)
        flips = "flips" if build.arm(name).flips else "none"
        records.append(
            {"arm": name, "ratio": build.arm(name).ratio, "n_real": len(rows) - synthetic, "n_synthetic": synthetic,
             "steps": recipe.classifier.steps, "n_seeds": recipe.classifier.seeds,
             "augmentation": strengths.get(name, flips)}
        )  # fmt: skip
    return pd.DataFrame(records)


def _room(arm: build.Arm, real: list[ManifestRow], full: Mapping[str, int]) -> dict[str, int]:
    """How many synthetic images of each class the arm has room for."""
    have = Counter(row.label or "" for row in real)
    if arm.ratio is not None:
        return {label: round(arm.ratio * have[label]) for label in full}
    return {label: max(0, count - have[label] * arm.real) for label, count in full.items()}


def _without_repeats(images: Images, recipe: Recipe, folder: RunFolder, console: Console) -> Images:
    """The arms without those ratios that no more images are left for; says where a ratio was not reached."""
    real = len(rows_of(recipe, folder, "train"))
    found: Images = {}
    most = real
    for name, rows in images.items():
        ratio = build.arm(name).ratio
        if ratio is not None:
            reached = f"a ratio of {len(rows) / real - 1:.2g}"
            if len(rows) == most:
                console.print(
                    f"{name} left out: the filter kept no more images than for {reached}. Draw more with "
                    "--synthesis.oversample", soft_wrap=True
                )  # fmt: skip
                continue
            if len(rows) < (1 + ratio) * real - len(class_names_of(recipe, folder)):
                console.print(f"{name}: the filter kept images for {reached} only; all are used", soft_wrap=True)
            most = len(rows)
        found[name] = rows
    return found
