"""Finished runs as seeds, made by the commands themselves: a segmentation and a study, at their smallest.

A sample holds the run's folder and the images that it was made of. What was prepared of these lies in a cache that all
samples share, so that a command on a sample does not begin with reading.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from fuzzing.sample import Sample
from meddiff.recipe import Recipe, SegmentRecipe, from_dict

MANIFEST, RUN, MASKS = "manifest.csv", "run", "masks"
"""Names below a sample's folder."""
_TRAINING = {
    "steps": 2,
    "batch_size": 4,
    "warmup_steps": 1,
    "checkpoint_every": 1,
    "sample_every": 2,
    "precision": "32",
}
_NETWORK = {"channels": [4, 8], "patch_size": 1}
SEGMENTATION = from_dict(SegmentRecipe, {
    "data": {"image_size": 8, "channels": 1}, "network": _NETWORK, "training": _TRAINING,
    "baseline": {"names": ["unet"], "channels": [2, 4]}, "inference": {"members": 2, "steps": 2},
    "validation": {"cases": 2, "members": 1}, "evaluation": {"resamples": 100},
})  # fmt: skip
STUDY = from_dict(Recipe, {
    "dataset": "image_folder", "data": {"image_size": 8, "channels": 1},
    "network": _NETWORK | {"channels": [32, 32], "residual_blocks": 1, "attention_levels": 0}, "training": _TRAINING,
    "synthesis": {"steps": 2, "per_class": 12, "batch_size": 8}, "filter": {"confidence": 0.0, "copy_quantile": 0.0},
    "classifier": {"width": 0.125, "steps": 2, "batch_size": 8, "seeds": 1, "arms": ["real", "real_synthetic"]},
    "evaluation": {"resamples": 100},
})  # fmt: skip


def run_samples() -> list[Sample]:
    """Return the samples of all kinds that are made of runs."""
    segmentation, study = _finished_segmentation(), _finished_study()
    papers = {kind: tuple(_small_files(files)) for kind, files in (("segmentation", segmentation), ("study", study))}
    weights = {name: file for name, file in segmentation.items() if _is_needed_to_load(name)}
    return [
        Sample("weights", weights, RUN, changed=tuple(name for name in weights if "/best/" in name)),
        Sample("papers", segmentation, "", changed=papers["segmentation"]),
        Sample("papers", study, "", changed=papers["study"]),
        Sample("segmentation", segmentation, "", changed=papers["segmentation"]),
        Sample("study", study, "", changed=papers["study"]),
    ]


@cache
def cache_folder() -> Path:
    """Return where the prepared images of all samples lie; it goes with the process that made it."""
    folder = Path(tempfile.mkdtemp(prefix="meddiff-fuzz-cache-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def placed(recipe: Recipe | SegmentRecipe, place: Path):
    """Return a recipe for the sample that lies in a folder."""
    data = replace(recipe.data, cache=str(cache_folder()))
    return replace(recipe, data=data, manifest=str(place / MANIFEST), out=str(place / RUN))


def _finished_segmentation() -> dict[str, bytes]:
    from meddiff.jobs import job
    from meddiff.pipelines.segment import segment_images
    from meddiff.recipe.commands import Predict

    generator, images = np.random.default_rng(0), {}
    lines = ["row_id,dataset,patient_id,split,image_path,mask_path,source"]
    for number, split in enumerate(["train"] * 6 + ["val"] * 3 + ["test"] * 3):
        inside = ((np.indices((16, 16)) - generator.uniform(5, 11, (2, 1, 1))) ** 2).sum(0) < 12
        images[f"{number}.png"] = _png(60 + 120 * inside + generator.normal(0, 20, (16, 16)))
        images[f"{number}_mask.png"] = _png(inside)
        lines.append(f"r{number},x,p{number},{split},{number}.png,{number}_mask.png,real")
    with tempfile.TemporaryDirectory() as name:
        place = _written(Path(name), images, lines)
        job.run(placed(SEGMENTATION, place), "report", _quiet())
        segment_images(Predict(checkpoint=str(place / RUN), input=str(place / "0.png"), output=str(place / MASKS)))
        return _contents(place)


def _finished_study() -> dict[str, bytes]:
    from meddiff.jobs import job

    generator, images = np.random.default_rng(1), {}
    lines = ["row_id,dataset,patient_id,split,image_path,label,source"]
    for number in range(24):
        label, split = ("dark", "light")[number % 2], ("train", "train", "val", "test")[number // 2 % 4]
        images[f"{number}.png"] = _png(60 + 100 * (number % 2) + generator.normal(0, 20, (16, 16)))
        lines.append(f"r{number},x,p{number},{split},{number}.png,{label},real")
    with tempfile.TemporaryDirectory() as name:
        place = _written(Path(name), images, lines)
        job.run(placed(STUDY, place), "report", _quiet())
        return _contents(place)


def _written(place: Path, images: dict[str, bytes], lines: list[str]) -> Path:
    for name, content in images.items():
        (place / name).write_bytes(content)
    (place / MANIFEST).write_text("\n".join([*lines, ""]))
    return place


def _png(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "png")
    return buffer.getvalue()


def _quiet():
    from rich.console import Console

    return Console(quiet=True)


def _contents(place: Path) -> dict[str, bytes]:
    files = sorted(file for file in place.rglob("*") if file.is_file() and file.name != ".lock")
    return {file.relative_to(place).as_posix(): file.read_bytes() for file in files}


def _small_files(files: dict[str, bytes]) -> list[str]:
    """Return the texts below the run that a command may read."""
    written = ("report.html", "report.md", "report.json", "model_card.md", "references.bib")
    return [name for name in files if name.endswith((".csv", ".json", ".yaml")) and not name.endswith(written)]


def _is_needed_to_load(name: str) -> bool:
    return "/best/" in name or name in (f"{RUN}/recipe.yaml", f"{RUN}/temperatures.json", f"{RUN}/likeness.json")
