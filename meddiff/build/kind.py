"""The record of a kind of run: in what building, training and using its networks differs from other kinds.

`build.models.KINDS` has one for each kind of recipe; nothing else asks which kind a recipe is of.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.prediction import ClassLogits, Prediction
from meddiff.diffusion.times import LossAwareTimes
from meddiff.errors import InputError
from meddiff.inference.sampling import Sampling
from meddiff.inference.segmenters import Windows
from meddiff.recipe import AnyRecipe, SegmentRecipe, TranslateRecipe, to_dict
from meddiff.run import RunFolder
from meddiff.training import checkpoint
from meddiff.training.facts import Facts, schedule_digest
from meddiff.training.objectives import Objective, Times

DIFFUSION = "diffusion"
"""What tables and folders call the diffusion model; what it is compared with has the names of its networks."""
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
    of_images_alone: bool = False
    """Whether it is called with an image, and not as a denoiser is."""


@dataclass(frozen=True)
class Wiring:
    """A network of a kind of run: where its name is looked up, and what it may be built with."""

    table: Mapping[str, Callable[..., nn.Module]]
    offered: Mapping[str, Any]
    """Arguments beside the settings of the recipe, for the networks that take them."""
    learned_variance: bool = False


def no_denoiser(*_given: Any) -> Any:
    """Refuse to be called: the parts of a denoiser in a kind of run that trains none."""
    raise AssertionError("runs of this kind have no diffusion model")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The parts of a kind of run. The first argument of each function is a recipe of that kind."""

    check: Callable[[Any], None]
    """Refuses unknown names and settings that contradict each other."""
    task: Callable[[Any, int, int], Any] = no_denoiser
    """(recipe, channels of the image, number of classes) -> what is noised and what is known."""
    wiring: Callable[[Any, int, int], Wiring] = no_denoiser
    """(recipe, channels of the image, number of classes) -> the network."""
    prediction: Callable[[Any], Prediction | ClassLogits] = no_denoiser
    """The output of the network."""
    sampling: Callable[[Any], Sampling] = no_denoiser
    """Sampler, steps, their spacing, and guidance where there is any."""
    facts: Callable[[Any], dict[str, Any]] = no_denoiser
    """Settings beside those of the network that the meaning of its weights depends on."""
    objective: Callable[[Any, Denoiser, Any], Objective] = no_denoiser
    """(recipe, denoiser on its device, task) -> what is minimized."""
    ready: Callable[[Any, Denoiser, Any, torch.device], Any] = no_denoiser
    """(recipe, trained denoiser, task, device) -> what is used of it."""
    calls: Callable[[Any], str]
    """Says by how many calls of the network an answer is made."""
    seeds: tuple[str, ...] = ()
    """Names of the use by which the seed of untrained weights is known."""
    weights: Callable[[RunFolder, str], checkpoint.Checkpoint]
    """(run folder, name of the network) -> its weights that are used; InputError where it was not trained."""
    others: Callable[[Any], dict[str, int]] = lambda _recipe: {}
    """Names of the networks that the diffusion model is compared with, and their optimizer steps."""
    other: Callable[[Any, str, int, Sequence[str]], Model] | None = None
    """(recipe, name, channels of the image, names of the classes) -> such a network, untrained."""

    @property
    def denoises(self) -> bool:
        """True where such a run trains a diffusion model."""
        return self.task is not no_denoiser


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


def times_of(recipe: AnyRecipe, denoiser: Denoiser) -> Times:
    """Say which noise levels are trained on; those by losses remember them for this training alone."""
    times = recipe.training.times
    return LossAwareTimes(denoiser.schedule.T) if times == "loss_aware" else times


def windows(recipe: SegmentRecipe | TranslateRecipe) -> Windows:
    """Say how large images are cut: the size that was trained on."""
    size = (recipe.data.image_size,) * 2 if recipe.dimensions == 2 else recipe.volume.patch_size
    return Windows(size, recipe.inference.overlap)


def taken(kind: Callable, settings: Any, offered: Mapping[str, Any]) -> dict[str, Any]:
    """Choose, of its settings and of what else is offered, what a network names; the rest is for another one."""
    names = inspect.signature(kind).parameters
    own = {entry.name: getattr(settings, entry.name) for entry in fields(settings) if entry.name in names}
    return own | {name: value for name, value in offered.items() if name in names}


def network_facts(recipe: AnyRecipe) -> dict[str, Any]:
    """Return the settings of a network that its weights depend on."""
    return {name: value for name, value in to_dict(recipe.network).items() if name not in OF_THE_TRAINING}


def facts_of(
    recipe: AnyRecipe, channels: int, class_names: Sequence[str], network: dict, denoiser: Denoiser | None
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
