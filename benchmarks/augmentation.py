"""What does a wrong augmentation cost? One policy after another, on images that have a side that is up.

    python benchmarks/augmentation.py --hippocampus Task04_Hippocampus --brain_tumor brain-tumor-4class --out runs/pol

A U-Net of masks on slices of the hippocampus (mean Dice of both classes, over the slices of the patients held out that
show them), and a classifier of brain tumors (balanced accuracy on the validation images); as many steps, the same
images and seeds for each policy. ``auto`` is what the recipe chooses.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from meddiff import build
from meddiff.build.models import new_model, optimization
from meddiff.build.segmenting import batches
from meddiff.command_line import AUGMENT, SEGMENT, parse_recipe
from meddiff.jobs import job
from meddiff.jobs.splits import labeled, mask_classes, masked
from meddiff.jobs.weights import train_classifier
from meddiff.metrics.classifiers.discrimination import balanced_accuracy
from meddiff.metrics.masks.overlap import overlap
from meddiff.recipe import Recipe, SegmentRecipe
from meddiff.run import Run
from meddiff.seeds import child_seed
from meddiff.training.apply import predict
from meddiff.training.fabric import build_fabric
from meddiff.training.loop import seeds_of, train
from meddiff.training.state import build_state

UNET = "unet"


def with_policy(recipe, policy: str):
    """The recipe with another augmentation."""
    return replace(recipe, training=replace(recipe.training, augment=policy))


def dice_of(run: Run[SegmentRecipe], policy: str, seed: int) -> float:
    """Train the U-Net to the end, and judge it on the slices of held-out patients that show a class."""
    recipe, images = with_policy(replace(run.recipe, seed=seed), policy), masked(run, "train")
    model, fabric = new_model(recipe, UNET, images.shape[0], mask_classes(run)), build_fabric()
    steps = optimization(recipe.training)
    state = build_state(model.network, model.objective, fabric, steps, ema_decay=recipe.training.ema_decay)
    drawn = batches(images, recipe, child_seed(seed, "training", "images"), 0, 1)
    for _ in train(state, drawn, steps, seeds=seeds_of(seed), augment=build.augmentation(recipe)):
        pass
    segmenter, held_out, scores = model.ready(state.ema.network, fabric), masked(run, "test"), []
    for number in range(len(held_out)):
        batch = held_out.batch([number])
        if batch.mask is None or not batch.mask.any():
            continue
        called = segmenter.members(batch.image[0], [0]).mean(0).argmax(0).numpy()
        truth = batch.mask[0, 0].numpy()
        scores.append([overlap(truth == value, called == value).dice for value in np.unique(truth) if value])
    return float(np.mean([np.mean(one) for one in scores]))


def accuracy_of(run: Run[Recipe], policy: str, seed: int) -> float:
    """Train the classifier of the study, and judge it on the validation images."""
    held_out = labeled(run, "val")
    network = train_classifier(run.recipe, build.arm("real_classical"), labeled(run, "train"), seed, strength=policy)
    return balanced_accuracy(held_out.labels, predict(network, held_out, batch_size=256))


def show(title: str, run: Run, policies, measure, seeds: int) -> None:
    """Print a line per policy."""
    print(f"{title}; auto is {run.recipe.training.augment}", flush=True)
    for policy in policies:
        values = [measure(run, policy, seed) for seed in range(seeds)]
        print(f"  {policy:8s} {np.mean(values):.3f}  ({', '.join(f'{value:.3f}' for value in values)})", flush=True)


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hippocampus", help="folder of the Decathlon's task 4")
    parser.add_argument("--brain_tumor", help="folder of the four classes")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--steps", type=int, default=250, help="optimizer steps of the U-Net (%(default)s)")
    parser.add_argument("--classifier_steps", type=int, default=240, help="those of the classifier (%(default)s)")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each (%(default)s)")
    parser.add_argument("--policies", nargs="+", help="some of them; all by default")
    given = parser.parse_args()
    if given.hippocampus:
        words = [f"--training.steps={given.steps}", "--preset=quick", "--data.image_size=48", "--dataset=hippocampus",
                 f"--data_root={given.hippocampus}", f"--out={given.out}/hippocampus"]  # fmt: skip
        run = job.run(parse_recipe("segment", "", words, SEGMENT), "manifest")
        policies = given.policies or build.POLICIES
        show(f"Hippocampus: mean Dice, U-Net, {given.steps} steps", run, policies, dice_of, given.seeds)
    if given.brain_tumor:
        words = ["--dataset=brain_tumor", f"--data_root={given.brain_tumor}", f"--out={given.out}/brain_tumor",
                 "--preset=quick", "--data.image_size=48", "--classifier.batch_size=32",
                 f"--classifier.steps={given.classifier_steps}"]  # fmt: skip
        run = job.run(parse_recipe("augment", "", words, AUGMENT), "manifest")
        show(f"Brain tumors: balanced accuracy, {given.classifier_steps} steps", run,
             given.policies or list(build.CLASSICAL), accuracy_of, given.seeds)  # fmt: skip


if __name__ == "__main__":
    main()
