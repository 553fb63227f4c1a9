"""Networks by their names in tables: what is minimized in training, and what segments with their weights.

The diffusion model and its deterministic baselines are trained, kept and used in one way; here alone they differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

from lightning_fabric import Fabric
from torch import nn

from meddiff.build import segmentation
from meddiff.diffusion.denoiser import Denoiser
from meddiff.errors import InputError
from meddiff.inference.segmenters import Segmenter
from meddiff.networks.initialization import seeded
from meddiff.recipe import TrainingRecipe, to_dict
from meddiff.recipe.segment import SegmentRecipe
from meddiff.run import RunFolder
from meddiff.seeds import child_seed
from meddiff.training import checkpoint
from meddiff.training.fabric import build_fabric, prepare, prepare_network
from meddiff.training.facts import Facts, schedule_digest
from meddiff.training.objectives import MaskDenoising, Objective, Supervised
from meddiff.training.optimization import Optimization


@dataclass(frozen=True)
class ModelFolder:
    """What is kept of one network."""

    path: Path

    checkpoints = property(lambda self: self.path / "checkpoints")
    best = property(lambda self: self.path / "best")
    log = property(lambda self: self.path / "log.csv")
    validation = property(lambda self: self.path / "validation.csv")


@dataclass(frozen=True)
class Model:
    """A network to be trained: what is minimized, and what segments with its average."""

    name: str
    network: nn.Module
    facts: Facts
    objective: Callable[[Fabric], Objective]
    segmenter: Callable[[nn.Module, Fabric], Segmenter]
    """(averaged network, fabric) -> what segments with it"""


def new_model(recipe: SegmentRecipe, name: str, channels: int, class_names: list[str]) -> Model:
    """An untrained network by its name in tables: diffusion, or a baseline's; a function of the recipe alone."""
    count = len(class_names)
    facts = partial(_facts, recipe, channels, class_names)
    with seeded(child_seed(recipe.seed, "segmentation", name, "weights")):
        if name == segmentation.DIFFUSION:
            plain = segmentation.denoiser(recipe, channels=channels, num_classes=count)
            return _diffusion_model(recipe, plain, count, facts)
        network = segmentation.baseline(recipe, name, channels=channels, num_classes=count)
    settings = {"name": name, "channels": recipe.baseline.channels, "dimensions": recipe.dimensions}
    loss = segmentation.mask_loss(recipe)
    return Model(
        name, network, facts(settings, None),
        lambda fabric: Supervised(prepare_network(network, fabric), loss),
        lambda averaged, fabric: segmentation.direct_segmenter(
            recipe, prepare_network(averaged, fabric), fabric.device
        ),
    )  # fmt: skip


def _diffusion_model(recipe: SegmentRecipe, plain: Denoiser, count: int, facts: Callable) -> Model:
    task, weights = segmentation.task(recipe, count), recipe.mask
    settings = to_dict(recipe.network) | {
        "dimensions": recipe.dimensions, "encoding": weights.encoding, "scale": weights.scale
    }  # fmt: skip

    def objective(fabric: Fabric) -> Objective:
        denoiser = prepare(plain, fabric, compiled=recipe.training.compile)
        return MaskDenoising(
            denoiser, task, segmentation.mask_loss(recipe),
            noise=weights.noise, coarse=weights.coarse, recycle=weights.recycle,
        )  # fmt: skip

    def segmenter(averaged: nn.Module, fabric: Fabric) -> Segmenter:
        denoiser = prepare(Denoiser(averaged, plain.schedule, plain.prediction), fabric).eval()
        return segmentation.diffusion_segmenter(recipe, denoiser, task, fabric.device)

    return Model(segmentation.DIFFUSION, plain.network, facts(settings, plain), objective, segmenter)


def _facts(
    recipe: SegmentRecipe, channels: int, class_names: list[str], network: dict, denoiser: Denoiser | None
) -> Facts:
    """What the weights of a network are for."""
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


def optimization(settings: TrainingRecipe) -> Optimization:
    """Read from the settings of a training how many steps it has and how large they are."""
    names = [entry.name for entry in fields(Optimization)]
    return Optimization(**{name: getattr(settings, name) for name in names})


def models_of(folder: RunFolder, name: str) -> ModelFolder:
    """Where a network's files are."""
    return ModelFolder(folder.models / name)


def trained(recipe: SegmentRecipe, folder: RunFolder, name: str) -> tuple[Segmenter, Facts]:
    """What segments with a network's best weights, and what they are for.

    Raises:
        InputError: it was not trained, or its weights belong to another set-up.
    """
    path = checkpoint.latest(models_of(folder, name).best)
    if path is None:
        raise InputError(f"there are no weights of {name} in {folder.path}: run the training stage first")
    stored = checkpoint.read(path)
    model = new_model(recipe, name, stored.facts.channels, list(stored.facts.class_names))
    wanted = replace(model.facts, pixel_dtype=stored.facts.pixel_dtype)
    checkpoint.check(stored, wanted)
    checkpoint.load_weights(stored, model.network)
    fabric = build_fabric(precision=recipe.training.precision)
    network = model.network.requires_grad_(False).eval()
    return model.segmenter(network, fabric), stored.facts
