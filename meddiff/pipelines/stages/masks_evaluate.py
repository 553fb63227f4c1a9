"""Segmentation, stage 4: every model on every test case, on the image's own grid; one row per case and class.

A finished case leaves its mask and its scores (JSON) in masks/<model>/, so that a killed run goes on with the next.
The temperature of each model is fitted on the validation split, where its best weights were chosen as well.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from meddiff.data.cases import Case, truth_of
from meddiff.data.image_io import save_image
from meddiff.data.image_io.nifti_writing import save_volume
from meddiff.data.manifest import ManifestRow
from meddiff.data.tables import write_table
from meddiff.data.writing import write_text
from meddiff.decision import Answer, fused
from meddiff.ensemble.temperature import fit_temperature, sample_pixels
from meddiff.evaluation.mask_calibration import Reliability, case_calibration, reliability_of
from meddiff.evaluation.masks import case_scores
from meddiff.pipelines.stages.manifest import need, rows_of
from meddiff.pipelines.stages.progress import bar
from meddiff.pipelines.stages.stage import Stage
from meddiff.recipe import to_dict
from meddiff.run_folder import RunFolder, digest
from meddiff.seeds import child_seed
from meddiff.segment_recipe import SegmentRecipe
from meddiff.segmentation import assembly
from meddiff.segmentation.models import models_of
from meddiff.segmentation.trained import TrainedModel, of_run
from meddiff.training import checkpoint

PIXELS_PER_CASE = 4000
"""Drawn from each validation case for the temperature."""


def model_names(recipe: SegmentRecipe) -> list[str]:
    """The diffusion model and its baselines."""
    return [assembly.DIFFUSION, *recipe.baseline.names]


def fitted_temperature(model: TrainedModel, folder: RunFolder, console: Console) -> float:
    """Fitted on pixels of the validation split, the same number from each case."""
    recipe = model.recipe
    images = assembly.images(rows_of(recipe, folder, "val"), recipe)
    chosen = range(len(images))
    if recipe.validation.cases:
        chosen = np.linspace(0, len(images) - 1, min(recipe.validation.cases, len(images))).round().astype(int)
    labels, probabilities = [], []
    for number in bar(console, "fitting the temperature", unit="cases")(chosen, len(chosen)):
        image, truth = assembly.pair(images, int(number))
        answer = fused(model.members(image, images.rows[int(number)].row_id), model.decision)
        generator = np.random.default_rng(child_seed(recipe.seed, "temperature", int(number)))
        some = sample_pixels(truth, answer, count=PIXELS_PER_CASE, generator=generator)
        labels.append(some[0])
        probabilities.append(some[1])
    return fit_temperature(np.concatenate(labels), np.concatenate(probabilities))


def save_mask(classes: np.ndarray, case: Case, folder: Path) -> Path:
    """A class map as PNG (class indices) or, of a volume, as NIfTI on the volume's own grid."""
    name = case.name.replace("/", "_")
    if classes.ndim == 2:
        save_image(classes, path := folder / f"{name}.png")
    else:
        spacing = case.spacing_mm if case.affine is None else None
        save_volume(classes, path := folder / f"{name}.nii.gz", affine=case.affine, spacing_mm=spacing)  # type: ignore[arg-type]
    return path


def _judge(answer: Answer, truth: np.ndarray, case: Case, class_names: Sequence[str]) -> dict:
    """Scores and reliability of a case, as JSON takes them."""
    scores = case_scores(truth, answer.classes, class_names=class_names, spacing_mm=case.spacing_mm)
    told = {"uncertainty": answer.uncertainty} | case_calibration(truth, answer.probabilities)
    reliability = {name: part.tolist() for name, part in asdict(reliability_of(truth, answer.probabilities)).items()}
    return {"scores": [score | told for score in scores], "reliability": reliability}


def _model(recipe: SegmentRecipe, folder: RunFolder, name: str, console: Console) -> tuple[list, pd.DataFrame, float]:
    """The rows of all test cases, the pooled reliability and the temperature of one model."""
    masks, inputs = folder.masks / name, _inputs(recipe, folder)
    mark = masks / "inputs.txt"
    if not mark.is_file() or mark.read_text(encoding="utf-8") != inputs:
        shutil.rmtree(masks, ignore_errors=True)
        if recipe.inference.temperature:
            temperature = fitted_temperature(of_run(recipe, folder, name), folder, console)
            write_text(masks / "temperature.json", json.dumps(temperature))
        write_text(mark, inputs)
    model = of_run(recipe, folder, name)
    rows = rows_of(recipe, folder, "test")
    lines, pooled = [], []
    for row in bar(console, f"segmenting with {name}", unit="cases")(rows, len(rows)):
        told = _case(model, row, masks)
        lines += [{"model": name, "case": row.row_id, "patient": row.group, **score} for score in told["scores"]]
        pooled.append(Reliability(**{part: np.asarray(values) for part, values in told["reliability"].items()}))
    return lines, reduce(add, pooled).to_frame(name, model.class_names), model.temperature


def _case(model: TrainedModel, row: ManifestRow, masks: Path) -> dict:
    """Scores and reliability of a case, from its file where it was done before."""
    file = masks / f"{row.row_id.replace('/', '_')}.json"
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    case = model.case(row)
    answer = model(case)
    told = _judge(answer, truth_of(row, case), case, model.class_names)
    save_mask(answer.classes, case, masks)
    write_text(file, json.dumps(told))
    return told


def _inputs(recipe: SegmentRecipe, folder: RunFolder) -> str:
    weights = [
        digest(path / checkpoint.INDEX)
        for name in model_names(recipe)
        if (path := checkpoint.latest(models_of(folder, name).best)) is not None
    ]
    return digest(folder.manifest, weights, to_dict(recipe.inference), recipe.validation.cases, recipe.seed)


def _check(recipe: SegmentRecipe, folder: RunFolder) -> None:
    need(recipe, folder, "test", "on which the masks are judged")


def _run(recipe: SegmentRecipe, folder: RunFolder, console: Console) -> list[Path]:
    lines, tables, temperatures = [], [], {}
    for name in model_names(recipe):
        own, reliability, temperatures[name] = _model(recipe, folder, name, console)
        lines += own
        tables.append(reliability)
    write_table(pd.DataFrame(lines), folder.cases)
    write_table(pd.concat(tables, ignore_index=True), folder.calibration)
    write_text(folder.temperatures, json.dumps(temperatures, indent=2))
    return [folder.cases, folder.calibration, folder.temperatures]


STAGE = Stage("evaluate", "segmenting and measuring every test case", _inputs, _run, _check)
