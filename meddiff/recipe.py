"""Every setting of a run, with its default, its unit and one sentence; YAML <-> Recipe.

A recipe is frozen: a run is described by one value that is printed, saved in the run folder and compared with
the recipe of a checkpoint. The defaults are those of the ``standard`` preset; ``pipelines/presets/*.yaml`` hold
what differs by machine and ``pipelines/<command>/<dataset>.yaml`` what differs by data set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, TypeVar

from meddiff.errors import InputError

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class DataRecipe:
    """How files become arrays."""

    image_size: int = 64
    """Side of the square training image, in pixels."""
    channels: Literal[0, 1, 3] = 0
    """Channels of the training pictures: 1 gray, 3 color; 0 is what the data set has (image_folder: 3)."""
    fit: Literal["crop", "pad", "stretch"] = "crop"
    """How an oblong image becomes square: cut the long side, pad the short side with black, or change the aspect."""
    on_bad_file: Literal["stop", "skip"] = "stop"
    """What to do with an image that cannot be read: stop, or list it in the report and go on."""
    train_fraction: float = 0.7
    """Share of patients (or lesions) used for training where the data come without a split."""
    val_fraction: float = 0.1
    """Share of patients used for validation; what is left is the test split."""
    cache: str = ""
    """Folder of the decoded-image cache; empty means the user's cache folder (XDG_CACHE_HOME/meddiff)."""
    phantom_images: int = 800
    """Images of the built-in phantom set, where it is used."""
    slice_axis: Literal["axial", "coronal", "sagittal"] | None = None
    """Cut whole volumes into slices across this axis: image_size voxels of each, by the settings of volume."""
    neighbors: int = 0
    """Slices to either side that the network sees too, as channels (2.5D); for masks alone."""


@dataclass(frozen=True)
class VolumeRecipe:
    """How volumes become training data, where ``dimensions`` is 3 or ``data.slice_axis`` is given."""

    spacing_mm: tuple[float, float, float] | None = None
    """Voxel size that volumes are resampled to, in RAS order; null keeps their own."""
    intensity: Literal["zscore", "percentile", "window"] = "zscore"
    """How values become [-1, 1]: z-score inside the body, percentile clip, or a Hounsfield window."""
    window_hu: tuple[float, float] = (-160.0, 240.0)
    """Lower and upper end of the Hounsfield window."""
    bias_correction: bool = False
    """Remove the slow brightness field of MR coils first (N4)."""
    patch_size: tuple[int, int, int] = (64, 64, 64)
    """Voxels that the network sees at once: a training patch, the window that slides, or a whole generated volume."""


@dataclass(frozen=True)
class NetworkRecipe:
    """The denoising network."""

    name: str = "unet"
    """Which network of meddiff.networks."""
    channels: tuple[int, ...] = (64, 128, 256, 256)
    """Feature channels per resolution level, from fine to coarse; multiples of 32."""
    residual_blocks: int = 2
    """Residual blocks per level."""
    attention_levels: int = 2
    """Number of coarsest levels that have self-attention."""
    head_channels: int = 32
    """Channels per attention head."""
    patch_size: int = 1
    """Pixels per side folded into channels before the first level; 2 makes a step about four times cheaper."""


@dataclass(frozen=True)
class DiffusionRecipe:
    """The diffusion process and its loss."""

    schedule: str = "cosine"
    """Which noise schedule of meddiff.diffusion.schedule."""
    timesteps: int = 1000
    """Number T of noise levels."""
    prediction: str = "v"
    """What the network outputs: eps, x_0 or v."""
    min_snr_gamma: float | None = 5.0
    """Clamp of the min-SNR loss weight (Hang et al. 2023); null for unweighted L_simple."""
    condition_dropout: float = 0.1
    """Probability, per sample, of training without the label (Ho & Salimans 2022)."""


@dataclass(frozen=True)
class TrainingRecipe:
    """Training of the denoiser."""

    steps: int = 50_000
    """Optimizer steps."""
    batch_size: int = 64
    """Images per optimizer step and device, before accumulation."""
    accumulate: int = 1
    """Micro-batches of batch_size that are summed into one optimizer step."""
    learning_rate: float = 2e-4
    """AdamW learning rate after warm-up."""
    warmup_steps: int = 500
    """Optimizer steps of linear warm-up."""
    decay: Literal["none", "cosine"] = "none"
    """What the learning rate does afterwards: stay, or fall to zero at the last step."""
    weight_decay: float = 0.0
    """AdamW weight decay."""
    clip_norm: float = 1.0
    """Largest gradient norm; larger gradients are scaled down to it."""
    ema_decay: float = 0.9995
    """Decay per step of the weight average that samples are drawn from."""
    class_balance: float = 0.5
    """Exponent of the class-balanced choice of images: 0 takes them as they come, 1 draws all classes alike."""
    augment: Literal["auto", "square", "mirror", "none"] = "auto"
    """Random turns of training images: the symmetries of the square, left-right, none; auto is square for pictures."""
    precision: Literal["auto", "32", "bf16"] = "auto"
    """Arithmetic inside the network; auto is bf16 where the machine has it in hardware."""
    compile: bool = False
    """Compile the network with torch.compile."""
    devices: int = 1
    """Processes (one per GPU, or CPU processes with gloo) that share a step."""
    log_every: int = 50
    """Steps between two lines of log.csv."""
    checkpoint_every: int = 1000
    """Steps between two checkpoints; a killed run goes on from the last."""
    sample_every: int = 5000
    """Steps between two sample grids saved during training."""


@dataclass(frozen=True)
class SynthesisRecipe:
    """Drawing synthetic images from the trained denoiser."""

    sampler: str = "dpm_solver"
    """Which sampler of meddiff.samplers."""
    steps: int = 25
    """Sampler steps per image."""
    spacing: Literal["trailing", "leading", "linear", "quadratic", "log_snr", "karras"] = "trailing"
    """Where the steps lie: equal strides of t (trailing) or of the log-SNR (log_snr), and four others."""
    guidance: float = 1.5
    """Classifier-free guidance scale; 1 is the plain conditional model."""
    batch_size: int = 64
    """Images per network call."""
    per_class: int = 0
    """Images to reach per class, real and synthetic together; 0 means the size of the largest class."""
    max_ratio: float = 10.0
    """At most this many synthetic images per real one of the class (gains saturate near 10; Sagers et al. 2023)."""
    oversample: float = 1.5
    """Candidates drawn per image needed, because the filter drops some."""
    refuse_copies: bool = False
    """Delete near-copies of training images (filter.copy_quantile) once all are drawn; the filter just drops them."""


@dataclass(frozen=True)
class FilterRecipe:
    """Which synthetic images may join training."""

    confidence: float = 0.5
    """Smallest probability that a classifier trained on real images alone must give to the image's label."""
    copy_quantile: float = 0.01
    """An image nearer to a training image than this quantile of held-out real images are is dropped as a copy."""


@dataclass(frozen=True)
class ClassifierRecipe:
    """The classifiers of the augmentation study."""

    network: str = "resnet18"
    """densenet121, efficientnet_b0 or resnet18 (MONAI)."""
    width: float = 1.0
    """Multiple of the network's usual channels (resnet18 only)."""
    weights: str = ""
    """Local safetensors file of pretrained weights; empty trains from scratch."""
    steps: int = 3000
    """Optimizer steps, the same for every arm."""
    batch_size: int = 64
    """Images per optimizer step."""
    learning_rate: float = 3e-4
    """AdamW learning rate at the start of the cosine decay."""
    weight_decay: float = 1e-2
    """AdamW weight decay."""
    seeds: int = 3
    """Repetitions of every arm with another initialization and order."""
    arms: tuple[str, ...] = ("real", "real_balanced", "real_classical", "real_synthetic", "synthetic")
    """Arms of the study, in the order of the report."""
    ratios: tuple[float, ...] = ()
    """More arms: real images and so many synthetic ones per real one of each class, such as [0.5,1,2,5,10]."""
    classical: str = "auto"
    """Strength of the classical augmentation of pictures: mild, medium, strong, or the best on validation images."""


@dataclass(frozen=True)
class EvaluationRecipe:
    """Intervals and distances of the report."""

    resamples: int = 2000
    """Bootstrap resamples over patients."""
    confidence_level: float = 0.95
    """Coverage of the printed intervals."""
    features: str = "classifier"
    """Feature extractor of the Frechet and kernel distances: classifier, or mobilenet with weights."""
    weights: str = ""
    """Local weights file of the feature extractor, where it needs one."""


@dataclass(frozen=True)
class Recipe:
    """All settings of one run."""

    dataset: str = "isic"
    """Which data set of meddiff.sources."""
    data_root: str = ""
    """Folder with the data set as its publisher distributes it; searched with its subfolders."""
    manifest: str = ""
    """A data_manifest.csv of your own, used instead of data_root."""
    preset: str = "auto"
    """quick, standard or full; auto is standard where there is a GPU and real data, else quick."""
    out: str = ""
    """Run folder; empty means runs/<command>-<dataset>-<preset>."""
    seed: int = 0
    """The one seed from which all others are derived."""
    dimensions: Literal[2, 3] = 2
    """2 generates pictures and slices, 3 whole small volumes."""
    label: Literal["manifest", "size", "none"] = "manifest"
    """The class of an image: the manifest's label, the third that its mask lies in by size, or one class of all."""
    data: DataRecipe = field(default_factory=DataRecipe)
    volume: VolumeRecipe = field(default_factory=VolumeRecipe)
    network: NetworkRecipe = field(default_factory=NetworkRecipe)
    diffusion: DiffusionRecipe = field(default_factory=DiffusionRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    synthesis: SynthesisRecipe = field(default_factory=SynthesisRecipe)
    filter: FilterRecipe = field(default_factory=FilterRecipe)
    classifier: ClassifierRecipe = field(default_factory=ClassifierRecipe)
    evaluation: EvaluationRecipe = field(default_factory=EvaluationRecipe)


def of_volumes(recipe: Any) -> bool:
    """Whether a run reads whole volumes, to see them as they are or slice by slice; else pictures."""
    return recipe.dimensions == 3 or recipe.data.slice_axis is not None


def to_dict(recipe: Any) -> dict[str, Any]:
    """A recipe (or one of its parts) as nested plain dicts and lists, ready for YAML and JSON."""
    values = {entry.name: getattr(recipe, entry.name) for entry in fields(recipe)}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    return {name: to_dict(value) if is_dataclass(value) else value for name, value in plain.items()}


def flat(recipe: Any, prefix: str = "") -> dict[str, Any]:
    """``{"training.steps": 50000, ...}``: every setting under its full name."""
    named: dict[str, Any] = {}
    for entry in fields(recipe):
        value = getattr(recipe, entry.name)
        named |= flat(value, f"{prefix}{entry.name}.") if is_dataclass(value) else {prefix + entry.name: value}
    return named


def from_dict(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """The inverse of `to_dict`; a setting that is not told has its default.

    Raises:
        InputError: a setting that there is not.
    """
    names = {entry.name for entry in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - names):
        raise InputError(f"unknown settings {', '.join(unknown)}: the recipe was written by another version of meddiff")
    default = kind()
    parts = {}
    for name, value in values.items():
        own = getattr(default, name)
        whole = from_dict(type(own), value) if is_dataclass(own) else value
        parts[name] = tuple(whole) if isinstance(whole, list) else whole
    return kind(**parts)


def differences(recipe: Any, other: Any) -> dict[str, tuple[Any, Any]]:
    """Settings in which two recipes differ: ``{"training.steps": (theirs, ours)}``."""
    ours, theirs = flat(recipe), flat(other)
    return {name: (theirs[name], ours[name]) for name in ours if ours[name] != theirs[name]}


# fmt: off
_RANGES: dict[tuple[float, float], str] = {
    (1, 10**9): "network.residual_blocks network.head_channels network.patch_size diffusion.timesteps "
                "training.steps training.batch_size training.accumulate training.devices training.log_every "
                "training.checkpoint_every training.sample_every synthesis.steps synthesis.batch_size "
                "classifier.steps classifier.seeds",
    (0, 10**9): "network.attention_levels training.warmup_steps synthesis.per_class seed",
    (0, 1): "data.val_fraction diffusion.condition_dropout training.class_balance filter.confidence "
            "filter.copy_quantile",
    (1e-8, 1): "training.learning_rate classifier.learning_rate",
    (1e-6, 1e6): "diffusion.min_snr_gamma training.clip_norm",
    (0, 1e6): "training.weight_decay classifier.weight_decay synthesis.guidance synthesis.max_ratio",
    (8, 4096): "data.image_size",
    (0.01, 0.98): "data.train_fraction",
    (100, 10**6): "data.phantom_images evaluation.resamples",
    (0, 0.999999): "training.ema_decay",
    (1, 100): "synthesis.oversample",
    (0.0625, 8): "classifier.width",
    (2, 10**6): "classifier.batch_size",
    (0.5, 0.999): "evaluation.confidence_level",
    (2, 3): "dimensions",
    (0, 3): "data.channels",
    (0, 16): "data.neighbors",
}
# fmt: on
"""Smallest and largest allowed value -> the settings that it holds for."""


def check(recipe: Any, ranges: Mapping[tuple[float, float], str] | None = None) -> None:
    """Refuse a setting outside its range; names of alternatives are checked where they are looked up.

    ``recipe`` is a Recipe, or another kind of recipe with ``ranges`` of its own beside those of the shared settings.

    Raises:
        InputError: the setting, what was got and the range that is allowed.
    """
    settings = flat(recipe)
    for (low, high), names in [*_RANGES.items(), *(ranges or {}).items()]:
        for name in names.split():
            if settings.get(name) is not None and not low <= settings[name] <= high:
                raise InputError(f"{name} is {settings[name]}; allowed is {low} to {high}")
    if recipe.data.train_fraction + recipe.data.val_fraction >= 1:
        raise InputError(
            f"data.train_fraction {recipe.data.train_fraction} and data.val_fraction {recipe.data.val_fraction} "
            "leave nothing for the test split; their sum must be under 1"
        )
    if recipe.dimensions == 3 and recipe.data.slice_axis:
        raise InputError(
            f"data.slice_axis {recipe.data.slice_axis} cuts volumes into slices, which have two dimensions: add "
            "--dimensions 2, or leave it out for whole volumes"
        )
    if recipe.data.neighbors and not recipe.data.slice_axis:
        raise InputError(
            f"data.neighbors is {recipe.data.neighbors}, and only slices of volumes have neighbors: say across which "
            "axis they are cut with --data.slice_axis axial, coronal or sagittal"
        )
    if min(recipe.volume.patch_size) < 1:
        raise InputError(f"volume.patch_size is {list(recipe.volume.patch_size)}; give three numbers of 1 or more")
    if recipe.manifest and recipe.data_root and recipe.dataset == "phantom":
        raise InputError("the phantom data set is drawn; it takes neither --manifest nor --data-root")
