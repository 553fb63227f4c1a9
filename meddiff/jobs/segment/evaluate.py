"""Segmentation, stage 5: every model on every test case, on the image's own grid; one row per case and class.

Trained models on images whose masks are known: every case on its own grid, one row per model, case and class.

A finished case leaves its mask and its scores (JSON) in masks/<model>/, so that a killed run goes on with the next.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial, reduce
from operator import add
from pathlib import Path

import numpy as np
import pandas as pd
from lightning_fabric import Fabric

from meddiff.evaluation.masks.cases import case_scores
from meddiff.evaluation.masks.detections import free_response
from meddiff.evaluation.masks.reliability import Reliability, case_calibration, reliability_of
from meddiff.evaluation.masks.summary import of_held_classes
from meddiff.files.documents import read_json
from meddiff.files.long_tables import write_table
from meddiff.files.writing import write_text
from meddiff.formats import save_image
from meddiff.formats.nifti import save_volume
from meddiff.images.case import Case, truth_of
from meddiff.inference.decision import Answer
from meddiff.jobs.progress import bar
from meddiff.jobs.segment.calibrate import answering, answers_depend_on, model_names
from meddiff.jobs.splits import mask_meaning
from meddiff.jobs.stage import Stage, need, of_several, share, share_of
from meddiff.manifest.row import ManifestRow
from meddiff.recipe.segment import SegmentRecipe
from meddiff.run import Run, digest
from meddiff.trained import TrainedModel, of_run

MARK = "inputs.txt"
SCORES = ".json"
"""Suffix of the file of what `_judge` says of a case."""


def made_of(masks: Path, inputs: str) -> bool:
    """Say whether the cases in a model's folder were done on these inputs."""
    mark = masks / MARK
    return mark.is_file() and mark.read_text(encoding="utf-8") == inputs


def begin(masks: Path, inputs: str) -> None:
    """Make a model's folder ready for cases done on these inputs; what was done on others is removed."""
    if not made_of(masks, inputs):
        shutil.rmtree(masks, ignore_errors=True)
        write_text(masks / MARK, inputs)


def networks_of(run: Run[SegmentRecipe]) -> dict[str, TrainedModel]:
    """Load the networks of a run, calibrated, once."""
    return {name: run.keep(("model", name), partial(of_run, run, name)) for name in model_names(run.recipe)}


def judge(trained: Run[SegmentRecipe], rows: Sequence[ManifestRow], run: Run[SegmentRecipe]) -> list[Path]:
    """Write cases.csv, calibration.csv and detections.csv of the networks of a trained run on the rows of a run.

    Raises:
        InputError: an image or mask that cannot be read, values in it that are no classes.
    """
    folder, stems = run.folder, file_stems([row.row_id for row in rows])
    share(run, partial(_answer, trained, rows, stems))
    lines, detections, tables = [], [], []
    for name, model in networks_of(trained).items():
        pooled = []
        for row in rows:
            judged = read_json(beside(folder.masks / name / stems[row.row_id], SCORES))
            about = {"model": name, "case": row.row_id, "patient": row.group}
            lines += [about | score for score in judged["scores"]]
            detections += [about | counts for counts in judged["detections"]]
            pooled.append(Reliability(**{part: np.asarray(values) for part, values in judged["reliability"].items()}))
        tables.append(reduce(add, pooled).to_frame(name, model.class_names))
    write_table(of_held_classes(pd.DataFrame(lines)), folder.cases)
    write_table(pd.concat(tables, ignore_index=True), folder.calibration)
    write_table(pd.DataFrame(detections), folder.detections)
    return [folder.cases, folder.calibration, folder.detections]


def _answer(
    trained: Run[SegmentRecipe], rows: Sequence[ManifestRow], stems: Mapping[str, str], run: Run[SegmentRecipe],
    fabric: Fabric,
) -> None:  # fmt: skip
    """Segment and score this process's share of the cases that are not done yet."""
    meaning = mask_meaning(run)
    for name, model in networks_of(trained).items():
        paths = {row.row_id: run.folder.masks / name / stems[row.row_id] for row in share_of(rows, fabric)}
        missing = [row for row in rows if row.row_id in paths and not beside(paths[row.row_id], SCORES).is_file()]
        show = bar(run.console, f"segmenting with {name}{of_several(fabric)}", unit="cases")
        for row, (case, answer) in show(zip(missing, model.answers(model.cases(missing)), strict=True), len(missing)):
            judged = _judge(answer, truth_of(row, case, meaning), case, model.class_names)
            save_mask(answer.classes, case, paths[row.row_id])
            write_text(beside(paths[row.row_id], SCORES), json.dumps(judged))


def beside(stem: Path, suffix: str) -> Path:
    """Name a file of a case, whose id may hold dots."""
    return stem.with_name(stem.name + suffix)


def save_mask(classes: np.ndarray, case: Case, stem: Path) -> None:
    """Write a class map as PNG (class indices) or, of a volume, as NIfTI on the volume's own grid."""
    if classes.ndim == 2:
        save_image(classes, beside(stem, ".png"))
    else:
        spacing = case.spacing_mm if case.affine is None else None
        place = {"affine": case.affine, "spacing_mm": spacing, "forms": case.forms}
        save_volume(classes, beside(stem, ".nii.gz"), **place)  # type: ignore[arg-type]


def file_stems(row_ids: Sequence[str]) -> dict[str, str]:
    """Name the files of each case: its id without /; ids that differ in nothing else get a mark of their own."""
    plain = {row_id: row_id.replace("/", "_") for row_id in row_ids}
    counts = Counter(name.casefold() for name in plain.values())
    return {
        row_id: name if counts[name.casefold()] == 1 else f"{name}-{digest(row_id)[:8]}"
        for row_id, name in plain.items()
    }


def _judge(answer: Answer, truth: np.ndarray, case: Case, class_names: Sequence[str]) -> dict:
    """Return scores, reliability and detections of a case, as JSON takes them; nothing counts where it is IGNORED."""
    scores = case_scores(truth, answer.classes, class_names=class_names, spacing_mm=case.spacing_mm)
    judged = {"uncertainty": answer.uncertainty} | case_calibration(truth, answer.probabilities)
    reliability = {name: part.tolist() for name, part in asdict(reliability_of(truth, answer.probabilities)).items()}
    detections = free_response(truth, answer.probabilities, class_names=class_names)
    return {"scores": [score | judged for score in scores], "reliability": reliability, "detections": detections}


def _inputs(run: Run[SegmentRecipe]) -> str:
    return digest(answers_depend_on(run), run.folder.temperatures)


def _check(run: Run[SegmentRecipe]) -> None:
    need(run, "test", "on which the masks are judged")


def _work(run: Run[SegmentRecipe]) -> list[Path]:
    for name, model in networks_of(run).items():
        begin(run.folder.masks / name, digest(answers_depend_on(run, [name]), model.temperature))
    return judge(run, run.of("test"), run)


STAGE = Stage("evaluate", "segmenting and measuring every test case", _inputs, _work, _check,
              lambda run: answering(run, len(run.of("test"))))  # fmt: skip
