"""Our side of each topic: the product's own path from a recipe, on images drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from benchmarks.table.peers import Size
from meddiff import build
from meddiff.batches.images import Images
from meddiff.batches.resident import on_device
from meddiff.build import segmenting
from meddiff.build.kind import Model
from meddiff.cache.image_array import ImageArray
from meddiff.diffusion.condition import Condition
from meddiff.inference.sampling import generate
from meddiff.manifest.row import COLUMNS, ManifestRow
from meddiff.recipe import Recipe
from meddiff.recipe.segment import SegmentRecipe
from meddiff.training.fabric import Compiled, build_fabric
from meddiff.training.loop import TrainStep, seeds_of, train
from meddiff.training.optimization import Optimization
from meddiff.training.state import State, build_state

EDM2 = {"prediction": "edm", "min_snr_gamma": None}


def recipe_of(size: Size, network: str, precision: str = "auto") -> Recipe:
    """Return the recipe of a denoiser of images of this size."""
    usual = Recipe()
    diffusion = replace(usual.diffusion, **EDM2) if network == "edm2" else usual.diffusion
    return replace(
        usual,
        data=replace(usual.data, image_size=size.image_size),
        network=replace(usual.network, name=network, channels=size.channels, attention_levels=size.attention_levels),
        diffusion=diffusion,
        training=replace(usual.training, batch_size=size.batch, precision=precision,
                         times="log_normal" if network == "edm2" else "even"),
    )  # fmt: skip


def drawn_images(size: Size, count: int, *, masks: bool = False) -> Images:
    """Return random pictures with labels, and masks where they are wanted."""
    draw = np.random.default_rng(0)
    names = tuple(f"class {number}" for number in range(size.classes))
    rows = tuple(
        ManifestRow(**dict.fromkeys(COLUMNS) | {"row_id": str(n), "dataset": "drawn", "image_path": f"{n}.png",
                                                "source": "phantom", "label": names[n % len(names)]})
        for n in range(count)
    )  # fmt: skip
    side = size.image_size
    pixels = draw.integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    classes = draw.integers(0, 2, (count, 1, side, side), dtype=np.uint8) if masks else None
    return Images(ImageArray(pixels, classes, rows, ()), () if masks else names)  # type: ignore[arg-type]


class OurTraining:
    """A training as the commands do it, step by step."""

    def __init__(self, size: Size, device: torch.device, network: str, precision: str = "auto") -> None:
        self.recipe, self.size, self.device = recipe_of(size, network, precision), size, device
        images = on_device(drawn_images(size, 16 * size.batch), device)
        self.model = build.new_model(self.recipe, build.DIFFUSION, 3, images.class_names)
        batches = build.shares(images, self.recipe.training, 0, self.recipe.training.class_balance)
        self.state, self.steps = started(self.recipe, self.model, batches, device)
        self.weights = sum(weight.numel() for weight in self.model.network.parameters())

    def step(self) -> TrainStep:
        """Train one step."""
        return next(self.steps)

    def draw(self, steps: int, guidance: float) -> torch.Tensor:
        """Draw a batch of images with the average of the weights."""
        recipe = replace(self.recipe, synthesis=replace(self.recipe.synthesis, steps=steps, guidance=guidance))
        batches = generate(
            self._ready, build.task(recipe, channels=3, num_classes=self.size.classes), build.sampling(recipe),
            told=Condition(label=torch.zeros(self.size.batch, dtype=torch.int64)), seeds=range(self.size.batch),
            shape=(3, self.size.image_size, self.size.image_size), batch_size=self.size.batch, device=self.device,
        )  # fmt: skip
        return next(iter(batches))

    @property
    def _ready(self) -> torch.nn.Module:
        if not hasattr(self, "_made"):
            averaged = self.state.ema.network
            on_gpu = self.device.type == "cuda"  # as synthesis does
            self._made = self.model.ready(Compiled(averaged) if on_gpu else averaged, self.state.fabric)
        return self._made


class OurMasks:
    """A denoiser of masks: its training step by step, and an ensemble of one picture."""

    def __init__(self, size: Size, device: torch.device, *, steps: int = 3) -> None:
        usual = SegmentRecipe()
        self.recipe = replace(
            usual,
            data=replace(usual.data, image_size=size.image_size),
            network=replace(usual.network, channels=size.channels),
            training=replace(usual.training, batch_size=size.batch),
            inference=replace(usual.inference, steps=steps),
        )
        images = on_device(drawn_images(size, 4 * size.batch, masks=True), device)
        self.model = build.new_model(self.recipe, build.DIFFUSION, 3, ["background", "class 1"])
        self.state, self.steps = started(self.recipe, self.model, segmenting.batches(images, self.recipe, 0), device)
        self.weights = sum(weight.numel() for weight in self.model.network.parameters())
        self._image = torch.zeros(3, size.image_size, size.image_size)

    def step(self) -> TrainStep:
        """Train one step."""
        return next(self.steps)

    def ensemble(self, members: int) -> torch.Tensor:
        """Segment a picture with so many members."""
        if not hasattr(self, "_made"):
            self._made = self.model.ready(self.state.ema.network, self.state.fabric)
        return self._made.members(self._image, range(members))


def started(recipe: Recipe | SegmentRecipe, model: Model, batches: Callable, device: torch.device) -> tuple[
    State, Iterator[TrainStep]
]:  # fmt: skip
    """Begin a training that never ends."""
    settings = recipe.training
    optimization: Optimization = replace(build.optimization(settings), steps=10**9)
    fabric = build_fabric(precision=settings.precision, accelerator=device.type)
    state = build_state(model.network, model.objective, fabric, optimization, ema_decay=settings.ema_decay)
    augment = build.augmentation(recipe)
    return state, train(state, batches, optimization, seeds=seeds_of(0), augment=augment)


def drawing_cases(counts: tuple[int, ...], batch: int) -> dict[int, Callable[[], object]]:
    """Return, for data sets of these sizes, the drawing of one batch's positions, class-balanced."""
    from meddiff.batches.order import Order

    def draw(order: Order, number: Iterator[int]) -> np.ndarray:
        return order.positions(next(number), batch_size=batch, seed=0)

    return {
        count: partial(draw, Order(np.arange(count) % 7, class_balance=0.5), iter(range(10**9))) for count in counts
    }
