"""Translation, stage 5: means with intervals, paired differences and pictures, in report.html."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from meddiff import build
from meddiff.build.kind import models_of
from meddiff.build.pair_models import REGRESSION
from meddiff.evaluation.answers import DICE, METRICS
from meddiff.evaluation.rows import distinct
from meddiff.files.long_tables import read_table, write_table
from meddiff.jobs.describe import images_per_step, shape_of
from meddiff.jobs.run_facts import group_noun, provenance_of_test, resampling_of, training_seconds
from meddiff.jobs.segment.evaluate import file_stems
from meddiff.jobs.splits import classes_drawn_by, plain
from meddiff.jobs.stage import Stage
from meddiff.jobs.translate.evaluate import MEAN, PICTURES
from meddiff.recipe import to_dict
from meddiff.recipe.translate import TranslateRecipe
from meddiff.reports.literature import CitedSentence
from meddiff.reports.tasks.translation import translation_report, translation_results
from meddiff.reports.write import write_report
from meddiff.run import Run, digest

SHOWN = 8
"""Test images of the page."""
CAPTIONS: dict[str, str] = dict(
    zip(PICTURES, ("known", "", "regression", "one member", "mean of members", "truth"), strict=True)
)


def _inputs(run: Run[TranslateRecipe]) -> str:
    return digest(run.folder.cases, to_dict(run.recipe.evaluation), run.recipe.seed)


def _work(run: Run[TranslateRecipe]) -> list[Path]:
    recipe, folder, console = run.recipe, run.folder, run.console
    cases = read_table(folder.cases, ("model", "case", "patient", *METRICS))
    names = distinct(cases, "model")
    by = DICE if recipe.by_masks else "psnr_db"
    main = MEAN if MEAN in names and not recipe.by_masks else build.DIFFUSION
    results = translation_results(
        cases=cases, compared=names[: names.index(REGRESSION) + 1], main=main, single=build.DIFFUSION, by=by,
        resampling=resampling_of(recipe), title=f"Translation of {recipe.dataset}", wanted=wanted(recipe),
        phantom=all(row.source == "phantom" for row in run.of("test")), networks=networks_of(run),
        group_noun=group_noun(plain(run, "test")), gallery=gallery(run, names[0]), methods=methods(recipe),
        provenance=provenance_of_test(run),
    )  # fmt: skip
    written = write_report(translation_report(results), folder.path)
    write_table(results.means, folder.scores)
    write_table(results.differences, folder.differences)
    console.print(f"{results.headline}\n", style="bold", soft_wrap=True)
    console.print(f"The report: {written[0]}", soft_wrap=True)
    return [folder.scores, folder.differences, *written]


def wanted(recipe: TranslateRecipe) -> str:
    """Say in a few words what is made of what."""
    settings = recipe.translation
    if recipe.by_masks:
        return "An image from its mask"
    if settings.known == "sequences":
        given = ", ".join(map(str, settings.given)) or "the other sequences"
        return f"{', '.join(map(str, settings.wanted))} from {given}"
    if settings.known == "hole":
        return f"Filling holes ({settings.holes})"
    along = "" if settings.along == "both" else f" along the {settings.along} axis"
    return f"Resolution x{settings.factor}{along}"


def networks_of(run: Run[TranslateRecipe]) -> pd.DataFrame:
    """List what each network of a run is and took: model, weights (their number), seconds of training, image size."""
    size = " x ".join(map(str, shape_of(run.recipe)[1:]))
    shown = plain(run, "train").shape[0], classes_drawn_by(run)
    names = (*build.kind(run.recipe).others(run.recipe), build.DIFFUSION)
    models = {name: build.new_model(run.recipe, name, *shown) for name in names}
    return pd.DataFrame([
        {"model": name, "weights": sum(parameter.numel() for parameter in model.network.parameters()),
         "training_seconds": training_seconds(models_of(run.folder, name).log, images_per_step(run.recipe)),
         "image_size": size}
        for name, model in models.items()
    ])  # fmt: skip


def gallery(run: Run[TranslateRecipe], simple: str) -> list[tuple[str, list[tuple[str, np.ndarray]]]]:
    """Read the pictures of some test images, evenly chosen; ``simple`` is what needed no training."""
    rows = plain(run, "test").rows
    stems = file_stems([row.row_id for row in rows])
    shown = []
    for number in np.unique(np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).round().astype(int)):
        name = rows[number].row_id
        files = {what: run.folder.answers / f"{stems[name]}_{what}.png" for what in PICTURES}
        pictures = [(CAPTIONS[what] or simple, np.asarray(Image.open(file)))
                    for what, file in files.items() if file.is_file()]  # fmt: skip
        shown.append((name, pictures))
    return shown


def methods(recipe: TranslateRecipe) -> list[CitedSentence]:
    """Say how the models were made, for the methods paragraph."""
    network, task = build.NETWORKS.entries[recipe.network.name], build.TASKS.entries[recipe.translation.known]
    sampler, schedule = (build.SAMPLERS.entries[recipe.inference.sampler],
                         build.SCHEDULES.entries[recipe.diffusion.schedule])  # fmt: skip
    return [
        (f"A diffusion model ({task.title}) was trained for {recipe.training.steps} steps of "
         f"{recipe.training.batch_size} images ({network.title}, schedule {schedule.title}, prediction "
         f"{recipe.diffusion.prediction})", ("ho2020", *task.citations, *schedule.citations, *network.citations)),
        ("The regression is the same network with as many weights, trained by the same loop for as many steps with "
         "the absolute error, and asked once", ()),
        (f"Of each image {recipe.inference.members} answers were drawn in {recipe.inference.steps} steps of "
         f"{sampler.title}", sampler.citations),
    ]  # fmt: skip


STAGE = Stage("report", "comparing and drawing the report", _inputs, _work)
