"""The settings that every run has, whether it generates images or segments them.

Each setting stands here once: its type with the range that is allowed, its default and one sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from meddiff.errors import InputError


class Range(NamedTuple):
    """Smallest and largest value that a number may have."""

    low: float
    """Smallest."""
    high: float
    """Largest."""


Count = Annotated[int, Range(1, 10**9)]
Amount = Annotated[int, Range(0, 10**9)]
Share = Annotated[float, Range(0, 1)]
Weight = Annotated[float, Range(0, 1e6)]
Resamples = Annotated[int, Range(100, 10**6)]


@dataclass(frozen=True)
class RunRecipe:
    """Settings of every run: what it works on, and its seed."""

    MADE_BY: ClassVar[str]
    """The commands that make a run of this kind."""
    DOES: ClassVar[str]
    """What such a run does, as a sentence that begins with its folder says it."""
    BRIEFLY: ClassVar[str]
    """The same in a word or two."""
    MARK: ClassVar[str]
    """A part of its settings by which the kind is known; "" for the kind of those that have no such part."""
    ANSWERS: ClassVar[str] = "inference"
    """The part of its settings that may be changed after training: how its networks answer."""
    SLICES_STAND_UPRIGHT: ClassVar[bool] = True
    """Whether slices that are cut from volumes are turned as radiologists look at them."""
    DRAWS_IMAGES: ClassVar[bool] = True
    """Whether its networks make images, which would show any blur of those that they learned from."""

    dataset: str = "isic"
    """Which data set of meddiff.sources."""
    data_root: str = ""
    """Folder with the data set as its publisher distributes it; searched with its subfolders."""
    manifest: str = ""
    """A data_manifest.csv of your own, used instead of data_root."""
    seed: Amount = 0
    """The one seed from which all others are derived."""
    license: str = ""
    """License that you give the weights, for the model card: an SPDX name such as cc-by-nc-4.0; empty is unknown."""


@dataclass(frozen=True)
class DataRecipe:
    """Settings of the data: how files become arrays."""

    image_size: Annotated[int, Range(8, 4096)] = 64
    """Side of the square training image, in pixels."""
    channels: Literal[0, 1, 3] = 0
    """Channels of the training pictures: 1 gray, 3 color; 0 is what the data set has (image_folder: 3)."""
    fit: Literal["crop", "pad", "stretch"] = "crop"
    """How an oblong image becomes square: cut the long side, pad the short side with black, or change the aspect."""
    on_bad_file: Literal["stop", "skip"] = "stop"
    """What to do with an image that cannot be read: stop, or list it in the report and go on."""
    copies: Literal["stop", "drop", "keep"] = "stop"
    """Pictures that lie in several splits that the data come with: stop, leave them out of train and val, or keep."""
    train_fraction: Annotated[float, Range(0.01, 0.98)] = 0.7
    """Share of patients (or lesions) used for training where the data come without a split."""
    val_fraction: Share = 0.1
    """Share of patients used for validation; what is left is the test split."""
    cache: str = ""
    """Folder of the decoded-image cache; empty means the user's cache folder (XDG_CACHE_HOME/meddiff)."""
    phantom_images: Annotated[int, Range(100, 10**6)] = 800
    """Images of the built-in phantom set, where it is used."""
    slice_axis: Literal["axial", "coronal", "sagittal"] | None = None
    """Cut whole volumes into slices across this axis: image_size voxels of each, by the settings of volume."""
    slices: Literal["upright", "array"] = "upright"
    """Slices that a manifest names: upright and scaled by the settings of volume, or as the file's array has them."""


@dataclass(frozen=True)
class MaskedDataRecipe(DataRecipe):
    """Settings of the data where masks are read: what their values mean."""

    mask_values: str = ""
    """What the values of the masks mean, as 0=background,128=disc,255=cup; ranges (0-127=background), colors
    (#ff0000=tumor) and ignore (255=ignore: not judged) too; of shapes with names NAME=CLASS, *=background for all
    others; empty decides it from all masks."""
    mask_overlap: Literal["stop", "later", "ignore"] = "stop"
    """Voxels that two classes share, where each is a shape with a name: refused, the later class's, or not judged."""
    mask_missing: Literal["stop", "empty"] = "stop"
    """A class that a mask does not name and others do: refused, or nothing of it was there."""


@dataclass(frozen=True)
class VolumeRecipe:
    """Settings of volumes as training data, whole or by slices; slices that a manifest names take its intensities."""

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
class NoiseRecipe:
    """The diffusion process."""

    schedule: str = "cosine"
    """Which noise schedule of meddiff.diffusion.schedule."""
    timesteps: Count = 1000
    """Number T of noise levels."""
    prediction: str = "v"
    """What the network outputs: eps, x_0 or v."""


@dataclass(frozen=True)
class TrainingRecipe:
    """Training of the denoiser."""

    steps: Count = 50_000
    """Optimizer steps."""
    batch_size: Count = 64
    """Images per optimizer step and device, before accumulation."""
    accumulate: Count = 1
    """Micro-batches of batch_size that are summed into one optimizer step."""
    learning_rate: Annotated[float, Range(1e-8, 1)] = 2e-4
    """AdamW learning rate after warm-up."""
    warmup_steps: Amount = 500
    """Optimizer steps of linear warm-up."""
    decay: Literal["none", "cosine", "inverse_sqrt"] = "none"
    """What the learning rate does afterwards: stay, fall to zero at the last step, or with the root of the step."""
    decay_from: Count = 1000
    """Step from which an inverse_sqrt decay falls."""
    weight_decay: Weight = 0.0
    """AdamW weight decay."""
    clip_norm: Annotated[float, Range(1e-6, 1e6)] = 1.0
    """Largest gradient norm; larger gradients are scaled down to it."""
    ema_decay: Annotated[float, Range(0, 0.999999)] = 0.9995
    """Decay per step of the weight average that samples are drawn from."""
    times: Literal["even", "log_normal", "loss_aware"] = "even"
    """Noise levels trained on: all alike, mostly the middling (Karras et al. 2022), or most where the loss is large
    (Nichol & Dhariwal 2021), which needs some 15 images per level to begin."""
    class_balance: Share = 0.5
    """Exponent of the class-balanced choice of images: 0 takes them as they come, 1 draws all classes alike."""
    augment: Literal["auto", "square", "mirror", "upright", "none"] = "auto"
    """Changes of training images: symmetries of the square, left-right, small ones, none; auto by what they show."""
    precision: Literal["auto", "32", "bf16"] = "auto"
    """Arithmetic inside the network; auto is bf16 where the machine has it in hardware."""
    compile: bool | None = None
    """Compile the network with torch.compile; null does on a GPU."""
    deterministic: bool = False
    """Take kernels on a GPU that give the same bits in every run, which are slower; a CPU has no others."""
    devices: Count = 1
    """Processes of each machine (one per GPU, or CPU processes with gloo) that share a step, and drawing."""
    nodes: Count = 1
    """Machines that share a step, on which torchrun, fabric run or srun starts the processes: docs/many_devices.md."""
    log_every: Count = 50
    """Steps between two lines of log.csv."""
    checkpoint_every: Count = 1000
    """Steps between two checkpoints; a killed run goes on from the last."""
    sample_every: Count = 5000
    """Steps between two sample grids saved during training."""


@dataclass(frozen=True)
class IntervalRecipe:
    """Intervals of the report."""

    resamples: Resamples = 2000
    """Bootstrap resamples over patients."""
    confidence_level: Annotated[float, Range(0.5, 0.999)] = 0.95
    """Coverage of the printed intervals."""


def of_volumes(recipe: Any) -> bool:
    """Say whether a run reads whole volumes, to see them as they are or slice by slice; else pictures."""
    return recipe.dimensions == 3 or recipe.data.slice_axis is not None


def refuse_contradictions(recipe: Any) -> None:
    """Refuse settings that are right alone and wrong together, in any kind of run.

    Raises:
        InputError: the settings, and what to do.
    """
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
    if min(recipe.volume.patch_size) < 1:
        raise InputError(f"volume.patch_size is {list(recipe.volume.patch_size)}; give three numbers of 1 or more")
    if recipe.manifest and recipe.data_root and recipe.dataset == "phantom":
        raise InputError("the phantom data set is drawn; it takes neither --manifest nor --data-root")
