"""How fast volumes are read, prepared and served: meddiff against nibabel, MONAI and SimpleITK, on one thread.

    OMP_NUM_THREADS=1 python benchmarks/volumes.py --repeats 5

Times are seconds of this process's CPU, medians over the repeats; the rows take turns, so that a busy machine slows
all of them alike. Latencies are CPU time, too, over random slices and patches of volumes that the system has in memory.
The volumes are drawn from a seed: a smooth head in air with grain, which compresses about as MRI does.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
from monai.data import PersistentDataset
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    LoadImage,
    LoadImaged,
    NormalizeIntensityd,
    Orientationd,
    RandCropByPosNegLabeld,
    Spacingd,
)
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter

from meddiff.batches.cuts import Patch, Slice, with_side
from meddiff.batches.images import Images
from meddiff.cache.store import Prepared
from meddiff.cache.volume_array import CachedVolume, cache_volumes
from meddiff.formats.nifti import save_volume
from meddiff.formats.open import load_volume
from meddiff.images.prepare import VolumeTransform, prepare_volume
from meddiff.manifest.row import COLUMNS, ManifestRow

SHAPE = (256, 256, 160)
LPS = np.diag([-1.0, -1.0, 1.2, 1.0])


def draw_volumes(folder: Path, count: int) -> list[ManifestRow]:
    """Heads of int16 with a mask of two classes."""
    generator = np.random.default_rng(0)
    middle = [(np.arange(size) - size / 2) / size for size in SHAPE]
    radius = np.sqrt(sum(np.square(axis) for axis in np.meshgrid(*middle, indexing="ij")))
    rows = []
    for number in range(count):
        texture = gaussian_filter(generator.normal(0, 1, SHAPE).astype(np.float32), 2)
        head = radius + 0.2 * texture < 0.4
        values = np.abs((600 + 2000 * texture) * head + generator.normal(0, 8, SHAPE))  # air has grain, too
        save_volume(values.astype(np.int16), folder / f"{number}.nii.gz", affine=LPS)
        mask = (radius < 0.1).astype(np.uint8) + (radius < 0.05)
        save_volume(mask, folder / f"{number}-mask.nii.gz", affine=LPS)
        known = {"row_id": str(number), "dataset": "drawn", "image_path": f"{number}.nii.gz", "source": "phantom",
                 "mask_path": f"{number}-mask.nii.gz"}  # fmt: skip
        rows.append(ManifestRow(**dict.fromkeys(COLUMNS) | known, root=folder))
    return rows


def monai_preparation(spacing: tuple[float, float, float] | None) -> Compose:
    keys = ["image", "mask"]
    steps = [LoadImaged(keys), EnsureChannelFirstd(keys), Orientationd(keys, axcodes="RAS", labels=None)]
    if spacing is not None:
        steps.append(Spacingd(keys, pixdim=spacing, mode=("bilinear", "nearest")))
    return Compose([*steps, NormalizeIntensityd("image", nonzero=True)])


def contestants(rows: list[ManifestRow], folder: Path) -> dict[str, dict[str, Callable[[], object]]]:
    """Heading -> name -> what to time; the first is the reference."""
    file = rows[0].image_file
    pair = {"image": str(file), "mask": str(rows[0].mask_file)}
    load = LoadImage(image_only=True)
    groups: dict[str, dict[str, Callable[[], object]]] = {
        f"read .nii.gz of {' x '.join(map(str, SHAPE))}": {
            "nibabel get_fdata": lambda: nibabel.load(file).get_fdata(dtype=np.float32),  # type: ignore[attr-defined]
            "MONAI LoadImage": lambda: load(str(file)),
            "SimpleITK ReadImage": lambda: sitk.GetArrayFromImage(sitk.ReadImage(str(file))),
            "meddiff load_volume": lambda: load_volume(file),
        }
    }
    for title, spacing in (("own spacing", None), ("2 mm", (2.0, 2.0, 2.0)), ("0.9 mm", (0.9, 0.9, 0.9))):
        transform, theirs = VolumeTransform(spacing), monai_preparation(spacing)

        def ours(transform: VolumeTransform = transform) -> object:
            prepared = prepare_volume(load_volume(file), transform)
            return prepared.prepare_mask(load_volume(rows[0].mask_file))  # type: ignore[arg-type]

        groups[f"image and mask from file, {title}"] = {
            "MONAI Orientation, Spacing, NormalizeIntensity": lambda theirs=theirs: theirs(pair),
            "meddiff prepare_volume, prepare_mask": ours,
        }
    return groups


def latencies_ms(work: Callable[[int], object], repeats: int) -> list[float]:
    found = []
    for step in range(repeats):
        start = time.process_time()
        work(step)
        found.append(1000 * (time.process_time() - start))
    return found


def served(rows: list[ManifestRow], array: Prepared[CachedVolume], folder: Path) -> dict[str, Callable[[int], object]]:
    """Name -> what to time, which is handed the number of the step."""
    generator = np.random.default_rng(0)

    def one_slice(axis: int) -> Callable[[int], object]:
        def work(step: int) -> object:
            case = array[step % len(array)]
            index = int(generator.integers(case.shape[axis]))
            return np.ascontiguousarray(np.take(np.asarray(case.image), index, axis=axis + 1))

        return work

    size = (64, 64, 64)
    files = [{"image": str(row.image_file), "mask": str(row.mask_file)} for row in rows]
    stored = PersistentDataset(files, monai_preparation(None), cache_dir=folder / "monai")
    crop = RandCropByPosNegLabeld(["image", "mask"], label_key="mask", spatial_size=size, pos=1, neg=1, num_samples=1)
    plane = with_side(tuple(np.max([case.shape for case in array], axis=0).tolist()), 2, 1)
    slices = Images(array, cut=Slice(2, Patch(plane, foreground_share=0.5), neighbors=1))
    patches = Images(array, cut=Patch(size, foreground_share=0.5))
    return {
        "slice across axis 0 (sagittal)": one_slice(0),
        "slice across axis 1 (coronal)": one_slice(1),
        "slice across axis 2 (axial)": one_slice(2),
        "Slice of 1, axis 2, 1 neighbor": lambda step: slices.drawn(step, batch_size=1, seed=0),
        "Patch of 1 x 64^3, half on the foreground": lambda step: patches.drawn(step, batch_size=1, seed=0),
        "MONAI PersistentDataset + RandCropByPosNegLabel, 64^3": lambda step: crop(stored[step % len(stored)]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=3, help="volumes in the cache")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    console = Console()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = draw_volumes(folder, options.volumes)
        megabytes = rows[0].image_file.stat().st_size / 1e6
        table = Table("", "CPU seconds", "of the first", title=f"one volume of {megabytes:.0f} MB as .nii.gz")
        for heading, named in contestants(rows, folder).items():
            seconds: dict[str, list[float]] = {contestant: [] for contestant in named}
            for _ in range(options.repeats):
                for contestant, work in named.items():
                    start = time.process_time()
                    work()
                    seconds[contestant].append(time.process_time() - start)
            medians = {contestant: statistics.median(found) for contestant, found in seconds.items()}
            table.add_section()
            table.add_row(f"[bold]{heading}")
            for contestant, median in medians.items():
                table.add_row(contestant, f"{median:.2f}", f"{median / next(iter(medians.values())):.2f}")
        console.print(table)

        array = cache_volumes(rows, VolumeTransform(), with_masks=True, classes=3, folder=folder / "cache")
        table = Table("", "median CPU ms", "95th percentile", title=f"from the cache, {len(array)} volumes in turn")
        for contestant, work in served(rows, array, folder).items():
            latencies_ms(work, len(array))
            found = latencies_ms(work, 60)
            table.add_row(contestant, f"{statistics.median(found):.2f}", f"{np.percentile(found, 95):.2f}")
        console.print(table)


if __name__ == "__main__":
    main()
