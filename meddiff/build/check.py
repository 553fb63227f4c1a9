"""Names in a recipe, looked up in the tables: InputError with the names there are, before hours of work."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields

from meddiff.build.features import extractor
from meddiff.build.images import augmentation
from meddiff.build.tables import (
    ARMS,
    BASELINES,
    CLASS_LOGITS,
    CLASSICAL,
    CLASSIFIERS,
    FUSIONS,
    LOSS_WEIGHTS,
    MASK_NETWORKS,
    NETWORKS,
    PREDICTIONS,
    RATIO,
    SAMPLERS,
    SCHEDULES,
    pick,
    source,
)
from meddiff.errors import InputError
from meddiff.recipe import Recipe
from meddiff.recipe.generate import NetworkRecipe
from meddiff.recipe.segment import SegmentRecipe
from meddiff.samplers.ddpm import ddpm


def arms_of(recipe: Recipe) -> list[str]:
    """Give the arms of the study: those that the recipe names, and one for each ratio but 0, which is the arm real."""
    return [*recipe.classifier.arms, *(f"{RATIO}{ratio:g}" for ratio in sorted(recipe.classifier.ratios) if ratio)]


def check_names(recipe: Recipe | SegmentRecipe) -> None:
    """Refuse unknown names and settings that contradict each other before hours of work, not after.

    Raises:
        InputError: the setting, the names there are and the nearest.
    """
    source(recipe.dataset)
    augmentation(recipe)
    pick("diffusion.schedule", SCHEDULES, recipe.diffusion.schedule)
    if isinstance(recipe, SegmentRecipe):
        _check_segmentation(recipe)
    else:
        _check_generation(recipe)
        _check_study(recipe)


def _check_segmentation(recipe: SegmentRecipe) -> None:
    pick("network.name", MASK_NETWORKS, recipe.network.name)
    pick("inference.sampler", SAMPLERS, recipe.inference.sampler)
    pick("inference.fusion", FUSIONS, recipe.inference.fusion)
    pick("diffusion.prediction", dict.fromkeys([CLASS_LOGITS, *PREDICTIONS]), recipe.diffusion.prediction)
    for name in recipe.baseline.names:
        pick("network of baseline.names", BASELINES, name)


def _check_generation(recipe: Recipe) -> None:
    network = pick("network.name", NETWORKS, recipe.network.name)
    check_has(network, recipe)
    check_hears(network, recipe)
    pick("diffusion.prediction", PREDICTIONS, recipe.diffusion.prediction)
    pick("synthesis.sampler", SAMPLERS, recipe.synthesis.sampler)
    weight = pick("diffusion.loss_weight", LOSS_WEIGHTS, recipe.diffusion.loss_weight)
    if weight is not None and recipe.diffusion.min_snr_gamma is not None:
        raise InputError(
            "min_snr_gamma is a weight of its own: give it or weight, not both. For diffusion.loss_weight "
            f"{recipe.diffusion.loss_weight} add --diffusion.min_snr_gamma null"
        )
    drawing, diffusion = recipe.synthesis, recipe.diffusion
    plain = SAMPLERS[drawing.sampler] is ddpm and drawing.guidance == 1 and drawing.threshold == "none"
    plain = plain and not drawing.classifier_guidance
    if diffusion.learned_variance and (not plain or diffusion.self_condition):
        raise InputError(
            "diffusion.learned_variance is used by plain ancestral sampling alone: add --synthesis.sampler ddpm "
            "--synthesis.guidance 1, and leave out synthesis.threshold, synthesis.classifier_guidance and "
            "diffusion.self_condition"
        )
    if drawing.classifier_guidance and SCHEDULES[diffusion.schedule](diffusion.timesteps).alpha[-1] == 0:
        raise InputError(
            f"synthesis.classifier_guidance divides by the signal that is left at the last noise level, and "
            f"diffusion.schedule {diffusion.schedule} leaves none: use another, such as cosine, or leave this out"
        )


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


def check_has(network: Callable, recipe: Recipe) -> None:
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
