"""Every setting of a segmentation run, with its default, its unit and one sentence.

The parts that a run of any kind has (data, network, diffusion, training, evaluation) are those of ``meddiff.recipe``,
with defaults of their own here. ``pipelines/segment/*.yaml`` hold what differs by machine and by data set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from meddiff import recipe as shared
from meddiff.recipe import DataRecipe, DiffusionRecipe, EvaluationRecipe, TrainingRecipe, VolumeRecipe


@dataclass(frozen=True)
class PatchRecipe(VolumeRecipe):
    """How volumes become training patches, where whole volumes are segmented."""

    foreground_share: float = 0.5
    """Share of the training patches that are centered on a labeled voxel, or of the slices that go through one."""


@dataclass(frozen=True)
class MaskNetworkRecipe:
    """The network that denoises masks and is told the image."""

    name: str = "twin_unet"
    """twin_unet, medsegdiff_v1, medsegdiff_v2, or unet (MONAI's, with the image beside the mask)."""
    channels: tuple[int, ...] = (64, 128, 256, 320, 512)
    """Feature channels per resolution level of the part that reads the image, from fine to coarse."""
    residual_blocks: int = 1
    """Residual blocks per level."""
    patch_size: int = 2
    """Pixels per side folded into channels before the first level."""
    thin_from: int = 1
    """The level from which twin_unet denoises; what is finer is folded into channels."""
    attention_levels: int = 0
    """Number of coarsest levels that have self-attention (unet alone)."""
    head_channels: int = 32
    """Channels per attention head (unet alone)."""


@dataclass(frozen=True)
class MaskRecipe:
    """How masks are noised, and what is minimized."""

    encoding: Literal["one_hot", "bits"] = "one_hot"
    """Classes as channels, or as binary digits (Chen et al. 2023, analog bits)."""
    scale: float = 0.2
    """How loud the mask is against the noise; small values make the network look at the image."""
    dice: float = 1.0
    """Weight of the Dice loss of the estimated classes."""
    cross_entropy: float = 1.0
    """Weight of their cross-entropy."""
    noise: float = 1.0
    """Weight of the squared error of the network's output; not used where it predicts class logits."""
    coarse: float = 1.0
    """Weight of the loss of the condition model's own mask, where the network has one."""
    recycle: float = 0.5
    """Share of training samples whose noisy mask is made from the network's own estimate (Fu et al. 2023)."""


@dataclass(frozen=True)
class BaselineRecipe:
    """The deterministic networks that a diffusion model is compared with, trained by the same trainer."""

    names: tuple[str, ...] = ("unet",)
    """Any of unet, dynunet, segresnet (MONAI)."""
    channels: tuple[int, ...] = (16, 32, 64, 128, 256)
    """Feature channels per level."""
    steps: int = 0
    """Optimizer steps; 0 trains as many as the diffusion model."""


@dataclass(frozen=True)
class InferenceRecipe:
    """From an image to a mask and its uncertainty."""

    members: int = 8
    """Masks drawn per image."""
    sampler: str = "ddpm"
    """Which sampler of meddiff.samplers."""
    steps: int = 5
    """Sampler steps per member."""
    estimate: Literal["path", "last"] = "path"
    """A member's probabilities: the mean along its path (better calibrated), or those at its end (more diverse)."""
    spacing: Literal["trailing", "leading", "linear", "quadratic", "log_snr", "karras"] = "trailing"
    """Where the steps lie."""
    start: float = 1.0
    """Where sampling starts, as a fraction of T: 1 is pure noise, less starts from the noised coarse mask."""
    fusion: Literal["mean", "majority", "staple"] = "mean"
    """How members become one answer."""
    temperature: bool = True
    """Fit a temperature on the validation split and apply it to the fused probabilities (Guo et al. 2017)."""
    uncertainty: Literal["expected_dice", "pairwise", "to_fused"] = "expected_dice"
    """How unsure a whole case is: one minus the Dice expected of the fused answer, or the members' disagreement."""
    overlap: float = 0.5
    """Share of a window that its neighbor covers too, where an image or volume is larger than the window."""
    batch_size: int = 64
    """Members per network call."""
    largest_component: bool = False
    """Keep only the largest connected part of each class."""
    fill_holes: bool = False
    """Fill the holes of each class."""


@dataclass(frozen=True)
class ValidationRecipe:
    """How the best weights are chosen while training goes on, every training.sample_every steps."""

    cases: int = 100
    """Validation cases that are segmented each time; 0 means all."""
    members: int = 3
    """Members per case."""
    patience: int = 0
    """Looks without a better Dice after which training ends; 0 never ends it early."""


@dataclass(frozen=True)
class SegmentRecipe:
    """All settings of one segmentation run."""

    dataset: str = "isic"
    """Which data set of meddiff.sources."""
    data_root: str = ""
    """Folder with the data set as its publisher distributes it; searched with its subfolders."""
    manifest: str = ""
    """A data_manifest.csv of your own, used instead of data_root."""
    preset: str = "auto"
    """quick or standard; auto is standard where there is a GPU and real data, else quick."""
    out: str = ""
    """Run folder; empty means runs/segment-<dataset>-<preset>."""
    seed: int = 0
    """The one seed from which all others are derived."""
    dimensions: Literal[2, 3] = 2
    """2 segments pictures and slices, 3 whole volumes."""
    classes: tuple[str, ...] = ()
    """Names of the classes of the masks from 0 on; empty reads them from the masks."""
    segment_codes: tuple[str, ...] = ()
    """What the classes from 1 on are in DICOM, as "SCT:108369006:Neoplasm"; empty goes by their names."""
    data: DataRecipe = field(default_factory=lambda: DataRecipe(image_size=256, fit="stretch"))
    volume: PatchRecipe = field(default_factory=PatchRecipe)
    network: MaskNetworkRecipe = field(default_factory=MaskNetworkRecipe)
    diffusion: DiffusionRecipe = field(
        default_factory=lambda: DiffusionRecipe(prediction="class_logits", min_snr_gamma=None, condition_dropout=0.0)
    )
    mask: MaskRecipe = field(default_factory=MaskRecipe)
    training: TrainingRecipe = field(
        default_factory=lambda: TrainingRecipe(
            steps=20_000, batch_size=32, learning_rate=1e-3, decay="cosine", ema_decay=0.999, class_balance=0.0,
            sample_every=1000
        )
    )  # fmt: skip
    baseline: BaselineRecipe = field(default_factory=BaselineRecipe)
    inference: InferenceRecipe = field(default_factory=lambda: InferenceRecipe(members=25))
    validation: ValidationRecipe = field(default_factory=ValidationRecipe)
    evaluation: EvaluationRecipe = field(default_factory=EvaluationRecipe)


# fmt: off
_RANGES: dict[tuple[float, float], str] = {
    (1, 10**6): "inference.members inference.steps inference.batch_size validation.members",
    (0, 10**9): "validation.cases validation.patience baseline.steps",
    (0, 1e6): "mask.dice mask.cross_entropy mask.noise mask.coarse",
    (1e-3, 1e3): "mask.scale",
    (0, 1): "mask.recycle volume.foreground_share",
    (0.001, 1): "inference.start",
    (0, 0.95): "inference.overlap",
    (0, 8): "network.thin_from",
}
# fmt: on


def check(recipe: SegmentRecipe) -> None:
    """Refuse a setting outside its range.

    Raises:
        InputError: the setting, what was got and the range that is allowed.
    """
    shared.check(recipe, _RANGES)
