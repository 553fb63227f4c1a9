"""What a recipe names, looked up in the tables: InputError with the names there are, before hours of work."""

from __future__ import annotations

from meddiff.build.features import extractor
from meddiff.build.generation import augmentation
from meddiff.build.tables import ARMS, CLASSICAL, NETWORKS, PREDICTIONS, RATIO, SAMPLERS, SCHEDULES, SOURCES, Arm, pick
from meddiff.errors import InputError
from meddiff.networks.classifier import CLASSIFIERS
from meddiff.recipe import Recipe
from meddiff.sources.source import Source


def source(name: str) -> Source:
    """The data set of that name."""
    return pick("dataset", SOURCES, name)


def arm(name: str) -> Arm:
    """The arm of that name, which may be one of `arms_of`."""
    if name.startswith(RATIO):
        return Arm(real=True, synthetic=True, ratio=float(name.removeprefix(RATIO)))
    return pick("arm of classifier.arms", ARMS, name)


def arms_of(recipe: Recipe) -> list[str]:
    """The arms of the study: those that the recipe names, and one for each ratio but 0, which is the arm real."""
    return [*recipe.classifier.arms, *(f"{RATIO}{ratio:g}" for ratio in sorted(recipe.classifier.ratios) if ratio)]


def check_names(recipe: Recipe) -> None:
    """Refuse unknown names before hours of work, not after.

    Raises:
        InputError: the setting, the names there are and the nearest.
    """
    pick("dataset", SOURCES, recipe.dataset)
    pick("network.name", NETWORKS, recipe.network.name)
    pick("diffusion.schedule", SCHEDULES, recipe.diffusion.schedule)
    pick("diffusion.prediction", PREDICTIONS, recipe.diffusion.prediction)
    pick("synthesis.sampler", SAMPLERS, recipe.synthesis.sampler)
    pick("classifier.network", dict.fromkeys(CLASSIFIERS), recipe.classifier.network)
    augmentation(recipe)
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
