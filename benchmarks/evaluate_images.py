"""``evaluate images`` on real sets whose relation is known: other lesions of one archive, another hospital, and copies.

    OMP_NUM_THREADS=1 python benchmarks/evaluate_images.py --data ../shared/data --images 120

HAM10000 is cut in three by lesion: real images; the training images of an imaginary generator; and images that take the
place of synthetic ones, as a generator that is as good as reality would draw. PH2 in their place is a real shift
(another hospital, camera and patients), and so are the training images themselves, mirrored and saved anew: a
generator that has memorized all of them. Features: the default, an untrained VGG.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from rich.console import Console

from meddiff.jobs.evaluate.images import run
from meddiff.manifest.row import ManifestRow
from meddiff.manifest.table import write_manifest
from meddiff.recipe.commands import EvaluateImages
from meddiff.sources.isic import ISIC

IN_PLACE_OF_SYNTHETIC = {
    "other_lesions": "other lesions of HAM10000",
    "ph2": "PH2",
    "copies": "the training images, mirrored and saved anew",
}


def some(rows: list[ManifestRow], count: int) -> list[ManifestRow]:
    """A random choice; splits play no part here."""
    order = np.random.default_rng(1).permutation(len(rows))[:count]
    return [replace(rows[at], split=None) for at in sorted(order)]


def mirrored(rows: list[ManifestRow], folder: Path) -> list[ManifestRow]:
    """The images mirrored, as JPEG of their own."""
    folder.mkdir()
    for row in rows:
        ImageOps.mirror(Image.open(row.image_file)).save(folder / f"{row.row_id}.jpg", quality=75)
    blank = {"mask_path": None, "sha256": None, "root": folder}
    return [replace(row, image_path=f"{row.row_id}.jpg", **blank) for row in rows]


def manifests(data: Path, count: int, folder: Path) -> dict[str, Path]:
    """The manifests of all sets, by their names."""
    rows = ISIC.rows(data / "HAM10000")
    lesions = np.random.default_rng(0).permutation(sorted({row.group for row in rows}))
    part = {lesion: number % 3 for number, lesion in enumerate(lesions)}
    names = ("real", "train", "other_lesions")
    sets = {name: some([row for row in rows if part[row.group] == n], count) for n, name in enumerate(names)}
    sets |= {"ph2": some(ISIC.rows(data / "PH2"), count), "copies": mirrored(sets["train"], folder / "copied")}
    for name, chosen in sets.items():
        link = folder / name
        link.symlink_to(chosen[0].root.resolve())
        write_manifest([replace(row, root=link) for row in chosen], folder / f"{name}.csv", root=folder)
    return {name: folder / f"{name}.csv" for name in sets}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds HAM10000 and PH2")
    parser.add_argument("--images", type=int, default=120, help="images of each set")
    parser.add_argument("--splits", type=int, default=10, help="of the real images in halves")
    parser.add_argument("--out", type=Path, help="where the three reports go; without it they are not kept")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = manifests(options.data, options.images, folder)
        for synthetic, words in IN_PLACE_OF_SYNTHETIC.items():
            print(f"==== in the place of synthetic images: {words} ====\n")
            out = (options.out or folder) / synthetic
            run(
                EvaluateImages(
                    real=str(place["real"]), synthetic=str(place[synthetic]), train=str(place["train"]),
                    splits=options.splits, cache=str(folder / "cache"),
                    out=str(out),
                ),
                Console(quiet=True),
            )  # fmt: skip
            print((out / "report.md").read_text().partition("## Methods")[0])


if __name__ == "__main__":
    main()
