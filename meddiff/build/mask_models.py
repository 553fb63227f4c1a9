"""The diffusion model of masks, and the deterministic networks that it is compared with: the kind of run that segments.

All are trained and kept in one way, and answer through one interface (`Segmenter`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from meddiff.batches.cuts import AXES
from meddiff.build.kind import Kind, Model, Wiring, best_of, facts_of, times_of, windows
from meddiff.build.tables import (
    BASELINES,
    CLASS_LOGITS,
    FUSIONS,
    MASK_NETWORKS,
    PREDICTIONS,
    SAMPLERS,
    TASKS,
    pick,
)
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.prediction import ClassLogits, Prediction
from meddiff.inference.sampling import Sampling
from meddiff.inference.segmenters import DiffusionSegmenter, DirectSegmenter, Segmenter, SliceSegmenter
from meddiff.networks.initialization import seeded
from meddiff.recipe.segment import SegmentRecipe
from meddiff.seeds import child_seed
from meddiff.tasks.segment import SegmentTask
from meddiff.training.fabric import prepare_network
from meddiff.training.objectives import MaskDenoising, MaskLoss, Objective, Supervised


def mask_loss(recipe: SegmentRecipe) -> MaskLoss:
    """Weigh Dice and cross-entropy."""
    return MaskLoss(recipe.mask.dice, recipe.mask.cross_entropy)


def baseline(recipe: SegmentRecipe, name: str, *, channels: int, num_classes: int) -> nn.Module:
    """Build an untrained deterministic network."""
    return pick("network of baseline.names", BASELINES, name)(
        in_channels=channels,
        num_classes=num_classes,
        channels=recipe.baseline.channels,
        spatial_dims=recipe.dimensions,
    )


def direct_segmenter(recipe: SegmentRecipe, network: nn.Module, device: torch.device) -> Segmenter:
    """Make a trained deterministic network ready to answer."""
    return _by_slices(recipe, DirectSegmenter(network, windows(recipe), device))


def _by_slices(recipe: SegmentRecipe, plain: Segmenter) -> Segmenter:
    axis = recipe.data.slice_axis
    return plain if axis is None else SliceSegmenter(plain, AXES[axis], recipe.data.neighbors)


def _task(recipe: SegmentRecipe, channels: int, num_classes: int) -> SegmentTask:
    return TASKS["segment"](num_classes, encoding=recipe.mask.encoding, scale=recipe.mask.scale)


def _wiring(recipe: SegmentRecipe, channels: int, num_classes: int) -> Wiring:
    starts_coarse = recipe.diffusion.prediction == CLASS_LOGITS and recipe.mask.encoding == "one_hot"
    return Wiring(MASK_NETWORKS, {
        "spatial_dims": recipe.dimensions, "condition_channels": channels, "mask_classes": num_classes,
        "starts_coarse": starts_coarse,
    })  # fmt: skip


def _prediction(recipe: SegmentRecipe) -> Prediction | ClassLogits:
    """Say what the network outputs; logits of classes have the form of the masks' encoding."""
    if recipe.diffusion.prediction == CLASS_LOGITS:
        return ClassLogits(recipe.mask.scale, recipe.mask.encoding == "one_hot")
    return pick("diffusion.prediction", PREDICTIONS, recipe.diffusion.prediction)


def _sampling(recipe: SegmentRecipe) -> Sampling:
    sampler = pick("inference.sampler", SAMPLERS, recipe.inference.sampler)
    return Sampling(sampler, recipe.inference.steps, spacing=recipe.inference.spacing)


def _objective(recipe: SegmentRecipe, prepared: Denoiser, task: SegmentTask) -> Objective:
    weights = recipe.mask
    return MaskDenoising(
        prepared, task, mask_loss(recipe), noise=weights.noise, coarse=weights.coarse, recycle=weights.recycle,
        times=times_of(recipe, prepared),
    )  # fmt: skip


def _ready(recipe: SegmentRecipe, model: Denoiser, coded: SegmentTask, device: torch.device) -> Segmenter:
    """Make a trained denoiser ready to draw masks."""
    settings = recipe.inference
    segmenter = DiffusionSegmenter(
        model, coded, _sampling(recipe), windows(recipe), device, start=settings.start, estimate=settings.estimate,
        batch_size=settings.batch_size,
    )  # fmt: skip
    return _by_slices(recipe, segmenter)


def _check(recipe: SegmentRecipe) -> None:
    pick("network.name", MASK_NETWORKS, recipe.network.name)
    pick("inference.sampler", SAMPLERS, recipe.inference.sampler)
    pick("inference.fusion", FUSIONS, recipe.inference.fusion)
    pick("diffusion.prediction", dict.fromkeys([CLASS_LOGITS, *PREDICTIONS]), recipe.diffusion.prediction)
    for name in recipe.baseline.names:
        pick("network of baseline.names", BASELINES, name)


def _facts(recipe: SegmentRecipe) -> dict[str, Any]:
    return {"dimensions": recipe.dimensions, "encoding": recipe.mask.encoding, "scale": recipe.mask.scale}


def _calls(recipe: SegmentRecipe) -> str:
    calls = recipe.inference.members * recipe.inference.steps
    return f"a mask is drawn by about {calls} calls ({recipe.inference.members} members)"


def _others(recipe: SegmentRecipe) -> dict[str, int]:
    return dict.fromkeys(recipe.baseline.names, recipe.baseline.steps or recipe.training.steps)


def new_baseline(recipe: SegmentRecipe, name: str, channels: int, class_names: Sequence[str]) -> Model:
    """Build an untrained deterministic network with what is minimized; a function of the recipe alone."""
    with seeded(child_seed(recipe.seed, "segmentation", name, "weights")):
        network = baseline(recipe, name, channels=channels, num_classes=len(class_names))
    settings = {"name": name, "channels": recipe.baseline.channels, "dimensions": recipe.dimensions}
    return Model(
        name, network, facts_of(recipe, channels, class_names, settings, None),
        lambda fabric: Supervised(prepare_network(network, fabric), mask_loss(recipe)),
        lambda averaged, fabric: direct_segmenter(recipe, prepare_network(averaged, fabric), fabric.device),
        of_images_alone=True,
    )  # fmt: skip


SEGMENT = Kind(
    check=_check,
    task=_task,
    wiring=_wiring,
    prediction=_prediction,
    sampling=_sampling,
    facts=_facts,
    objective=_objective,
    ready=_ready,
    calls=_calls,
    seeds=("segmentation", "diffusion"),
    weights=best_of,
    others=_others,
    other=new_baseline,
)
