"""Distances between real sets of dermoscopic images whose relation is known: the scale to read all others on.

    OMP_NUM_THREADS=1 python benchmarks/distances.py --data ../shared/data --images 1000

HAM10000 is cut in two by lesion: two halves of one distribution. PH2 is another hospital, camera and patients: a real
shift. Features: the untrained VGG of `evaluate images`, 64 numbers, images resized to 64 x 64 (bilinear, antialiased).
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from meddiff.evaluation import ImageFeatures, distances
from meddiff.formats import load_image
from meddiff.manifest.row import ManifestRow
from meddiff.metrics.images.diversity import vendi_score
from meddiff.metrics.images.manifold import manifold_scores
from meddiff.networks.features.untrained import UntrainedVGG
from meddiff.sources.isic import ISIC


def features(network: UntrainedVGG, rows: list[ManifestRow]) -> ImageFeatures:
    values = []
    for row in track(rows, description=rows[0].dataset):
        picture = torch.tensor(load_image(row.image_file)).permute(2, 0, 1)[None] / 127.5 - 1
        values.append(network.features(picture).numpy())
    return ImageFeatures(np.concatenate(values), np.array([row.group for row in rows]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds HAM10000 and PH2")
    parser.add_argument("--images", type=int, default=1000, help="images of each half of HAM10000")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = ISIC.rows(options.data / "HAM10000")
    lesions = np.random.default_rng(0).permutation(sorted({row.group for row in rows}))
    halves = [set(lesions[: len(lesions) // 2]), set(lesions[len(lesions) // 2 :])]
    network = UntrainedVGG()
    chosen = [
        [row for row in np.random.default_rng(1).permutation(np.array(rows, dtype=object)) if row.group in half]
        for half in halves
    ]
    first, second = (features(network, part[: options.images]) for part in chosen)
    other = features(network, ISIC.rows(options.data / "PH2"))
    console = Console(width=110)
    table = Table(
        "comparison", "metric", "value [95%]", "n", title="real: half of HAM10000; synthetic: PH2; held out: other half"
    )
    for row in distances(first, other, second, features="an untrained VGG").itertuples():
        interval = f"{row.value:.4f} [{row.low:.4f}, {row.high:.4f}]"
        table.add_row(row.comparison, row.metric, interval, f"{row.n_real} / {row.n_synthetic}")
    console.print(table)
    table = Table("against half of HAM10000", "precision", "recall", "density", "coverage", "Vendi score", "n")
    size = len(other.values)
    for name, part in (("PH2", other), ("other half of HAM10000", second)):
        values = part.values[:size]
        found = manifold_scores(first.values[:size], values)
        scores = (found.precision, found.recall, found.density, found.coverage)
        table.add_row(name, *(f"{score:.3f}" for score in scores), f"{vendi_score(values):.2f}", str(size))
    console.print(table)


if __name__ == "__main__":
    main()
