"""Every setting of a segmentation run, with its default, its unit and one sentence.

The parts that a run of any kind has are those of ``meddiff.recipe.parts``, with defaults of their own here;
``pipelines/segment/*.yaml`` hold what differs by machine and by data set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from meddiff.errors import InputError
from meddiff.recipe import parts
from meddiff.recipe.parts import (
    Amount,
    Count,
    IntervalRecipe,
    MaskedDataRecipe,
    NoiseRecipe,
    Range,
    RunRecipe,
    Share,
    TrainingRecipe,
    VolumeRecipe,
    Weight,
)

Members = Annotated[int, Range(1, 10**6)]
MASKS_AS_THEY_ARE = {"mask_values": "", "mask_overlap": "stop", "mask_missing": "stop"}
"""Settings of data with which nobody says more of masks than they say themselves: runs of former versions had none."""


@dataclass(frozen=True)
class StackRecipe(MaskedDataRecipe):
    """Settings of the data: how files become arrays, and how many slices the network sees at once."""

    neighbors: Annotated[int, Range(0, 16)] = 0
    """Slices to either side that the network sees too, as channels (2.5D)."""


@dataclass(frozen=True)
class PatchRecipe(VolumeRecipe):
    """Settings of volumes: how they become training patches, where whole volumes are segmented."""

    foreground_share: Share = 0.5
    """Share of the training patches that are centered on a labeled voxel, or of the slices that go through one."""


@dataclass(frozen=True)
class MaskNetworkRecipe:
    """The network that denoises masks with the image before it."""

    name: str = "twin_unet"
    """twin_unet, medsegdiff_v1, medsegdiff_v2, or unet (MONAI's, with the image beside the mask)."""
    channels: tuple[int, ...] = (64, 128, 256, 320, 512)
    """Feature channels per resolution level of the part that reads the image, from fine to coarse."""
    residual_blocks: Count = 1
    """Residual blocks per level."""
    patch_size: Count = 2
    """Pixels per side folded into channels before the first level."""
    thin_from: Annotated[int, Range(0, 8)] = 1
    """The level from which twin_unet denoises; what is finer is folded into channels."""
    attention_levels: Amount = 0
    """Number of coarsest levels that have self-attention (unet alone)."""
    head_channels: Count = 32
    """Channels per attention head (unet alone)."""


@dataclass(frozen=True)
class MaskRecipe:
    """Settings of masks: how they are noised, and what is minimized."""

    encoding: Literal["one_hot", "bits"] = "one_hot"
    """Classes as channels, or as binary digits (Chen et al. 2023, analog bits)."""
    scale: Annotated[float, Range(1e-3, 1e3)] = 0.2
    """How loud the mask is against the noise; small values make the network look at the image."""
    dice: Weight = 1.0
    """Weight of the Dice loss of the estimated classes."""
    cross_entropy: Weight = 1.0
    """Weight of their cross-entropy."""
    noise: Weight = 1.0
    """Weight of the squared error of the network's output; not used where it predicts class logits."""
    coarse: Weight = 1.0
    """Weight of the loss of the condition model's own mask, where the network has one."""
    recycle: Share = 0.5
    """Share of training samples whose noisy mask is made from the network's own estimate (Fu et al. 2023)."""


@dataclass(frozen=True)
class BaselineRecipe:
    """The deterministic networks that a diffusion model is compared with, trained by the same trainer."""

    names: tuple[str, ...] = ("unet",)
    """Any of unet, dynunet, segresnet (MONAI)."""
    channels: tuple[int, ...] = (16, 32, 64, 128, 256)
    """Feature channels per level."""
    steps: Amount = 0
    """Optimizer steps; 0 trains as many as the diffusion model."""


@dataclass(frozen=True)
class InferenceRecipe:
    """From an image to a mask and its uncertainty."""

    members: Members = 8
    """Masks drawn per image."""
    sampler: str = "ddpm"
    """Which sampler of meddiff.samplers."""
    steps: Members = 5
    """Sampler steps per member."""
    estimate: Literal["path", "last"] = "path"
    """A member's probabilities: the mean along its path (better calibrated), or those at its end (more diverse)."""
    spacing: Literal["trailing", "leading", "linear", "quadratic", "log_snr", "karras"] = "trailing"
    """Where the steps lie."""
    start: Annotated[float, Range(0.001, 1)] = 1.0
    """Where sampling starts, as a fraction of T: 1 is pure noise, less starts from the noised coarse mask."""
    fusion: Literal["mean", "majority", "staple"] = "mean"
    """How members become one answer."""
    temperature: bool = True
    """Fit a temperature on the validation split and apply it to the fused probabilities (Guo et al. 2017)."""
    uncertainty: Literal["expected_dice", "pairwise", "to_fused"] = "expected_dice"
    """How unsure a whole case is: one minus the Dice expected of the fused answer, or the members' disagreement."""
    overlap: Annotated[float, Range(0, 0.95)] = 0.5
    """Share of a window that its neighbor covers too, where an image or volume is larger than the window."""
    batch_size: Members = 64
    """Members per network call."""
    largest_component: bool = False
    """Keep only the largest connected part of each class."""
    fill_holes: bool = False
    """Fill the holes of each class."""


@dataclass(frozen=True)
class ValidationRecipe:
    """Settings of the looks at validation cases that choose the best weights, every training.sample_every steps."""

    cases: Amount = 100
    """Validation cases that are segmented each time; 0 means all."""
    members: Members = 3
    """Members per case."""
    patience: Amount = 0
    """Looks without a better Dice after which training ends; 0 never ends it early."""


@dataclass(frozen=True)
class PairStudyRecipe:
    """Settings of `segment augment`: whether drawn pairs of image and mask help a segmenter."""

    pairs: str = ""
    """Run of `translate train --translation.known mask`, which draws of the training masks, or a manifest of pairs."""
    per_mask: Count = 2
    """Images drawn of each training mask: the first of it as it is, the others of it bent and turned."""
    bend: Annotated[float, Range(0, 0.5)] = 0.05
    """How far a mask is bent: the standard deviation of the displacement, a share of the side."""
    sizes: tuple[int, ...] = (25, 100, 0)
    """Real training pairs of each comparison; 0 is all."""
    arms: tuple[str, ...] = ("real", "real_classical", "real_synthetic", "real_synthetic_classical")
    """Ways of training: real pairs with flips or with the classical augmentation, and drawn pairs beside either."""
    classical: str = "auto"
    """The classical augmentation: mild, medium, strong, upright ...; auto is medium for images without a side that is
    up, else upright."""
    seeds: Count = 3
    """Trainings of each arm at each size, each with other weights, order and choice of the real pairs."""


@dataclass(frozen=True)
class SegmentRecipe(RunRecipe):
    """All settings of one segmentation run."""

    MADE_BY = "`segment train` or `segment evaluate`"
    DOES = "segments images and draws none"
    BRIEFLY = "segments"
    MARK = "mask"
    SLICES_STAND_UPRIGHT = False
    DRAWS_IMAGES = False
    FIRST: ClassVar[tuple[str, ...]] = (
        "dataset", "data_root", "manifest", "preset", "out", "seed", "dimensions", "data.image_size",
        "data.mask_values", "training.steps", "training.batch_size", "inference.members",
    )  # fmt: skip
    """Settings that people touch first: --help shows them."""
    IDLE: ClassVar[dict[str, str]] = dict.fromkeys(
        ("diffusion.min_snr_gamma", "diffusion.condition_dropout", "evaluation.features", "evaluation.weights"),
        "it belongs to the generation of images, and a segmentation has no use for it; leave it out",
    )
    """Settings that former recipes hold and that never did anything, with what to say to whom gives one."""

    preset: str = "auto"
    """quick or standard; auto is standard where there is a GPU and real data, else quick."""
    out: str = ""
    """Run folder; empty means runs/segment-<dataset>-<preset>."""
    dimensions: Literal[2, 3] = 2
    """2 segments pictures and slices, 3 whole volumes."""
    classes: tuple[str, ...] = ()
    """Names of the classes of the masks from 0 on; empty reads them from the masks."""
    segment_codes: tuple[str, ...] = ()
    """What the classes from 1 on are in DICOM, as "SCT:108369006:Neoplasm"; empty goes by their names."""
    data: StackRecipe = field(default_factory=lambda: StackRecipe(image_size=256, fit="stretch"))
    volume: PatchRecipe = field(default_factory=PatchRecipe)
    network: MaskNetworkRecipe = field(default_factory=MaskNetworkRecipe)
    diffusion: NoiseRecipe = field(default_factory=lambda: NoiseRecipe(prediction="class_logits"))
    mask: MaskRecipe = field(default_factory=MaskRecipe)
    training: TrainingRecipe = field(
        default_factory=lambda: TrainingRecipe(
            steps=20_000, batch_size=32, learning_rate=1e-3, decay="cosine", ema_decay=0.999, class_balance=0.0,
            sample_every=1000
        )
    )  # fmt: skip
    baseline: BaselineRecipe = field(default_factory=BaselineRecipe)
    study: PairStudyRecipe = field(default_factory=PairStudyRecipe)
    inference: InferenceRecipe = field(default_factory=lambda: InferenceRecipe(members=25))
    validation: ValidationRecipe = field(default_factory=ValidationRecipe)
    evaluation: IntervalRecipe = field(default_factory=IntervalRecipe)

    def refuse_contradictions(self) -> None:
        """Refuse settings that contradict each other.

        Raises:
            InputError: the settings, and what to do.
        """
        if self.data.neighbors and not self.data.slice_axis:
            raise InputError(
                f"data.neighbors is {self.data.neighbors}, and only slices of volumes have neighbors: say across which "
                "axis they are cut with --data.slice_axis axial, coronal or sagittal"
            )
        parts.refuse_contradictions(self)
