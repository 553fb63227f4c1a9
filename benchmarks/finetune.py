"""Fifty images per class: fine-tuned beside trained from scratch, at equal steps, on drawn images.

    OMP_NUM_THREADS=1 python benchmarks/finetune.py --out runs/finetune

A generator is trained on the drawn dermoscopy of one seed, with all its classes. Then three classes of other patients,
fifty training images each, are learned twice in equally many steps: from its weights, and anew. The figures are those
of `learning`: how often a classifier names the label that an image was drawn for, and the Frechet distance to held-out
images, whose features are those of the run's own classifier.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from learning import measure
from rich.console import Console

from meddiff.jobs import job
from meddiff.manifest.row import ManifestRow
from meddiff.manifest.table import write_manifest
from meddiff.recipe import (
    ClassifierRecipe,
    DataRecipe,
    DiffusionRecipe,
    FilterRecipe,
    NetworkRecipe,
    Recipe,
    SynthesisRecipe,
    TrainingRecipe,
)
from meddiff.sources import phantom

SHARES = {"train": 50, "val": 10, "test": 20}
"""Images of each class in each split."""
CLASSES = ("nv", "bkl", "mel")
SMALL = Recipe(
    preset="quick",
    dataset="phantom",
    data=DataRecipe(image_size=16, phantom_images=300),
    network=NetworkRecipe(channels=(32, 64), residual_blocks=1, attention_levels=0, patch_size=2),
    diffusion=DiffusionRecipe(prediction="x_0"),
    synthesis=SynthesisRecipe(steps=10, guidance=2.0, per_class=8, batch_size=40),
    filter=FilterRecipe(confidence=0.0),
    classifier=ClassifierRecipe(width=0.25, steps=100, batch_size=32, learning_rate=2e-3),
)


def chosen(rows: Iterable[ManifestRow]) -> list[ManifestRow]:
    """The first images of each class, split by patient as they come."""
    counts: Counter[tuple[str, str]] = Counter()
    split_of: dict[str, str] = {}
    kept = []
    for row in rows:
        label, patient = row.label or "", row.patient_id or ""
        open_splits = [name for name, most in SHARES.items() if counts[label, name] < most]
        split = split_of.get(patient, open_splits[0] if open_splits else "")
        if label in CLASSES and split in open_splits:
            split_of[patient] = split
            counts[label, split] += 1
            kept.append(replace(row, split=split))
    return kept


def main() -> None:
    """Train three generators and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--source-steps", type=int, default=400, help="steps of the source (%(default)s)")
    parser.add_argument("--steps", type=int, nargs="+", default=[40, 120], help="steps of both others (%(default)s)")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    rows = phantom.write(chosen(phantom.rows("dermoscopy", seed=1, count=1500)), given.out)
    write_manifest(rows, given.out / "fifty.csv")
    common = TrainingRecipe(batch_size=32, learning_rate=2e-3, warmup_steps=10, ema_decay=0.95, class_balance=1.0)

    def run(name: str, until: str, **settings: object) -> object:
        recipe = replace(SMALL, out=str(given.out / name), **settings)  # type: ignore[arg-type]
        return job.run(recipe, until=until, console=Console(quiet=True))

    source = given.out / "source"
    run("source", "train", training=replace(common, steps=given.source_steps))
    print("steps  begun          label named right   Frechet distance (untrained network)", flush=True)
    for steps in given.steps:
        for begun in ("from scratch", "fine-tuned"):
            start = str(source) if begun == "fine-tuned" else ""
            begins = replace(SMALL.diffusion, start_from=start)
            training = replace(common, steps=steps)
            made = run(
                f"{begun}-{steps}", "filter", manifest=str(given.out / "fifty.csv"), training=training, diffusion=begins
            )
            learned = measure(made, per_class=40)  # type: ignore[arg-type]
            ours, untrained = learned.frechet
            print(f"{steps:>5}  {begun:13}  {learned.agreement:>16.1%}   {ours:.2f} ({untrained:.2f})", flush=True)
    print(f"chance {learned.chance:.0%}; {len(rows)} images of {', '.join(CLASSES)}; {learned.images} drawn")


if __name__ == "__main__":
    main()
