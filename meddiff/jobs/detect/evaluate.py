"""The judgment of a detection on test images, and its report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.table import Table

from meddiff import build
from meddiff.build.anomaly_models import AUTOENCODER, FEATURES, detectors_file
from meddiff.build.detecting import choices_in, detector_of
from meddiff.build.kind import models_of
from meddiff.evaluation.anomalies.anomaly_scores import METRICS, anomaly_scores, by_kind, calls, verdict
from meddiff.evaluation.anomalies.choosing import Alarm, Setting
from meddiff.evaluation.anomalies.truth import Findings, Truth
from meddiff.files.long_tables import write_table
from meddiff.images.intensity import to_pixels
from meddiff.inference.detectors import FeatureDistance
from meddiff.jobs.audit import findings_in
from meddiff.jobs.describe import images_per_step
from meddiff.jobs.detect.choose import answers_depend_on, detector_names, healthy_pixels, pixels_of, truth_of_images
from meddiff.jobs.detect.learn import images_of
from meddiff.jobs.progress import bar
from meddiff.jobs.run_facts import provenance_of_test, resampling_of, training_seconds
from meddiff.jobs.stage import Stage
from meddiff.metrics.anomaly_rates import pooled, smoothed
from meddiff.recipe import to_dict
from meddiff.recipe.detect import DetectRecipe
from meddiff.reports import words
from meddiff.reports.anomalies.page import AnomalyCase, AnomalyResults, anomaly_report
from meddiff.reports.write import write_report
from meddiff.run import Run, digest

BRIEF = ("auroc", "false_alarms", "pixel_average_precision", "best_dice")
"""What a terminal is wide enough for."""
SHOWN = 4
"""Cases of each group of the gallery."""


def _inputs(run: Run[DetectRecipe]) -> str:
    return digest(
        detectors_file(run.folder), answers_depend_on(run), to_dict(run.recipe.evaluation), run.recipe.license
    )


def _work(run: Run[DetectRecipe]) -> list[Path]:
    recipe, folder, images = run.recipe, run.folder, images_of(run, "test")
    truth, shown, choices = truth_of_images(run, images), pixels_of(images), choices_in(folder)
    findings = {}
    names = detector_names(recipe)
    for name in bar(run.console, "looking for anomalies", unit="detectors")(names, len(names)):
        findings[name] = _findings(run, name, shown, truth, choices["detectors"][name])
    far = FeatureDistance.fitted(healthy_pixels(run)).scores(shown.numpy())
    findings[FEATURES] = Findings(far, alarm=_threshold(choices[FEATURES]))
    baselines = [name for name in findings if name not in recipe.detect.methods]
    scores, gaps = anomaly_scores(truth, findings, baselines, resampling=resampling_of(recipe))
    said = verdict(truth, scores, gaps, choices["method"])
    called = calls(truth, findings, _alarms(choices), resampling=resampling_of(recipe))
    results = AnomalyResults(
        title=f"Anomalies of {recipe.dataset}", headline=said,
        phantom=all(row.source == "phantom" for row in images.rows),
        method=choices["method"], baselines=tuple(baselines), scores=scores, differences=gaps,
        choices=_choices_table(choices), alarms=called, kinds=by_kind(truth, findings), networks=networks_of(run),
        gallery=gallery(run, shown, truth, findings[choices["method"]], choices), recipe=_settings(recipe),
        counts=_counts(run, truth), findings=findings_in(folder), provenance=provenance_of_test(run),
        confidence_level=recipe.evaluation.confidence_level, license=recipe.license,
    )  # fmt: skip
    written = write_report(anomaly_report(results), folder.path)
    write_table(cases_table(truth, findings), folder.cases)
    write_table(scores, folder.scores)
    write_table(gaps, folder.differences)
    run.console.print(scores_table(scores))
    run.console.print(f"{said}\n", style="bold")
    run.console.print(f"The report: {written[0]}", soft_wrap=True)
    return [folder.cases, folder.scores, folder.differences, *written]


def _findings(
    run: Run[DetectRecipe], name: str, images: torch.Tensor, truth: Truth, chosen: Mapping[str, Any]
) -> Findings:  # fmt: skip
    setting = Setting(**chosen["setting"])
    maps = smoothed(detector_of(run, name).healed(images, truth.cases, setting).map.numpy(), setting.median)
    return Findings(pooled(maps, setting.pooling), maps, chosen["threshold"], _threshold(chosen["alarm"]))


def _threshold(alarm: Mapping[str, Any] | None) -> float | None:
    return None if alarm is None else float(alarm["threshold"])


def _alarms(choices: Mapping[str, Any]) -> dict[str, Alarm]:
    every = {name: one["alarm"] for name, one in choices["detectors"].items()} | {FEATURES: choices[FEATURES]}
    return {name: Alarm(**alarm) for name, alarm in every.items() if alarm is not None}


def gallery(
    run: Run[DetectRecipe], images: torch.Tensor, truth: Truth, own: Findings, choices: Mapping[str, Any]
) -> list[AnomalyCase]:  # fmt: skip
    """Show test images of the chosen method: anomalous ones found and missed, healthy ones called and left in peace."""
    assert own.maps is not None
    setting = Setting(**choices["detectors"][choices["method"]]["setting"])
    order = np.argsort(own.scores, kind="stable")
    ill, well = ([at for at in order if truth.anomalous[at] == kind] for kind in (True, False))
    groups = {"Anomalous, the highest scores": ill[::-1][:SHOWN], "Anomalous, the lowest scores": ill[:SHOWN],
              "Healthy, the highest scores": well[::-1][:SHOWN],
              "Healthy, the lowest scores": well[:SHOWN]}  # fmt: skip
    chosen = [(group, at) for group, positions in groups.items() for at in positions]
    at = [position for _, position in chosen]
    healthy = detector_of(run, choices["method"]).healed(images[at], [truth.cases[one] for one in at], setting).image
    return [
        AnomalyCase(
            truth.cases[at], f"{truth.kinds[at]}, score {own.scores[at]:.3g}", group, to_pixels(images[at].numpy()),
            to_pixels(part.numpy()), own.maps[at], truth.masks[at] if truth.mapped[at] else None,
        )
        for (group, at), part in zip(chosen, healthy, strict=True)
    ]  # fmt: skip


def cases_table(truth: Truth, findings: Mapping[str, Findings]) -> pd.DataFrame:
    """List the score of each test image by each detector, and whether it is above the detector's threshold."""
    about = {"case": truth.cases, "patient": truth.patients, "kind": truth.kinds, "anomalous": truth.anomalous}
    tables = [
        pd.DataFrame({"model": name, **about, "score": own.scores,
                      "called": "" if own.alarm is None else own.scores > own.alarm})
        for name, own in findings.items()
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def networks_of(run: Run[DetectRecipe]) -> pd.DataFrame:
    """List what each trained network is and took: model, weights (their number), seconds of training."""
    lines, images = [], images_of(run, "train")
    for name in (build.DIFFUSION, AUTOENCODER):
        network = build.new_model(run.recipe, name, images.shape[0], images.class_names).network
        lines.append({
            "model": name,
            "weights": sum(parameter.numel() for parameter in network.parameters()),
            "training_seconds": training_seconds(models_of(run.folder, name).log, images_per_step(run.recipe)),
            "images": len(images),
        })  # fmt: skip
    return pd.DataFrame(lines)


def _choices_table(choices: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"model": name, **one["setting"], "by": one["by"], "value": one["value"], "threshold": one["threshold"]}
         for name, one in choices["detectors"].items()]
    )  # fmt: skip


def _counts(run: Run[DetectRecipe], truth: Truth) -> dict[str, Any]:
    images = images_of(run, "train")
    learned = "healthy images alone" if run.recipe.detect.learns == "healthy" else "all images, told their labels"
    return {
        "learned": learned, "training images": len(images),
        "training patients": len({row.group for row in images.rows}),
        "test images": len(truth.cases), "anomalous test images": int(truth.anomalous.sum()),
        "test images with a map of the truth": int(truth.mapped.sum()), "test patients": truth.groups,
    }  # fmt: skip


def _settings(recipe: DetectRecipe) -> dict[str, Any]:
    network, schedule = build.NETWORKS.entries[recipe.network.name], build.SCHEDULES.entries[recipe.diffusion.schedule]
    return {
        "methods": recipe.detect.methods, "network": network, "schedule": schedule, "octaves": recipe.octaves,
        "timesteps": recipe.diffusion.timesteps, "steps": recipe.training.steps,
        "batch_size": recipe.training.batch_size, "sampler_steps": recipe.detect.steps,
        "size": recipe.data.image_size, "resamples": recipe.evaluation.resamples,
        "guidance": recipe.detect.guidance if recipe.detect.learns == "labels" else 1.0,
        "false_alarms": recipe.detect.false_alarms,
    }  # fmt: skip


def scores_table(scores: pd.DataFrame) -> Table:
    """Show every score of every detector with its interval."""
    names = [name for name in BRIEF if name in set(scores["metric"])]
    table = Table(title="anomalies of the test split")
    table.add_column("detector", no_wrap=True)
    for name in names:
        table.add_column(METRICS[name].title)
    for model, rows in scores.groupby("model", sort=False):
        by_name = {row["metric"]: row for row in rows.to_dict("records")}
        cells = [by_name.get(name) for name in names]
        table.add_row(str(model), *("" if one is None else f"{one['estimate']:.3f}\n"
                                    f"{words.interval(one['low'], one['high'])}" for one in cells))  # fmt: skip
    return table


STAGE = Stage("report", "looking for anomalies in the test images and drawing the report", _inputs, _work)
