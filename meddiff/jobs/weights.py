"""Models for the stages: which weights stand in the run folder, how classifiers are trained."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from lightning_fabric import Fabric
from rich.console import Console
from rich.table import Table

from meddiff import build
from meddiff.batches.images import Images
from meddiff.batches.latents import LatentImages, pixels_of
from meddiff.batches.resident import on_device
from meddiff.batches.turns import classical_volume_augmentation
from meddiff.build.kind import Model, models_of
from meddiff.build.models import attributes_in
from meddiff.diffusion.denoiser import Denoiser
from meddiff.errors import InputError
from meddiff.inference.sampling import ImageDenoiser, Sampling
from meddiff.jobs.describe import Work, shape_of
from meddiff.jobs.progress import bar
from meddiff.jobs.stage import AnyRun
from meddiff.networks.classifier import Classifier
from meddiff.networks.initialization import seeded
from meddiff.recipe import AnyRecipe, Recipe, to_dict
from meddiff.recipe.segment import MASKS_AS_THEY_ARE
from meddiff.run import Run, RunFolder
from meddiff.seeds import child_seed
from meddiff.tasks.generate import GenerateTask
from meddiff.trained import load_generator, stored_generator
from meddiff.training import checkpoint
from meddiff.training import study_classifier as training
from meddiff.training.fabric import Compiled, build_fabric, device_here, is_compiled
from meddiff.training.inherited.distillation import Distilling
from meddiff.training.inherited.warm_start import Share, begin_with, check_alike
from meddiff.training.loop import Augment
from meddiff.training.objectives import Denoising, Objective
from meddiff.training.optimization import Optimization


def new_model(run: Run[Recipe], images: Images, name: str = build.DIFFUSION) -> Model:
    """Build the untrained denoiser of images like these, or guide; its weights are a function of the recipe alone.

    Raises:
        InputError: settings and images that do not fit together.
    """
    recipe = run.recipe
    model = build.new_model(recipe, name, images.shape[0], images.class_names, images.described.attributes)
    seen = pixels_of(images)
    known = {"volume_size": seen.shape[1:], "spacing_mm": seen.spacing_mm} if recipe.dimensions == 3 else {}
    known |= {"latent": images.facts} if isinstance(images, LatentImages) else {}
    facts = replace(
        model.facts,
        image_size=min(seen.shape[1:]),
        network={**model.facts.network, **known},
        pixel_dtype=images.pixel_dtype,
        manifest_sha256=manifest_hash(run),
    )
    return replace(model, facts=facts)


def model_to_train(run: Run[Recipe], images: Images) -> tuple[Model, list[Share]]:
    """Build a denoiser with what its recipe lets it begin with and learn from; says which weights it kept of another.

    Raises:
        InputError: settings that do not fit together; weights or a teacher that are not there, or of another network.
    """
    model, kept = _begun(run, new_model(run, images))
    return _taught(run, model), kept


def _begun(run: Run[Recipe], model: Model) -> tuple[Model, list[Share]]:
    """Begin an untrained model with the weights that ``diffusion.start_from`` names, and say which it kept.

    A run that has a checkpoint goes on from that: nothing is read, or said, again.

    Raises:
        InputError: there are no such weights, or they are of another network.
    """
    place = run.recipe.diffusion.start_from or run.recipe.diffusion.teacher
    if not place:
        return model, []
    newest = checkpoint.latest(run.folder.checkpoints)
    if newest is not None:
        known = checkpoint.read(newest).facts.fine_tuned_from
        return replace(model, facts=replace(model.facts, fine_tuned_from=known)), []
    _, stored, _ = stored_generator(place)
    named = "diffusion.start_from" if run.recipe.diffusion.start_from else "diffusion.teacher"
    check_alike(stored.facts, model.facts, place, setting=named)
    kept = begin_with(model.network, checkpoint.averaged(stored, model.network), stored.facts, model.facts)
    return replace(model, facts=replace(model.facts, fine_tuned_from=stored.digest)), kept


def _taught(run: Run[Recipe], model: Model) -> Model:
    """Let a model learn to draw in the steps of its recipe what a teacher draws, where there is one.

    Raises:
        InputError: there is no such teacher, or it is of another network, of other classes or attributes; or it is
            another one than that which training began with.
    """
    recipe, place = run.recipe, run.recipe.diffusion.teacher
    if not place:
        return model
    teacher = load_generator(place)
    _, stored, _ = stored_generator(place)
    check_alike(stored.facts, model.facts, place, setting="diffusion.teacher")
    theirs, ours = (list(facts.class_names) for facts in (stored.facts, model.facts))
    same = theirs == ours and attributes_in(stored.facts) == attributes_in(model.facts)
    if not same:
        raise InputError(
            f"diffusion.teacher {place} draws {', '.join(theirs)}, and this data set has {', '.join(ours)}: a student "
            "learns the classes and attributes of its teacher, so give data of the same"
        )
    if not recipe.diffusion.start_from and model.facts.fine_tuned_from != stored.digest:
        raise InputError(
            f"diffusion.teacher {place} has other weights than when this training began ({stored.digest}, then "
            f"{model.facts.fine_tuned_from}): give the teacher of then, or another run folder (--out)"
        )
    times = tuple(teacher.model.denoiser.schedule.timesteps(recipe.synthesis.steps, recipe.synthesis.spacing))

    def objective(fabric: Fabric) -> Objective:
        own = model.objective(fabric)
        assert isinstance(own, Denoising)
        return Distilling(
            own.denoiser, own.task, partial(teacher.model.drawing.denoise, teacher.model.denoiser), times,
            recipe.diffusion.teacher_strides, own.condition_dropout, own.attribute_dropout,
        )  # fmt: skip

    return replace(model, objective=objective)


def kept_table(shares: Sequence[Share], place: str) -> Table:
    """Show which weights were kept and which are new."""
    table = Table("weights", "tensors", "numbers", "why", title=f"fine-tuned from {place}")
    for share in shares:
        table.add_row(share.where, str(share.tensors), f"{share.numbers:,}", share.why)
    return table


def drawing_task(run: Run[Recipe], images: Images) -> GenerateTask:
    """Return the task of a denoiser of images like these, which decodes what it draws where that are codes."""
    task = build.task(run.recipe, channels=images.shape[0], num_classes=len(images.class_names))
    return replace(task, decoded=images.decoded) if isinstance(images, LatentImages) else task


def manifest_hash(run: AnyRun) -> str:
    """Return the SHA-256 of the run's manifest, hexadecimal."""
    return hashlib.sha256(run.folder.manifest.read_bytes()).hexdigest()


def data_settings(recipe: Recipe) -> list[Any]:
    """Return all settings that decide how files become arrays."""
    return [pixel_settings(recipe), recipe.dimensions, to_dict(recipe.volume)]


def pixel_settings(recipe: AnyRecipe) -> dict[str, Any]:
    """Give the settings of the data but those that decide no more than which images there are, as the manifest says."""
    settings = {name: value for name, value in to_dict(recipe.data).items() if name != "copies"}
    return {name: value for name, value in settings.items() if MASKS_AS_THEY_ARE.get(name) != value}


def training_settings(recipe: Recipe) -> dict[str, Any]:
    """Return the settings that decide how one classifier is trained, whatever arms and seeds there are beside it."""
    beside = ("arms", "ratios", "seeds", "classical")
    settings = {name: value for name, value in to_dict(recipe.classifier).items() if name not in beside}
    policy = build.policy_of(recipe)
    return settings if policy == "square" else settings | {"augment": policy}  # former versions knew no other


def new_classifier(recipe: Recipe, images: Images | ImageDenoiser, seed: int) -> Classifier:
    """Return the untrained (or pretrained) classifier of images like these.

    What is not loaded is a function of the seed.
    """
    with seeded(child_seed(seed, "classifier", "weights")):
        return build.classifier(recipe, shape=images.shape, num_classes=len(images.class_names))


def classifier_work(run: Run[Recipe], times: int) -> Work:
    """Say what the training of so many classifiers asks."""
    recipe = run.recipe
    learned = times * recipe.classifier.steps * recipe.classifier.batch_size
    make = partial(build.classifier, recipe, shape=shape_of(recipe), num_classes=max(2, len(run.classes)))
    return Work("classifier", learned=learned, build=make)


def trained(folder: RunFolder) -> checkpoint.Checkpoint:
    """Read the newest checkpoint of the run."""
    return checkpoint.read_latest(folder.checkpoints)


def guide(folder: RunFolder) -> checkpoint.Checkpoint:
    """Read the newest checkpoint of the classifier that guides."""
    return checkpoint.read_latest(models_of(folder, build.GUIDE).checkpoints)


def sampling(run: Run[Recipe], images: Images) -> Sampling:
    """Say how the images of a run are drawn, with the classifier that guides where one does.

    Raises:
        InputError: as `load`.
    """
    guided = run.recipe.synthesis.classifier_guidance
    return build.sampling(run.recipe, load(run, images, build.GUIDE)[0] if guided else None)


def load(run: Run[Recipe], images: Images, name: str = build.DIFFUSION) -> tuple[Denoiser, torch.device]:
    """Load the averaged denoiser (or guide) ready to sample, and the device it is on.

    Raises:
        InputError: no checkpoint, or one of another set-up, with the differences.
    """
    stored = trained(run.folder) if name == build.DIFFUSION else guide(run.folder)
    model = new_model(run, images, name)
    checkpoint.check(stored, model.facts)
    checkpoint.load_weights(stored, model.network)
    settings, network = run.recipe.training, model.network
    fabric = build_fabric(precision=settings.precision)
    if is_compiled(fabric.device, settings.compile):  # it will draw thousands of images
        network = Compiled(network)
    return model.ready(network, fabric), fabric.device


def train_classifier(
    recipe: Recipe, arm: build.Arm, images: Images, seed: int, console: Console | None = None, *,
    strength: str = "strong",
) -> Classifier:  # fmt: skip
    """Train a classifier of an arm on these images; it is in evaluation mode then, and a function of the seed.

    ``strength`` is the classical augmentation of pictures, by its name; ``console`` shows a progress bar.
    """
    settings = recipe.classifier
    return training.train_classifier(
        new_classifier(recipe, images, seed),
        training.class_batches(
            on_device(images, device_here()),
            batch_size=settings.batch_size,
            seed=seed,
            class_balance=1.0 if arm.balanced else 0.0,
        ),
        Optimization(settings.steps, settings.learning_rate, settings.weight_decay, decay="cosine_from_first"),
        seed=seed,
        augment=augmentation_of(recipe, arm, strength),
        precision=recipe.training.precision,
        progress=bar(console, "training the filter's classifier", unit="steps") if console else None,
    )


def augmentation_of(recipe: Recipe, arm: build.Arm, strength: str) -> Augment | None:
    """Choose what turns and changes the training images of an arm; None where nothing does."""
    if arm.classical:
        return build.CLASSICAL[strength] if recipe.dimensions == 2 else classical_volume_augmentation
    return build.augmentation(recipe) if arm.flips else None
