"""Does it help a segmenter: the drawn pairs that join the real ones, none of them of a validation or test image.

A run that draws images by masks is given those of the training images: each as it is, then bent and turned. A manifest
of pairs that were drawn before is taken as it is. Either is refused where what it was drawn by or learned from is held
out here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from meddiff import build
from meddiff.audit.changed import COLUMNS as CONTENTS
from meddiff.batches import turns
from meddiff.batches.batch import Batch
from meddiff.batches.images import Images
from meddiff.build import segmenting
from meddiff.build.augmentation import policy_of
from meddiff.build.models import of_checkpoint
from meddiff.build.pair_models import TRANSLATE
from meddiff.diffusion.condition import Condition
from meddiff.errors import InputError
from meddiff.files.content import sha256_of
from meddiff.files.long_tables import read_table
from meddiff.inference.sampling import generate
from meddiff.inference.translators import DiffusionTranslator
from meddiff.jobs.generate.synthesize import drawn_files, save, save_mask
from meddiff.jobs.progress import bar
from meddiff.jobs.splits import mask_classes, mask_meaning, masked
from meddiff.jobs.stage import Stage
from meddiff.manifest.row import COLUMNS, ManifestRow
from meddiff.manifest.table import read_manifest, write_manifest
from meddiff.recipe import Recipe
from meddiff.recipe.segment import SegmentRecipe
from meddiff.recipe.translate import TranslateRecipe
from meddiff.run import Run, RunFolder, digest, recipe_in, root_of_manifest
from meddiff.seeds import child_seed
from meddiff.tasks.label_map import LabelMap, deformed


@dataclass(frozen=True)
class Drawn:
    """A pair that joins the training images."""

    row: ManifestRow
    of: str | None
    """Name of the training image whose mask it was drawn by (see `name_of`); None where nobody knows."""


def drawn_pairs(run: Run[SegmentRecipe]) -> list[Drawn]:
    """List the pairs of a run: those of its manifest of pairs, or those that it has drawn.

    Raises:
        InputError: there are none, or they are damaged.
    """
    place = Path(run.recipe.study.pairs).expanduser()
    if place.is_file():
        return [Drawn(row, None) for row in _given(place)]
    rows = read_manifest(run.folder.synthetic_manifest, root=run.folder.path)
    return [Drawn(row, row.described["mask_of"]) for row in rows]


def name_of(row: ManifestRow) -> str:
    """Name a training image as the attribute of its drawn pairs has it, which takes no semicolon."""
    return row.row_id.replace(";", ",")


def _given(manifest: Path) -> list[ManifestRow]:
    rows = read_manifest(manifest, root=root_of_manifest(manifest))
    pairs = [replace(row, split="train") for row in rows if row.source == "synthetic" and row.mask_path is not None]
    if not pairs:
        raise InputError(
            f"--study.pairs {manifest} lists no drawn image with a mask: give the manifest.csv that "
            "`translate predict` writes of label maps, or the folder of a run of `translate train --translation.known "
            "mask`"
        )
    return pairs


def _trained(run: Run[SegmentRecipe]) -> Run[TranslateRecipe]:
    folder = RunFolder(Path(run.recipe.study.pairs).expanduser())
    recipe = recipe_in(folder, TranslateRecipe)
    if not recipe.by_masks:
        raise InputError(f"--study.pairs {folder.path} draws no images by masks: train with --translation.known mask")
    return Run(replace(recipe, data=replace(recipe.data, cache=run.recipe.data.cache)), folder)


def _learned_by(manifest: Path) -> Sequence[ManifestRow]:
    """Return the training rows of the run that drew images with their masks, where it is known."""
    folder = RunFolder(manifest.parent)
    known = folder.synthetic_manifest == manifest and folder.recipe.is_file()
    return Run(recipe_in(folder, Recipe), folder).of("train") if known else ()


def _inputs(run: Run[SegmentRecipe]) -> str:
    place, study = Path(run.recipe.study.pairs).expanduser(), run.recipe.study
    made_by = place if place.is_file() else TRANSLATE.weights(RunFolder(place), build.DIFFUSION).digest
    return digest(run.folder.manifest, run.folder.mask_values, made_by, [study.per_mask, study.bend, run.recipe.seed])


def _check(run: Run[SegmentRecipe]) -> None:
    if not run.recipe.study.pairs:
        raise InputError(
            "segment augment needs pairs: name a run of `translate train --translation.known mask`, or a manifest of "
            "drawn pairs, with --study.pairs"
        )
    if run.recipe.data.slice_axis:
        raise InputError(
            f"data.slice_axis {run.recipe.data.slice_axis} cuts volumes, and drawn pairs of slices are pictures: name "
            "slices in a manifest (as --dataset hippocampus does), or take whole volumes with --dimensions 3"
        )
    place = Path(run.recipe.study.pairs).expanduser()
    if place.is_file():
        _refuse_held_out(_given(place), run, f"pairs of {place} are drawn of")
        _refuse_held_out(_learned_by(place), run, f"{place.parent} has learned from")
        return
    trained = _trained(run)
    _refuse_held_out(trained.of("train"), run, f"{place} has learned from")
    _refuse_same_files(trained, run)
    own, others = mask_classes(run), TRANSLATE.weights(trained.folder, build.DIFFUSION).facts.class_names
    same = mask_meaning(trained).text == mask_meaning(run).text and len(others) == len(own)
    if list(others) != own and not same:
        raise InputError(
            f"the masks here are of {', '.join(own)}, those that {place} draws by of {', '.join(others)}: give both "
            "the same --classes and --data.mask_values"
        )
    if mask_meaning(run).way == "name":
        raise InputError("shapes with names (SEG, RTSTRUCT, a file per class) cannot be drawn by: use masks of numbers")


def _refuse_held_out(rows: Sequence[ManifestRow], run: Run[SegmentRecipe], how: str) -> None:
    """Refuse rows of patients (or lesions, or images) that judge here.

    Raises:
        InputError: how many, and the first.
    """
    judges = {row.group for split in ("val", "test") for row in run.of(split)}
    if shared := sorted({row.group for row in rows} & judges):
        raise InputError(
            f"{how} {len(shared)} patients, lesions or images that are validation or test here ({shared[0]} first): "
            "what is drawn of them must not train what they judge. Give both runs the same splits (a split column in "
            "the manifest, or the same --seed and fractions)"
        )


def _refuse_same_files(trained: Run[TranslateRecipe], run: Run[SegmentRecipe]) -> None:
    """Refuse a run that has learned from the very files that judge here, whatever they are called."""
    table = read_table(trained.folder.contents, CONTENTS, as_text=True)
    content = dict(zip(table["file"], table["sha256"], strict=True))
    files = [file.relative_to(row.root).as_posix() for row in trained.of("train") for file in row.image_files]
    learned = {content.get(file) for file in files}
    judges = [row for split in ("val", "test") for row in run.of(split)]
    if any(sha256_of(file) in learned for row in judges for file in row.image_files if file.is_file()):
        raise InputError(
            f"{trained.folder.path} has learned from images that are validation or test here, under other names: give "
            "both runs the same splits"
        )


def _work(run: Run[SegmentRecipe]) -> list[Path]:
    place = Path(run.recipe.study.pairs).expanduser()
    if place.is_file():
        _refuse_same_masks(run)
        run.console.print(f"{len(_given(place))} drawn pairs: {place}", soft_wrap=True)
        return []
    trained, rows = _trained(run), plan(run)
    translator: DiffusionTranslator
    translator, _ = of_checkpoint(trained.recipe, TRANSLATE.weights(trained.folder, build.DIFFUSION), build.DIFFUSION)
    missing = [number for number, one in enumerate(rows) if not all(file.is_file() for file in drawn_files(one.row))]
    images = build.images(run.of("train"), trained.recipe, (), meaning=mask_meaning(run))
    for number in bar(run.console, "drawing pairs", unit="batches")(*_batched(missing, trained.recipe)):
        _draw([rows[one] for one in number], translator, images, run)
    rows = [replace(one.row, sha256=sha256_of(one.row.image_file)) for one in rows]
    write_manifest(rows, run.folder.synthetic_manifest, root=run.folder.path)
    return [run.folder.synthetic_manifest, run.folder.synthetic]


def _batched(numbers: Sequence[int], recipe: TranslateRecipe) -> tuple[list[Sequence[int]], int]:
    size = recipe.inference.batch_size
    some = [numbers[first : first + size] for first in range(0, len(numbers), size)]
    return some, len(some)


def plan(run: Run[SegmentRecipe]) -> list[Drawn]:
    """Return the pairs to draw: of each training mask ``study.per_mask``, of its patient, with a seed of its own."""
    study, trained = run.recipe.study, RunFolder(Path(run.recipe.study.pairs).expanduser())
    weights, suffix = (
        TRANSLATE.weights(trained, build.DIFFUSION).digest,
        ".nii.gz" if run.recipe.dimensions == 3 else ".png",
    )
    made_by = digest(run.folder.manifest, run.folder.mask_values, weights, study.bend, run.recipe.seed)
    folder = f"{run.folder.synthetic.name}/{made_by}"
    pairs = []
    for place, source in enumerate(run.of("train")):
        for number in range(study.per_mask):
            known: dict[str, Any] = dict.fromkeys(COLUMNS) | {
                "row_id": f"drawn-{source.row_id}-{number}", "dataset": source.dataset, "split": "train",
                "patient_id": source.patient_id, "lesion_id": source.lesion_id or None, "source": "synthetic",
                "image_path": f"{folder}/{place:05d}-{number}{suffix}",
                "mask_path": f"{folder}/{place:05d}-{number}_mask{suffix}", "modality": source.modality,
                "seed": child_seed(run.recipe.seed, "pair", source.row_id, number),
                "generator": f"meddiff checkpoint={weights} mask={'as it is' if not number else 'bent'}",
                "attributes": f"mask_of={name_of(source)}",
            }  # fmt: skip
            pairs.append(Drawn(ManifestRow(**known, root=run.folder.path), name_of(source)))
    return pairs


def _draw(pairs: Sequence[Drawn], translator: DiffusionTranslator, images: Images, run: Run[SegmentRecipe]) -> None:
    """Draw the images of some pairs in one call, and write them with their masks."""
    task = translator.task
    assert isinstance(task, LabelMap)
    masks = torch.cat([_mask_of(one, images, run) for one in pairs])
    drawn = generate(
        translator.denoiser, task, translator.sampling, told=Condition(image=task.shown(masks[:, 0])),
        seeds=[one.row.seed or 0 for one in pairs], shape=images.shape, batch_size=translator.batch_size,
        device=translator.device,
    )  # fmt: skip
    for one, image, mask in zip(pairs, (image for batch in drawn for image in batch), masks[:, 0], strict=True):
        save_mask(mask.numpy(), one.row.mask_parts[0].path, images, mask_meaning(run))
        save(image.numpy(), one.row.image_file, images)


def _mask_of(one: Drawn, images: Images, run: Run[SegmentRecipe]) -> Tensor:
    """Return the mask of a pair [1, 1, *S] int64: that of its training image, the first as it is, others changed."""
    batch = images.batch([[name_of(row) for row in images.rows].index(one.of or "")])
    if one.row.row_id.endswith("-0"):
        assert batch.mask is not None
        return batch.mask
    generator = torch.Generator().manual_seed(child_seed(one.row.seed or 0, "bend"))
    turned: Batch = turns.flip_rotate90(batch, generator) if policy_of(run.recipe) == "square" else batch
    assert turned.mask is not None
    return deformed(turned.mask, generator, strength=run.recipe.study.bend)


def _refuse_same_masks(run: Run[SegmentRecipe]) -> None:
    """Refuse given pairs whose mask is that of a validation or test image.

    Raises:
        InputError: how many.
    """
    own = pictures_of(run)
    held = {
        masked(run, split).pair(number)[1].tobytes()
        for split in ("val", "test")
        for number in range(len(run.of(split)))
    }
    marked = [own.pair(number)[1] for number in range(len(own))]
    if same := sum(mask.tobytes() in held for mask in marked if mask.any()):
        raise InputError(
            f"{same} of the drawn pairs have the mask of a validation or test image: draw them of training masks alone"
        )


def pictures_of(run: Run[SegmentRecipe]) -> Images:
    """Return the drawn pairs as images with masks.

    Raises:
        InputError: masks with other values than the real ones, pictures of another depth.
    """

    def prepared() -> Images:
        images = segmenting.images([one.row for one in drawn_pairs(run)], run.recipe, mask_meaning(run))
        segmenting.check_classes(images, mask_classes(run))
        depths = images.pixel_dtype, masked(run, "train").pixel_dtype
        if depths[0] != depths[1]:
            raise InputError(
                f"the drawn images are {depths[0]}, the real ones {depths[1]}: draw them by a run of these"
            )
        return images

    return run.keep("drawn pairs", prepared)


STAGE = Stage("pairs", "drawing pairs of image and mask of the training masks", _inputs, _work, _check)
