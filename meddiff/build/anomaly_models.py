"""The diffusion model of healthy images and the autoencoder that it is compared with: the kind of run that detects."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from meddiff.build.image_models import check_has, check_weight, loss_weight
from meddiff.build.kind import DIFFUSION, Kind, Model, Wiring, facts_of, models_of, times_of
from meddiff.build.tables import NETWORKS, PREDICTIONS, TASKS, pick
from meddiff.diffusion.denoiser import Denoiser
from meddiff.errors import InputError
from meddiff.inference.detectors import AutoencoderDetector, Detector, DiffusionDetector, IntensityDetector
from meddiff.inference.pseudo_healthy import Healer
from meddiff.inference.sampling import Sampling
from meddiff.networks.autoencoder import ConvolutionalAutoencoder
from meddiff.networks.initialization import seeded
from meddiff.recipe.detect import HEALTHY, DetectRecipe
from meddiff.run import RunFolder
from meddiff.samplers.ddpm import ddpm
from meddiff.seeds import child_seed
from meddiff.training import checkpoint
from meddiff.training.fabric import prepare_network
from meddiff.training.objectives import Denoising, Objective, Reconstruction

AUTOENCODER = "autoencoder"
INTENSITY = {"intensity": "value", "mean_distance": "distance", "z_score": "z_score"}
"""Detectors that look at nothing but intensity, and how."""
FEATURES = "features"
"""The distance of features: it has scores and no maps."""


def detectors_file(folder: RunFolder) -> Path:
    """Name the file that says how each detector is set."""
    return folder.path / "detectors.json"


def healthy_mean_file(folder: RunFolder) -> Path:
    """Name the file of the mean and spread of healthy images."""
    return folder.models / "healthy_mean.safetensors"


def detectors_without_diffusion() -> tuple[str, ...]:
    """List the baselines that have maps."""
    return (AUTOENCODER, *INTENSITY)


def network_of(name: str) -> str | None:
    """Name the trained network that a detector uses; None where it uses none."""
    if name in INTENSITY:
        return None
    return AUTOENCODER if name == AUTOENCODER else DIFFUSION


def detector(recipe: DetectRecipe, name: str, used: Any, class_names: Sequence[str]) -> Detector:
    """Build a detector of what it uses: a trained network, or the mean and spread of healthy images."""
    own = recipe.detect
    if name in INTENSITY:
        return IntensityDetector(*used, INTENSITY[name])
    if name == AUTOENCODER:
        return AutoencoderDetector(used, own.batch_size)
    both = own.learns == "labels"
    healer = Healer(
        used, list(class_names).index(HEALTHY), own.steps, own.guidance if both else 1.0, recipe.octaves
    )  # fmt: skip
    return DiffusionDetector(
        healer, name, own.levels, own.members, partial(child_seed, recipe.seed, "anomaly"), own.batch_size
    )


def _check(recipe: DetectRecipe) -> None:
    check_has(pick("network.name", NETWORKS, recipe.network.name), recipe)
    pick("diffusion.prediction", PREDICTIONS, recipe.diffusion.prediction)
    check_weight(recipe.diffusion)
    if recipe.diffusion.latent:
        raise InputError("detection compares pixels, and is not done in the codes of diffusion.latent: leave it out")
    unused = ("learned_variance", "self_condition", "attributes", "start_from", "teacher")
    if asked := [f"diffusion.{name}" for name in unused if getattr(recipe.diffusion, name)]:
        raise InputError(
            "detection uses neither a learned variance nor self-conditioning nor attributes, and learns from images "
            f"alone: leave out {', '.join(asked)}"
        )


def _wiring(recipe: DetectRecipe, channels: int, num_classes: int) -> Wiring:
    return Wiring(NETWORKS, {"spatial_dims": recipe.dimensions, "num_classes": num_classes, "condition_channels": 0})


def _objective(recipe: DetectRecipe, prepared: Denoiser, task: Any) -> Objective:
    settings = recipe.diffusion
    return Denoising(
        prepared, task, settings.condition_dropout, loss_weight(settings), settings.offset_noise,
        times=times_of(recipe, prepared), dropout=recipe.network.dropout > 0, octaves=recipe.octaves,
    )  # fmt: skip


def _autoencoder(recipe: DetectRecipe, name: str, channels: int, class_names: Sequence[str]) -> Model:
    own = recipe.baseline
    with seeded(child_seed(recipe.seed, "anomalies", name, "weights")):
        network = ConvolutionalAutoencoder(
            channels, channels=own.channels, code=own.code, spatial_dims=recipe.dimensions
        )  # fmt: skip
    settings = {"name": name, "channels": own.channels, "code": own.code, "dimensions": recipe.dimensions}
    return Model(
        name, network, facts_of(recipe, channels, class_names, settings, None),
        lambda fabric: Reconstruction(prepare_network(network, fabric)),
        lambda averaged, fabric: prepare_network(averaged, fabric).eval(),
        of_images_alone=True,
    )  # fmt: skip


def _calls(recipe: DetectRecipe) -> str:
    level, members = recipe.detect.levels[0], recipe.detect.members[0]
    calls = max(1, round(level * recipe.detect.steps)) * members
    return f"a map of anoddpm is made by about {calls} calls (level {level:g}, {members} members)"


def _ready(recipe: DetectRecipe, denoiser: Denoiser, task: Any, device: torch.device) -> Denoiser:
    return denoiser


DETECT = Kind(
    check=_check,
    task=lambda recipe, channels, num_classes: TASKS["generate"](channels),
    wiring=_wiring,
    prediction=lambda recipe: pick("diffusion.prediction", PREDICTIONS, recipe.diffusion.prediction),
    sampling=lambda recipe: Sampling(ddpm, recipe.detect.steps),
    facts=lambda recipe: {"octaves": recipe.octaves} if recipe.octaves else {},
    objective=_objective,
    ready=_ready,
    calls=_calls,
    seeds=("anomalies", "denoiser"),
    weights=lambda folder, name: checkpoint.read_latest(models_of(folder, name).checkpoints),
    others=lambda recipe: {AUTOENCODER: recipe.baseline.steps or recipe.training.steps},
    other=_autoencoder,
)
