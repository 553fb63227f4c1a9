"""Segmentation, stage 6: means with intervals, paired differences, calibration and pictures, in report.html.

How the networks of a segmentation run were made, in sentences with what they rest on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from rich.table import Table

from meddiff import build
from meddiff.build.kind import best_of, models_of
from meddiff.evaluation.masks.reliability import case_dice
from meddiff.files.documents import read_json
from meddiff.files.long_tables import read_table, write_table
from meddiff.formats.masks import IGNORED, MaskMeaning
from meddiff.images.case import Case, truth_of
from meddiff.images.intensity import to_pixels
from meddiff.jobs.audit import findings_in
from meddiff.jobs.describe import images_per_step, shape_of
from meddiff.jobs.looks import best_step_in
from meddiff.jobs.run_facts import provenance_of_test, resampling_of, training_seconds
from meddiff.jobs.segment.calibrate import model_names
from meddiff.jobs.splits import mask_meaning
from meddiff.jobs.stage import Stage
from meddiff.manifest.row import ManifestRow
from meddiff.recipe import to_dict
from meddiff.recipe.segment import SegmentRecipe
from meddiff.reports import words
from meddiff.reports.galleries import GalleryCase
from meddiff.reports.literature import CitedSentence
from meddiff.reports.masks import mask_report
from meddiff.reports.results import mask_results
from meddiff.reports.write import write_report
from meddiff.run import Run, RunFolder, digest
from meddiff.trained import TrainedModel, of_run
from meddiff.training import checkpoint

SHOWN = 6  # of each group of the gallery
LARGEST = 640  # pixels of a side that a case keeps for its picture
CALIBRATION = ("model", "class_name", "bin", "count", "stated", "happened")
DETECTIONS = ("model", "case", "patient", "class_name", "threshold", "found", "missed", "invented")
"""Columns of calibration.csv and detections.csv."""
GROUPS = ("Worst cases", "Most uncertain cases", "Typical cases")


def _inputs(run: Run[SegmentRecipe]) -> str:
    tables = run.folder.cases, run.folder.calibration, run.folder.detections
    later = filter(None, [run.recipe.license])  # former versions had none
    return digest(*tables, to_dict(run.recipe.evaluation), run.recipe.seed, *later)


def _work(run: Run[SegmentRecipe]) -> list[Path]:
    model, title = of_run(run, build.DIFFUSION), f"Segmentation of {run.recipe.dataset}"
    return report(model, run.of("test"), run, title=title, trained_in=run.folder, provenance=provenance(run))


def report(
    model: TrainedModel, rows: Sequence[ManifestRow], run: Run[SegmentRecipe], *, title: str, trained_in: RunFolder,
    provenance: dict,
) -> list[Path]:  # fmt: skip
    """Write the report of what `judge` wrote into the folder of the run.

    ``model`` is the diffusion model, which draws the gallery.
    """
    recipe, folder, console = model.recipe, run.folder, run.console
    cases = read_table(folder.cases, ("model", "case", "patient", "class_name")).fillna({"empty": "", "failure": ""})
    calibration = read_table(folder.calibration, CALIBRATION, filled=("bin", "count")).fillna({"class_name": ""})
    results = mask_results(
        cases=cases,
        calibration=calibration,
        detections=read_table(folder.detections, DETECTIONS, filled=DETECTIONS[4:]),
        title=title,
        gallery=gallery(model, rows, cases, mask_meaning(run)),
        provenance=provenance,
        baselines=recipe.baseline.names,
        methods=methods(recipe, trained_steps(recipe, trained_in)),
        phantom=all(row.source == "phantom" for row in rows),
        group_noun="patient" if any(row.patient_id for row in rows) else "lesion",
        resampling=resampling_of(recipe),
    )
    networks, known = networks_of(recipe, trained_in), findings_in(folder)
    results = replace(results, findings=known, networks=networks, license=recipe.license)
    written = write_report(mask_report(results), folder.path)
    write_table(results.summary, folder.scores)
    write_table(results.differences, folder.differences)
    console.print(scores_table(results.summary, results.networks))
    console.print(f"{results.headline}\n", style="bold")
    console.print(f"The report: {written[0]}", soft_wrap=True)
    return [folder.scores, folder.differences, *written]


def gallery(
    model: TrainedModel, rows: Sequence[ManifestRow], cases: pd.DataFrame, meaning: MaskMeaning
) -> list[GalleryCase]:
    """Return the diffusion model's worst, most uncertain and typical cases, segmented once more for their maps."""
    dice = case_dice(cases)
    own = dice.loc[dice["model"] == build.DIFFUSION].sort_values("dice", kind="stable").reset_index(drop=True)
    middle = max(0, len(own) // 2 - SHOWN // 2)
    chosen = zip(
        GROUPS,
        (own.head(SHOWN), own.sort_values("uncertainty", ascending=False, kind="stable").head(SHOWN),
         own.iloc[middle : middle + SHOWN]),
        strict=True,
    )  # fmt: skip
    by_name = {row.row_id: row for row in rows}
    return [
        _picture(model, by_name[str(line["case"])], meaning, line, group)
        for group, lines in chosen
        for line in lines.to_dict("records")
    ]


def _picture(model: TrainedModel, row: ManifestRow, meaning: MaskMeaning, line: dict, group: str) -> GalleryCase:
    case = model.case(row)
    answer = model.answer(case)
    truth = truth_of(row, case, meaning)
    truth = np.where(truth == IGNORED, 0, truth)
    image = to_pixels(case.restore(case.image).reshape(len(case.image), *case.size))
    image, truth, called, doubt = _shown(case, image, truth, answer.classes, answer.entropy)
    caption = f"Dice {line['dice']:.3f}, uncertainty {line['uncertainty']:.3f}"
    return GalleryCase(row.row_id, caption, image, truth, called, doubt, group)


def _shown(case: Case, image: np.ndarray, *maps: np.ndarray) -> tuple[np.ndarray, ...]:
    """Choose of a volume the slice with most of the truth (else the middle one); shrink all that are large."""
    if len(case.size) == 3:
        filled = (maps[0] > 0).sum(axis=(0, 1))
        at = int(filled.argmax()) if filled.any() else case.size[2] // 2
        image, maps = np.rot90(image[:, :, at]), tuple(np.rot90(part[:, :, at]) for part in maps)
    if image.ndim == 3 and image.shape[2] not in (1, 3):
        image = image[..., 0]
    factor = min(1.0, LARGEST / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))

    def shrunk(part: np.ndarray, how: Image.Resampling) -> np.ndarray:
        return np.asarray(Image.fromarray(np.ascontiguousarray(part)).resize(size, how))

    truth, called, doubt = maps
    classes = (shrunk(part.astype(np.uint8), Image.Resampling.NEAREST) for part in (truth, called))
    return (
        shrunk(image, Image.Resampling.BICUBIC),
        *classes,
        shrunk(doubt.astype(np.float32), Image.Resampling.BILINEAR),
    )


def provenance(run: Run[SegmentRecipe]) -> dict:
    """List what the figures were made with."""
    best = {name: best_step_in(models_of(run.folder, name).validation) for name in model_names(run.recipe)}
    return provenance_of_test(run, {
        "optimizer steps": trained_steps(run.recipe, run.folder),
        "steps behind the weights used": best,
        "temperatures": read_json(run.folder.temperatures),
    })  # fmt: skip


def networks_of(recipe: SegmentRecipe, folder: RunFolder) -> pd.DataFrame:
    """List what each network of a run is and took: model, weights (their number), seconds of training, image size."""
    lines = []
    for name in model_names(recipe):
        facts = best_of(folder, name).facts
        network = build.new_model(recipe, name, facts.channels, facts.class_names).network
        lines.append({
            "model": name,
            "weights": sum(parameter.numel() for parameter in network.parameters()),
            "training_seconds": training_seconds(models_of(folder, name).log, images_per_step(recipe)),
            "image_size": " x ".join(map(str, shape_of(recipe)[1:])),
        })  # fmt: skip
    return pd.DataFrame(lines)


def scores_table(summary: pd.DataFrame, networks: pd.DataFrame) -> Table:
    """Return the mean Dice of every model and class, with its interval, beside what the model took."""
    headings = ("model:\nweights, training, image", "class", "mean Dice [95%]", "median", "with\nthe class")
    table = Table(*headings, title="Dice on the test split")
    about = {row["model"]: row for row in networks.to_dict("records")}
    for line in summary.loc[summary["metric"] == "dice"].to_dict("records"):
        one = about[line["model"]]
        took = words.millions(one["weights"]), words.duration(one["training_seconds"]), one["image_size"]
        table.add_row(
            f"{line['model']}:\n{', '.join(took)}", str(line["class_name"]),
            f"{line['mean']:.3f} {words.interval_of(line)}", f"{line['median']:.3f}",
            f"{line['n_with_class']} of {line['n_cases']}",
        )  # fmt: skip
    return table


STAGE = Stage("report", "measuring, comparing and drawing the report", _inputs, _work)


def trained_steps(recipe: SegmentRecipe, folder: RunFolder) -> dict[str, int]:
    """Return optimizer steps of each model of a run, as its last checkpoint counts them."""
    last = {name: checkpoint.latest(models_of(folder, name).checkpoints) for name in model_names(recipe)}
    return {name: checkpoint.read(path).step for name, path in last.items() if path is not None}


def methods(recipe: SegmentRecipe, steps: Mapping[str, int]) -> list[CitedSentence]:
    """Say how the models were made, for the methods paragraph."""
    draws, diffusion = recipe.inference, recipe.diffusion
    coding, network = build.ENCODINGS.entries[recipe.mask.encoding], build.MASK_NETWORKS.entries[recipe.network.name]
    sampler = build.SAMPLERS.entries[draws.sampler]
    schedule = build.SCHEDULES.entries[diffusion.schedule]
    averaged = ", whose estimates are averaged" if draws.estimate == "path" else ""
    sentences: list[CitedSentence] = [
        (
            f"Masks, coded as {coding.title} of +-{recipe.mask.scale:g}, were noised and denoised by the network "
            f"{recipe.network.name}, told the image, in {diffusion.timesteps} noise levels (schedule {schedule.title}, "
            f"prediction {diffusion.prediction}), trained for {steps[build.DIFFUSION]} steps of "
            f"{recipe.training.batch_size} images.",
            ("ho2020", *coding.citations, *schedule.citations, *network.citations),
        ),
        (
            f"Each answer fuses {draws.members} masks by {draws.fusion}, each drawn in {draws.steps} steps of "
            f"{sampler.title}{averaged}.",
            (*sampler.citations, *build.FUSIONS.entries[draws.fusion].citations),
        ),
    ]
    if axis := recipe.data.slice_axis:
        count = recipe.data.neighbors
        beside = f", each told with {count} neighbor{'s' * (count > 1)} to either side" if count else ""
        sentences.append((f"Volumes were segmented by {axis} slices{beside}, and judged as volumes.", ()))
    sentences += [
        (
            f"The deterministic baseline {name} was trained by the same trainer for {steps[name]} steps with Dice and "
            "cross-entropy.",
            build.BASELINES.entries[name].citations,
        )
        for name in recipe.baseline.names
    ]
    sentences.append(("Of each network the averaged weights of the best validation Dice were used.", ()))
    return sentences
