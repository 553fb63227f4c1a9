"""The choice of a detection: how each detector is set, on validation images, and from where on it calls."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save

from meddiff import build
from meddiff.batches.images import Images
from meddiff.build.anomaly_models import FEATURES, detectors_file, detectors_without_diffusion, healthy_mean_file
from meddiff.build.detecting import detector_of
from meddiff.build.kind import models_of
from meddiff.evaluation.anomalies.choosing import BY_NOTHING, Alarm, alarm, choose, map_threshold
from meddiff.evaluation.anomalies.truth import Truth
from meddiff.files.writing import write_atomically, write_text
from meddiff.formats.masks import IGNORED
from meddiff.inference.detectors import FeatureDistance
from meddiff.jobs.detect.health import is_healthy
from meddiff.jobs.detect.learn import images_of
from meddiff.jobs.progress import bar
from meddiff.jobs.stage import Stage
from meddiff.metrics.anomaly_rates import pooled
from meddiff.recipe import to_dict
from meddiff.recipe.detect import DetectRecipe
from meddiff.run import Run, digest
from meddiff.training import checkpoint


def detector_names(recipe: DetectRecipe) -> list[str]:
    """List all detectors that have maps: the methods of the recipe, and the baselines."""
    return [*recipe.detect.methods, *detectors_without_diffusion()]


def pixels_of(images: Images, at: np.ndarray | None = None) -> torch.Tensor:
    """Return images [N, C, *S] in [-1, 1]: those at some positions, or all."""
    return images.batch(np.arange(len(images)) if at is None else at).image


def healthy_pixels(run: Run[DetectRecipe]) -> np.ndarray:
    """Return the healthy training images [N, C, *S]."""
    images = images_of(run, "train")
    at = [number for number, row in enumerate(images.rows) if is_healthy(row)]
    return run.keep("healthy pixels", lambda: pixels_of(images, np.array(at)).numpy())


def truth_of_images(run: Run[DetectRecipe], images: Images) -> Truth:
    """Read which images are anomalous, and where; an image with pixels that nobody judged is not mapped."""
    rows, shape = images.rows, images.shape[1:]
    anomalous = np.array([not is_healthy(row) for row in rows])
    masks, mapped = np.zeros((len(rows), *shape), bool), ~anomalous
    masked = [(number, row) for number, row in enumerate(rows) if anomalous[number] and row.mask_path is not None]
    if masked:
        every = [row for row in run.rows if row.mask_path is not None]
        drawn = build.masks([row for _, row in masked], run.recipe, every)
        at = {row.row_id: number for number, row in masked}
        for row, case in zip(drawn.rows, drawn, strict=True):
            assert case.mask is not None
            masks[at[row.row_id]] = (case.mask > 0) & (case.mask != IGNORED)
            mapped[at[row.row_id]] = not (case.mask == IGNORED).any()
    return Truth(
        tuple(row.row_id for row in rows), tuple(row.group for row in rows), tuple(row.label or "" for row in rows),
        anomalous, masks, mapped,
    )  # fmt: skip


def validation(run: Run[DetectRecipe]) -> Images:
    """Return the validation images that settings are chosen on."""
    images, most = images_of(run, "val"), run.recipe.detect.validation_images
    if not most or len(images) <= most:
        return images
    at = np.unique(np.linspace(0, len(images) - 1, most).round().astype(int))
    rows = [images.rows[position] for position in at]
    return run.keep("some of val", lambda: build.images(rows, run.recipe, ()))


def _work(run: Run[DetectRecipe]) -> list[Path]:
    own, healthy = run.recipe.detect, healthy_pixels(run)
    statistics = {"mean": healthy.mean(axis=0), "spread": healthy.std(axis=0)}
    write_atomically(healthy_mean_file(run.folder), lambda file: file.write(save(statistics)))
    images = validation(run)
    truth, shown = truth_of_images(run, images), pixels_of(images)
    chosen: dict[str, Any] = {}
    names = detector_names(run.recipe)
    for name in bar(run.console, "choosing settings", unit="detectors")(names, len(names)):
        tried = detector_of(run, name).tried(shown, truth.cases)
        choice, maps = choose(tried, truth, own.medians, own.pooling)
        scores = pooled(maps, choice.setting.pooling)
        chosen[name] = {
            **asdict(choice),
            "threshold": map_threshold(maps, truth),
            "alarm": _as_dict(alarm(scores[~truth.anomalous], own.false_alarms)),
        }
    far = FeatureDistance.fitted(healthy).scores(shown.numpy())
    features = _as_dict(alarm(far[~truth.anomalous], own.false_alarms))
    answer = {"method": best_method(run.recipe, chosen), "detectors": chosen, FEATURES: features}
    write_text(detectors_file(run.folder), json.dumps(answer, indent=2))
    return [detectors_file(run.folder), healthy_mean_file(run.folder)]


def best_method(recipe: DetectRecipe, chosen: dict[str, Any]) -> str:
    """Choose of the methods by diffusion that which is best on validation images; the first where nothing tells."""
    methods = recipe.detect.methods
    if chosen[methods[0]]["by"] == BY_NOTHING:
        return methods[0]
    return max(methods, key=lambda name: chosen[name]["value"] or 0.0)


def _as_dict(fitted: Alarm | None) -> dict[str, Any] | None:
    return None if fitted is None else asdict(fitted)


def answers_depend_on(run: Run[DetectRecipe]) -> str:
    """Digest the weights and settings that all maps are a function of."""
    paths = [checkpoint.latest(models_of(run.folder, name).checkpoints) for name in
             (build.DIFFUSION, *build.kind(run.recipe).others(run.recipe))]  # fmt: skip
    weights = [digest(path / checkpoint.INDEX) for path in paths if path is not None]
    return digest(run.folder.manifest, weights, to_dict(run.recipe.detect), run.recipe.seed)


STAGE = Stage("choose", "choosing settings and thresholds on validation images", answers_depend_on, _work)
