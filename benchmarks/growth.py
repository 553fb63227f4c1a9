"""What grows with the number of images: processor seconds of manifests, of stage 1, of the first steps, of batches.

OMP_NUM_THREADS=1 python benchmarks/growth.py --rows 10000 100000 1000000 --images 2000 20000 --predicted 100 500
OMP_NUM_THREADS=1 python benchmarks/growth.py --rows --images --predicted --slices 400     # of 512 x 512
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
from fuzzing.run_seeds import STUDY
from PIL import Image
from rich.console import Console

from meddiff.batches.order import Order
from meddiff.jobs import job
from meddiff.manifest.split import assign_splits
from meddiff.manifest.table import read_manifest
from meddiff.metrics.images.diversity import similarity_of_pairs
from meddiff.recipe import from_dict, to_dict


def main() -> None:
    """Print one line per kind of work and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--images", type=int, nargs="*", default=[500, 2000])
    parser.add_argument("--predicted", type=int, nargs="*", default=[20, 100])
    parser.add_argument("--slices", type=int, nargs="*", default=[])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for count in given.rows:
            path = manifest_of(Path(name), count)
            show("manifest read", count, lambda path=path: read_manifest(path, check_files=False))
            rows = read_manifest(path, check_files=False)
            show("manifest split", count, lambda rows=rows: assign_splits(rows))
            order = Order(np.arange(count) % 7, class_balance=0.5)
            show("100 batches chosen", count, lambda order=order: [
                order.positions(step, batch_size=32, seed=0) for step in range(100)
            ])  # fmt: skip
        for count in given.images:
            folder = pictures(Path(name) / f"pictures{count}", count)
            for until in ("manifest", "train"):
                show(f"run up to {until}", count, lambda folder=folder, until=until: run(folder, until))
            small = np.zeros((count, 3, 64, 64), np.float32)
            show("MS-SSIM of 100 pairs", count, lambda small=small: similarity_of_pairs(
                small, np.random.default_rng(0), data_range=2.0, pairs=100
            ))  # fmt: skip
        for count in given.predicted:
            folder = pictures(Path(name) / f"predicted{count}", count)
            show_command(
                "segment predict", count, "segment", "predict", "--input", folder, "--output", folder / "masks"
            )
        for count in given.slices:
            volume = np.random.default_rng(0).integers(-1024, 3000, (512, 512, count), dtype=np.int16)
            nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), path := Path(name) / f"{count}.nii.gz")
            show_command("inspect of slices", count, "inspect", path)


def show_command(what: str, count: int, *words: object) -> None:
    """Print what a command took, in a process of its own."""
    command = [sys.executable, "-m", f"meddiff.pipelines.{words[0]}", *map(str, words[1:])]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, code, used = os.wait4(process.pid, 0)
    assert code == 0, f"{command} ended with {code}"
    report(what, count, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def show(what: str, count: int, work: Callable[[], object]) -> None:
    """Print what a work took of the processor, and the most memory so far."""
    began = time.process_time()
    work()
    seconds = time.process_time() - began
    report(what, count, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def report(what: str, count: int, seconds: float, peak_mib: float) -> None:
    """Print one line."""
    each = f"{1e6 * seconds / count:9.1f} us each"
    print(f"{what:<22} {count:>9,}  {seconds:8.2f} CPU s  {each}  {peak_mib:7.0f} MiB at most", flush=True)


def manifest_of(folder: Path, count: int) -> Path:
    """Write a manifest of pictures that are not there."""
    path = folder / f"{count}.csv"
    with path.open("w") as file:
        file.write("row_id,dataset,patient_id,image_path,label,source\n")
        for number in range(count):
            label = "abcdefg"[number // 3 % 7]
            file.write(f"r{number},x,p{number // 3},images/{number % 1000}/{number}.png,{label},real\n")
    return path


def pictures(folder: Path, count: int) -> Path:
    """Draw pictures of noise, two of each patient, and their manifest."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    lines = ["row_id,dataset,patient_id,image_path,label,source"]
    for number in range(count):
        Image.fromarray(generator.integers(0, 256, (16, 16), dtype=np.uint8)).save(folder / f"{number}.png")
        lines.append(f"r{number},x,p{number // 2},{number}.png,{'ab'[number // 2 % 2]},real")
    (folder / "manifest.csv").write_text("\n".join([*lines, ""]))
    return folder


def run(folder: Path, until: str) -> None:
    """Run the first stages, with two steps of training."""
    places = {"manifest": str(folder / "manifest.csv"), "out": str(folder / "run")}
    settings = to_dict(STUDY)
    data = {**settings["data"], "cache": str(folder / "cache")}
    job.run(from_dict(type(STUDY), {**settings, **places, "data": data}), until, Console(quiet=True))


if __name__ == "__main__":
    main()
