"""Every setting of a run that makes an image of what is known: sharper, without holes, in another sequence, by a mask.

The parts that a run of any kind has are those of ``meddiff.recipe.parts``, with defaults of their own here;
``pipelines/translate/*.yaml`` hold what differs by machine and by data set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from meddiff.errors import InputError
from meddiff.recipe import parts
from meddiff.recipe.generate import NetworkRecipe
from meddiff.recipe.parts import (
    Count,
    IntervalRecipe,
    MaskedDataRecipe,
    NoiseRecipe,
    Range,
    RunRecipe,
    Share,
    TrainingRecipe,
    VolumeRecipe,
)

Members = Annotated[int, Range(1, 10**4)]


@dataclass(frozen=True)
class TranslationRecipe:
    """Settings of what is known of an image, and of what is wanted."""

    known: Literal["low_resolution", "hole", "sequences", "mask"] = "low_resolution"
    """The image at a lower resolution, the image around holes, other sequences (channels) of it, or its mask."""
    factor: Annotated[int, Range(2, 16)] = 4
    """Of low_resolution: pixels of the wanted image to one of the known image, along each axis."""
    along: Literal["both", "vertical", "horizontal"] = "both"
    """Of low_resolution: the axes of lower resolution; slices of MRI are often thick along one, vertical where they
    are cut upright across another."""
    residual: Annotated[float, Range(0, 10)] = 0.2
    """Of low_resolution: what is learned is the difference to the known image, divided by this; 0 learns the image."""
    holes: Literal["boxes", "irregular"] = "boxes"
    """Of hole: the form of the holes, drawn anew in every step."""
    hole_share: Annotated[float, Range(0.01, 0.9)] = 0.4
    """Of hole: the largest side of a box, or length of a stroke, as a share of the image's side."""
    given: tuple[str | int, ...] = ()
    """Of sequences: the known ones by name, or by number from 0; empty takes all that are not wanted."""
    wanted: tuple[str | int, ...] = ()
    """Of sequences: the wanted ones by name, or by number from 0."""
    condition_dropout: Share = 0.1
    """Of mask: share of the training images that are drawn without it, which guidance needs."""


@dataclass(frozen=True)
class AnswerRecipe:
    """From a known image to the wanted one."""

    members: Members = 8
    """Images drawn of one known image."""
    sampler: str = "ddim"
    """Which sampler of meddiff.samplers."""
    steps: Count = 10
    """Sampler steps per member."""
    spacing: Literal["trailing", "leading", "linear", "quadratic", "log_snr", "karras"] = "trailing"
    """Where the steps lie."""
    overlap: Annotated[float, Range(0, 0.95)] = 0.5
    """Share of a window that its neighbor covers too, where an image is larger than the window."""
    guidance: Annotated[float, Range(0, 100)] = 1.0
    """Of mask: how far beyond what the mask alone says (Ho & Salimans 2022); 1 is that, more is more typical."""
    batch_size: Count = 64
    """Members per network call."""


@dataclass(frozen=True)
class TranslateRecipe(RunRecipe):
    """All settings of one run that translates images."""

    FIRST: ClassVar[tuple[str, ...]] = (
        "dataset", "data_root", "manifest", "preset", "out", "seed", "translation.known", "translation.factor",
        "translation.given", "translation.wanted", "data.image_size", "training.steps", "inference.members",
    )  # fmt: skip
    """Settings that people touch first: --help shows them."""
    MADE_BY = "`translate train` or `translate evaluate`"
    DOES = "makes images of known ones and neither draws nor segments"
    BRIEFLY = "translates"
    MARK = "translation"
    IDLE: ClassVar[dict[str, str]] = {}
    """Settings that former recipes hold and that never did anything: none yet."""

    preset: str = "auto"
    """quick or standard; auto is standard where there is a GPU and real data, else quick."""
    out: str = ""
    """Run folder; empty means runs/translate-<dataset>-<preset>."""
    dimensions: Literal[2, 3] = 2
    """2 translates pictures and slices, 3 whole volumes."""
    classes: tuple[str, ...] = ()
    """Of mask: names of the classes of the masks from 0 on; empty reads them from the masks."""
    translation: TranslationRecipe = field(default_factory=TranslationRecipe)
    data: MaskedDataRecipe = field(default_factory=MaskedDataRecipe)
    volume: VolumeRecipe = field(default_factory=VolumeRecipe)
    network: NetworkRecipe = field(default_factory=lambda: NetworkRecipe(attention_levels=0))
    diffusion: NoiseRecipe = field(default_factory=NoiseRecipe)
    training: TrainingRecipe = field(
        default_factory=lambda: TrainingRecipe(
            steps=50_000, batch_size=32, decay="cosine", ema_decay=0.999, class_balance=0.0, sample_every=5000
        )
    )
    inference: AnswerRecipe = field(default_factory=AnswerRecipe)
    evaluation: IntervalRecipe = field(default_factory=IntervalRecipe)

    @property
    def by_masks(self) -> bool:
        """True where images are drawn by their masks."""
        return self.translation.known == "mask"

    def refuse_contradictions(self) -> None:
        """Refuse settings that contradict each other.

        Raises:
            InputError: the settings, and what to do.
        """
        parts.refuse_contradictions(self)
        settings = self.translation
        if settings.known == "sequences" and not settings.wanted:
            raise InputError(
                "translation.known sequences needs the sequences that are wanted: --translation.wanted [t1c], by name "
                "or by number from 0"
            )
        if settings.known != "sequences" and (settings.wanted or settings.given):
            raise InputError("translation.wanted and translation.given belong to --translation.known sequences")
        if settings.known != "mask" and self.classes:
            raise InputError("classes belong to --translation.known mask")
        if both := {str(name) for name in settings.wanted} & {str(name) for name in settings.given}:
            raise InputError(f"translation.given and translation.wanted both name {', '.join(sorted(both))}")
        sides = (self.data.image_size,) if self.dimensions == 2 else self.volume.patch_size
        if settings.known == "low_resolution" and any(side % settings.factor for side in sides):
            raise InputError(
                f"translation.factor {settings.factor} does not divide {' x '.join(map(str, sides))}, the side of what "
                f"the network sees: use a multiple of {settings.factor} "
                f"({'--data.image_size' if self.dimensions == 2 else '--volume.patch_size'})"
            )
        if settings.along != "both" and (settings.known != "low_resolution" or self.dimensions == 3):
            raise InputError("translation.along vertical and horizontal belong to low_resolution of two dimensions")
