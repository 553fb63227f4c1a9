"""Every setting of a run that finds anomalies by a model of healthy images, with its default and one sentence.

The parts that a run of any kind has are those of ``meddiff.recipe.parts`` and of a run that generates;
``pipelines/detect/*.yaml`` hold what differs by machine and by data set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from meddiff.errors import InputError
from meddiff.recipe import parts
from meddiff.recipe.commands import Inputs
from meddiff.recipe.generate import DiffusionRecipe, NetworkRecipe
from meddiff.recipe.parts import (
    Amount,
    Count,
    DataRecipe,
    IntervalRecipe,
    Range,
    RunRecipe,
    TrainingRecipe,
    VolumeRecipe,
    Weight,
)

HEALTHY = "healthy"
"""The label of healthy images in a run, whatever they are called in the data."""
METHODS = ("anoddpm", "ddim_encoding", "counterfactual", "multi_level")
NEEDS_LABELS = ("counterfactual",)
"""Methods for which the model must know anomalous images too."""


@dataclass(frozen=True)
class HealthRecipe:
    """Settings of health: what is healthy, and how all else is found."""

    healthy: str = ""
    """Labels of healthy images, as notumor or no,normal; empty calls healthy what has an empty mask."""
    learns: Literal["healthy", "labels"] = "healthy"
    """The model learns healthy images alone, or all with their labels, by which it is guided then."""
    methods: tuple[str, ...] = ("anoddpm", "ddim_encoding", "multi_level")
    """Any of anoddpm, ddim_encoding, multi_level and, where labels are learned, counterfactual."""
    noise: Literal["gaussian", "simplex"] = "gaussian"
    """The noise that the model is trained with, and anoddpm noises by: simplex is that of the paper."""
    octaves: Annotated[int, Range(1, 12)] = 6
    """Octaves of simplex noise, the coarsest of 64 pixels."""
    levels: tuple[float, ...] = (0.25, 0.1, 0.5)
    """Shares of T that images are noised to; the best on validation images, the first where none is anomalous."""
    members: tuple[int, ...] = (1, 4)
    """Maps that are averaged, each with noise of its own; chosen as the level is."""
    medians: tuple[int, ...] = (3, 1, 5)
    """Sides of the median filter of maps, in pixels, odd; chosen as the level is."""
    pooling: tuple[str, ...] = ("mean", "peak")
    """What of its map is an image's score: the mean, or the mean of its highest 2%; chosen as the level is."""
    guidance: Weight = 3.0
    """How strongly ddim_encoding and counterfactual decode towards healthy, where labels are learned."""
    steps: Count = 50
    """Sampler steps from pure noise; a level takes its share of them."""
    batch_size: Count = 64
    """Images per network call."""
    validation_images: Amount = 200
    """Validation images that settings are chosen on, evenly from all; 0 takes all."""
    false_alarms: Annotated[float, Range(0.001, 0.5)] = 0.05
    """Share of healthy images that the threshold of `predict` may call anomalous."""


@dataclass(frozen=True)
class AutoencoderRecipe:
    """The convolutional autoencoder that diffusion is compared with, trained by the same trainer."""

    channels: tuple[int, ...] = (64, 128, 256)
    """Feature channels per level, from fine to coarse; choose them for as many weights as the denoiser has."""
    code: Count = 16
    """Channels of the code."""
    steps: Amount = 0
    """Optimizer steps; 0 trains as many as the denoiser. A report says how long each took."""
    learning_rate: Annotated[float, Range(1e-8, 1)] = 1e-3
    """AdamW learning rate after warm-up."""


@dataclass(frozen=True)
class DetectRecipe(RunRecipe):
    """All settings of one run that finds anomalies."""

    MADE_BY = "`detect train` or `detect evaluate`"
    DOES = "finds anomalies and draws no images"
    BRIEFLY = "finds anomalies"
    MARK = "detect"
    ANSWERS = "detect"

    preset: str = "auto"
    """quick or standard; auto is standard where there is a GPU and real data, else quick."""
    out: str = ""
    """Run folder; empty means runs/detect-<dataset>-<preset>."""
    dimensions: Literal[2] = 2
    """Pictures, and slices that a manifest names; `predict` takes volumes slice by slice."""
    detect: HealthRecipe = field(default_factory=HealthRecipe)
    data: DataRecipe = field(default_factory=lambda: DataRecipe(train_fraction=0.6, val_fraction=0.15))
    volume: VolumeRecipe = field(default_factory=VolumeRecipe)
    network: NetworkRecipe = field(default_factory=NetworkRecipe)
    diffusion: DiffusionRecipe = field(default_factory=DiffusionRecipe)
    training: TrainingRecipe = field(
        default_factory=lambda: TrainingRecipe(steps=20_000, batch_size=32, ema_decay=0.999, class_balance=0.0)
    )
    baseline: AutoencoderRecipe = field(default_factory=AutoencoderRecipe)
    evaluation: IntervalRecipe = field(default_factory=IntervalRecipe)

    @property
    def healthy_labels(self) -> tuple[str, ...]:
        """The labels of healthy images; none where masks say it."""
        return tuple(name.strip() for name in self.detect.healthy.split(",") if name.strip())

    @property
    def octaves(self) -> int:
        """Octaves of simplex noise; 0 for white noise."""
        return self.detect.octaves if self.detect.noise == "simplex" else 0

    def refuse_contradictions(self) -> None:
        """Refuse settings that contradict each other.

        Raises:
            InputError: the setting, and what to do.
        """
        parts.refuse_contradictions(self)
        own = self.detect
        if self.data.slice_axis:
            raise InputError(
                "detection learns from pictures, and from slices that a manifest names: leave out data.slice_axis and "
                "list the slices (columns slice_axis and slice_index)"
            )
        if not own.methods or set(own.methods) - set(METHODS) or len(set(own.methods)) < len(own.methods):
            raise InputError(
                f"detect.methods is {list(own.methods)}: name at least one of {', '.join(METHODS)}, each once"
            )
        if own.learns == "healthy" and (asked := [name for name in own.methods if name in NEEDS_LABELS]):
            raise InputError(
                f"{', '.join(asked)} guides away from what is anomalous, which a model of healthy images alone does "
                "not know: add --detect.learns labels, or leave it out of detect.methods"
            )
        if not own.levels or not all(0 < level <= 1 for level in own.levels):
            raise InputError(
                f"detect.levels is {list(own.levels)}: give shares of the noise levels, such as [0.25,0.5]"
            )
        if not own.members or min(own.members) < 1:
            raise InputError(f"detect.members is {list(own.members)}: give numbers of 1 or more, such as [1,4]")
        if not own.medians or not all(side % 2 == 1 and side > 0 for side in own.medians):
            raise InputError(f"detect.medians is {list(own.medians)}: give odd numbers of pixels, such as [1,3,5]")
        if not own.pooling or set(own.pooling) - {"mean", "peak"}:
            raise InputError(f"detect.pooling is {list(own.pooling)}: give mean, peak, or both")


@dataclass(frozen=True, kw_only=True)
class Detect(Inputs):
    """Settings of a search for anomalies: the images, the run, and what is kept."""

    model: str = "diffusion"
    """Which detector of the run: that which validation images chose, a method (anoddpm ...) or a baseline."""
    axis: int | None = None
    """Array axis that volumes are cut along; null takes the one with the widest spacing."""
    save_healthy: bool = False
    """Also write each image as a healthy one."""
    save_overlays: bool = True
    """Also write image, healthy image and map beside one another; of a volume the slice with the highest score."""
