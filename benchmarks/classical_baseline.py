"""How strong may classical augmentation be? Arms of real images alone, by crop and color, on the validation split.

    python benchmarks/classical_baseline.py --run runs/isic-phantom-quick --steps 130 1000 --seeds 3

Synthetic images have to beat classical augmentation, so it must not be a weak opponent. Each line trains the run's own
classifier on its real training images with one augmentation, and prints the mean balanced accuracy over the seeds on
the validation split (by which a strength may be chosen) and on the test split (which is only shown).
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from learning import recipe_of

from meddiff.batches.turns import MEDIUM, Strength, classical_augmentation, flip_rotate90
from meddiff.jobs import weights
from meddiff.jobs.splits import labeled
from meddiff.metrics.classifiers.discrimination import balanced_accuracy
from meddiff.run import Run, RunFolder
from meddiff.training.apply import predict
from meddiff.training.optimization import Optimization
from meddiff.training.study_classifier import class_batches, train_classifier

STRENGTHS = {
    "turns, colors of 0.3": Strength(1.0, 0.3, 0.1),
    "crops of 0.8": Strength(0.8, 0.0, 0.0),
    "the same, colors of 0.1": MEDIUM,
    "the same, colors of 0.3": Strength(0.8, 0.3, 0.1),
    "crops of 0.4": Strength(0.4, 0.0, 0.0),
    "the same, colors of 0.3 ": Strength(0.4, 0.3, 0.1),
}
AUGMENTATIONS = {"none": None, "flips": flip_rotate90} | {
    name: partial(classical_augmentation, strength=strength) for name, strength in STRENGTHS.items()
}


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="a run folder of meddiff.pipelines.augment")
    parser.add_argument("--steps", type=int, nargs="+", default=[130], help="optimizer steps (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind (%(default)s)")
    parser.add_argument("--balanced", action="store_true", help="draw all classes alike")
    given = parser.parse_args()
    folder = RunFolder(given.run)
    recipe = recipe_of(folder)
    run = Run(recipe, folder)
    sets = {split: labeled(run, split) for split in ("train", "val", "test")}
    print(f"{len(sets['train'])} training, {len(sets['val'])} validation, {len(sets['test'])} test images")
    for steps in given.steps:
        for name, augment in AUGMENTATIONS.items():
            found = []
            for seed in range(given.seeds):
                told = recipe.classifier
                network = train_classifier(
                    weights.new_classifier(recipe, sets["train"], seed),
                    class_batches(sets["train"], batch_size=told.batch_size, seed=seed, class_balance=given.balanced),
                    Optimization(steps, told.learning_rate, told.weight_decay, decay="cosine_from_first"),
                    seed=seed,
                    augment=augment,
                    precision=recipe.training.precision,
                )
                found.append([balanced_accuracy(sets[split].labels, predict(network, sets[split], batch_size=256))
                              for split in ("val", "test")])  # fmt: skip
            (val, test), spread = np.mean(found, 0), np.std(found, 0)[0]
            print(f"{steps:5d} steps, {name:24s} validation {val:.3f} (sd {spread:.3f})  test {test:.3f}", flush=True)


if __name__ == "__main__":
    main()
