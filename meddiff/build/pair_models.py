"""The diffusion model of images that are told another image, and the regression it is compared with.

The regression is the same network, trained as long by the same loop, and asked once: what is the wanted image? Being
told nothing but the known image, it learns the median of what the wanted image may be (L1), where the diffusion model
draws what it may be ("Regression is all you need", Wolleb et al. 2025, on translation between sequences).
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from meddiff.batches.batch import Batch
from meddiff.build.augmentation import augmentation as turns_of
from meddiff.build.image_models import check_has
from meddiff.build.kind import Kind, Model, Wiring, facts_of, models_of, taken, times_of, windows
from meddiff.build.mask_models import new_baseline
from meddiff.build.tables import BASELINES, NETWORKS, PREDICTIONS, SAMPLERS, TASKS, pick, source
from meddiff.diffusion.denoiser import Denoiser
from meddiff.errors import InputError
from meddiff.inference.sampling import Sampling
from meddiff.inference.translators import DiffusionTranslator, RegressionTranslator, Translator
from meddiff.networks.initialization import seeded
from meddiff.recipe.segment import BaselineRecipe, PatchRecipe, SegmentRecipe, StackRecipe
from meddiff.recipe.translate import TranslateRecipe
from meddiff.run import RunFolder
from meddiff.seeds import child_seed
from meddiff.tasks.translate import Hole, LowResolution, TranslateTask, draw_holes
from meddiff.training import checkpoint
from meddiff.training.fabric import prepare_network
from meddiff.training.loop import Augment
from meddiff.training.objectives import Denoising, Objective, Regressing

REGRESSION = "regression"
"""What tables and folders call the network that is asked once."""
JUDGE = next(iter(BASELINES))
"""The network that says which mask a drawn picture shows, where masks are told."""
ALONG: dict[str, tuple[int, ...] | None] = {"both": None, "vertical": (0,), "horizontal": (1,)}


def _task(recipe: TranslateRecipe, channels: int, num_classes: int) -> TranslateTask:
    settings = recipe.translation
    make = pick("translation.known", TASKS, settings.known)
    offered: dict[str, Any] = {
        "channels": channels, "factor": settings.factor, "residual": settings.residual, "axes": ALONG[settings.along],
        "num_classes": num_classes,
    }  # fmt: skip
    names = inspect.signature(make).parameters
    if "chosen" in names:
        wanted = _positions(settings.wanted, recipe.dataset, channels)
        rest = tuple(number for number in range(channels) if number not in wanted)
        given = _positions(settings.given, recipe.dataset, channels) or rest
        if set(given) & set(wanted) or not given:
            raise InputError(
                f"translation.wanted {list(settings.wanted)} leaves nothing known of images with {channels} channels: "
                "name sequences that are known with --translation.given, and others that are wanted"
            )
        offered = {"given": given, "chosen": wanted}
    return make(**{name: value for name, value in offered.items() if name in names})


def augmentation(recipe: TranslateRecipe) -> Augment | None:
    """Return random turns of a training batch, and its holes where there are any: they are drawn anew in each step."""
    turned, settings = turns_of(recipe), recipe.translation
    if TASKS[settings.known] is not Hole:
        return turned

    def augment(batch: Batch, generator: torch.Generator) -> Batch:
        return with_holes(turned(batch, generator) if turned else batch, recipe, generator)

    return augment


def with_holes(batch: Batch, recipe: TranslateRecipe, generator: torch.Generator) -> Batch:
    """Return the batch with holes drawn into its images, where its kind of run has any."""
    settings, shape = recipe.translation, batch.image.shape
    if TASKS[settings.known] is not Hole:
        return batch
    irregular = settings.holes == "irregular"
    holes = draw_holes(shape[0], shape[2:], generator, share=settings.hole_share, irregular=irregular)
    return replace(batch, mask=holes.to(batch.image.device, torch.int64), ignores=False)


def _positions(names: Sequence[str | int], dataset: str, channels: int) -> tuple[int, ...]:
    """Look up which channels sequences are, by their name in the data set or their number.

    Raises:
        InputError: there is no such channel.
    """
    known, names = source(dataset).sequences, [str(name).lower() for name in names]
    at = {name: number for number, name in enumerate(known)} | {str(number): number for number in range(channels)}
    if missing := [name for name in names if at.get(name, channels) >= channels]:
        called = f"{', '.join(known[:channels])}, or " if known else ""
        raise InputError(
            f"there is no sequence {', '.join(missing)}: the images have {channels} channel{'s' * (channels > 1)}; "
            f"call them {called}by number from 0 to {channels - 1}"
        )
    return tuple(at[name] for name in names)


def _wiring(recipe: TranslateRecipe, channels: int, num_classes: int) -> Wiring:
    told = _task(recipe, channels, num_classes).told_channels
    return Wiring(NETWORKS, {"spatial_dims": recipe.dimensions, "condition_channels": told})


def _sampling(recipe: TranslateRecipe) -> Sampling:
    settings = recipe.inference
    sampler = pick("inference.sampler", SAMPLERS, settings.sampler)
    return Sampling(sampler, settings.steps, settings.guidance, settings.spacing)


def _check(recipe: TranslateRecipe) -> None:
    check_has(pick("network.name", NETWORKS, recipe.network.name), recipe)
    pick("diffusion.prediction", PREDICTIONS, recipe.diffusion.prediction)
    pick("inference.sampler", SAMPLERS, recipe.inference.sampler)
    if recipe.inference.guidance != 1 and not recipe.by_masks:
        raise InputError("inference.guidance belongs to --translation.known mask: leave it at 1")
    if recipe.training.class_balance:
        raise InputError(
            f"training.class_balance is {recipe.training.class_balance}, and images have no classes here: use 0"
        )


def _facts(recipe: TranslateRecipe) -> dict[str, Any]:
    """Note what is known and wanted, under names of its own: the weights mean nothing for anything else."""
    settings = recipe.translation
    own: dict[str, Any] = {"dimensions": recipe.dimensions, "known": settings.known}
    if TASKS[settings.known] is LowResolution:
        return own | {"factor": settings.factor, "along": settings.along, "residual": settings.residual}
    return own if recipe.by_masks else own | {"given": list(settings.given), "wanted": list(settings.wanted)}


def _objective(recipe: TranslateRecipe, prepared: Denoiser, task: TranslateTask) -> Objective:
    dropped = recipe.translation.condition_dropout if recipe.by_masks else 0.0
    return Denoising(prepared, task, dropped, times=times_of(recipe, prepared), dropout=recipe.network.dropout > 0)


def _ready(recipe: TranslateRecipe, model: Denoiser, task: TranslateTask, device: torch.device) -> Translator:
    return DiffusionTranslator(
        model, task, _sampling(recipe), windows(recipe), device, batch_size=recipe.inference.batch_size
    )


def _calls(recipe: TranslateRecipe) -> str:
    calls = recipe.inference.members * recipe.inference.steps
    return f"an image is answered by about {calls} calls ({recipe.inference.members} members)"


def judging(recipe: TranslateRecipe) -> SegmentRecipe:
    """Return the settings of the U-Net that says which masks drawn pictures show: the run's, where it has them."""
    side = min(recipe.volume.patch_size) if recipe.dimensions == 3 else recipe.data.image_size
    widths = BaselineRecipe().channels[: max(2, side.bit_length() - 3)]
    data: dict[str, Any] = {entry.name: getattr(recipe.data, entry.name) for entry in fields(recipe.data)}
    data["slice_axis"] = None  # what the network sees is a slice already
    return SegmentRecipe(
        dataset=recipe.dataset, seed=recipe.seed, dimensions=recipe.dimensions, classes=recipe.classes,
        data=StackRecipe(**data), volume=PatchRecipe(patch_size=recipe.volume.patch_size),
        training=recipe.training, baseline=BaselineRecipe((JUDGE,), widths),
    )  # fmt: skip


def _other(recipe: TranslateRecipe, name: str, channels: int, class_names: Sequence[str]) -> Model:
    if name == JUDGE:
        return new_baseline(judging(recipe), name, channels, class_names)
    return _regression(recipe, name, channels, class_names)


def _others(recipe: TranslateRecipe) -> dict[str, int]:
    return dict.fromkeys((REGRESSION, JUDGE) if recipe.by_masks else (REGRESSION,), recipe.training.steps)


def _regression(recipe: TranslateRecipe, name: str, channels: int, class_names: Sequence[str]) -> Model:
    task = _task(recipe, channels, len(class_names))
    kind = pick("network.name", NETWORKS, recipe.network.name)
    offered = _wiring(recipe, channels, len(class_names)).offered
    with seeded(child_seed(recipe.seed, "translation", name, "weights")):
        network = kind(task.channels, task.channels, **taken(kind, recipe.network, offered))
    last = recipe.diffusion.timesteps
    settings = {"name": name, "channels": list(recipe.network.channels)} | _facts(recipe)

    def objective(fabric: Fabric) -> Objective:
        return Regressing(prepare_network(network, fabric), task, last, dropout=recipe.network.dropout > 0)

    def ready(averaged: nn.Module, fabric: Fabric) -> Translator:
        return RegressionTranslator(prepare_network(averaged, fabric), task, windows(recipe), fabric.device, last)

    return Model(name, network, facts_of(recipe, channels, class_names, settings, None), objective, ready)


def weights_of(folder: RunFolder, name: str) -> checkpoint.Checkpoint:
    """Read the last weights of a network of a run.

    Raises:
        InputError: it was not trained.
    """
    return checkpoint.read_latest(models_of(folder, name).checkpoints)


TRANSLATE = Kind(
    check=_check,
    task=_task,
    wiring=_wiring,
    prediction=lambda recipe: pick("diffusion.prediction", PREDICTIONS, recipe.diffusion.prediction),
    sampling=_sampling,
    facts=_facts,
    objective=_objective,
    ready=_ready,
    calls=_calls,
    seeds=("translation", "diffusion"),
    weights=weights_of,
    others=_others,
    other=_other,
)
