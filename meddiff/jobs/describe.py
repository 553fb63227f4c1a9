"""Size and cost of the networks of a recipe, the time they take on this machine, and the plan of a run made of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from lightning_fabric import Fabric
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from meddiff import build
from meddiff.batches.batch import Batch
from meddiff.recipe import AnyRecipe
from meddiff.run import Run
from meddiff.training.fabric import build_fabric

CLASSES = 2
"""Labels or classes of masks where the data have not been read: more of them cost next to nothing."""
MANY_PIXELS = 2e8
"""Pixels that a training sees, in all its steps, from which on it is worth the seconds to ask how long it takes."""
TOLD_FROM_S = 3600.0
LONG_S = 5.0
"""An image that takes longer is not tried a second time."""
PIXELS_AT_ONCE = 2**16
"""Pixels of the images that are timed together for the plan, where a training step has as many."""
PLANNED_PIXELS = 5e6
"""Pixels that a training sees in all, from which on a plan says minutes."""
FORWARD_ALONE = 1 / 3
"""Share of forward and backward that a call without learning takes; the backward pass is twice the work."""


@dataclass(frozen=True)
class Cost:
    """The size of a network and the work of one image."""

    weights: int
    """Number of weights."""
    forward: int
    """Floating point operations of one call for one image; a multiplication and an addition are two."""
    training: int
    """Floating point operations of one image in a training step: forward and backward."""


def cost(network: nn.Module, call: Callable[[nn.Module], Tensor]) -> Cost:
    """Count the work of a network by shapes alone: nothing is computed, and no memory is taken for features.

    Args:
        network: any.
        call: network -> its output for one image.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        with FlopCounterMode(display=False) as once, torch.no_grad():
            call(network)
        with FlopCounterMode(display=False) as both:
            call(network).sum().backward()
    weights = sum(parameter.numel() for parameter in network.parameters())
    return Cost(weights, once.get_total_flops(), both.get_total_flops())


def describe(recipe: AnyRecipe, console: Console) -> None:
    """Print size and cost of each network that the recipe trains.

    Raises:
        InputError: an unknown name, or settings that do not fit together.
    """
    build.check_names(recipe)
    shape = shape_of(recipe)
    table = Table(title=f"networks for images of {' x '.join(map(str, shape[1:]))}, {shape[0]} channels")
    for heading in ("network", "weights", "GFLOP per image", "per image trained", "PFLOP of the training"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for name, one, steps in costs(recipe):
        images = steps * images_per_step(recipe)
        table.add_row(
            name, f"{one.weights / 1e6:.2f} M", f"{one.forward / 1e9:.2f}", f"{one.training / 1e9:.2f}",
            f"{one.training * images / 1e15:,.4f}",
        )  # fmt: skip
    console.print(table)
    console.print(build.kind(recipe).calls(recipe))
    tell_time(recipe, console)


def costs(recipe: AnyRecipe) -> list[tuple[str, Cost, int]]:
    """Count the work of each network that the recipe trains, with its number of training steps."""
    return [(name, cost(network, call), steps) for name, network, call, steps in networks(recipe)]


def tell_time(recipe: AnyRecipe, console: Console) -> None:
    """Print how long the training will take, where there is no GPU and it is not over within the hour.

    One image goes through each network, forward and backward; quick trainings are not delayed by that.
    """
    images = images_per_step(recipe)
    pixels = recipe.training.steps * images * math.prod(shape_of(recipe)[1:])
    if torch.cuda.is_available() or pixels < MANY_PIXELS:
        return
    precision = build_fabric(precision=recipe.training.precision)
    seconds = sum(
        steps * images * seconds_of_an_image(network, call, precision) for _, network, call, steps in networks(recipe)
    ) / _processes(recipe)
    if seconds >= TOLD_FROM_S:
        console.print(
            f"there is no GPU, and on this machine the training takes about {in_days(seconds)} (estimated from one "
            "image). It can be stopped and goes on from its last checkpoint; --preset quick takes minutes",
            style="yellow", soft_wrap=True,
        )  # fmt: skip


def images_per_step(recipe: AnyRecipe) -> int:
    """Count the images of an optimizer step, on all devices."""
    return recipe.training.batch_size * recipe.training.accumulate * _processes(recipe)


def _processes(recipe: AnyRecipe) -> int:
    return recipe.training.devices * recipe.training.nodes


def seconds_of_an_image(network: nn.Module, call: Callable[[nn.Module], Tensor], fabric: Fabric) -> float:
    """Measure forward and backward of one image, the second time: the first one also sets up."""
    began = 0.0
    for _ in range(2):
        began = time.perf_counter()
        with fabric.autocast():
            output = call(network)
        output.float().sum().backward()
        if time.perf_counter() - began > LONG_S:
            break
    return time.perf_counter() - began


def in_days(seconds: float) -> str:
    """Write a long time roughly: ``5 hours``, ``29 days``."""
    hours = seconds / 3600
    return f"{hours:.0f} hour{'s' * (round(hours) > 1)}" if hours < 48 else f"{hours / 24:.0f} days"


def networks(recipe: AnyRecipe, images: int = 1) -> list[tuple[str, nn.Module, Callable[[nn.Module], Tensor], int]]:
    """Build each network that the recipe trains, with its call for so many images and its number of training steps."""
    shape, kind = shape_of(recipe), build.kind(recipe)
    names = ["background", *(f"class {number}" for number in range(1, CLASSES))]
    image, nothing = torch.zeros(images, *shape), torch.zeros(images, dtype=torch.int64)

    def call(network: nn.Module) -> Tensor:
        return network(image)

    if not kind.denoises:
        each = kind.others(recipe).items()
        return [(name, build.new_model(recipe, name, shape[0], names).network, call, steps) for name, steps in each]
    task = build.task(recipe, channels=shape[0], num_classes=CLASSES)

    def denoise(network: nn.Module) -> Tensor:
        x_t = torch.zeros(images, task.channels, *shape[1:])
        mask = torch.zeros(images, 1, *shape[1:], dtype=torch.int64)
        condition = task.condition(Batch(image, nothing, mask, nothing))
        if getattr(recipe.diffusion, "self_condition", False):
            condition = replace(condition, image=x_t)
        output = network(x_t, torch.ones(images), condition)
        return output[0] + output[1].sum() if isinstance(output, tuple) else output

    model = build.new_model(recipe, build.DIFFUSION, shape[0], names)
    listed = [(recipe.network.name, model.network, denoise, recipe.training.steps)]
    for name, steps in kind.others(recipe).items():
        other = build.new_model(recipe, name, shape[0], names)
        listed.append((f"baseline {name}", other.network, call if other.of_images_alone else denoise, steps))
    return listed


def shape_of(recipe: AnyRecipe) -> tuple[int, ...]:
    """Return the shape (C, *S) of what the networks are shown."""
    channels = build.channels(recipe)
    if recipe.data.slice_axis is not None:
        channels *= 1 + 2 * getattr(recipe.data, "neighbors", 0)
    if recipe.dimensions == 3:
        return (channels, *recipe.volume.patch_size)
    return (channels, recipe.data.image_size, recipe.data.image_size)


@dataclass(frozen=True)
class Work:
    """The work that a stage asks of one network."""

    network: str
    """Its name in `networks`."""
    learned: float = 0.0
    """Images that go forward and backward, all steps together."""
    called: float = 0.0
    """Images that go forward alone, all calls together."""
    build: Callable[[], nn.Module] | None = None
    """Builds it, where it is none of `networks`; it is called with images."""


def tell_plan(stages: Sequence[tuple[str, str, Sequence[Work]]], recipe: AnyRecipe, console: Console) -> None:
    """Print the stages that are to come, with the minutes that their networks take on this machine.

    Each network is timed on a few images of the size that it is trained on, which takes seconds; not where all is over
    in seconds anyway, and not on a GPU.

    Args:
        stages: name, what is done in words, and what it asks of networks.
        recipe: settings of the run.
        console: where it is printed.
    """
    pixels = recipe.training.steps * recipe.training.batch_size * math.prod(shape_of(recipe)[1:])
    every = [one for _, _, work in stages for one in work]
    measured = (
        {} if torch.cuda.is_available() or pixels < PLANNED_PIXELS or not every else dict(_seconds(recipe, every))
    )
    rows, total = [], 0.0
    for name, does, work in stages:
        seconds = sum(measured.get(one.network, 0) * (one.learned + FORWARD_ALONE * one.called) for one in work)
        rows.append((name, does, in_words(seconds) if work else ""))
        total += seconds
    table = Table(title="plan", title_justify="left")
    table.add_column("stage", no_wrap=True)
    table.add_column("what is done", overflow="fold")
    if total:
        table.add_column("about", no_wrap=True, justify="right")
    for row in rows:
        table.add_row(*row if total else row[:2])
    console.print(table)
    if total:
        console.print(
            f"in all {in_words(total)} of networks on this machine, timed just now on a few images; what else it does "
            "adds to that. Stopped, the same command goes on from there", soft_wrap=True,
        )  # fmt: skip


def learning(run: Run[AnyRecipe]) -> list[Work]:
    """List what the training of the diffusion model asks."""
    recipe = run.recipe
    return [Work(recipe.network.name, learned=recipe.training.steps * images_per_step(recipe))]


def learning_of_others(run: Run[AnyRecipe]) -> list[Work]:
    """List what the training of those asks that the diffusion model is compared with."""
    steps_of, images = build.kind(run.recipe).others(run.recipe), images_per_step(run.recipe)
    return [Work(f"baseline {name}", learned=steps * images) for name, steps in steps_of.items()]


def _seconds(recipe: AnyRecipe, every: Sequence[Work]) -> Iterator[tuple[str, float]]:
    """Measure an image of each network, forward and backward, among as many as are learned from at once."""
    shape = shape_of(recipe)
    at_once = max(1, min(recipe.training.batch_size, PIXELS_AT_ONCE // math.prod(shape[1:])))
    fabric, images = build_fabric(precision=recipe.training.precision), torch.zeros(at_once, *shape)
    for name, network, call, _ in networks(recipe, images=at_once):
        yield name, seconds_of_an_image(network, call, fabric) / at_once
    for name, make in {one.network: one.build for one in every if one.build is not None}.items():
        yield name, seconds_of_an_image(make(), lambda network: network(images), fabric) / at_once


def in_words(seconds: float) -> str:
    """Write a time as roughly as it is known: ``under a minute``, ``7 min``, ``5 hours``."""
    minutes = seconds / 60
    return "under a minute" if minutes < 1 else f"{minutes:.0f} min" if minutes < 100 else in_days(seconds)
