"""Does it help a segmenter: means, paired differences and some pairs, in report.html."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from meddiff import build
from meddiff.evaluation.rows import numbers, parts, rows_where
from meddiff.files.long_tables import read_table, write_table
from meddiff.formats.masks import IGNORED
from meddiff.images.views import tile
from meddiff.jobs.run_facts import group_noun, provenance_of_test, resampling_of
from meddiff.jobs.segment.drawn_pairs import pictures_of
from meddiff.jobs.segment.segmenter_study import COLUMNS, classical_of, of_test
from meddiff.jobs.splits import masked
from meddiff.jobs.stage import Stage
from meddiff.recipe import to_dict
from meddiff.recipe.segment import SegmentRecipe
from meddiff.reports.literature import CitedSentence
from meddiff.reports.tasks.pairs_study import pair_study_report, pair_study_results
from meddiff.reports.write import write_report
from meddiff.run import Run, digest

SHOWN = 8
"""Drawn pairs of the page."""


def _inputs(run: Run[SegmentRecipe]) -> str:
    return digest(run.folder.cases, to_dict(run.recipe.evaluation), to_dict(run.recipe.study), run.recipe.seed)


def _work(run: Run[SegmentRecipe]) -> list[Path]:
    recipe, folder, console = run.recipe, run.folder, run.console
    results = pair_study_results(
        of_test(run), beside=counterparts(recipe), resampling=resampling_of(recipe),
        title=f"Drawn pairs beside real ones: {recipe.dataset}", chosen=strongest(run),
        phantom=all(row.source == "phantom" for row in run.of("test")),
        titles={name: build.arm_entry(name).title for name in recipe.study.arms}, seeds=recipe.study.seeds,
        network=build.BASELINES.entries[recipe.baseline.names[0]].title, steps=recipe.training.steps,
        group_noun=group_noun(masked(run, "test")), gallery=gallery(run), methods=methods(recipe),
        provenance=provenance_of_test(run),
    )  # fmt: skip
    written = write_report(pair_study_report(results), folder.path)
    write_table(results.means, folder.scores)
    write_table(results.differences, folder.differences)
    console.print(f"{results.headline}\n", style="bold", soft_wrap=True)
    console.print(f"The report: {written[0]}", soft_wrap=True)
    return [folder.scores, folder.differences, *written]


def counterparts(recipe: SegmentRecipe) -> dict[str, str]:
    """Return of each arm with drawn pairs the one of real pairs that is turned and changed alike."""
    arms = {name: build.arm(name) for name in recipe.study.arms}
    plain = {arm.classical: name for name, arm in arms.items() if not arm.synthetic}
    return {name: plain.get(arm.classical, "real") for name, arm in arms.items() if arm.synthetic}


def strongest(run: Run[SegmentRecipe]) -> str:
    """Return the arm of real pairs with the best Dice on the validation images, where all pairs are used."""
    table = read_table(run.folder.cases, COLUMNS)
    chosen = rows_where(table, (table["split"] == "val") & (table["size"] == max(numbers(table, "size"))))
    dice = {name: float(numbers(rows, "dice").mean()) for (name,), rows in parts(chosen, ["model"])}
    return max(dict.fromkeys(counterparts(run.recipe).values()), key=dice.__getitem__)


def gallery(run: Run[SegmentRecipe]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Show some drawn images and their masks, evenly chosen."""
    pairs = pictures_of(run)
    shown = []
    for number in np.unique(np.linspace(0, len(pairs) - 1, min(SHOWN, len(pairs))).round().astype(int)):
        image, mask = pairs.pair(int(number))
        gray = np.where(mask == IGNORED, 0, mask) / max(1, int(mask[mask != IGNORED].max(initial=0))) * 2 - 1
        shown.append((tile(image.numpy(), pairs.spacing_mm), tile(gray[None].astype(np.float32), pairs.spacing_mm)))
    return shown


def methods(recipe: SegmentRecipe) -> list[CitedSentence]:
    """Say how the study was made."""
    network, study = build.BASELINES.entries[recipe.baseline.names[0]], recipe.study
    classical = build.CLASSICAL.entries[classical_of(recipe)]
    return [
        (f"Segmenters ({network.title}) were trained for {recipe.training.steps} steps of {recipe.training.batch_size} "
         f"images in every arm, {study.seeds} times", network.citations),
        (f"Of each training mask {study.per_mask} images were drawn by a diffusion model that is told the mask, the "
         "first of it as it is, others of it turned and smoothly bent", ("wang2022semantic",)),
        (f"The classical augmentation: {classical.title}", classical.citations or ("perez2018",)),
        ("Differences are paired image by image and averaged over the trainings; brackets are bootstrap intervals over "
         "patients, and no drawn pair comes from a validation or test image", ("rao1988",)),
    ]  # fmt: skip


STAGE = Stage("augmentation", "comparing and drawing the report", _inputs, _work)
