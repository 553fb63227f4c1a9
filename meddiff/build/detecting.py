"""A run that finds anomalies -> its detectors, set as its validation images chose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays

from meddiff.build.anomaly_models import detector, detectors_file, healthy_mean_file, network_of
from meddiff.build.images import picture_square
from meddiff.build.kind import DIFFUSION
from meddiff.build.models import KINDS, of_checkpoint
from meddiff.build.tables import pick
from meddiff.errors import InputError
from meddiff.evaluation.anomalies.choosing import Alarm, Setting
from meddiff.files.documents import read_json
from meddiff.inference.detectors import Detector, TrainedDetector
from meddiff.recipe import DetectRecipe
from meddiff.run import Run, RunFolder, digest


def trained_detector(run: Run[DetectRecipe], model: str) -> TrainedDetector:
    """Load a detector of a run: the method that validation images chose, or the one of that name.

    Raises:
        InputError: there is no such detector, or nothing was chosen yet.
    """
    chosen = choices_in(run.folder)
    name = chosen["method"] if model == DIFFUSION else model
    own = pick("detector", chosen["detectors"], name)
    used = KINDS[DetectRecipe].weights(run.folder, network_of(name) or DIFFUSION)
    learned = digest(name, used.digest, healthy_mean_file(run.folder), detectors_file(run.folder))
    transform = replace(picture_square(run.recipe), deep=used.facts.pixel_dtype == "uint16")
    return TrainedDetector(
        name, detector_of(run, name), Setting(**own["setting"]), own["alarm"] and Alarm(**own["alarm"]), transform,
        learned,
    )  # fmt: skip


def detector_of(run: Run[DetectRecipe], name: str) -> Detector:
    """Load what a detector of a run has learned: a network, or the mean of healthy images.

    Raises:
        InputError: it was not trained, or its file is damaged.
    """
    network = network_of(name)
    if network is None:
        mean, spread = run.keep("healthy mean", lambda: _healthy_mean(run.folder))
        return detector(run.recipe, name, (mean, spread), ())
    stored = KINDS[DetectRecipe].weights(run.folder, network)
    used, facts = run.keep(("network", network), lambda: of_checkpoint(run.recipe, stored, network))
    return detector(run.recipe, name, used, facts.class_names)


def _healthy_mean(folder: RunFolder) -> tuple[np.ndarray, np.ndarray]:
    file = healthy_mean_file(folder)
    try:
        arrays = load_arrays(file.read_bytes())
        return arrays["mean"], arrays["spread"]
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise InputError(f"{file} is damaged: delete it, and run `detect train`") from error


def choices_in(folder: RunFolder) -> dict[str, Any]:
    """Read how the detectors of a run are set (see `jobs.detect.choose`).

    Raises:
        InputError: nothing was chosen yet, or the file is damaged.
    """
    if not detectors_file(folder).is_file():
        raise InputError(f"{folder.path} has no {detectors_file(folder).name}: run `detect train` to its end")
    chosen = read_json(detectors_file(folder))
    try:
        for one in chosen["detectors"].values():
            Setting(**one["setting"]), one["alarm"] and Alarm(**one["alarm"])
        known = chosen["method"] in chosen["detectors"]
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{detectors_file(folder)} is damaged ({error}): delete it, and run `detect train`") from error
    if not known:
        raise InputError(f"{detectors_file(folder)} is damaged (no such method): delete it, and run `detect train`")
    return chosen
