"""Every setting of a run that generates images and asks whether they help; the defaults are those of ``standard``.

A recipe is frozen: a run is described by one value that is printed, saved in the run folder and compared with
the recipe of a checkpoint. ``pipelines/presets/*.yaml`` hold what differs by machine and
``pipelines/<command>/<dataset>.yaml`` what differs by data set.
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


@dataclass(frozen=True)
class NetworkRecipe:
    """The denoising network."""

    name: str = "unet"
    """Which network of meddiff.networks."""
    channels: tuple[int, ...] = (64, 128, 256, 256)
    """Feature channels per resolution level, from fine to coarse; multiples of 32."""
    residual_blocks: Count = 2
    """Residual blocks per level."""
    attention_levels: Amount = 2
    """Number of coarsest levels that have self-attention."""
    head_channels: Count = 32
    """Channels per attention head."""
    patch_size: Count = 1
    """Pixels per side folded into channels before the first level; 2 makes a step about four times cheaper."""
    dropout: Annotated[float, Range(0, 0.9)] = 0.0
    """Probability of a feature to be dropped in training (edm2 alone)."""
    checkpointing: bool = False
    """Compute features again for the gradient instead of keeping them: less memory, a third more work (edm2 alone)."""


@dataclass(frozen=True)
class DiffusionRecipe(NoiseRecipe):
    """The diffusion process and its loss."""

    min_snr_gamma: Annotated[float | None, Range(1e-6, 1e6)] = 5.0
    """Clamp of the min-SNR loss weight (Hang et al. 2023); null for that of loss_weight."""
    loss_weight: str = "simple"
    """Whose squared error counts alike at every noise level: simple (the output), x_0, eps, p2 or edm."""
    offset_noise: Annotated[float, Range(0, 1)] = 0.0
    """Strength of noise common to all pixels of a training image (Guttenberg 2023); 0.1 lets a model move the mean."""
    condition_dropout: Share = 0.1
    """Probability, per sample, of training without the label (Ho & Salimans 2022)."""
    attributes: tuple[str, ...] = ()
    """What images are told beside their class: age_years, sex, site, size, brightness, names in the manifest ..."""
    attribute_dropout: Share = 0.1
    """Probability of each attribute, and of the label, to be left out on its own, where there are attributes."""
    learned_variance: bool = False
    """Learn the variance of ancestral steps too (Nichol & Dhariwal 2021); used by the sampler ddpm at guidance 1."""
    self_condition: bool = False
    """Show the network its own last estimate of the image (Chen et al. 2023)."""
    start_from: str = ""
    """Run, checkpoint or name of a published generator that training begins with (fine-tuning); empty begins anew."""
    teacher: str = ""
    """Run, checkpoint or name of a generator whose drawing is learned in synthesis.steps calls (distillation)."""
    teacher_strides: Count = 8
    """Steps that the teacher takes while its student takes one."""
    latent: str = ""
    """Run folder of `autoencode`, in whose codes images are drawn at a fraction of the cost; empty draws pixels."""


@dataclass(frozen=True)
class SynthesisRecipe:
    """Drawing synthetic images from the trained denoiser."""

    sampler: str = "dpm_solver"
    """Which sampler of meddiff.samplers."""
    steps: Count = 25
    """Sampler steps per image."""
    spacing: Literal["auto", "trailing", "leading", "linear", "quadratic", "log_snr", "karras"] = "auto"
    """Where steps lie: equal strides of t (trailing), of log-SNR (log_snr; auto where it is finite), or four others."""
    guidance: Weight = 1.5
    """Classifier-free guidance scale; 1 is the plain conditional model."""
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    """Shares of the noise levels between which guidance works; early it costs variety (Kynkaanniemi et al. 2024)."""
    guidance_rescale: Share = 0.0
    """How far guided estimates are brought back to the contrast of conditional ones (Lin et al. 2024): 0.7 there."""
    classifier_guidance: Weight = 0.0
    """Guidance by a classifier of noisy images, trained too (Dhariwal & Nichol 2021); 1 is Bayes' rule, 0 is none."""
    threshold: Literal["none", "clip", "dynamic"] = "none"
    """Keep estimates in the range of images: clip them, or rescale those beyond it (Saharia et al. 2022)."""
    batch_size: Count = 64
    """Images per network call."""
    per_class: Amount = 0
    """Images to reach per class, real and synthetic together; 0 means the size of the largest class."""
    max_ratio: Weight = 10.0
    """At most this many synthetic images per real one of the class (gains saturate near 10; Sagers et al. 2023)."""
    oversample: Annotated[float, Range(1, 100)] = 1.5
    """Candidates drawn per image needed, because the filter drops some."""
    tell: str = ""
    """Attributes of all synthetic images, as age_years=70,sex=female; empty takes those of training images."""
    refuse_copies: bool = False
    """Delete near-copies of training images (filter.copy_quantile) once all are drawn; the filter just drops them."""


@dataclass(frozen=True)
class FilterRecipe:
    """Settings of the filter: which synthetic images may join training."""

    confidence: Share = 0.5
    """Smallest probability that a classifier trained on real images alone must give to the image's label."""
    copy_quantile: Share = 0.01
    """An image nearer to a training image than this quantile of held-out real images are is dropped as a copy."""


@dataclass(frozen=True)
class ClassifierRecipe:
    """The classifiers of the augmentation study."""

    network: str = "resnet18"
    """densenet121, efficientnet_b0 or resnet18 (MONAI)."""
    width: Annotated[float, Range(0.0625, 8)] = 1.0
    """Multiple of the network's usual channels (resnet18 only)."""
    weights: str = ""
    """Local safetensors file of pretrained weights; empty trains from scratch."""
    steps: Count = 3000
    """Optimizer steps, the same for every arm."""
    batch_size: Annotated[int, Range(2, 10**6)] = 64
    """Images per optimizer step."""
    learning_rate: Annotated[float, Range(1e-8, 1)] = 3e-4
    """AdamW learning rate at the start of the cosine decay."""
    weight_decay: Weight = 1e-2
    """AdamW weight decay."""
    seeds: Count = 3
    """Repetitions of every arm with another initialization and order."""
    arms: tuple[str, ...] = ("real", "real_balanced", "real_classical", "real_synthetic", "synthetic")
    """Arms of the study, in the order of the report."""
    ratios: tuple[float, ...] = ()
    """More arms: real images and so many synthetic ones per real one of each class, such as [0.5,1,2,5,10]."""
    classical: str = "auto"
    """Classical augmentation of pictures: none, mirror, upright, square, mild, medium, strong; auto by validation."""


@dataclass(frozen=True)
class EvaluationRecipe(IntervalRecipe):
    """Intervals and distances of the report."""

    features: str = "classifier"
    """Feature extractor of the Frechet and kernel distances: classifier, untrained, or another with weights."""
    weights: str = ""
    """Local weights file of the feature extractor, where it needs one."""


@dataclass(frozen=True)
class Recipe(RunRecipe):
    """All settings of one run."""

    MADE_BY = "`train` or `augment`"
    DOES = "draws images and segments none"
    BRIEFLY = "draws images"
    MARK = ""
    ANSWERS = "synthesis"
    FIRST: ClassVar[tuple[str, ...]] = (
        "dataset", "data_root", "manifest", "preset", "out", "seed", "data.image_size", "training.steps",
        "training.batch_size", "synthesis.guidance", "synthesis.per_class", "classifier.arms",
    )  # fmt: skip
    """Settings that people touch first: --help shows them."""
    IDLE: ClassVar[dict[str, str]] = {
        "data.neighbors": "stacks of slices are for segmentation, a generator draws single slices; leave it out",
    }
    """Settings that former recipes hold and that never did anything, with what to say to whom gives one."""

    preset: str = "auto"
    """quick, standard or full; auto is standard where there is a GPU and real data, else quick."""
    out: str = ""
    """Run folder; empty means runs/<dataset>-<preset>."""
    dimensions: Literal[2, 3] = 2
    """2 generates pictures and slices, 3 whole small volumes."""
    label: Literal["manifest", "size", "none"] = "manifest"
    """The class of an image: the manifest's label, the third that its mask lies in by size, or one class of all."""
    classes: tuple[str, ...] = ()
    """Classes of the masks, background first, that are drawn with the images as pairs; empty draws images alone."""
    data: MaskedDataRecipe = field(default_factory=MaskedDataRecipe)
    volume: VolumeRecipe = field(default_factory=VolumeRecipe)
    network: NetworkRecipe = field(default_factory=NetworkRecipe)
    diffusion: DiffusionRecipe = field(default_factory=DiffusionRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    synthesis: SynthesisRecipe = field(default_factory=SynthesisRecipe)
    filter: FilterRecipe = field(default_factory=FilterRecipe)
    classifier: ClassifierRecipe = field(default_factory=ClassifierRecipe)
    evaluation: EvaluationRecipe = field(default_factory=EvaluationRecipe)

    def refuse_contradictions(self) -> None:
        """Refuse settings that contradict each other; see `parts.refuse_contradictions`."""
        parts.refuse_contradictions(self)
        names = self.diffusion.attributes
        if len(set(names)) < len(names) or "label" in names:
            raise InputError(
                f"diffusion.attributes is {list(names)}: name each once; the label is told without being named"
            )
        low, high = self.synthesis.guidance_interval
        if not 0 <= low < high <= 1:
            raise InputError(
                f"synthesis.guidance_interval is [{low:g}, {high:g}]: give two shares of the noise levels, the lower "
                "first, such as [0.2,0.8]"
            )
