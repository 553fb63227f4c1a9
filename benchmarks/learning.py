"""Has the denoiser of a run learned what it was shown? Two figures on data where the truth is known.

    python benchmarks/learning.py --run runs/isic-phantom-quick
    python benchmarks/learning.py --run runs/isic-phantom-quick --spacing trailing log_snr --steps 12 25

1. The label decides the picture: the share of synthetic images to which a classifier trained on real images alone
   gives the label that they were drawn for. Chance is 1 / classes.
2. The pictures look like the data: the Frechet and kernel distance of averaged-weight samples to real images of the
   validation and test splits, as a ratio of the same distance for samples of the untrained network with the same
   seeds, labels and sampler. Below 1/2 is asked for.

3. The pictures have the detail of the data: the power that they lack at each spatial frequency, in dB.

Features are those of the run's own classifier, trained on its real images; it has not seen the images compared.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
import yaml

from meddiff import build
from meddiff.batches.images import Images
from meddiff.diffusion.condition import Condition
from meddiff.inference.sampling import generate
from meddiff.jobs import weights
from meddiff.jobs.generate.filter import judge_of
from meddiff.jobs.splits import labeled
from meddiff.metrics.images.fidelity import frechet_distance, kernel_distance
from meddiff.metrics.images.spectrum import radial_power_db
from meddiff.recipe import Recipe, from_dict
from meddiff.run import Run, RunFolder
from meddiff.seeds import child_seed
from meddiff.training.apply import features
from meddiff.training.fabric import build_fabric


@dataclass(frozen=True)
class Learned:
    """What `measure` finds; distances are those of averaged weights, and of untrained ones where they were asked."""

    agreement: float
    agreement_by_class: dict[str, float]
    chance: float
    frechet: tuple[float, ...]
    kernel: tuple[float, ...]
    images: int
    lost_db: np.ndarray
    """[S / 2], at 1, 2 ... cycles per image; below 0 there is too much."""


def recipe_of(folder: RunFolder) -> Recipe:
    """The recipe that a run folder was made with."""
    return from_dict(Recipe, yaml.safe_load(folder.recipe.read_text()))


@torch.inference_mode()
def measure(run: Run[Recipe], *, per_class: int = 40, untrained: bool = True) -> Learned:
    """Draw ``per_class`` images of every class with averaged and, if asked, with untrained weights, and judge them."""
    recipe, names = run.recipe, run.classes
    real = build.images([*run.of("val"), *run.of("test")], recipe, names)
    judge = judge_of(run, real).eval()

    images = labeled(run, "train")
    trained, device = weights.load(run, images)
    denoisers = {"trained": trained}
    if untrained:
        model = weights.new_model(run, images)
        denoisers["untrained"] = model.ready(model.network, build_fabric(precision=recipe.training.precision))
    labels = np.repeat(np.arange(len(names)), per_class)
    drawn = {}
    for which, denoiser in denoisers.items():
        batches = generate(
            denoiser,
            build.task(recipe, channels=images.shape[0], num_classes=len(names)),
            build.sampling(recipe),
            told=Condition(label=torch.from_numpy(labels)),
            seeds=[child_seed(recipe.seed, "learning", number) for number in range(len(labels))],
            shape=images.shape,
            batch_size=recipe.synthesis.batch_size,
            device=device,
        )
        drawn[which] = torch.cat(list(batches))
    right = judge(drawn["trained"]).argmax(1).numpy() == labels
    reference = features(judge, real, batch_size=64)[balanced(real)]
    found = {which: judge.features(images).numpy() for which, images in drawn.items()}
    return Learned(
        agreement=float(right.mean()),
        agreement_by_class={name: float(right[labels == k].mean()) for k, name in enumerate(names)},
        chance=1 / len(names),
        frechet=tuple(frechet_distance(reference, drawn) for drawn in found.values()),
        kernel=tuple(float(kernel_distance(reference, drawn)[0]) for drawn in found.values()),
        images=len(labels),
        lost_db=_power(real.batch(balanced(real)).image) - _power(drawn["trained"]),
    )


def _power(images: torch.Tensor) -> np.ndarray:
    """The mean power of images at each frequency, in dB."""
    return 10 * np.log10((10 ** (radial_power_db(images.float().cpu().numpy()) / 10)).mean(0))


def balanced(images: Images) -> np.ndarray:
    """Positions of as many real images of every class as of the rarest, since the synthetic ones are drawn alike."""
    fewest = np.bincount(images.labels).min()
    return np.concatenate([np.flatnonzero(images.labels == k)[:fewest] for k in range(len(images.class_names))])


def main() -> None:
    """Measure a run and print both figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="a run folder of meddiff.pipelines.augment")
    parser.add_argument("--per-class", type=int, default=40, help="synthetic images drawn per class (%(default)s)")
    parser.add_argument("--spacing", nargs="+", help="where sampler steps lie; those of the run by default")
    parser.add_argument("--steps", type=int, nargs="+", help="how many there are; as in the run by default")
    given = parser.parse_args()
    folder = RunFolder(given.run)
    recipe = recipe_of(folder)
    for spacing, steps in product(given.spacing or [recipe.synthesis.spacing], given.steps or [recipe.synthesis.steps]):
        print(f"{steps} steps, {spacing}", flush=True)
        drawn = replace(recipe.synthesis, spacing=spacing, steps=steps)
        changed = Run(replace(recipe, synthesis=drawn), folder)
        show(measure(changed, per_class=given.per_class, untrained=not (given.spacing or given.steps)))


def show(learned: Learned) -> None:
    """Print the figures."""
    by_class = ", ".join(f"{name} {share:.0%}" for name, share in learned.agreement_by_class.items())
    print(f"label named right in {learned.agreement:.1%} of {learned.images} images, chance {learned.chance:.0%}")
    print(f"by class: {by_class}")
    for name, (ours, *others) in (("Frechet", learned.frechet), ("kernel", learned.kernel)):
        print(
            f"{name} distance: {ours:.3f}" + "".join(f", untrained {one:.3f}, ratio {ours / one:.3f}" for one in others)
        )
    octaves = [2**k for k in range(len(learned.lost_db).bit_length())]
    print("power lost: " + ", ".join(f"{learned.lost_db[k - 1]:.1f} dB at {k}" for k in octaves), flush=True)


if __name__ == "__main__":
    main()
