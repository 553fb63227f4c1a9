"""Networks by their names in recipes: built untrained, with what is minimized in training and what is done with them.

Diffusion models of images, of masks, of images that are told another image, and the deterministic networks that they
are compared with are built, trained and kept in one way; where they differ, `KINDS` has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from lightning_fabric import Fabric
from torch import nn

from meddiff.batches.image_attributes import NOTHING, Attributes
from meddiff.build.anomaly_models import DETECT
from meddiff.build.augmentation import augmentation
from meddiff.build.image_models import GENERATE
from meddiff.build.kind import DIFFUSION, Kind, Model, facts_of, network_facts, taken
from meddiff.build.latent_models import AUTOENCODE
from meddiff.build.mask_models import SEGMENT
from meddiff.build.pair_models import TRANSLATE
from meddiff.build.tables import SCHEDULES, pick, source
from meddiff.diffusion.denoiser import Denoiser
from meddiff.inference.sampling import Sampling
from meddiff.networks.initialization import seeded
from meddiff.recipe import (
    AnyRecipe,
    AutoencodeRecipe,
    DetectRecipe,
    Recipe,
    SegmentRecipe,
    TrainingRecipe,
    TranslateRecipe,
)
from meddiff.seeds import child_seed
from meddiff.training import checkpoint
from meddiff.training.fabric import build_fabric, prepare
from meddiff.training.facts import Facts
from meddiff.training.objectives import Objective
from meddiff.training.optimization import Optimization

KINDS: dict[type, Kind] = {
    Recipe: GENERATE,
    SegmentRecipe: SEGMENT,
    TranslateRecipe: TRANSLATE,
    DetectRecipe: DETECT,
    AutoencodeRecipe: AUTOENCODE,
}
"""What each kind of run has of its own."""

OF_THE_IMAGES = ("volume_size", "spacing_mm", "latent")
"""What is known of generated volumes, or of codes, from the images alone, among the facts of their network."""


def kind(recipe: AnyRecipe) -> Kind:
    """Look up what a run of this kind has of its own."""
    return KINDS[type(recipe)]


def check_names(recipe: AnyRecipe) -> None:
    """Refuse unknown names and settings that contradict each other before hours of work, not after.

    Raises:
        InputError: the setting, the names there are and the nearest.
    """
    source(recipe.dataset)
    augmentation(recipe)
    if kind(recipe).denoises:
        pick("diffusion.schedule", SCHEDULES, recipe.diffusion.schedule)
    kind(recipe).check(recipe)


def task(recipe: AnyRecipe, *, channels: int, num_classes: int) -> Any:
    """Say what is noised, and what is known: see `meddiff.tasks`."""
    return kind(recipe).task(recipe, channels, num_classes)


def denoiser(recipe: AnyRecipe, *, channels: int, num_classes: int, attribute_features: int = 0) -> Denoiser:
    """Build the untrained denoiser: network, schedule and prediction.

    Args:
        recipe: of any kind.
        channels: of the image.
        num_classes: labels that images are drawn by, or classes of the masks.
        attribute_features: A * F of the attributes that images are drawn by.

    Raises:
        InputError: an unknown name, or settings that do not fit together.
    """
    noised = task(recipe, channels=channels, num_classes=num_classes).channels
    wiring = kind(recipe).wiring(recipe, channels, num_classes)
    network = pick("network.name", wiring.table, recipe.network.name)
    schedule = pick("diffusion.schedule", SCHEDULES, recipe.diffusion.schedule)(recipe.diffusion.timesteps)
    said = 2 * noised if wiring.learned_variance else noised
    offered = {**wiring.offered, "attribute_features": attribute_features}
    built = network(noised, said, **taken(network, recipe.network, offered))
    return Denoiser(built, schedule, kind(recipe).prediction(recipe), learned_variance=wiring.learned_variance)


def new_denoiser(recipe: AnyRecipe, **sizes: int) -> Denoiser:
    """Build the untrained denoiser as `denoiser` does, with weights that are a function of the recipe alone."""
    with seeded(child_seed(recipe.seed, *kind(recipe).seeds, "weights")):
        return denoiser(recipe, **sizes)


def sampling(recipe: AnyRecipe, classifier: Denoiser | None = None) -> Sampling:
    """Read sampler, steps, their spacing, and guidance where there is any; ``classifier`` is what guides images."""
    return replace(kind(recipe).sampling(recipe), classifier=classifier)


def optimization(settings: TrainingRecipe) -> Optimization:
    """Read from the settings of a training how many steps it has and how large they are."""
    names = [entry.name for entry in fields(Optimization)]
    return Optimization(**{name: getattr(settings, name) for name in names})


def new_model(
    recipe: AnyRecipe, name: str, channels: int, class_names: Sequence[str], attributes: Attributes = NOTHING
) -> Model:
    """Build an untrained network, a function of the recipe alone.

    Args:
        recipe: of any kind.
        name: diffusion, or that of a network that it is compared with, or guide.
        channels: of the image.
        class_names: labels that images are drawn by, or classes of the masks; none where there are none.
        attributes: what else images are drawn by.
    """
    if name == DIFFUSION:
        plain = new_denoiser(
            recipe, channels=channels, num_classes=len(class_names), attribute_features=attributes.width
        )
        model = _diffusion_model(recipe, plain, channels, class_names)
        known = {"attributes": attributes.to_dict()} if attributes else {}  # older checkpoints have none
        return replace(model, facts=replace(model.facts, network={**model.facts.network, **known}))
    other = kind(recipe).other
    assert other is not None
    return other(recipe, name, channels, class_names)


def _diffusion_model(recipe: AnyRecipe, plain: Denoiser, channels: int, class_names: Sequence[str]) -> Model:
    own, noised = kind(recipe), task(recipe, channels=channels, num_classes=len(class_names))

    def objective(fabric: Fabric) -> Objective:
        return own.objective(recipe, prepare(plain, fabric, compiled=recipe.training.compile), noised)

    def ready(averaged: nn.Module, fabric: Fabric) -> Any:
        return own.ready(recipe, prepare(plain.of(averaged), fabric).eval(), noised, fabric.device)

    facts = facts_of(recipe, channels, class_names, network_facts(recipe) | own.facts(recipe), plain)
    return Model(DIFFUSION, plain.network, facts, objective, ready)


def attributes_in(facts: Facts) -> Attributes:
    """Read what a network can be told beside the class.

    Raises:
        InputError: it is damaged.
    """
    return Attributes.from_dict(facts.network.get("attributes", {}))


def of_checkpoint(recipe: AnyRecipe, stored: checkpoint.Checkpoint, name: str) -> tuple[Any, Facts]:
    """Load what a checkpoint's averaged weights are used as (`Model.ready`), and what they are for.

    Raises:
        InputError: weights that belong to another set-up, or are damaged.
    """
    facts = stored.facts
    model = new_model(recipe, name, facts.channels, facts.class_names, attributes_in(facts))
    grid = {key: facts.network[key] for key in OF_THE_IMAGES if key in facts.network}
    size = min(grid["volume_size"]) if "volume_size" in grid else model.facts.image_size
    wanted = replace(model.facts, pixel_dtype=facts.pixel_dtype, image_size=size)
    checkpoint.check(stored, replace(wanted, network={**model.facts.network, **grid}))
    checkpoint.load_weights(stored, model.network)
    fabric = build_fabric(precision=recipe.training.precision)
    return model.ready(model.network.requires_grad_(False).eval(), fabric), facts
