"""Stage 3: synthetic images of every class, each a file and a manifest row that says how to draw it again."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

import meddiff
from meddiff.batches.image_attributes import Given, values_of, with_values
from meddiff.batches.images import Images
from meddiff.batches.latents import pixels_of
from meddiff.diffusion.condition import Condition
from meddiff.errors import InputError
from meddiff.files.content import sha256_of
from meddiff.formats import save_image
from meddiff.formats.masks import MaskMeaning
from meddiff.formats.masks.meaning import stored_values
from meddiff.formats.nifti import save_volume
from meddiff.images.intensity import to_pixels
from meddiff.images.working_grid import standing_free
from meddiff.inference.sampling import generate
from meddiff.jobs import weights
from meddiff.jobs.describe import Work
from meddiff.jobs.generate.encode import learned
from meddiff.jobs.generate.filter import drawn, near_copies
from meddiff.jobs.progress import bar
from meddiff.jobs.splits import labeled, labeled_rows, mask_meaning
from meddiff.jobs.stage import Stage, need, of_several, share, share_of
from meddiff.manifest.row import COLUMNS, ManifestRow, pairs_in
from meddiff.manifest.table import write_manifest
from meddiff.recipe import Recipe, to_dict
from meddiff.run import Run, digest
from meddiff.seeds import child_seed


def _inputs(run: Run[Recipe]) -> str:
    refused = run.recipe.filter.copy_quantile if run.recipe.synthesis.refuse_copies else None
    guided = [weights.guide(run.folder).digest] if run.recipe.synthesis.classifier_guidance else []
    settings = {name: value for name, value in to_dict(run.recipe.synthesis).items() if name != "tell" or value}
    return digest(weights.trained(run.folder).digest, *guided, settings, to_draw(run), run.folder.manifest,
                  run.recipe.seed, refused)  # fmt: skip


def _check(run: Run[Recipe]) -> None:
    asked_for(run)
    if run.recipe.synthesis.refuse_copies:
        need(run, "val", "by which near-copies are told from honest images")
    if not any(wanted(run).values()):
        raise InputError(
            f"synthesis.max_ratio {run.recipe.synthesis.max_ratio:g} allows not a single synthetic image of any class: "
            "it is how many there may be per real one. Raise it"
        )


def _work(run: Run[Recipe]) -> list[Path]:
    rows = plan(run)
    if run.folder.synthetic_manifest.is_file():
        drawn(run)  # what is not what was drawn is refused before it is written down anew
    missing = [row for row in rows if not all(file.is_file() for file in drawn_files(row))]
    if len(missing) < len(rows):
        run.console.print(f"{len(rows) - len(missing)} of {len(rows)} synthetic images stand already")
    share(run, partial(_draw, missing))
    if run.recipe.synthesis.refuse_copies:
        rows = without_copies(rows, run)
    rows = [replace(row, sha256=sha256_of(row.image_file)) for row in rows]
    write_manifest(rows, run.folder.synthetic_manifest, root=run.folder.path)
    return [run.folder.synthetic_manifest, run.folder.synthetic]


def condition(rows: Sequence[ManifestRow], images: Images) -> Condition:
    """Return the condition of images that are drawn, as their rows say it."""
    labels = torch.tensor([images.class_names.index(row.label or "") for row in rows], dtype=torch.int64)
    if not images.described.attributes:
        return Condition(labels)
    numbers = images.described.attributes.numbers([values_of(row, images.described.attributes.names) for row in rows])
    return Condition(labels, attributes=images.described.attributes.features(torch.from_numpy(numbers)))


def asked_for(run: Run[Recipe]) -> dict[str, Given]:
    """Read the attributes that all synthetic images are to have, empty where nothing is asked for.

    Raises:
        InputError: no ``name=value``, an attribute that the model was not trained with, a value that it cannot have.
    """
    tell = run.recipe.synthesis.tell
    try:
        values = dict(pairs_in(re.sub(r",(?=\s*\w+\s*=)", ";", tell)))
    except ValueError as error:
        raise InputError(f"synthesis.tell is {tell!r}: write such as age_years=70,sex=female ({error})") from None
    return labeled(run, "train").described.attributes.given(values) if values else {}


def described(rows: Sequence[ManifestRow], run: Run[Recipe]) -> list[ManifestRow]:
    """Return the rows of images that are drawn, with the attributes that each is drawn by.

    These are those asked for, else all that a training image of the class has: they go together as they do there.
    """
    images, asked = labeled(run, "train"), asked_for(run)
    places: dict[str | None, list[int]] = {}
    for place, row in enumerate(images.rows):
        places.setdefault(row.label, []).append(place)

    def values(row: ManifestRow) -> dict[str, Given]:
        own = np.random.default_rng(child_seed(row.seed or 0, "attributes")).choice(places[row.label])
        return asked or images.described.attributes.values(images.described.numbers[own])

    return [with_values(row, values(row)) for row in rows] if images.described.attributes else list(rows)


def _draw(rows: Sequence[ManifestRow], run: Run[Recipe], fabric: Fabric) -> None:
    """Draw this process's share of the images of these rows."""
    rows, images = share_of(rows, fabric), learned(run)
    denoiser, device = weights.load(run, images)
    task = weights.drawing_task(run, images)
    batches = generate(
        denoiser,
        task,
        weights.sampling(run, images),
        told=condition(rows, images),
        seeds=[row.seed or 0 for row in rows],
        shape=(task.channels, *images.shape[1:]),
        batch_size=run.recipe.synthesis.batch_size,
        device=device,
    )
    drawn = (one for batch in batches for one in batch)
    show = bar(run.console, "drawing synthetic images" + of_several(fabric), unit="images")
    for row, one in show(zip(rows, drawn, strict=True), len(rows)):
        if run.recipe.classes:
            image, mask = task.parts(one[None])
            save_mask(mask[0].numpy(), row.mask_parts[0].path, pixels_of(images), mask_meaning(run))
            one = image[0]
        save(one.numpy(), row.image_file, pixels_of(images))


def without_copies(rows: Sequence[ManifestRow], run: Run[Recipe]) -> list[ManifestRow]:
    """Return the rows without the near-copies of training images, whose files are deleted.

    Raises:
        InputError: none is left.
    """
    train, held_out = (labeled(run, split) for split in ("train", "val"))
    copy, _, _ = near_copies(labeled_rows(run, rows), train, held_out, run.recipe.filter.copy_quantile)
    if copy.all():
        raise InputError(
            f"all {len(rows)} synthetic images are near-copies of training images: the model has memorized them. Train "
            "on more images or for fewer steps; --synthesis.refuse_copies false keeps what was drawn"
        )
    for row, is_copy in zip(rows, copy, strict=True):
        if is_copy:
            row.image_file.unlink()
    run.console.print(f"{int(copy.sum())} of {len(rows)} synthetic images were near-copies of training images: deleted")
    return [row for row, is_copy in zip(rows, copy, strict=True) if not is_copy]


def save(image: np.ndarray, path: Path, like: Images) -> None:
    """Save a picture [C, H, W] in [-1, 1] as PNG, a volume [C, D, H, W] as NIfTI, in the depth of the training images.

    A volume lies in no patient: its axes lead to the right, front and head, its middle is at the origin.
    """
    pixels = to_pixels(image, np.dtype(like.pixel_dtype))
    if image.ndim == 3:
        save_image(pixels, path)
        return
    spacing = like.spacing_mm
    save_volume(pixels, path, affine=None if spacing is None else standing_free(spacing, image.shape[1:]))


def drawn_files(row: ManifestRow) -> list[Path]:
    """List what is drawn of a row: its image, and its mask where it has one."""
    return [row.image_file, *(part.path for part in row.mask_parts)]


def save_mask(classes: np.ndarray, path: Path, like: Images, meaning: MaskMeaning) -> None:
    """Save class indices [H, W] as PNG, [D, H, W] as NIfTI, with the values that the data set's masks have."""
    stored, spacing = stored_values(classes.astype(np.uint8), meaning), like.spacing_mm
    if classes.ndim == 2:
        save_image(stored, path)
    else:
        save_volume(stored, path, affine=None if spacing is None else standing_free(spacing, classes.shape))


def plan(run: Run[Recipe]) -> list[ManifestRow]:
    """Return the rows of the images to draw: per class as many as fill it up, and some more for the filter to drop.

    The images lie in a folder named by what they depend on, so those of another checkpoint are never mixed in, and
    those that stand are used when more are asked for.
    """
    generator = how(run)
    images = labeled(run, "train")
    kinds = {row.modality for row in images.rows}
    known: dict[str, Any] = dict.fromkeys(COLUMNS) | {
        "dataset": run.recipe.dataset,
        "modality": kinds.pop() if len(kinds) == 1 else None,
        "source": "synthetic",
        "split": "train",
        "generator": generator,
    }
    known |= {f"spacing_mm_{axis}": mm for axis, mm in enumerate(images.spacing_mm or ())}
    suffix = ".png" if len(images.shape) == 3 else ".nii.gz"
    folder = f"{run.folder.synthetic.name}/{digest(generator, run.folder.manifest, run.recipe.seed)}"

    def stem(class_number: int, label: str, number: int) -> str:
        return f"{folder}/{class_number}-{_file_name(label)}/{number:05d}"

    rows = [
        ManifestRow(
            **known
            | {
                "row_id": f"synthetic-{label}-{number:05d}",
                "image_path": f"{stem(class_number, label, number)}{suffix}",
                "mask_path": f"{stem(class_number, label, number)}_mask{suffix}" if run.recipe.classes else None,
                "label": label,
                "seed": child_seed(run.recipe.seed, "synthesis", label, number),
            },
            root=run.folder.path,
        )
        for class_number, (label, count) in enumerate(to_draw(run).items())
        for number in range(math.ceil(count * run.recipe.synthesis.oversample))
    ]
    return described(rows, run)


def how(run: Run[Recipe]) -> str:
    """Say what draws the images, as their rows name it."""
    settings = run.recipe.synthesis
    generator = (
        f"meddiff {meddiff.__version__} checkpoint={weights.trained(run.folder).digest} sampler={settings.sampler} "
        f"steps={settings.steps} spacing={settings.spacing} guidance={settings.guidance:g}"
    )
    if settings.guidance_interval != (0, 1):
        generator += " interval={:g}-{:g}".format(*settings.guidance_interval)
    if settings.guidance_rescale:
        generator += f" rescale={settings.guidance_rescale:g}"
    if settings.classifier_guidance:
        generator += f" classifier={weights.guide(run.folder).digest} scale={settings.classifier_guidance:g}"
    if settings.threshold != "none":
        generator += f" threshold={settings.threshold}"
    if settings.tell:
        generator += f" tell={settings.tell}"
    return generator


def wanted(run: Run[Recipe]) -> dict[str, int]:
    """Count the synthetic images of each class that may join training: a full class, bounded by max_ratio."""
    real = Counter(row.label or "" for row in run.of("train"))
    full = run.recipe.synthesis.per_class or max(real.values())
    return {
        label: min(full, math.floor(run.recipe.synthesis.max_ratio * count)) for label, count in sorted(real.items())
    }


def to_draw(run: Run[Recipe]) -> dict[str, int]:
    """Count the images of each class that the neediest arms need: those of `wanted`, or of the largest ratio."""
    real = Counter(row.label or "" for row in run.of("train"))
    largest = max(run.recipe.classifier.ratios, default=0.0)
    return {label: max(count, math.ceil(largest * real[label])) for label, count in wanted(run).items()}


def _file_name(label: str) -> str:
    """Return a label in letters that every disk takes.

    Two labels may look the same: the number of the class comes before.
    """
    return re.sub(r"[^\w-]+", "_", label, flags=re.ASCII)[:60]


def _asks(run: Run[Recipe]) -> list[Work]:
    drawing = run.recipe.synthesis
    calls = drawing.steps * (1 if drawing.guidance in (0, 1) else 2)
    images = sum(math.ceil(drawing.oversample * count) for count in to_draw(run).values())
    return [Work(run.recipe.network.name, called=images * calls)]


STAGE = Stage("synthesize", "drawing synthetic images of every class", _inputs, _work, _check, _asks)
