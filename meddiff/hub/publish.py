"""A run as a published model: its averaged weights in half precision, and what a stranger has to know of them.

The folder is what `meddiff.hub.place` describes. Paths of this machine are left out; the images that were trained on
are listed by their names and licenses, so that anybody can see what the weights are derived from.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from meddiff.build.models import KINDS
from meddiff.errors import InputError
from meddiff.files.writing import write_folder
from meddiff.manifest.row import ManifestRow
from meddiff.manifest.table import read_manifest
from meddiff.recipe.commands import Publish
from meddiff.run import RunFolder, kind_of, settings_in
from meddiff.training import checkpoint

CARD, IMAGES = "README.md", "training_images.csv"
OF_THIS_MACHINE = ("out", "data_root", "manifest")
"""Settings that say where things lay."""


def publish(settings: Publish) -> Path:
    """Write the folder of a published model; one that is there is left as it is.

    Raises:
        InputError: no run, no report (its card says how good the weights are), a folder that is there, a full disk.
    """
    run, out = RunFolder(Path(settings.run).expanduser()), Path(settings.out).expanduser()
    if out.exists():
        raise InputError(f"--out {settings.out} is there already: name a new folder, so that no model is half another")
    given = settings_in(run)
    if given.get("synthesis", {}).get("classifier_guidance"):
        raise InputError(
            f"{run.path} draws with guidance by a classifier, and a published model is one network: draw and judge its "
            "images with --synthesis.classifier_guidance 0 first"
        )
    if given.get("diffusion", {}).get("latent"):
        raise InputError(
            f"{run.path} draws in the codes of an autoencoder, and a published model is one network: share the run "
            "folder, which holds both"
        )
    stored = KINDS[kind_of(given)].weights(run, settings.model)
    rows = [row for row in read_manifest(run.manifest, check_files=False) if row.split == "train"]
    files = {checkpoint.AVERAGE: _halved(stored), CARD: _card(run, settings), IMAGES: _listed(rows)}
    files |= {file.name: file.read_bytes() for file in (run.temperatures, run.likeness) if file.is_file()}
    index = _index(stored, files) | {"about": _about(stored, rows, settings), "license": settings.license}
    files |= {checkpoint.INDEX: json.dumps(index, indent=2).encode()}
    write_folder(out, lambda part: [(part / name).write_bytes(content) for name, content in files.items()])
    return out


def _halved(stored: checkpoint.Checkpoint) -> bytes:
    """Return the averaged weights in half precision: numbers below 65,504 to three digits, in half the bytes.

    Raises:
        InputError: a weight is too large for it.
    """
    tensors = load((stored.path / checkpoint.AVERAGE).read_bytes())
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    if broken := [name for name, tensor in halved.items() if not bool(torch.isfinite(tensor).all())]:
        raise InputError(f"{stored.path}: weights of {broken[0]} are too large for half precision")
    return save(halved)


def _card(run: RunFolder, settings: Publish) -> bytes:
    """Return the model card: one's own, or the run's with the license of the weights."""
    own = Path(settings.card).expanduser() if settings.card else run.path / "model_card.md"
    if not own.is_file():
        raise InputError(
            f"{own}: there is no such model card. Correct --card, or finish the run first (`augment`, or `segment "
            "evaluate`), so that the published weights come with how good they are"
        )
    text = own.read_text(encoding="utf-8")
    return (text if settings.card else text.replace("license: unknown", f"license: {settings.license}", 1)).encode()


def _listed(rows: list[ManifestRow]) -> bytes:
    """List the images that were trained on, by name, data set and license."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("image", "dataset", "license"))
    table.writerows((row.row_id, row.dataset or "", row.license or "") for row in rows)
    return text.getvalue().encode()


def _about(stored: checkpoint.Checkpoint, rows: list[ManifestRow], settings: Publish) -> str:
    """Say in one line what the model does, and what it was trained on."""
    sets = ", ".join(sorted({row.dataset for row in rows if row.dataset})) or "unnamed data"
    kinds = ", ".join(sorted({row.modality for row in rows if row.modality})) or "unnamed modality"
    licenses = ", ".join(sorted({row.license for row in rows if row.license})) or "unknown license"
    names = ", ".join(name for name in stored.facts.class_names if name != "background")
    return f"{settings.about or names}; trained on {len(rows):,} images ({kinds}) of {sets}, {licenses}"


def _index(stored: checkpoint.Checkpoint, files: dict[str, bytes]) -> dict[str, Any]:
    recipe: dict[str, Any] = dict(stored.facts.recipe)
    recipe |= {name: "" for name in OF_THIS_MACHINE if name in recipe}
    recipe["data"] = dict(recipe["data"]) | {"cache": ""}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return {"step": stored.step, "final": True, "sha256": hashes,
            "facts": replace(stored.facts, recipe=recipe).to_dict()}  # fmt: skip
