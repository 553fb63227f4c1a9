"""How strong the classical augmentation may be: what synthetic images are compared with must not be a weak opponent.

One classifier of real images per strength, trained with a seed that the study does not use, and judged on the
validation images; the best one's strength is that of all classical arms. Measured on phantoms (563 training images of
32 px, 3 seeds, balanced accuracy on 78 validation images after 600 steps): flips alone 0.85, crops of 0.8 of the area
0.87, of 0.4 0.85; the same with the colors of Perez et al. 2018 0.71 and 0.60, because there color tells the classes
apart (benchmarks/classical_baseline.py).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console

from meddiff import build
from meddiff.batches.images import Labeled
from meddiff.files.tables import read_table, write_table
from meddiff.jobs import weights
from meddiff.jobs.progress import progress
from meddiff.metrics.classifiers.discrimination import balanced_accuracy
from meddiff.recipe import Recipe
from meddiff.seeds import child_seed
from meddiff.training.classifier_loop import predict, train_classifier

COLUMNS = ("strength", "balanced_accuracy")
AUTO = "auto"


def strength_of(recipe: Recipe, train: Labeled, held_out: Labeled, part: Path, console: Console) -> str:
    """The strength that the recipe names, or the best on the validation images: the first of several equal ones.

    ``part`` is the table that the comparison is written to, and read from where it stands.
    """
    if recipe.dimensions == 3 or not any(build.arm(name).classical for name in recipe.classifier.arms):
        return "strong"  # nothing is asked: volumes have one strength
    if recipe.classifier.classical != AUTO:
        return recipe.classifier.classical
    if not part.is_file():
        write_table(_compared(recipe, train, held_out, console), part)
    table = read_table(part, COLUMNS)
    found = dict(zip(table["strength"], table["balanced_accuracy"], strict=True))
    best = max(found, key=found.__getitem__)
    told = ", ".join(f"{strength} {value:.3f}" for strength, value in found.items())
    console.print(f"classical augmentation: {best} (validation balanced accuracy: {told})", soft_wrap=True)
    return best


def _compared(recipe: Recipe, train: Labeled, held_out: Labeled, console: Console) -> pd.DataFrame:
    seed = child_seed(recipe.seed, "classify", "classical strength")
    arm = build.ARMS["real_classical"]
    records = []
    with progress(console, unit="classifiers") as shown:
        task = shown.add_task("choosing the classical augmentation", total=len(build.CLASSICAL), note="")
        for strength in build.CLASSICAL:
            settings = weights.classifier_settings(recipe, arm, seed, strength=strength)
            network = train_classifier(train, weights.new_classifier(recipe, train, seed), **settings)
            probabilities = predict(network, held_out, batch_size=recipe.classifier.batch_size)
            records.append(
                {"strength": strength, "balanced_accuracy": balanced_accuracy(held_out.labels, probabilities)}
            )
            shown.advance(task)
    return pd.DataFrame(records)
