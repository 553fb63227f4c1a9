"""The training stages. Stopped or killed, training goes on from the last checkpoint and ends with the same weights.

A denoiser of images, a denoiser of masks and the networks that name masks at once are trained by one function, on one
device or several. Of the denoiser of images samples are drawn meanwhile. The others segment validation cases as they
will be used (sampler, steps), and the weights with the best Dice are kept: they are what every later stage uses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from meddiff import build
from meddiff.batches.ahead import Batches
from meddiff.batches.images import Images
from meddiff.batches.resident import on_device
from meddiff.build import segmenting
from meddiff.build.kind import Model, ModelFolder, models_of
from meddiff.build.models import new_model, optimization
from meddiff.errors import InputError, Problems
from meddiff.jobs import weights
from meddiff.jobs.describe import learning, learning_of_others
from meddiff.jobs.generate import encode
from meddiff.jobs.looks import Look, SampleGrid, Validation
from meddiff.jobs.progress import bar
from meddiff.jobs.splits import labeled, mask_classes, masked
from meddiff.jobs.stage import AnyRun, Stage, need, share
from meddiff.jobs.training_run import NOT_WEIGHTS, TrainingLog, TrainingRun
from meddiff.recipe import Recipe, SegmentRecipe, TrainingRecipe, to_dict
from meddiff.run import Run, digest
from meddiff.seeds import child_seed
from meddiff.training.fabric import kernels
from meddiff.training.loop import Augment
from meddiff.training.processes.together import refuse_other_number
from meddiff.training.state import State, build_state


@dataclass(frozen=True)
class Training:
    """A network that is to be trained, what it learns from and how it is looked at meanwhile."""

    model: Model
    settings: TrainingRecipe
    files: ModelFolder
    images: Images
    batches: Callable[[Images, int, int], Batches]
    """(images, number of a process, how many there are) -> the batches of that process."""
    augment: Augment | None
    look: Callable[[State], Look]


def train_network(run: AnyRun, training_of: Callable[[Any], Training]) -> None:
    """Train a network, or go on with it, on the devices that the recipe asks for.

    ``training_of`` makes of the run what is trained; of several processes each does so for itself.
    """
    settings = run.recipe.training
    refuse_other_number(settings.devices, settings.nodes)
    share(run, partial(_train, training_of=training_of))


def _train(run: AnyRun, fabric: Fabric, training_of: Callable[[Any], Training]) -> None:
    training = training_of(run)
    model, settings, files = training.model, training.settings, training.files
    state = build_state(model.network, model.objective, fabric, optimization(settings), ema_decay=settings.ema_decay)
    look = training.look(state)
    images_per_step = settings.batch_size * settings.accumulate * fabric.world_size
    log = TrainingLog(files.log, images_per_step, written=fabric.is_global_zero)
    going = TrainingRun(settings, files.checkpoints, log, fabric, state, model.facts, look)
    batches = training.batches(on_device(training.images, fabric.device), fabric.global_rank, fabric.world_size)
    description = f"training {model.name}"
    with kernels(fabric.device, deterministic=settings.deterministic):
        going.go(batches, run.console, seed=run.recipe.seed, augment=training.augment, description=description)


def image_network(run: Run[Recipe], name: str = build.DIFFUSION) -> Training:
    """Set up the training of the denoiser of images, or of the classifier that guides it."""
    recipe, images = run.recipe, encode.learned(run)
    denoises, seed = name == build.DIFFUSION, child_seed(recipe.seed, "training", "images")
    model, kept = weights.model_to_train(run, images) if denoises else (weights.new_model(run, images, name), [])
    if kept:
        run.console.print(weights.kept_table(kept, recipe.diffusion.start_from or recipe.diffusion.teacher))
    return Training(
        model,
        recipe.training,
        ModelFolder(run.folder.path) if denoises else models_of(run.folder, name),
        images,
        lambda images, *process: build.shares(images, recipe.training, seed, recipe.training.class_balance, *process),
        None if recipe.diffusion.latent else build.augmentation(recipe),  # codes are of turned pictures already
        partial(SampleGrid, run, model, images) if denoises else lambda _: Look(),
    )


def mask_network(name: str, run: Run[SegmentRecipe]) -> Training:
    """Set up the training of a network of masks, by its name in tables."""
    recipe, images = run.recipe, masked(run, "train")
    model = new_model(recipe, name, images.shape[0], mask_classes(run))
    facts = replace(model.facts, pixel_dtype=images.pixel_dtype, manifest_sha256=weights.manifest_hash(run))
    model = replace(model, facts=facts)
    files, own_steps = models_of(run.folder, name), recipe.baseline.steps
    seed = child_seed(recipe.seed, "training", "images")
    training = recipe.training
    if own_steps and name != build.DIFFUSION:
        training = replace(training, steps=own_steps)
    return Training(
        model,
        training,
        files,
        images,
        lambda images, *process: segmenting.batches(images, recipe, seed, *process),
        build.augmentation(recipe),
        partial(Validation, run, model, files),
    )


def trained_by(run: AnyRun) -> dict[str, Any]:
    """Return the settings of training that weights depend on, among them how many processes share a step."""
    settings = {name: value for name, value in to_dict(run.recipe.training).items() if name not in NOT_WEIGHTS}
    return settings | {"devices": settings["devices"] * settings.pop("nodes")}


def _image_inputs(run: Run[Recipe]) -> str:
    recipe = run.recipe
    former = () if recipe.diffusion.attributes else ("attributes", "attribute_dropout")  # versions had no such settings
    former += () if recipe.diffusion.start_from else ("start_from",)
    former += () if recipe.diffusion.teacher else ("teacher", "teacher_strides")
    former += ("latent",)  # a path, for which the hash of what lies there stands
    diffusion = {name: value for name, value in to_dict(recipe.diffusion).items() if name not in former}
    settings = weights.data_settings(recipe), to_dict(recipe.network), diffusion, trained_by(run)
    guided = [build.GUIDE] if recipe.synthesis.classifier_guidance else []
    taught = [recipe.synthesis.steps, recipe.synthesis.spacing] if recipe.diffusion.teacher else []
    masks = [recipe.classes, run.folder.mask_values] if recipe.classes else []
    coded = encode.autoencoder_digest(run)
    return digest(run.folder.manifest, *settings, recipe.seed, *guided, *taught, *masks, *coded)


def _mask_inputs(run: Run[SegmentRecipe], own: Any) -> str:
    recipe = run.recipe
    shared = (
        weights.pixel_settings(recipe),
        to_dict(recipe.volume),
        trained_by(run),
        to_dict(recipe.mask),
        recipe.seed,
    )
    masks = [run.folder.mask_values] if run.folder.mask_values.is_file() else []  # former versions wrote none
    own = (*shared, own, to_dict(recipe.validation), recipe.classes, recipe.dimensions)
    return digest(run.folder.manifest, *masks, *own)


def _diffusion_inputs(run: Run[SegmentRecipe]) -> str:
    return _mask_inputs(run, (to_dict(run.recipe.network), to_dict(run.recipe.diffusion)))


def _baseline_inputs(run: Run[SegmentRecipe]) -> str:
    return _mask_inputs(run, to_dict(run.recipe.baseline))


def _check_images(run: Run[Recipe]) -> None:
    names = {row.label for row in need(run, "train", "which the denoiser learns from")}
    others = [row for split in ("val", "test") for row in run.of(split) if row.label not in names]
    problems = Problems(run.folder.manifest)
    for label in sorted({row.label or "" for row in others}):
        count = sum(row.label == label for row in others)
        problems.add("class without a training image", f"{label!r} has {count} images, all of them in val and test",
                     "Put some of its patients into train, or leave the class out.")  # fmt: skip
    problems.raise_if_any()
    images = labeled(run, "train")
    if run.recipe.synthesis.classifier_guidance and len(images.class_names) < 2:
        raise InputError(
            f"synthesis.classifier_guidance needs a classifier, and all images are of one class "
            f"({', '.join(images.class_names)}): leave it out, or give images of several classes"
        )
    if len(images.shape) == 3 and images.shape[0] > 1 and images.pixel_dtype == "uint16":
        raise InputError(
            "some of the images have 16 bits, which are kept, and PNG files hold 16 bits in gray alone: train on gray "
            "images with --data.channels 1"
        )
    if run.recipe.classes:
        mask_classes(run, labeled)
    encode.check_latent(run)
    weights.model_to_train(run, images)  # settings, volumes and weights that fit together


def _check_masks(run: Run[SegmentRecipe]) -> None:
    need(run, "train", "which the networks learn from")
    need(run, "val", "on which the best weights are chosen")
    mask_classes(run)


def _train_images(run: Run[Recipe]) -> list[Path]:
    images = labeled(run, "train", progress=bar(run.console, "decoding images", unit="images"))
    if images.clipped:
        what, size = "volumes" if run.recipe.dimensions == 3 else "slices", " x ".join(map(str, images.shape[1:]))
        run.console.print(
            f"{images.clipped} of {len(images)} {what} are larger than {size} voxels and cut to their middle"
        )
    if said := encode.tell(run):
        run.console.print(said, soft_wrap=True)
    train_network(run, image_network)
    written = [weights.trained(run.folder).path, run.folder.log]
    if not run.recipe.synthesis.classifier_guidance:
        return written
    train_network(run, partial(image_network, name=build.GUIDE))
    return [*written, weights.guide(run.folder).path]


def _train_masks(run: Run[SegmentRecipe], *names: str) -> list[Path]:
    written = []
    for name in names:
        train_network(run, partial(mask_network, name))
        files = models_of(run.folder, name)
        written += [files.best, files.validation]
    return written


def _train_baselines(run: Run[SegmentRecipe]) -> list[Path]:
    return _train_masks(run, *run.recipe.baseline.names)


def _train_diffusion(run: Run[SegmentRecipe]) -> list[Path]:
    return _train_masks(run, build.DIFFUSION)


IMAGES = Stage("train", "training the class-conditional denoiser", _image_inputs, _train_images, _check_images,
               learning)  # fmt: skip
MASKS = Stage("train", "training the denoiser of masks", _diffusion_inputs, _train_diffusion, _check_masks, learning)
BASELINES = Stage(
    "baselines", "training the deterministic networks it is compared with", _baseline_inputs, _train_baselines,
    asks=learning_of_others,
)  # fmt: skip
