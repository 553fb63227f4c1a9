"""Which network, and which way of training it, draws the better images after equal processor minutes?

    python benchmarks/networks.py --out runs/networks --minutes 4 --seeds 2 -- --dataset phantom \\
        --preset quick --data.phantom_images 2000

Whatever stands behind -- are settings of `augment` that all candidates share; a candidate is a name and the settings
that it alone has, listed in CANDIDATES or given with ``--candidate "NAME: --setting value ..."``. Each trains on one
thread until it has used its processor time, looked at after each half; what looking costs is not counted.

Two figures per look: the share of drawn images to which a classifier trained on real images alone gives the label that
they were drawn for, and the Frechet distance in the features of that classifier to real images of the validation and
test splits, which no candidate has seen. The distance of real training images is the floor.
"""

from __future__ import annotations

import argparse
import csv
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from meddiff import build
from meddiff.batches.images import Images
from meddiff.build.kind import Model
from meddiff.command_line import AUGMENT, parse_recipe
from meddiff.diffusion.condition import Condition
from meddiff.inference.sampling import generate
from meddiff.jobs import job, weights
from meddiff.jobs.splits import labeled
from meddiff.jobs.train import image_network
from meddiff.metrics.images.fidelity import frechet_distance
from meddiff.networks.classifier import Classifier
from meddiff.recipe import Recipe
from meddiff.run import Run
from meddiff.seeds import child_seed
from meddiff.training.apply import features
from meddiff.training.fabric import build_fabric
from meddiff.training.loop import seeds_of, train
from meddiff.training.state import State, build_state

_EDM = (
    "--network.name edm2 --diffusion.prediction edm --diffusion.min_snr_gamma null --training.times log_normal "
    "--training.warmup_steps 50 --training.decay inverse_sqrt --training.clip_norm 1e6"
)
CANDIDATES = {
    "unet": "",
    "unet v": "--diffusion.prediction v",
    "unet edm": "--diffusion.prediction edm --diffusion.min_snr_gamma null --training.times log_normal",
    "edm2 3e-3": f"{_EDM} --training.learning_rate 3e-3",
    "edm2 1e-2": f"{_EDM} --training.learning_rate 1e-2",
}
"""Name -> settings."""
LOOKS = 2


@dataclass(frozen=True)
class Judge:
    """A classifier of real images, and what it makes of those that it has not seen."""

    classifier: Classifier
    reference: np.ndarray
    floor: float

    def look(self, images: torch.Tensor, labels: np.ndarray) -> tuple[float, float]:
        """The share of labels named right, and the Frechet distance to the reference."""
        with torch.inference_mode():
            right = self.classifier(images).argmax(1).numpy() == labels
            return float(right.mean()), frechet_distance(self.reference, self.classifier.features(images).numpy())


def judge_of(run: Run[Recipe]) -> Judge:
    """Train the judge on the real training images; it is the same for all candidates."""
    recipe, train_images = run.recipe, labeled(run, "train")
    judge = weights.train_classifier(recipe, build.ARMS["real_classical"], train_images, recipe.seed)
    held_out = build.images([*run.of("val"), *run.of("test")], recipe, run.classes)
    sets = [features(judge, images, batch_size=64)[balanced(images)] for images in (held_out, train_images)]
    return Judge(judge, sets[0], frechet_distance(*sets))


def balanced(images: Images) -> np.ndarray:
    """Positions of as many images of every class as of the rarest: the drawn ones are as many of each."""
    fewest = np.bincount(images.labels).min()
    return np.concatenate([np.flatnonzero(images.labels == k)[:fewest] for k in range(len(images.class_names))])


def drawn(run: Run[Recipe], state: State, model: Model, per_class: int) -> tuple[torch.Tensor, np.ndarray]:
    """Draw ``per_class`` images of each class with the averaged weights."""
    recipe, images = run.recipe, labeled(run, "train")
    labels = np.repeat(np.arange(len(run.classes)), per_class)
    batches = generate(
        model.ready(state.ema.network, build_fabric(precision=recipe.training.precision)),
        build.task(recipe, channels=images.shape[0], num_classes=len(run.classes)),
        build.sampling(recipe),
        told=Condition(label=torch.from_numpy(labels)),
        seeds=[child_seed(recipe.seed, "networks", number) for number in range(len(labels))],
        shape=images.shape,
        batch_size=recipe.synthesis.batch_size,
        device=torch.device("cpu"),
    )
    return torch.cat(list(batches)), labels


def candidate(run: Run[Recipe], judge: Judge, minutes: float, per_class: int) -> Iterator[dict[str, float]]:
    """Train one candidate for its processor minutes; one row for each look."""
    training = image_network(run)
    optimization = replace(build.optimization(training.settings), steps=10**7)
    fabric = build_fabric(precision=training.settings.precision)
    model = training.model
    state = build_state(model.network, model.objective, fabric, optimization, ema_decay=training.settings.ema_decay)
    seeds = seeds_of(run.recipe.seed)
    steps = train(state, training.batches(training.images, 0, 1), optimization, seeds=seeds, augment=training.augment)
    looks, spent, losses = 0, 0.0, []
    while looks < LOOKS:
        started = time.process_time()
        step = next(steps)
        spent += time.process_time() - started
        losses.append(float(step.loss))
        if spent >= 60 * minutes * (looks + 1) / LOOKS:
            looks += 1
            right, distance = judge.look(*drawn(run, state, model, per_class))
            yield {"minutes": spent / 60, "step": step.step, "loss": float(np.mean(losses[-100:])), "right": right,
                   "frechet": distance}  # fmt: skip


def main() -> None:
    """Train all candidates, one after the other, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/networks"), help="folder of the data and the table")
    parser.add_argument("--minutes", type=float, default=4, help="processor minutes of each candidate (%(default)s)")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each candidate (%(default)s)")
    parser.add_argument("--per-class", type=int, default=60, help="images drawn of each class (%(default)s)")
    parser.add_argument("--candidate", action="append", default=[], help='"NAME: --setting value ..."')
    parser.add_argument("--only", default="", help="names of the candidates, divided by commas")
    parser.add_argument("shared", nargs=argparse.REMAINDER, help="-- settings of all")
    given = parser.parse_args()
    torch.set_num_threads(1)
    shared = [*given.shared[1:], "--out", str(given.out / "data")]
    base = parse_recipe("networks", "", shared, AUGMENT)
    run = job.run(base, "manifest")
    judge = judge_of(run)
    candidates = CANDIDATES | dict((part.strip() for part in one.split(":", 1)) for one in given.candidate)
    names = [name.strip() for name in given.only.split(",")] if given.only else list(candidates)
    print(f"Frechet distance of real training images: {judge.floor:.2f}")
    rows = []
    for name in names:
        for seed in range(given.seeds):
            words = [*shared, *shlex.split(candidates[name]), "--seed", str(seed)]
            own = replace(run, recipe=parse_recipe("networks", "", words, AUGMENT))
            for row in candidate(own, judge, given.minutes, given.per_class):
                rows.append({"candidate": name, "seed": seed, **row})
                spent, learned = f"{row['minutes']:5.2f} min  {row['step']:6d} steps", f"loss {row['loss']:.4f}"
                print(f"{name:16} seed {seed}  {spent}  {learned}  right {row['right']:.1%}  "
                      f"Frechet {row['frechet']:8.2f}", flush=True)  # fmt: skip
    with (given.out / "networks.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    main()
