"""``evaluate images`` on real sets whose relation is known: other lesions of one archive, and another hospital.

    OMP_NUM_THREADS=1 python benchmarks/evaluate_images.py --data ../shared/data --images 120

HAM10000 is cut in two by lesion: the second half takes the place of synthetic images, as a generator that is as good as
reality would. PH2 is another hospital, camera and patients: a real shift. Features: MobileNetV2 (ImageNet).
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from meddiff.data.manifest import ManifestRow, write_manifest
from meddiff.pipelines.evaluate_images import EvaluateImages, run
from meddiff.sources.isic import ISIC

WEIGHTS = "weights/mobilenet_v2_quant/mobilenet_v2_dequantised.npz"


def some(rows: list[ManifestRow], count: int) -> list[ManifestRow]:
    """A random choice; splits and labels play no part here."""
    order = np.random.default_rng(1).permutation(len(rows))[:count]
    return [replace(rows[at], split=None) for at in sorted(order)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds HAM10000, PH2 and weights")
    parser.add_argument("--images", type=int, default=120, help="images of each set")
    parser.add_argument("--splits", type=int, default=10, help="of the real images in halves")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = ISIC.rows(options.data / "HAM10000")
    lesions = np.random.default_rng(0).permutation(sorted({row.group for row in rows}))
    first = set(lesions[: len(lesions) // 2])
    sets = {
        "ham10000": some([row for row in rows if row.group in first], options.images),
        "ham10000_other_lesions": some([row for row in rows if row.group not in first], options.images),
        "ph2": some(ISIC.rows(options.data / "PH2"), options.images),
    }
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as folder:
        for name, chosen in sets.items():
            data = Path(folder) / name
            data.symlink_to(chosen[0].root.resolve())
            write_manifest([replace(row, root=data) for row in chosen], Path(folder) / f"{name}.csv", root=folder)
        for name in list(sets)[1:]:
            console.print(f"\nreal: ham10000; in the place of synthetic images: {name}")
            there = {
                key: str(Path(folder) / f"{value}.csv") for key, value in (("real", "ham10000"), ("synthetic", name))
            }
            run(
                EvaluateImages(
                    **there, weights=str(options.data / WEIGHTS), splits=options.splits, out=f"{folder}/{name}"
                ),
                console,
            )


if __name__ == "__main__":
    main()
