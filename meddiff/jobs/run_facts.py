"""Facts of a run for its report: the machine and the command, the data, and the costs."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import torch

import meddiff
from meddiff.batches.images import Images
from meddiff.cache.contents import fingerprints
from meddiff.cache.store import default_folder
from meddiff.files.documents import read_json
from meddiff.files.long_tables import read_table
from meddiff.jobs.manifest import skipped_files
from meddiff.jobs.training_run import LOG_COLUMNS
from meddiff.manifest.row import ManifestRow
from meddiff.metrics.resampling import Resampling
from meddiff.recipe import AnyRecipe, Recipe, differences
from meddiff.run import Run, RunFolder, digest

COSTS = ("seconds", "peak_memory_mib", "peak_gpu_memory_mib", "cpu_energy_wh", "gpu_energy_wh")


def versions(*packages: str) -> dict[str, str]:
    """List the versions of meddiff, of Python and of these packages."""
    return {
        "meddiff": meddiff.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def environment() -> dict[str, Any]:
    """Say what the figures of this run are made with."""
    packages = ("torch", "monai", "lightning-fabric", "numpy", "scipy", "scikit-learn", "pandas", "pillow")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        **versions(*packages),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu_cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "gpu": gpu,
        "command": " ".join(["python -m", *_shown_argv()]),
    }


def _shown_argv() -> list[str]:
    """Return the command as it was typed, with the module's name for the file that python was given."""
    program = Path(sys.argv[0])
    module = f"meddiff.pipelines.{program.stem}" if program.parent.name == "pipelines" else program.name
    return [module, *sys.argv[1:]]


def size_of(images: Images) -> str:
    """Return ``64 px``, or ``40 x 56 x 40 voxels``."""
    side = images.shape[-1]
    return f"{side} px" if len(images.shape) == 3 else f"{' x '.join(map(str, images.shape[1:]))} voxels"


def data_table(sets: dict[str, Images]) -> pd.DataFrame:
    """Count, per class, images in each split and the patients (or lesions) behind them."""
    rows = [row for name in ("train", "val", "test") for row in sets[name].rows]
    table = pd.DataFrame(
        {"class_name": [r.label for r in rows], "split": [r.split for r in rows], "group": [r.group for r in rows]}
    )
    counts = pd.crosstab(table["class_name"], table["split"]).reindex(["train", "val", "test"], axis=1, fill_value=0)
    return counts.assign(groups=table.groupby("class_name")["group"].nunique()).reset_index()


def group_noun(train: Images) -> str:
    """Name what a split does not cut: patients, else lesions, else images; groups, where some are one, some another."""
    kinds = {
        "patient" if row.patient_id else "lesion" if row.lesion_id else "image" for row in train.rows
    }  # as in ManifestRow.group
    return kinds.pop() if len(kinds) == 1 else "group"


def skipped_table(sets: dict[str, Images], folder: RunFolder) -> pd.DataFrame:
    """Return files that were left out before the split, and those that could no longer be read after it."""
    later = {str(row.image_file): why for images in sets.values() for row, why in images.skipped}
    before = skipped_files(folder)[["file", "reason"]]
    rows = pd.DataFrame({"file": list(later), "reason": list(later.values())})
    table = pd.DataFrame(pd.concat([before, rows], ignore_index=True))
    reasons = [str(why).removeprefix(f"{file}: ") for file, why in zip(table["file"], table["reason"], strict=True)]
    return table.assign(reason=reasons)


def split_note(train: Images) -> str:
    """Say in words what a split does not cut."""
    risk = "images of one patient may be in both training and test, so the scores may be too high."
    return {
        "patient": "Split by patient: no patient is in two of training, validation and test.",
        "lesion": "Split by lesion (the data name no patient): no lesion is in two of training, validation and test.",
        "image": f"Split by image (the data name neither patient nor lesion): {risk}",
        "group": f"Split by patient where the data name one, else by lesion, else by image: {risk}",
    }[group_noun(train)]


def stages_table(folder: RunFolder) -> pd.DataFrame:
    """List what each stage before the report took."""
    record = folder.record().items()
    return pd.DataFrame(
        [{"stage": name, **{key: entry.get(key) for key in COSTS}}
         for name, entry in record if name != "report"]
    ).dropna(axis="columns", how="all")  # fmt: skip


def provenance_of_test(run: Run[Any], own: dict[str, Any] | None = None) -> dict[str, Any]:
    """List what figures on the test images of a run were made with; ``own`` is what its kind of run adds."""
    changed = differences(run.recipe, type(run.recipe)()).items()
    return {
        "environment": read_json(run.folder.environment),
        "written": datetime.now(UTC).date().isoformat(),
        "manifest": digest(run.folder.manifest),
        "images": data_hash(run.of("test"), run.recipe.data.cache),
        "licenses": licenses(run.of("train")),
        "seed": run.recipe.seed,
        "settings other than the defaults": {name: used for name, (_, used) in changed if name != "out"},
        **(own or {}),
        "seconds of each stage": {name: entry.get("seconds") for name, entry in run.folder.record().items()},
        **energy(run.folder),
    }


def provenance(run: Run[Recipe], sets: dict[str, Images]) -> dict[str, Any]:
    """List data sets, seeds and energy used."""
    images = {name: data_hash(sets[name].rows, run.recipe.data.cache) for name in ("train", "val", "test")}
    return {
        "written": datetime.now(UTC).date().isoformat(),
        "manifest": digest(run.folder.manifest),
        "images": images,
        "licenses": licenses(sets["train"].rows),
        "seeds": {"run": run.recipe.seed, "classifiers": list(range(run.recipe.classifier.seeds))},
        **energy(run.folder),
    }


def data_hash(rows: Sequence[ManifestRow], cache: str) -> str:
    """Return the beginning of the SHA-256 of what the images' files hold, in any order."""
    contents = fingerprints(rows, with_masks=False, memory=Path(cache).expanduser() if cache else default_folder())
    return hashlib.sha256("\n".join(sorted(entry.text for entry in contents)).encode()).hexdigest()[:16]


def licenses(rows: Sequence[ManifestRow]) -> list[str]:
    """List the licenses that the rows name."""
    return sorted({row.license for row in rows if row.license})


def resampling_of(recipe: AnyRecipe) -> Resampling:
    """Give the bootstrap of the intervals that a recipe asks for."""
    return Resampling(recipe.evaluation.resamples, recipe.evaluation.confidence_level, recipe.seed)


def energy(folder: RunFolder) -> dict[str, Any]:
    """Return watt hours of all stages, or a line that says that they could not be read."""
    record = folder.record().values()
    gpu = read_json(folder.environment).get("gpu")
    sums = {}
    for name, what in (("cpu_energy_wh", "processors"), ("gpu_energy_wh", "GPUs" if gpu else "")):
        spent = [entry[name] for entry in record if entry.get(name) is not None]
        if what:
            sums[what] = f"{sum(spent):.3g} Wh" if spent else "not readable on this machine"
    return {"energy": sums}


def training_seconds(log: Path, images: int) -> float:
    """Add up the time of a training from its log, in which it stands however often it was stopped; NaN without one.

    ``images`` are those of a step.
    """
    if not log.is_file():
        return float("nan")
    table = read_table(log, LOG_COLUMNS)
    steps, rate = np.diff(table["step"].to_numpy(float), prepend=0), table["images_per_second"].to_numpy(float)
    return float(np.sum(steps * images / np.where(rate > 0, rate, np.nan)))
