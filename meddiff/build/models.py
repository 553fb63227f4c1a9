"""Networks by their names in recipes: built untrained, with what is minimized in training and what is done with them.

A diffusion model of images, one of masks, and the deterministic networks that the latter is compared with are built,
trained and kept in one way; here alone they differ.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from meddiff.batches.cuts import AXES
from meddiff.batches.image_attributes import NOTHING, Attributes
from meddiff.build.tables import (
    BASELINES,
    CLASS_LOGITS,
    CLASSIFIERS,
    LOSS_WEIGHTS,
    MASK_NETWORKS,
    NETWORKS,
    PREDICTIONS,
    SAMPLERS,
    SCHEDULES,
    TASKS,
    pick,
)
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.guidance import clip_x_0, rescale_x_0
from meddiff.diffusion.loss import Weight, min_snr
from meddiff.diffusion.prediction import ClassLogits, Prediction
from meddiff.diffusion.times import LossAwareTimes
from meddiff.errors import InputError
from meddiff.inference.sampling import Sampling
from meddiff.inference.segmenters import DiffusionSegmenter, DirectSegmenter, Segmenter, SliceSegmenter, Windows
from meddiff.networks.classifier import Classifier
from meddiff.networks.initialization import seeded
from meddiff.recipe import Recipe, TrainingRecipe, to_dict
from meddiff.recipe.generate import DiffusionRecipe
from meddiff.recipe.segment import SegmentRecipe
from meddiff.run import RunFolder
from meddiff.seeds import child_seed
from meddiff.tasks.generate import GenerateTask
from meddiff.tasks.segment import SegmentTask
from meddiff.training import checkpoint
from meddiff.training.fabric import build_fabric, prepare, prepare_network
from meddiff.training.facts import Facts, schedule_digest
from meddiff.training.objectives import (
    Denoising,
    MaskDenoising,
    MaskLoss,
    NoisyClassNaming,
    Objective,
    Supervised,
)
from meddiff.training.optimization import Optimization

DIFFUSION = "diffusion"
"""What tables and folders call the diffusion model; baselines have the names of their networks."""
GUIDE = "guide"
"""What folders call the classifier of noisy images that guides a diffusion model."""


OF_THE_IMAGES = ("volume_size", "spacing_mm")
"""What is known of generated volumes from the images alone, among the facts of their network."""


OF_THE_TRAINING = ("dropout", "checkpointing")
"""Settings of a network that its weights do not depend on: no facts of them."""


@dataclass(frozen=True)
class ModelFolder:
    """The files that are kept of one network."""

    path: Path

    checkpoints = property(lambda self: self.path / "checkpoints")
    best = property(lambda self: self.path / "best")
    log = property(lambda self: self.path / "log.csv")
    validation = property(lambda self: self.path / "validation.csv")


@dataclass(frozen=True)
class Model:
    """A network to be trained: what is minimized, and what is used of its average."""

    name: str
    network: nn.Module
    """The plain one, that checkpoints are made of."""
    facts: Facts
    objective: Callable[[Fabric], Objective]
    ready: Callable[[nn.Module, Fabric], Any]
    """(averaged network, fabric) -> what draws images with it (`Denoiser`), or masks (`Segmenter`)."""


def task(recipe: Recipe | SegmentRecipe, *, channels: int, num_classes: int) -> GenerateTask | SegmentTask:
    """Say what is noised: images of so many channels, or masks of so many classes."""
    if isinstance(recipe, SegmentRecipe):
        return TASKS["segment"](num_classes, encoding=recipe.mask.encoding, scale=recipe.mask.scale)
    return TASKS["generate"](channels)


def denoiser(
    recipe: Recipe | SegmentRecipe, *, channels: int, num_classes: int, attribute_features: int = 0
) -> Denoiser:
    """Build the untrained denoiser: network, schedule and prediction.

    Args:
        recipe: of images, or of masks.
        channels: of the image.
        num_classes: labels that images are drawn by, or classes of the masks.
        attribute_features: A * F of the attributes that images are drawn by.

    Raises:
        InputError: an unknown name, or settings that do not fit together.
    """
    noised = said = task(recipe, channels=channels, num_classes=num_classes).channels
    learned_variance = False
    offered: dict[str, Any] = {"spatial_dims": recipe.dimensions}
    if isinstance(recipe, SegmentRecipe):
        table = MASK_NETWORKS
        starts_coarse = recipe.diffusion.prediction == CLASS_LOGITS and recipe.mask.encoding == "one_hot"
        offered |= {"condition_channels": channels, "mask_classes": num_classes, "starts_coarse": starts_coarse}
    else:
        table = NETWORKS
        learned_variance = recipe.diffusion.learned_variance
        said = 2 * noised if learned_variance else noised
        offered |= {"num_classes": num_classes, "condition_channels": noised * recipe.diffusion.self_condition}
        offered |= {"attribute_features": attribute_features}
    kind = pick("network.name", table, recipe.network.name)
    schedule = pick("diffusion.schedule", SCHEDULES, recipe.diffusion.schedule)(recipe.diffusion.timesteps)
    network = kind(noised, said, **_taken(kind, recipe.network, offered))
    return Denoiser(network, schedule, prediction(recipe), learned_variance=learned_variance)


def new_denoiser(recipe: Recipe | SegmentRecipe, **sizes: int) -> Denoiser:
    """Build the untrained denoiser as `denoiser` does, with weights that are a function of the recipe alone."""
    use = ("segmentation", DIFFUSION) if isinstance(recipe, SegmentRecipe) else ("denoiser",)
    with seeded(child_seed(recipe.seed, *use, "weights")):
        return denoiser(recipe, **sizes)


def _taken(kind: Callable, settings: Any, offered: dict[str, Any]) -> dict[str, Any]:
    """Choose, of its settings and of what else is offered, what a network names; the rest is for another one."""
    names = inspect.signature(kind).parameters
    own = {entry.name: getattr(settings, entry.name) for entry in fields(settings) if entry.name in names}
    return own | {name: value for name, value in offered.items() if name in names}


def prediction(recipe: Recipe | SegmentRecipe) -> Prediction | ClassLogits:
    """Say what the network outputs; logits of classes have the form of the masks' encoding."""
    if isinstance(recipe, SegmentRecipe) and recipe.diffusion.prediction == CLASS_LOGITS:
        return ClassLogits(recipe.mask.scale, recipe.mask.encoding == "one_hot")
    return pick("diffusion.prediction", PREDICTIONS, recipe.diffusion.prediction)


def baseline(recipe: SegmentRecipe, name: str, *, channels: int, num_classes: int) -> nn.Module:
    """Build an untrained deterministic network."""
    return pick("network of baseline.names", BASELINES, name)(
        in_channels=channels,
        num_classes=num_classes,
        channels=recipe.baseline.channels,
        spatial_dims=recipe.dimensions,
    )


def classifier(recipe: Recipe, *, shape: Sequence[int], num_classes: int) -> Classifier:
    """Build an untrained (or pretrained) classifier of the study, for images of the shape (C, *S)."""
    return pick("classifier.network", CLASSIFIERS, recipe.classifier.network)(
        in_channels=shape[0],
        num_classes=num_classes,
        image_size=min(shape[1:]),
        spatial_dims=recipe.dimensions,
        width=recipe.classifier.width,
        weights=recipe.classifier.weights,
    )


def sampling(recipe: Recipe | SegmentRecipe, classifier: Denoiser | None = None) -> Sampling:
    """Read sampler, steps, their spacing, and guidance where there is any; ``classifier`` is what guides images."""
    if isinstance(recipe, SegmentRecipe):
        sampler = pick("inference.sampler", SAMPLERS, recipe.inference.sampler)
        return Sampling(sampler, recipe.inference.steps, spacing=recipe.inference.spacing)
    settings = recipe.synthesis
    sampler = pick("synthesis.sampler", SAMPLERS, settings.sampler)
    if recipe.diffusion.learned_variance:
        sampler = partial(sampler, variance="learned")
    return Sampling(
        sampler, settings.steps, settings.guidance, settings.spacing,
        threshold={"none": None, "clip": clip_x_0, "dynamic": rescale_x_0}[settings.threshold],
        self_condition=recipe.diffusion.self_condition, guided=settings.guidance_interval,
        rescale=settings.guidance_rescale, classifier=classifier, classifier_scale=settings.classifier_guidance,
    )  # fmt: skip


def optimization(settings: TrainingRecipe) -> Optimization:
    """Read from the settings of a training how many steps it has and how large they are."""
    names = [entry.name for entry in fields(Optimization)]
    return Optimization(**{name: getattr(settings, name) for name in names})


def new_model(
    recipe: Recipe | SegmentRecipe, name: str, channels: int, class_names: Sequence[str],
    attributes: Attributes = NOTHING,
) -> Model:  # fmt: skip
    """Build an untrained network, a function of the recipe alone.

    Args:
        recipe: of images, or of masks.
        name: diffusion, or that of a baseline, or guide.
        channels: of the image.
        class_names: labels that images are drawn by, or classes of the masks.
        attributes: what else images are drawn by.
    """
    if isinstance(recipe, Recipe) and name == GUIDE:
        return _guide(recipe, channels, class_names)
    if name == DIFFUSION:
        plain = new_denoiser(
            recipe, channels=channels, num_classes=len(class_names), attribute_features=attributes.width
        )  # fmt: skip
        model = _diffusion_model(recipe, plain, channels, class_names)
        known = {"attributes": attributes.to_dict()} if attributes else {}  # older checkpoints have none
        return replace(model, facts=replace(model.facts, network={**model.facts.network, **known}))
    assert isinstance(recipe, SegmentRecipe)  # images have no baseline
    with seeded(child_seed(recipe.seed, "segmentation", name, "weights")):
        network = baseline(recipe, name, channels=channels, num_classes=len(class_names))
    settings = {"name": name, "channels": recipe.baseline.channels, "dimensions": recipe.dimensions}
    return Model(
        name, network, _facts(recipe, channels, class_names, settings, None),
        lambda fabric: Supervised(prepare_network(network, fabric), mask_loss(recipe)),
        lambda averaged, fabric: direct_segmenter(recipe, prepare_network(averaged, fabric), fabric.device),
    )  # fmt: skip


def _diffusion_model(
    recipe: Recipe | SegmentRecipe, plain: Denoiser, channels: int, class_names: Sequence[str]
) -> Model:
    noised: Any = task(recipe, channels=channels, num_classes=len(class_names))
    settings = {name: value for name, value in to_dict(recipe.network).items() if name not in OF_THE_TRAINING}
    if isinstance(recipe, SegmentRecipe):
        settings |= {
            "dimensions": recipe.dimensions, "encoding": recipe.mask.encoding, "scale": recipe.mask.scale
        }  # fmt: skip
    else:
        asked = "learned_variance", "self_condition"  # named where they are on: older checkpoints have neither
        settings |= {name: True for name in asked if getattr(recipe.diffusion, name)}

    def objective(fabric: Fabric) -> Objective:
        return denoising(recipe, prepare(plain, fabric, compiled=recipe.training.compile), noised)

    def ready(averaged: nn.Module, fabric: Fabric) -> Denoiser | Segmenter:
        made = prepare(plain.of(averaged), fabric).eval()
        return diffusion_segmenter(recipe, made, noised, fabric.device) if isinstance(recipe, SegmentRecipe) else made

    return Model(
        DIFFUSION, plain.network, _facts(recipe, channels, class_names, settings, plain), objective, ready
    )  # fmt: skip


def _guide(recipe: Recipe, channels: int, class_names: Sequence[str]) -> Model:
    """Build the classifier of noisy images: the denoiser's network, told nothing, with one channel for each class."""
    kind = pick("network.name", NETWORKS, recipe.network.name)
    with seeded(child_seed(recipe.seed, GUIDE, "weights")):
        network = kind(channels, len(class_names), **_taken(kind, replace(recipe.network, dropout=0.0), {
            "spatial_dims": recipe.dimensions, "num_classes": 0, "condition_channels": 0,
        }))  # fmt: skip
    schedule = pick("diffusion.schedule", SCHEDULES, recipe.diffusion.schedule)(recipe.diffusion.timesteps)
    plain = Denoiser(network, schedule, prediction(recipe))
    settings = {name: value for name, value in to_dict(recipe.network).items() if name not in OF_THE_TRAINING}
    drawn: Any = task(recipe, channels=channels, num_classes=len(class_names))
    return Model(
        GUIDE, network, _facts(recipe, channels, class_names, settings | {"names": "classes"}, plain),
        lambda fabric: NoisyClassNaming(prepare(plain, fabric, compiled=recipe.training.compile), drawn),
        lambda averaged, fabric: prepare(plain.of(averaged), fabric).eval(),
    )  # fmt: skip


def denoising(recipe: Recipe | SegmentRecipe, prepared: Denoiser, noised: Any) -> Objective:
    """Say what a denoiser is trained to minimize; ``noised`` is the recipe's `task`."""
    times = recipe.training.times
    times = LossAwareTimes(prepared.schedule.T) if times == "loss_aware" else times
    if isinstance(recipe, SegmentRecipe):
        weights = recipe.mask
        return MaskDenoising(
            prepared, noised, mask_loss(recipe), noise=weights.noise, coarse=weights.coarse, recycle=weights.recycle,
            times=times,
        )  # fmt: skip
    settings = recipe.diffusion
    return Denoising(
        prepared, noised, settings.condition_dropout, loss_weight(settings), settings.offset_noise,
        times=times,
        self_condition=settings.self_condition, dropout=recipe.network.dropout > 0,
        attribute_dropout=settings.attribute_dropout,
    )  # fmt: skip


def loss_weight(settings: DiffusionRecipe) -> Weight | None:
    """Say how much each noise level counts in the loss."""
    gamma = settings.min_snr_gamma
    return LOSS_WEIGHTS[settings.loss_weight] if gamma is None else min_snr(gamma)


def mask_loss(recipe: SegmentRecipe) -> MaskLoss:
    """Weigh Dice and cross-entropy."""
    return MaskLoss(recipe.mask.dice, recipe.mask.cross_entropy)


def windows(recipe: SegmentRecipe) -> Windows:
    """Say how large images are cut: the size that was trained on."""
    size = (recipe.data.image_size,) * 2 if recipe.dimensions == 2 else recipe.volume.patch_size
    return Windows(size, recipe.inference.overlap)


def diffusion_segmenter(recipe: SegmentRecipe, model: Denoiser, coded: SegmentTask, device: torch.device) -> Segmenter:
    """Make a trained denoiser ready to draw masks."""
    settings = recipe.inference
    segmenter = DiffusionSegmenter(
        model, coded, sampling(recipe), windows(recipe), device, start=settings.start, estimate=settings.estimate,
        batch_size=settings.batch_size,
    )  # fmt: skip
    return _by_slices(recipe, segmenter)


def direct_segmenter(recipe: SegmentRecipe, network: nn.Module, device: torch.device) -> Segmenter:
    """Make a trained deterministic network ready to answer."""
    return _by_slices(recipe, DirectSegmenter(network, windows(recipe), device))


def _by_slices(recipe: SegmentRecipe, plain: Segmenter) -> Segmenter:
    axis = recipe.data.slice_axis
    return plain if axis is None else SliceSegmenter(plain, AXES[axis], recipe.data.neighbors)


def _facts(
    recipe: Recipe | SegmentRecipe, channels: int, class_names: Sequence[str], network: dict, denoiser: Denoiser | None
) -> Facts:
    """Note what the weights of a network are for."""
    return Facts(
        class_names=tuple(class_names),
        image_size=recipe.data.image_size,
        channels=channels,
        network=network,
        schedule=recipe.diffusion.schedule if denoiser else "",
        timesteps=recipe.diffusion.timesteps if denoiser else 0,
        schedule_digest=schedule_digest(denoiser.schedule) if denoiser else "",
        prediction=recipe.diffusion.prediction if denoiser else "",
        recipe=to_dict(recipe),
    )


def attributes_in(facts: Facts) -> Attributes:
    """Read what a network can be told beside the class.

    Raises:
        InputError: it is damaged.
    """
    return Attributes.from_dict(facts.network.get("attributes", {}))


def models_of(folder: RunFolder, name: str) -> ModelFolder:
    """Name the places of a network's files."""
    return ModelFolder(folder.models / name)


def best_of(folder: RunFolder, name: str) -> checkpoint.Checkpoint:
    """Read which weights of a network of a run are its best.

    Raises:
        InputError: it was not trained.
    """
    path = checkpoint.latest(models_of(folder, name).best)
    if path is None:
        raise InputError(f"there are no weights of {name} in {folder.path}: run the training stage first")
    return checkpoint.read(path)


def of_checkpoint(recipe: Recipe | SegmentRecipe, stored: checkpoint.Checkpoint, name: str) -> tuple[Any, Facts]:
    """Load what a checkpoint's averaged weights are used as (`Model.ready`), and what they are for.

    Raises:
        InputError: weights that belong to another set-up, or are damaged.
    """
    facts = stored.facts
    model = new_model(recipe, name, facts.channels, facts.class_names, attributes_in(facts))
    grid = {key: facts.network[key] for key in OF_THE_IMAGES if key in facts.network}
    size = min(grid["volume_size"]) if grid else model.facts.image_size
    wanted = replace(model.facts, pixel_dtype=facts.pixel_dtype, image_size=size)
    checkpoint.check(stored, replace(wanted, network={**model.facts.network, **grid}))
    checkpoint.load_weights(stored, model.network)
    fabric = build_fabric(precision=recipe.training.precision)
    return model.ready(model.network.requires_grad_(False).eval(), fabric), facts
