"""Do the volumes of a run look like real ones? Statistics of voxels, where anybody can say what each of them means.

    python benchmarks/generated_volumes.py --run runs/hippocampus_volumes-quick --data-root Task04_Hippocampus

Real volumes of the validation and test splits, the run's synthetic ones before any filter, and those of the untrained
network (same seeds, labels and sampler) are described by ten numbers each. The Frechet distance in these, scaled by the
spread of the training volumes, is printed for all three against the training volumes: what held-out volumes have is
what can be reached. Then how near each comes to a training volume.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import yaml

from meddiff import build
from meddiff.batches.images import Images
from meddiff.diffusion.condition import Condition
from meddiff.inference.sampling import generate
from meddiff.jobs import weights
from meddiff.jobs.generate.encode import learned
from meddiff.jobs.generate.filter import compared
from meddiff.jobs.splits import labeled
from meddiff.manifest.table import read_manifest
from meddiff.metrics.images.fidelity import frechet_distance
from meddiff.metrics.images.memorization import nearest_image
from meddiff.recipe import Recipe, from_dict
from meddiff.run import Run, RunFolder
from meddiff.training.fabric import build_fabric

NAMES = ("mean", "deviation", "5%", "50%", "95%", "air", "edges", "coarse edges", "neighbors", "left-right")

AIR = -0.9  # in the model's range; what a network draws as air is never quite -1
SMALLEST_SPREAD = 0.02
"""Of a statistic among training volumes: z-scoring makes their means alike to a thousandth, which nobody sees."""


def statistics(volume: np.ndarray) -> np.ndarray:
    """Ten numbers of a volume [C, D, H, W] in [-1, 1]; those of intensity are of its tissue, all above AIR."""
    voxels = volume[0].astype(np.float64)
    tissue = voxels[voxels > AIR]
    tissue = tissue if len(tissue) > 1 else voxels.ravel()
    coarse = voxels[::4, ::4, ::4]
    edges = [np.mean([np.abs(np.diff(values, axis=axis)).mean() for axis in range(3)]) for values in (voxels, coarse)]
    neighbors, sides = correlation(voxels[:-1], voxels[1:]), correlation(voxels, voxels[::-1])
    percentiles = np.percentile(tissue, (5, 50, 95))
    return np.array([tissue.mean(), tissue.std(), *percentiles, (voxels <= AIR).mean(), *edges, neighbors, sides])


def correlation(one: np.ndarray, two: np.ndarray) -> float:
    """Of the voxels of two arrays; 1 where an array is even, as an untrained network's is."""
    even = one.std() == 0 or two.std() == 0
    return 1.0 if even else float(np.corrcoef(one.ravel(), two.ravel())[0, 1])


def described(images: Images) -> np.ndarray:
    """The statistics [N, 10] of all volumes."""
    return np.stack([statistics(images.batch([number]).image[0].numpy()) for number in range(len(images))])


@torch.inference_mode()
def untrained(run: Run[Recipe], images: Images, labels: list[int], seeds: list[int]) -> np.ndarray:
    """What the network draws before it has learned anything: statistics [N, 10]."""
    model, recipe = weights.new_model(run, images), run.recipe
    fresh = model.ready(model.network, build_fabric(precision=recipe.training.precision))
    settings = {"shape": images.shape, "batch_size": recipe.synthesis.batch_size, "device": torch.device("cpu")}
    sampling = build.sampling(recipe)
    told = Condition(label=torch.tensor(labels))
    batches = generate(fresh, weights.drawing_task(run, images), sampling, told=told, seeds=seeds, **settings)
    return np.stack([statistics(volume.numpy()) for batch in batches for volume in batch])


def main() -> None:
    """Describe a run's volumes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="a run folder of meddiff.pipelines.augment")
    parser.add_argument("--data-root", default="", help="where the real volumes lie, if elsewhere than for the run")
    parser.add_argument("--untrained", type=int, default=40, help="volumes of the untrained network (%(default)s)")
    given = parser.parse_args()
    folder = RunFolder(given.run)
    recipe = from_dict(Recipe, yaml.safe_load(folder.recipe.read_text()))
    recipe = replace(recipe, data_root=given.data_root or recipe.data_root)
    run = Run(recipe, folder)
    names, train, held_out = run.classes, labeled(run, "train"), [*run.of("val"), *run.of("test")]
    synthetic_rows = read_manifest(folder.synthetic_manifest)
    sets = {"held-out real": held_out, "synthetic": synthetic_rows}
    images = {name: build.images(rows, recipe, names) for name, rows in sets.items()}
    reference = described(train)
    some = synthetic_rows[:: max(1, len(synthetic_rows) // given.untrained)]
    found = {name: described(part) for name, part in images.items()}
    found["untrained"] = untrained(run, learned(run), [names.index(row.label or "") for row in some],
                                   [row.seed or 0 for row in some])  # fmt: skip
    scale = np.maximum(reference.std(0), SMALLEST_SPREAD)
    print(f"{'':16}{'n':>5} {'Frechet':>9}  " + "".join(f"{name:>13}" for name in NAMES))
    for name, values in {"training real": reference, **found}.items():
        distance = "" if values is reference else f"{frechet_distance(reference / scale, values / scale):9.2f}"
        print(f"{name:16}{len(values):5} {distance:>9}  " + "".join(f"{value:13.3f}" for value in values.mean(0)))
    references = compared(train)
    for name, part in images.items():
        distance, _, _ = nearest_image(compared(part), references)
        print(f"nearest training volume, {name}: median {np.median(distance):.3f}, smallest {distance.min():.3f}")


if __name__ == "__main__":
    main()
