"""Does it help a segmenter: networks trained with and without drawn pairs, on few, more and all real ones.

Every arm gets as many optimizer steps, and the same initial weights and real pairs for a seed. Each network leaves the
Dice of its validation and test cases in a file that is named by what it depends on: a killed run goes on with the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from meddiff import build
from meddiff.batches import turns
from meddiff.batches.images import Images
from meddiff.build import segmenting
from meddiff.build.augmentation import policy_of
from meddiff.build.kind import Model
from meddiff.build.mask_models import new_baseline
from meddiff.build.models import optimization
from meddiff.cache.store import Prepared
from meddiff.errors import InputError
from meddiff.evaluation.rows import rows_where
from meddiff.files.long_tables import read_table, write_table
from meddiff.formats.masks import IGNORED
from meddiff.inference.segmenters import Segmenter
from meddiff.jobs import weights
from meddiff.jobs.progress import progress
from meddiff.jobs.segment.drawn_pairs import drawn_pairs, name_of, pictures_of
from meddiff.jobs.splits import mask_classes, masked
from meddiff.jobs.stage import Stage, need
from meddiff.jobs.train import trained_by
from meddiff.metrics.masks.overlap import overlap
from meddiff.recipe import to_dict
from meddiff.recipe.segment import SegmentRecipe
from meddiff.run import Run, digest
from meddiff.seeds import child_seed
from meddiff.training.fabric import build_fabric
from meddiff.training.loop import Augment, seeds_of, train
from meddiff.training.state import build_state

COLUMNS = ("split", "model", "size", "n_drawn", "seed", "case", "patient", "dice")


def sizes_of(run: Run[SegmentRecipe]) -> list[int]:
    """Return the numbers of real pairs, from few to all; those beyond all are left out."""
    every = len(run.of("train"))
    return sorted({min(size or every, every) for size in run.recipe.study.sizes})


def real_pairs(run: Run[SegmentRecipe], size: int, seed: int) -> list[int]:
    """Choose so many training images, patient by patient; fewer of a seed are among more of it."""
    rows = masked(run, "train").rows
    groups = list(dict.fromkeys(row.group for row in rows))
    order = np.random.default_rng(child_seed(run.recipe.seed, "study", "pairs", seed)).permutation(len(groups))
    place = {groups[group]: number for number, group in enumerate(order)}
    return sorted(range(len(rows)), key=lambda number: (place[rows[number].group], number))[:size]


def images_of(run: Run[SegmentRecipe], arm: build.Arm, size: int, seed: int) -> Images:
    """Return the pairs that an arm trains on: real ones and, where it has them, those drawn of their masks."""
    real, chosen = masked(run, "train"), real_pairs(run, size, seed)
    rows, cases = [real.rows[one] for one in chosen], [real.prepared[one] for one in chosen]
    if arm.synthetic:
        pairs, names = pictures_of(run), {name_of(row) for row in rows}
        of = {one.row: one.of for one in drawn_pairs(run)}
        known = [number for number, row in enumerate(pairs.rows) if of[row] in names]
        share = round(len(pairs) * size / len(real))  # of pairs that nobody knows the masks of
        own = known or [number for number, row in enumerate(pairs.rows) if of[row] is None][:share]
        rows, cases = rows + [pairs.rows[one] for one in own], cases + [pairs.prepared[one] for one in own]
    return Images(Prepared(tuple(cases), tuple(rows), ()), cut=real.cut)


def augmentation_of(recipe: SegmentRecipe, arm: build.Arm) -> Augment | None:
    """Choose what turns and changes the pairs of an arm: what every training does, or the classical augmentation."""
    if not arm.classical:
        return build.augmentation(recipe)
    return turns.classical_volume_augmentation if recipe.dimensions == 3 else build.CLASSICAL[classical_of(recipe)]


def classical_of(recipe: SegmentRecipe) -> str:
    """Name the classical augmentation of pictures."""
    wanted = recipe.study.classical
    return wanted if wanted != "auto" else "medium" if policy_of(recipe) == "square" else "upright"


def _trained(run: Run[SegmentRecipe], arm: build.Arm, images: Images, seed: int) -> Segmenter:
    """Train a network of an arm; a function of the arm, its images and the seed."""
    recipe = replace(run.recipe, seed=child_seed(run.recipe.seed, "study", seed))
    names, settings = mask_classes(run), optimization(recipe.training)
    model: Model = new_baseline(recipe, recipe.baseline.names[0], images.shape[0], names)
    fabric = build_fabric(precision=recipe.training.precision)
    state = build_state(model.network, model.objective, fabric, settings, ema_decay=recipe.training.ema_decay)
    batches = segmenting.batches(images, recipe, recipe.seed)
    for _ in train(state, batches, settings, seeds=seeds_of(recipe.seed), augment=augmentation_of(recipe, arm)):
        pass
    return model.ready(state.ema.network.eval(), fabric)


def dice_of(segmenter: Segmenter, images: Images, classes: int) -> list[dict[str, Any]]:
    """Measure the mean Dice of the classes that each image's mask holds, on the network's grid; 1 of empty ones."""
    lines = []
    for number, row in enumerate(images.rows):
        image, truth = images.pair(number)
        called = segmenter.members(image)[0].argmax(0).numpy()
        judged = truth != IGNORED
        counts = [overlap(truth[judged] == one, called[judged] == one) for one in range(1, classes)]
        held = [one.dice for one in counts if one.truth] or [one.dice for one in counts]
        lines.append({"case": row.row_id, "patient": row.group, "dice": round(float(np.mean(held)), 6)})
    return lines


def _judged(run: Run[SegmentRecipe], name: str, size: int, seed: int) -> pd.DataFrame:
    """Train a network and let it judge: one row per validation and test image."""
    arm = build.arm(name)
    images = images_of(run, arm, size, seed)
    segmenter = _trained(run, arm, images, seed)
    about = {"model": name, "size": size, "n_drawn": len(images) - min(size, len(images)), "seed": seed}
    return pd.DataFrame([
        {"split": split} | about | line
        for split in ("val", "test")
        for line in dice_of(segmenter, masked(run, split), len(mask_classes(run)))
    ])  # fmt: skip


def _basis(run: Run[SegmentRecipe]) -> list[Any]:
    recipe = run.recipe
    settings = weights.pixel_settings(recipe), to_dict(recipe.volume), trained_by(run), to_dict(recipe.mask)
    return [run.folder.manifest, run.folder.mask_values, *settings, to_dict(recipe.baseline), recipe.seed]


def _key(run: Run[SegmentRecipe], name: str, drawn: Sequence[str | None]) -> str:
    """Digest of what the networks of an arm depend on; the hash of a drawn image tells what drew it."""
    arm = build.arm(name)
    strength = classical_of(run.recipe) if arm.classical else ""
    return digest(*_basis(run), asdict(arm), strength, drawn if arm.synthetic else [])


def _inputs(run: Run[SegmentRecipe]) -> str:
    return digest(*_basis(run), to_dict(run.recipe.study), run.folder.synthetic_manifest)


def _check(run: Run[SegmentRecipe]) -> None:
    need(run, "test", "on which the networks are judged")
    names = run.recipe.study.arms
    build.pick("study.classical", build.CLASSICAL, classical_of(run.recipe))
    for name in names:
        build.arm(name)
    if len(set(names)) < len(names) or not any(build.arm(name).synthetic for name in names) or "real" not in names:
        raise InputError(f"study.arms is {list(names)}: name real, and an arm with drawn pairs, each once")
    if not all(build.arm(name).real for name in names) or any(size < 0 for size in run.recipe.study.sizes):
        raise InputError("study.arms are real pairs with others beside them, and study.sizes are 0 (all) or more")


def _work(run: Run[SegmentRecipe]) -> list[Path]:
    study, parts = run.recipe.study, run.folder.path / "study"
    drawn = [one.row.sha256 for one in drawn_pairs(run)]
    wanted = {
        (name, size, seed): parts / _key(run, name, drawn) / f"{name}-{size}-{seed}.csv"
        for size in sizes_of(run) for seed in range(study.seeds) for name in study.arms
    }  # fmt: skip
    with progress(run.console, unit="networks") as shown:
        task = shown.add_task("training segmenters", total=len(wanted), note="")
        for (name, size, seed), file in wanted.items():
            shown.update(task, note=f"{name}, {size} real pairs, seed {seed}")
            if not file.is_file():
                write_table(_judged(run, name, size, seed), file)
            shown.advance(task)
        shown.update(task, note="")
    table = pd.concat([read_table(file, COLUMNS) for file in wanted.values()], ignore_index=True)
    write_table(table, run.folder.cases)
    return [run.folder.cases]


def of_test(run: Run[SegmentRecipe]) -> pd.DataFrame:
    """Read the test cases of all networks."""
    table = read_table(run.folder.cases, COLUMNS)
    return rows_where(table, table["split"] == "test")


STAGE = Stage("arms", "training segmenters with and without drawn pairs", _inputs, _work, _check)
