"""How few calls of the network are enough? Samplers by their steps, and students that were taught to draw in a few.

    OMP_NUM_THREADS=1 python benchmarks/few_steps.py --out runs/few-steps

A generator of drawn dermoscopy is trained, then students of it (`diffusion.teacher`) in as many steps. Each draws the
same classes from the same seeds; the figures are those of `learning`: the share of images whose label a classifier of
real images names, and the Frechet distance of its features to held-out images, of as many disjoint sets of images as
there are repeats: mean and standard deviation. A guided step is two calls of the network, a step of a student is one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from learning import balanced
from rich.console import Console
from torch import nn

from meddiff import build
from meddiff.batches.images import Images
from meddiff.command_line import AUGMENT, parse_recipe
from meddiff.diffusion.condition import Condition
from meddiff.inference.sampling import ImageDenoiser, Sampling, generate
from meddiff.jobs import job
from meddiff.jobs.generate.filter import judge_of
from meddiff.metrics.images.fidelity import frechet_distance
from meddiff.recipe import Recipe
from meddiff.run import Run
from meddiff.seeds import child_seed
from meddiff.trained import load_generator
from meddiff.training.apply import features

SAMPLERS = ("ddim", "dpm_solver", "unipc", "heun")
CALLS_OF_A_STEP = {"heun": 2}


@dataclass(frozen=True)
class Judge:
    """A classifier of real images and what it sees in held-out ones."""

    network: nn.Module
    reference: np.ndarray
    per_class: int
    repeats: int

    @classmethod
    def of(cls, run: Run[Recipe], per_class: int, repeats: int) -> Judge:
        """Take the classifier that the run's filter has trained."""
        real = build.images([*run.of("val"), *run.of("test")], run.recipe, run.classes)
        network = judge_of(run, real).eval()
        return cls(network, features(network, real, batch_size=64)[balanced(real)], per_class, repeats)

    @torch.inference_mode()
    def line(self, model: ImageDenoiser, drawing: Sampling) -> str:
        """Draw by a sampling, and say what the classifier sees."""
        found = [self._set(model, drawing, number) for number in range(self.repeats)]
        right, distance = np.array(found).T
        return f"{right.mean():>10.1%}  {distance.mean():>8.2f} +- {distance.std(ddof=1):.2f}"

    def _set(self, model: ImageDenoiser, drawing: Sampling, number: int) -> tuple[float, float]:
        classes = len(model.class_names)
        labels = torch.arange(classes).repeat_interleave(self.per_class)
        seeds = [child_seed(number, "few steps", place) for place in range(len(labels))]
        task = build.task(Recipe(), channels=model.shape[0], num_classes=classes)
        device = next(model.denoiser.parameters()).device
        batches = generate(model.denoiser, task, drawing, told=Condition(label=labels), seeds=seeds, shape=model.shape,
                           batch_size=70, device=device)  # fmt: skip
        drawn = torch.cat(list(batches))
        right = (self.network(drawn).argmax(1) == labels).float().mean()
        return float(right), frechet_distance(self.reference, self.network.features(drawn).numpy())

    def real(self, images: Images) -> str:
        """Say the same of real training images, as many of each class as of the rarest."""
        seen = features(self.network, images, batch_size=64)[balanced(images)]
        return f"{'':10}  {frechet_distance(self.reference, seen):>8.2f} ({len(seen)} real training images)"


def ways(model: ImageDenoiser, most: int) -> Iterator[tuple[str, int, Sampling]]:
    """Yield every sampler at every number of calls."""
    each = 1 if model.drawing.guidance in (0, 1) else 2
    for name in SAMPLERS:
        calls = CALLS_OF_A_STEP.get(name, 1)
        for steps in (2, 4, 8, 16, 32, 64):
            if steps * calls <= most:
                yield name, steps * calls * each, replace(model.drawing, sampler=build.SAMPLERS[name], steps=steps)


def main() -> None:
    """Train a teacher and its students, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--steps", type=int, default=600, help="training steps of the teacher (%(default)s)")
    parser.add_argument("--student-steps", type=int, default=250, help="training steps of a student (%(default)s)")
    parser.add_argument("--students", type=int, nargs="+", default=[4, 2], help="calls of the students (%(default)s)")
    parser.add_argument("--per-class", type=int, default=30, help="images drawn per class and repeat (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="disjoint sets of drawn images (%(default)s)")
    given = parser.parse_args()
    words = (f"--dataset phantom --preset quick --data.phantom_images 600 --filter.confidence 0 --training.steps "
             f"{given.steps} --synthesis.per_class 8 --out {given.out / 'teacher'}")  # fmt: skip
    recipe = parse_recipe("augment", "", words.split(), AUGMENT)
    run = job.run(recipe, until="filter", console=Console(quiet=True))
    judge, teacher = Judge.of(run, given.per_class, given.repeats), load_generator(given.out / "teacher").model
    print("drawn by        network calls  label right  Frechet distance", flush=True)
    print(f"real images              0   {judge.real(build.images(run.of('train'), recipe, run.classes))}", flush=True)
    for name, calls, drawing in ways(teacher, most=64):
        print(f"{name:14}  {calls:>12}   {judge.line(teacher, drawing)}", flush=True)
    for calls in given.students:
        student = replace(
            recipe,
            out=str(given.out / f"student-{calls}"),
            training=replace(recipe.training, steps=given.student_steps),
            diffusion=replace(recipe.diffusion, teacher=str(given.out / "teacher"), teacher_strides=16 // calls),
            synthesis=replace(recipe.synthesis, sampler="ddim", guidance=1.0, steps=calls),
        )
        job.run(student, until="train", console=Console(quiet=True))
        model = load_generator(given.out / f"student-{calls}").model
        print(f"student         {calls:>12}   {judge.line(model, model.drawing)}", flush=True)


if __name__ == "__main__":
    main()
