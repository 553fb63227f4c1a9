"""Metrics against the libraries one would use otherwise: time on one thread, and whether the figures agree.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py --repeats 3

Times are CPU seconds of this process, medians over the repeats; the rows take turns, so that a busy machine slows
all of them alike. "difference" is the largest relative difference from the first row of the group; where a library
measures another thing the row says so. Inputs are drawn from a seed.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
from metrics_of_sets import frechet, installed, kernel, manifold, memorization, neighbors, perceptual, similarity
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
    compute_surface_dice,
)
from rich.console import Console
from rich.table import Table
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from meddiff.metrics.classifiers.discrimination import mean_of_present, resampled_auroc, resampled_sensitivity
from meddiff.metrics.masks.overlap import overlap
from meddiff.metrics.masks.surface import surface_distances_mm
from meddiff.metrics.resampling import bootstrap_weights

Work = Callable[[], np.ndarray | float]


def bootstrap(images: int, classes: int, resamples: int) -> tuple[str, dict[str, Work]]:
    """Balanced accuracy and macro AUROC of resampled patients, by loop and by matrix product."""
    generator = np.random.default_rng(0)
    labels, group = generator.integers(classes, size=images), np.arange(images) // 2
    probabilities = generator.dirichlet(np.ones(classes), size=images)
    probabilities[np.arange(images), labels] += 0.2
    probabilities /= probabilities.sum(1, keepdims=True)
    weights = bootstrap_weights(np.zeros(group.max() + 1, int), resamples, generator)

    def loop() -> np.ndarray:
        found = []
        for column in weights.T:
            weight = column[group]
            areas = [roc_auc_score(labels == k, probabilities[:, k], sample_weight=weight) for k in range(classes)]
            accuracy = balanced_accuracy_score(labels, probabilities.argmax(1), sample_weight=weight)
            found.append((accuracy, np.mean(areas)))
        return np.array(found)

    def products() -> np.ndarray:
        arrays = (labels, probabilities, group, weights)
        return np.stack([mean_of_present(f(*arrays)) for f in (resampled_sensitivity, resampled_auroc)], 1)

    return f"Bootstrap, {images:,} images, {classes} classes, {resamples} resamples", {
        "scikit-learn, one resample at a time": loop,
        "meddiff resampled_sensitivity + resampled_auroc": products,
    }


def masks(side: int) -> list[tuple[str, dict[str, Work]]]:
    """A ball, and a smaller one beside it with a false alarm far away."""
    grid = np.indices((side, side, side)).astype(np.float32) / side

    def ball(center: tuple[float, float, float], radius: float) -> np.ndarray:
        return sum((grid[axis] - center[axis]) ** 2 for axis in range(3)) < radius**2

    truth = ball((0.4, 0.4, 0.5), 0.15)
    prediction = ball((0.44, 0.42, 0.5), 0.14) | ball((0.8, 0.8, 0.25), 0.03)
    spacing = (1.0, 1.0, 2.5)
    pair = [torch.from_numpy(np.stack([~mask, mask])[None]) for mask in (prediction, truth)]
    options = {"include_background": False, "spacing": spacing}

    def monai_surface() -> np.ndarray:
        return np.array(
            [
                compute_hausdorff_distance(*pair, percentile=95, **options).item(),
                compute_average_surface_distance(*pair, symmetric=True, **options).item(),
                compute_surface_dice(*pair, class_thresholds=[2.0], **options).item(),
            ]
        )

    def our_surface() -> np.ndarray:
        found = surface_distances_mm(truth, prediction, spacing)
        return np.array([found.hausdorff95, found.average, found.share_within(2.0)])

    def area_weighted() -> np.ndarray:
        import surface_distance as peer

        found = peer.compute_surface_distances(truth, prediction, spacing)
        average = np.mean(peer.compute_average_surface_distance(found))
        return np.array([peer.compute_robust_hausdorff(found, 95), average,
                         peer.compute_surface_dice_at_tolerance(found, 2.0)])  # fmt: skip

    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in (truth, prediction)]
    for image in images:
        image.SetSpacing(spacing[::-1])

    def itk_hausdorff() -> float:
        measure = sitk.HausdorffDistanceImageFilter()
        measure.Execute(*images)
        return measure.GetHausdorffDistance()

    size = f"{side} x {side} x {side}"
    return [
        (
            f"HD95, ASSD and NSD, {size}",
            {"MONAI": monai_surface, "meddiff surface_distances_mm": our_surface}
            | ({"surface-distance (weighs by area)": area_weighted} if installed("surface_distance") else {}),
        ),
        (
            f"Hausdorff distance, {size}",
            {
                "SimpleITK (of whole masks, not of surfaces)": itk_hausdorff,
                "meddiff surface_distances_mm": lambda: surface_distances_mm(truth, prediction, spacing).hausdorff,
            },
        ),
        (
            f"Dice, {size}",
            {
                "MONAI": lambda: compute_dice(*pair, include_background=False).item(),
                "meddiff overlap": lambda: overlap(truth, prediction).dice,
            },
        ),
    ]


def measure(named: dict[str, Work], repeats: int) -> dict[str, tuple[float, np.ndarray]]:
    """Median CPU seconds and result of each, taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in named}
    results = {}
    for _ in range(repeats):
        for name, work in named.items():
            start = time.process_time()
            results[name] = np.asarray(work(), dtype=float)
            seconds[name].append(time.process_time() - start)
    return {name: (statistics.median(seconds[name]), results[name]) for name in named}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    folder = tempfile.TemporaryDirectory()
    groups = [
        frechet(512, 2048, peers=False),
        frechet(5000, 2048, peers=True),
        frechet(5000, 512, peers=True),
        kernel(2000, 2048),
        manifold(2000, 2048),
        memorization(1000, 512),
        bootstrap(2000, 7, 50),
        *masks(160),
        neighbors(500, 2000, 12288),
        similarity(8, 192),
        perceptual(40, 64, folder.name),
    ]
    table = Table("", "CPU seconds", "times faster", "difference", title="Metrics, one thread")
    for heading, named in groups:
        found = measure(named, options.repeats)
        reference_seconds, reference = next(iter(found.values()))
        table.add_section()
        table.add_row(f"[bold]{heading}")
        for name, (seconds, result) in found.items():
            difference = np.max(np.abs(result - reference) / np.abs(reference))
            table.add_row(name, f"{seconds:.4f}", f"{reference_seconds / seconds:.1f}", f"{difference:.0e}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
