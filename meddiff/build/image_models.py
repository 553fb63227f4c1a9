"""The diffusion model of images that are drawn by their class: the kind of run that generates."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

from meddiff.build.features import extractor
from meddiff.build.kind import Kind, Model, Wiring, facts_of, network_facts, taken, times_of
from meddiff.build.tables import (
    ARMS,
    CLASSICAL,
    CLASSIFIERS,
    LOSS_WEIGHTS,
    NETWORKS,
    PREDICTIONS,
    RATIO,
    SAMPLERS,
    SCHEDULES,
    TASKS,
    pick,
)
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.guidance import clip_x_0, rescale_x_0
from meddiff.diffusion.loss import Weight, min_snr
from meddiff.diffusion.prediction import Prediction
from meddiff.diffusion.schedule import Spacing
from meddiff.errors import InputError
from meddiff.inference.sampling import Sampling
from meddiff.networks.classifier import Classifier
from meddiff.networks.initialization import seeded
from meddiff.recipe import NetworkRecipe, Recipe
from meddiff.recipe.generate import DiffusionRecipe
from meddiff.samplers.ddim import ddim
from meddiff.samplers.ddpm import ddpm
from meddiff.seeds import child_seed
from meddiff.tasks.generate import GenerateTask
from meddiff.tasks.pair import PairTask
from meddiff.training import checkpoint
from meddiff.training.fabric import prepare
from meddiff.training.objectives import Denoising, NoisyClassNaming, Objective

GUIDE = "guide"
"""What folders call the classifier of noisy images that guides a diffusion model."""


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


def arms_of(recipe: Recipe) -> list[str]:
    """Give the arms of the study: those that the recipe names, and one for each ratio but 0, which is the arm real."""
    return [*recipe.classifier.arms, *(f"{RATIO}{ratio:g}" for ratio in sorted(recipe.classifier.ratios) if ratio)]


def loss_weight(settings: DiffusionRecipe) -> Weight | None:
    """Say how much each noise level counts in the loss."""
    gamma = settings.min_snr_gamma
    return LOSS_WEIGHTS[settings.loss_weight] if gamma is None else min_snr(gamma)


def _task(recipe: Recipe, channels: int, num_classes: int) -> GenerateTask | PairTask:
    return TASKS["pair"](channels, len(recipe.classes)) if recipe.classes else TASKS["generate"](channels)


def _wiring(recipe: Recipe, channels: int, num_classes: int) -> Wiring:
    noised = _task(recipe, channels, num_classes).channels
    self_conditioned = noised * recipe.diffusion.self_condition
    offered = {"spatial_dims": recipe.dimensions, "num_classes": num_classes, "condition_channels": self_conditioned}
    return Wiring(NETWORKS, offered, recipe.diffusion.learned_variance)


def _prediction(recipe: Recipe) -> Prediction:
    return pick("diffusion.prediction", PREDICTIONS, recipe.diffusion.prediction)


def _sampling(recipe: Recipe) -> Sampling:
    settings = recipe.synthesis
    sampler = pick("synthesis.sampler", SAMPLERS, settings.sampler)
    if recipe.diffusion.learned_variance:
        sampler = partial(sampler, variance="learned")
    return Sampling(
        sampler, settings.steps, settings.guidance, _spacing(recipe),
        threshold={"none": None, "clip": clip_x_0, "dynamic": rescale_x_0}[settings.threshold],
        self_condition=recipe.diffusion.self_condition, guided=settings.guidance_interval,
        rescale=settings.guidance_rescale, classifier_scale=settings.classifier_guidance,
    )  # fmt: skip


def _spacing(recipe: Recipe) -> Spacing:
    """Return where steps lie; those few of a student, who was taught them, in equal strides of t where that is open."""
    asked = recipe.synthesis.spacing
    return "trailing" if recipe.diffusion.teacher and asked == "auto" else asked


def _facts(recipe: Recipe) -> dict[str, Any]:
    asked = "learned_variance", "self_condition"  # named where they are on: older checkpoints have neither
    drawing = recipe.synthesis
    student = {"student_steps": drawing.steps, "student_spacing": _spacing(recipe)} if recipe.diffusion.teacher else {}
    masks = {"mask_classes": list(recipe.classes)} if recipe.classes else {}
    return {name: True for name in asked if getattr(recipe.diffusion, name)} | student | masks


def _objective(recipe: Recipe, prepared: Denoiser, task: Any) -> Objective:
    settings = recipe.diffusion
    return Denoising(
        prepared, task, settings.condition_dropout, loss_weight(settings), settings.offset_noise,
        times=times_of(recipe, prepared),
        self_condition=settings.self_condition, dropout=recipe.network.dropout > 0,
        attribute_dropout=settings.attribute_dropout,
    )  # fmt: skip


def _calls(recipe: Recipe) -> str:
    drawing = recipe.synthesis
    calls = drawing.steps * (1 if drawing.guidance in (0, 1) else 2)
    return f"an image is drawn by about {calls} calls ({drawing.sampler}, guidance {drawing.guidance:g})"


def _guide(recipe: Recipe, name: str, channels: int, class_names: Sequence[str]) -> Model:
    """Build the classifier of noisy images: the denoiser's network, told nothing, with one channel for each class."""
    kind = pick("network.name", NETWORKS, recipe.network.name)
    with seeded(child_seed(recipe.seed, name, "weights")):
        network = kind(channels, len(class_names), **taken(kind, replace(recipe.network, dropout=0.0), {
            "spatial_dims": recipe.dimensions, "num_classes": 0, "condition_channels": 0,
        }))  # fmt: skip
    schedule = pick("diffusion.schedule", SCHEDULES, recipe.diffusion.schedule)(recipe.diffusion.timesteps)
    plain = Denoiser(network, schedule, _prediction(recipe))
    settings, drawn = network_facts(recipe) | {"names": "classes"}, TASKS["generate"](channels)
    return Model(
        name, network, facts_of(recipe, channels, class_names, settings, plain),
        lambda fabric: NoisyClassNaming(prepare(plain, fabric, compiled=recipe.training.compile), drawn),
        lambda averaged, fabric: prepare(plain.of(averaged), fabric).eval(),
    )  # fmt: skip


def _check(recipe: Recipe) -> None:
    network = pick("network.name", NETWORKS, recipe.network.name)
    check_has(network, recipe)
    check_hears(network, recipe)
    pick("diffusion.prediction", PREDICTIONS, recipe.diffusion.prediction)
    pick("synthesis.sampler", SAMPLERS, recipe.synthesis.sampler)
    check_weight(recipe.diffusion)
    drawing, diffusion = recipe.synthesis, recipe.diffusion
    plain = SAMPLERS[drawing.sampler] is ddpm and drawing.guidance == 1 and drawing.threshold == "none"
    plain = plain and not drawing.classifier_guidance
    if diffusion.learned_variance and (not plain or diffusion.self_condition):
        raise InputError(
            "diffusion.learned_variance is used by plain ancestral sampling alone: add --synthesis.sampler ddpm "
            "--synthesis.guidance 1, and leave out synthesis.threshold, synthesis.classifier_guidance and "
            "diffusion.self_condition"
        )
    if drawing.classifier_guidance and recipe.classes:
        raise InputError(
            "synthesis.classifier_guidance sees images alone, and --classes draws masks with them: leave one out"
        )
    as_a_student = SAMPLERS[drawing.sampler] is ddim and drawing.guidance == 1 and not drawing.classifier_guidance
    if diffusion.teacher and not (as_a_student and not diffusion.learned_variance and not diffusion.self_condition):
        raise InputError(
            "diffusion.teacher trains a student that draws by ddim in synthesis.steps calls, guidance learned with it: "
            "add --synthesis.sampler ddim --synthesis.guidance 1 --synthesis.steps 4, and leave out "
            "synthesis.classifier_guidance, diffusion.learned_variance and diffusion.self_condition"
        )
    if diffusion.latent and recipe.classes:
        raise InputError("masks are drawn with pixels, and not in codes: leave out --classes or diffusion.latent")
    if diffusion.latent and drawing.threshold != "none":
        raise InputError(
            f"synthesis.threshold {drawing.threshold} keeps estimates in the range of pixels, and codes "
            "(diffusion.latent) have none: leave it out"
        )
    if drawing.classifier_guidance and SCHEDULES[diffusion.schedule](diffusion.timesteps).alpha[-1] == 0:
        raise InputError(
            f"synthesis.classifier_guidance divides by the signal that is left at the last noise level, and "
            f"diffusion.schedule {diffusion.schedule} leaves none: use another, such as cosine, or leave this out"
        )
    _check_study(recipe)


def check_hears(network: Callable, recipe: Recipe) -> None:
    """Refuse attributes for a network that cannot be told any.

    Raises:
        InputError: the networks that can.
    """

    def hears(one: Callable) -> bool:
        return "attribute_features" in inspect.signature(one).parameters

    if recipe.diffusion.attributes and not hears(network):
        able = [name for name, other in NETWORKS.items() if hears(other)]
        raise InputError(
            f"diffusion.attributes is {list(recipe.diffusion.attributes)}, and the network {recipe.network.name} is "
            f"told a class alone: leave it out, or use --network.name {' or '.join(able)}"
        )


def check_weight(settings: DiffusionRecipe) -> None:
    """Refuse an unknown weight of the loss, and two of them.

    Raises:
        InputError: the weight, and what to do.
    """
    weight = pick("diffusion.loss_weight", LOSS_WEIGHTS, settings.loss_weight)
    if weight is not None and settings.min_snr_gamma is not None:
        raise InputError(
            "min_snr_gamma is a weight of its own: give it or weight, not both. For diffusion.loss_weight "
            f"{settings.loss_weight} add --diffusion.min_snr_gamma null"
        )


def check_has(network: Callable, recipe: Any) -> None:
    """Refuse settings of a network that the chosen one does not have.

    Raises:
        InputError: the setting, and the networks that have it.
    """
    for entry in fields(NetworkRecipe):
        value = getattr(recipe.network, entry.name)
        if entry.name == "name" or value == entry.default or entry.name in inspect.signature(network).parameters:
            continue
        able = [name for name, other in NETWORKS.items() if entry.name in inspect.signature(other).parameters]
        raise InputError(
            f"network.{entry.name} is {value}, which the network {recipe.network.name} does not have: leave it out, "
            f"or use --network.name {' or '.join(able)}"
        )


def _check_study(recipe: Recipe) -> None:
    pick("classifier.network", CLASSIFIERS, recipe.classifier.network)
    if recipe.dimensions == 3 and recipe.evaluation.features != "classifier":
        raise InputError(
            f"evaluation.features {recipe.evaluation.features} looks at pictures: for volumes (dimensions 3) use "
            "classifier, the run's own network"
        )
    extractor(recipe)
    for name in recipe.classifier.arms:
        pick("arm of classifier.arms", ARMS, name)
    if recipe.classifier.classical != "auto":
        pick("classifier.classical", CLASSICAL, recipe.classifier.classical)
    ratios = recipe.classifier.ratios
    if any(not 0 <= ratio <= 100 for ratio in ratios) or len({f"{ratio:g}" for ratio in ratios}) < len(ratios):
        raise InputError(
            f"classifier.ratios is {list(ratios)}: give numbers from 0 to 100, each once, such as [0.5,1,2]"
        )
    if ratios and "real" not in recipe.classifier.arms:
        raise InputError(
            "classifier.ratios needs the arm real in classifier.arms: it is ratio 0, where the curve begins"
        )
    if not recipe.classifier.arms or len(set(recipe.classifier.arms)) < len(recipe.classifier.arms):
        raise InputError(
            f"classifier.arms is {list(recipe.classifier.arms)}: name at least one of {', '.join(ARMS)}, each once"
        )


GENERATE = Kind(
    check=_check,
    task=_task,
    wiring=_wiring,
    prediction=_prediction,
    sampling=_sampling,
    facts=_facts,
    objective=_objective,
    ready=lambda recipe, denoiser, task, device: denoiser,
    calls=_calls,
    seeds=("denoiser",),
    weights=lambda folder, name: checkpoint.read_latest(folder.checkpoints),
    other=_guide,
)
