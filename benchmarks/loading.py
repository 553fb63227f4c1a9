"""How fast images load: meddiff against MONAI, decoding and from the cache, in one run on one thread.

    python benchmarks/loading.py --size 64 --repeats 5

Times are CPU seconds of this process, medians over the repeats; the rows take turns, so that a busy machine slows
all of them alike. The JPEGs (1024 x 768, about as many bytes as dermoscopic ones) are drawn from a seed.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from monai.data import CacheDataset, DataLoader
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Resized, ScaleIntensityRanged
from PIL import Image
from rich.console import Console
from rich.table import Table

from meddiff.batches.images import Images
from meddiff.cache.image_array import decode
from meddiff.images.prepare import Transform, prepare
from meddiff.manifest.row import COLUMNS, ManifestRow


def draw_jpegs(folder: Path, count: int) -> list[ManifestRow]:
    """Smooth blotches with grain, like skin."""
    generator = np.random.default_rng(0)
    rows = []
    for number in range(count):
        coarse = Image.fromarray(generator.integers(60, 220, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((1024, 768), Image.Resampling.BICUBIC), dtype=np.float32)
        grain = generator.normal(0, 4, smooth.shape)
        picture = Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8))
        picture.save(folder / f"{number}.jpg", quality=88)
        known = {"row_id": str(number), "dataset": "drawn", "image_path": f"{number}.jpg", "source": "phantom"}
        rows.append(ManifestRow(**dict.fromkeys(COLUMNS) | known, root=folder))
    return rows


def monai_transform(size: int, **resize: object) -> Compose:
    return Compose(
        [
            LoadImaged("image"),
            EnsureChannelFirstd("image"),
            Resized("image", spatial_size=(size, size), **resize),
            ScaleIntensityRanged("image", 0, 255, -1, 1),
        ]
    )


def images_per_second(work: Callable[[], int]) -> float:
    start = time.process_time()
    return work() / (time.process_time() - start)


def contestants(rows: list[ManifestRow], size: int, folder: Path) -> dict[str, dict[str, Callable[[], int]]]:
    """Heading -> name -> what to time, which returns how many images it loaded; the first is the reference."""
    files = [{"image": str(row.image_file)} for row in rows]
    area, linear = monai_transform(size), monai_transform(size, mode="bilinear", anti_aliasing=True)
    square = Transform(size, "stretch", 3, with_masks=False, deep=False)

    def decoded(transform: Compose) -> int:
        return len([transform(file) for file in files])

    def built() -> int:
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            return len(decode(rows, Transform(size, fit="stretch"), folder=cache).rows)

    many = rows * max(1, 512 // len(rows))
    cached = Images(decode(many, Transform(size, fit="stretch"), folder=folder / "cache"))
    theirs = CacheDataset(files * (len(many) // len(files)), area, progress=False)

    def batches() -> int:
        steps = range(4 * len(many) // 64)
        return sum(len(cached.drawn(step, batch_size=64, seed=0).image) for step in steps)

    def their_batches() -> int:
        return sum(len(batch["image"]) for batch in DataLoader(theirs, batch_size=64, shuffle=True))

    return {
        "from JPEG": {
            "MONAI LoadImaged + Resized(area)": lambda: decoded(area),
            "MONAI LoadImaged + Resized(bilinear, anti_aliasing)": lambda: decoded(linear),
            "meddiff prepare": lambda: len([prepare(row, square) for row in rows]),
            "meddiff decode (hash, prepare, write)": built,
        },
        "second epoch, batches of 64": {
            "MONAI CacheDataset + DataLoader": their_batches,
            "meddiff Images": batches,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, help="side of the images in pixels")
    parser.add_argument("--images", type=int, default=16, help="number of JPEGs")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        rows = draw_jpegs(Path(name), options.images)
        kilobytes = sum(row.image_file.stat().st_size for row in rows) / len(rows) / 1000
        title = f"{len(rows)} JPEGs of 1024 x 768, {kilobytes:.0f} kB, to {options.size} pixels"
        table = Table("", "images per CPU second", "times the first", title=title)
        for heading, named in contestants(rows, options.size, Path(name)).items():
            speeds: dict[str, list[float]] = {contestant: [] for contestant in named}
            for _ in range(options.repeats):
                for contestant, work in named.items():
                    speeds[contestant].append(images_per_second(work))
            medians = {contestant: statistics.median(found) for contestant, found in speeds.items()}
            table.add_section()
            table.add_row(f"[bold]{heading}")
            for contestant, speed in medians.items():
                table.add_row(contestant, f"{speed:,.0f}", f"{speed / next(iter(medians.values())):.1f}")
        Console().print(table)


if __name__ == "__main__":
    main()
