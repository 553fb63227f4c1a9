"""The only file that names alternatives: plain dicts name -> thing, and what a recipe asks for built from them.

Adding a data set, schedule, prediction, sampler, network or task is one file of its own and one line here.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from torch import Generator

from meddiff.data import transforms
from meddiff.data.batch import Batch, Labeled, LabeledImages
from meddiff.data.cache import ImageArray, decode, default_folder
from meddiff.data.cache import unusable as unusable_images
from meddiff.data.labeled_slices import LabeledSlices, slice_rows, whole
from meddiff.data.labeled_volumes import LabeledVolumes
from meddiff.data.manifest import ManifestRow
from meddiff.data.patches import random_flips
from meddiff.data.slices import AXES
from meddiff.data.volume_cache import VolumeArray, cache_volumes, in_order_of
from meddiff.data.volume_preparation import VolumeTransform
from meddiff.diffusion import prediction, schedule
from meddiff.diffusion.denoiser import Denoiser
from meddiff.errors import InputError
from meddiff.inference import Sampling
from meddiff.networks.classifier import CLASSIFIERS, Classifier, build_classifier
from meddiff.networks.dinov2 import DinoFeatures
from meddiff.networks.encoder3d import Encoder3D
from meddiff.networks.feature_network import FeatureNetwork, VolumeNetwork
from meddiff.networks.inception import InceptionFeatures
from meddiff.networks.lpips import LpipsEmbedding
from meddiff.networks.medicalnet import MedicalNetFeatures
from meddiff.networks.medsegdiff_v1 import MedSegDiffV1
from meddiff.networks.medsegdiff_v2 import MedSegDiffV2
from meddiff.networks.mobilenet import MobileNetFeatures
from meddiff.networks.plane_features import PlaneFeatures
from meddiff.networks.radimagenet import RadImageNetFeatures
from meddiff.networks.twin_unet import TwinUNet
from meddiff.networks.unet import ConditionalUNet
from meddiff.recipe import Recipe, of_volumes
from meddiff.samplers.ddim import ddim
from meddiff.samplers.ddpm import ddpm
from meddiff.samplers.dpm_solver import dpm_solver
from meddiff.samplers.dpm_solver_sde import dpm_solver_sde
from meddiff.samplers.euler import euler, euler_ancestral
from meddiff.samplers.heun import heun
from meddiff.samplers.langevin import annealed_langevin
from meddiff.samplers.ode import probability_flow
from meddiff.samplers.pndm import pndm
from meddiff.samplers.predictor_corrector import predictor_corrector
from meddiff.samplers.sde import euler_maruyama
from meddiff.samplers.unipc import unipc
from meddiff.segment_recipe import SegmentRecipe
from meddiff.sources.brain_tumor import BRAIN_TUMOR
from meddiff.sources.brats import BRATS
from meddiff.sources.dicom_folder import DICOM_FOLDER
from meddiff.sources.hippocampus import HIPPOCAMPUS, HIPPOCAMPUS_VOLUMES
from meddiff.sources.image_folder import IMAGE_FOLDER
from meddiff.sources.isic import ISIC
from meddiff.sources.lgg import LGG
from meddiff.sources.nifti_folder import NIFTI_FOLDER
from meddiff.sources.phantom import PHANTOM
from meddiff.sources.published_weights import LPIPS_FILES, WEIGHTS, published_weights
from meddiff.sources.source import Source
from meddiff.tasks.generate import GenerateTask
from meddiff.tasks.task import Task

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Arm:
    """One way of training a classifier in the study."""

    real: bool = False
    """Trains on the real training images."""
    synthetic: bool = False
    """Trains on the synthetic images that passed the filter; with ``real``, they fill up the smaller classes."""
    ratio: float | None = None
    """So many synthetic images per real one of each class, instead of filling up."""
    balanced: bool = False
    """Draws all classes alike."""
    flips: bool = False
    """Turns and mirrors each image of a batch by one of the symmetries of the square."""
    classical: bool = False
    """Flips, turns, zooms and shifts the colors of each batch, as strongly as is best on the validation images."""


SOURCES: dict[str, Source] = {
    "isic": ISIC,
    "brain_tumor": BRAIN_TUMOR,
    "image_folder": IMAGE_FOLDER,
    "hippocampus": HIPPOCAMPUS,
    "hippocampus_volumes": HIPPOCAMPUS_VOLUMES,
    "lgg": LGG,
    "brats": BRATS,
    "nifti_folder": NIFTI_FOLDER,
    "dicom_folder": DICOM_FOLDER,
    "phantom": PHANTOM,
}
SCHEDULES: dict[str, Callable[[int], schedule.NoiseSchedule]] = {
    "linear": schedule.linear,
    "scaled_linear": schedule.scaled_linear,
    "cosine": schedule.cosine,
    "sigmoid": schedule.sigmoid,
    "zero_snr_linear": lambda T: schedule.zero_terminal_snr(schedule.linear(T)),
    "zero_snr_cosine": lambda T: schedule.zero_terminal_snr(schedule.cosine(T)),
    "exponential": schedule.exponential,
    "edm": schedule.edm,
    "sub_vp": schedule.sub_vp,
    "rectified_flow": schedule.rectified_flow,
}
PREDICTIONS: dict[str, prediction.Prediction] = {
    "eps": prediction.EPS,
    "x_0": prediction.X_0,
    "v": prediction.V,
    "score": prediction.SCORE,
    "velocity": prediction.VELOCITY,
    "edm": prediction.edm(time_scale=250.0),  # the U-Net embeds its time for steps 1..T
}
DRAWN = VolumeTransform(intensity="window", window=(0.0, 65535.0))
"""How a volume that a model drew is read: as it was written."""
CLASS_LOGITS = "class_logits"
"""The prediction that only masks can have; its form depends on their encoding."""
SAMPLERS: dict[str, Callable] = {
    "ddpm": ddpm,
    "ddim": ddim,
    "euler": euler,
    "euler_ancestral": euler_ancestral,
    "heun": heun,
    "pndm": pndm,
    "dpm_solver": dpm_solver,
    "dpm_solver_sde": dpm_solver_sde,
    "unipc": unipc,
    "euler_maruyama": euler_maruyama,
    "predictor_corrector": predictor_corrector,
    "annealed_langevin": annealed_langevin,
    "probability_flow": probability_flow,
}
NETWORKS: dict[str, type] = {"unet": ConditionalUNet}
MASK_NETWORKS: dict[str, type] = {
    "twin_unet": TwinUNet,
    "medsegdiff_v1": MedSegDiffV1,
    "medsegdiff_v2": MedSegDiffV2,
    "unet": ConditionalUNet,
}
"""Denoisers of masks that are told an image."""
EXTRACTORS: dict[str, Callable[[str], FeatureNetwork] | None] = {
    "classifier": None,
    "mobilenet": MobileNetFeatures,
    "inception": InceptionFeatures,
    "dinov2": DinoFeatures,
    "radimagenet": RadImageNetFeatures,
}
"""Name -> what makes it from a weights file; the run's own classifier needs none."""
VOLUME_EXTRACTORS: dict[str, Callable[[str], VolumeNetwork]] = {
    "medicalnet": MedicalNetFeatures,
    "encoder3d": Encoder3D,
}
"""Those of whole volumes; every other one sees their slices."""
TASKS: dict[str, type] = {"generate": GenerateTask}
ARMS: dict[str, Arm] = {
    "real": Arm(real=True),
    "real_balanced": Arm(real=True, balanced=True),
    "real_classical": Arm(real=True, classical=True),
    "real_balanced_flips": Arm(real=True, balanced=True, flips=True),
    "real_balanced_classical": Arm(real=True, balanced=True, classical=True),
    "real_synthetic": Arm(real=True, synthetic=True),
    "real_synthetic_classical": Arm(real=True, synthetic=True, classical=True),
    "synthetic": Arm(synthetic=True),
}
RATIO = "ratio_"
"""What the name of an arm on the curve over the ratio synthetic : real begins with."""
CLASSICAL: dict[str, transforms.Strength] = {
    "mild": transforms.MILD,
    "medium": transforms.MEDIUM,
    "strong": transforms.STRONG,
}
"""How strong the classical augmentation of pictures may be."""


def pick(kind: str, table: Mapping[str, Thing], name: str) -> Thing:
    """The thing of that name; InputError with the names there are, and the nearest."""
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    raise InputError(f"unknown {kind} {name!r}: use one of {', '.join(table)}{meant}")


def source(name: str) -> Source:
    """The data set of that name."""
    return pick("dataset", SOURCES, name)


def arm(name: str) -> Arm:
    """The arm of that name, which may be one of `arms_of`."""
    if name.startswith(RATIO):
        return Arm(real=True, synthetic=True, ratio=float(name.removeprefix(RATIO)))
    return pick("arm of classifier.arms", ARMS, name)


def arms_of(recipe: Recipe) -> list[str]:
    """The arms of the study: those that the recipe names, and one for each ratio but 0, which is the arm real."""
    return [*recipe.classifier.arms, *(f"{RATIO}{ratio:g}" for ratio in sorted(recipe.classifier.ratios) if ratio)]


def check_names(recipe: Recipe) -> None:
    """Refuse unknown names before hours of work, not after.

    Raises:
        InputError: the setting, the names there are and the nearest.
    """
    pick("dataset", SOURCES, recipe.dataset)
    pick("network.name", NETWORKS, recipe.network.name)
    pick("diffusion.schedule", SCHEDULES, recipe.diffusion.schedule)
    pick("diffusion.prediction", PREDICTIONS, recipe.diffusion.prediction)
    pick("synthesis.sampler", SAMPLERS, recipe.synthesis.sampler)
    pick("classifier.network", dict.fromkeys(CLASSIFIERS), recipe.classifier.network)
    augmentation(recipe)
    if recipe.data.neighbors:
        raise InputError(
            f"data.neighbors is {recipe.data.neighbors}: stacks of slices are for segmentation, a generator draws "
            "single slices; leave it out"
        )
    if recipe.dimensions == 3 and recipe.evaluation.features != "classifier":
        raise InputError(
            f"evaluation.features {recipe.evaluation.features} looks at pictures: for volumes (dimensions 3) use "
            "classifier, the run's own network"
        )
    extractor(recipe)
    for name in recipe.classifier.arms:
        pick("arm of classifier.arms", ARMS, name)
    if recipe.classifier.classical != "auto":
        pick("classifier.classical", CLASSICAL, recipe.classifier.classical)
    ratios = recipe.classifier.ratios
    if any(not 0 <= ratio <= 100 for ratio in ratios) or len({f"{ratio:g}" for ratio in ratios}) < len(ratios):
        raise InputError(
            f"classifier.ratios is {list(ratios)}: give numbers from 0 to 100, each once, such as [0.5,1,2]"
        )
    if ratios and "real" not in recipe.classifier.arms:
        raise InputError(
            "classifier.ratios needs the arm real in classifier.arms: it is ratio 0, where the curve begins"
        )
    if not recipe.classifier.arms or len(set(recipe.classifier.arms)) < len(recipe.classifier.arms):
        raise InputError(
            f"classifier.arms is {list(recipe.classifier.arms)}: name at least one of {', '.join(ARMS)}, each once"
        )


def denoiser(recipe: Recipe, *, channels: int, num_classes: int) -> Denoiser:
    """The untrained denoiser: network, schedule and prediction."""
    network = pick("network.name", NETWORKS, recipe.network.name)(
        channels,
        channels,
        channels=recipe.network.channels,
        residual_blocks=recipe.network.residual_blocks,
        attention_levels=recipe.network.attention_levels,
        head_channels=recipe.network.head_channels,
        num_classes=num_classes,
        patch_size=recipe.network.patch_size,
        spatial_dims=recipe.dimensions,
    )
    return Denoiser(
        network,
        pick("diffusion.schedule", SCHEDULES, recipe.diffusion.schedule)(recipe.diffusion.timesteps),
        pick("diffusion.prediction", PREDICTIONS, recipe.diffusion.prediction),
    )


def task(name: str = "generate") -> Task:
    """What diffusion is used for."""
    return pick("task", TASKS, name)()


def augmentation(recipe: Recipe | SegmentRecipe) -> Callable[[Batch, Generator], Batch] | None:
    """Random turns of a training batch; none for volumes and their slices unless asked for: left is not right there.

    Raises:
        InputError: the symmetries of the square, asked for of volumes; a mirror that no sagittal slice has.
    """
    pictures = not of_volumes(recipe)
    wanted = recipe.training.augment
    wanted = ("square" if pictures else "none") if wanted == "auto" else wanted
    if wanted == "square" and not pictures:
        raise InputError("training.augment square turns pictures; for volumes and their slices use mirror or none")
    if wanted == "mirror" and recipe.data.slice_axis == "sagittal":
        raise InputError("training.augment mirror changes left and right, and a sagittal slice has neither: use none")
    upright = recipe.dimensions == 2 and (pictures or isinstance(recipe, Recipe))  # as LabeledSlices turns them
    left_right = partial(random_flips, axes=(1,) if upright else (0,))
    return {"square": transforms.flip_rotate90, "mirror": left_right, "none": None}[wanted]


def sampling(recipe: Recipe) -> Sampling:
    """Sampler, steps and guidance."""
    sampler = pick("synthesis.sampler", SAMPLERS, recipe.synthesis.sampler)
    return Sampling(sampler, recipe.synthesis.steps, recipe.synthesis.guidance, recipe.synthesis.spacing)


def classifier(recipe: Recipe, *, shape: Sequence[int], num_classes: int) -> Classifier:
    """An untrained (or pretrained) classifier of the study, for images of the shape (C, *S)."""
    return build_classifier(
        recipe.classifier.network,
        in_channels=shape[0],
        num_classes=num_classes,
        image_size=min(shape[1:]),
        spatial_dims=recipe.dimensions,
        width=recipe.classifier.width,
        weights=recipe.classifier.weights,
    )


def extractor(recipe: Recipe) -> FeatureNetwork | None:
    """The feature extractor of the distances; None where it is the run's own classifier.

    Raises:
        InputError: an unknown name, or a weights file that is missing or not of this network.
    """
    make = pick("evaluation.features", EXTRACTORS, recipe.evaluation.features)
    if make is not None and not recipe.evaluation.weights:
        raise InputError(f"evaluation.features {recipe.evaluation.features} needs its file: --evaluation.weights FILE")
    return None if make is None else make(recipe.evaluation.weights)


def named_extractor(name: str, weights: str | Path) -> tuple[FeatureNetwork, Path]:
    """An extractor that needs no run, and the file that it was made from: ``weights``, or its authors' download.

    Raises:
        InputError: an unknown name, the classifier of a run, a file that is missing or not of this network, or one
            that cannot be downloaded.
    """
    if name in VOLUME_EXTRACTORS:
        raise InputError(f"--features {name} takes volumes (NIfTI, DICOM series ...), and these are pictures")
    made = {key: make for key, make in EXTRACTORS.items() if make is not None}
    make = pick("--features", made, name)
    file = _weights_file(name, weights)
    return make(str(file)), file


def volume_extractor(name: str, weights: str | Path) -> tuple[VolumeNetwork, Path]:
    """The same for volumes; an extractor of pictures sees slices of three planes.

    Raises:
        InputError: as `named_extractor`.
    """
    if name not in VOLUME_EXTRACTORS:
        network, file = named_extractor(name, weights)
        return PlaneFeatures(network), file
    file = _weights_file(name, weights)
    return VOLUME_EXTRACTORS[name](str(file)), file


def perceptual(place: str) -> LpipsEmbedding:
    """LPIPS from a folder that holds its two files under their published names; ``download`` fetches them.

    Raises:
        InputError: a file is missing, is another one, or cannot be downloaded.
    """
    folder = default_folder() / "weights" if place == "download" else Path(place).expanduser()
    files = [folder / WEIGHTS[name].file_name for name in LPIPS_FILES]
    if place == "download":
        files = [published_weights(name, folder, option="--lpips FOLDER") for name in LPIPS_FILES]
    if missing := [file.name for file in files if not file.is_file()]:
        raise InputError(
            f"--lpips {place}: there is no {' and no '.join(missing)} in it. Put both files there under their names, "
            "or give --lpips download"
        )
    return LpipsEmbedding(*files)


def _weights_file(name: str, weights: str | Path) -> Path:
    return Path(weights).expanduser() if weights else published_weights(name, default_folder() / "weights")


def images(
    rows: Sequence[ManifestRow], recipe: Recipe, class_names: Sequence[str], *, progress: Callable | None = None
) -> Labeled:
    """The rows' images, prepared once into the cache."""
    if recipe.data.slice_axis is not None:
        return _slices(rows, recipe, class_names, progress)
    if recipe.dimensions == 3:
        return LabeledVolumes(_volumes(rows, recipe, progress), class_names, recipe.volume.patch_size)
    return LabeledImages(_squares(rows, recipe, progress), class_names)


def slices_of(rows: Sequence[ManifestRow], recipe: Recipe) -> list[ManifestRow]:
    """The rows of all slices of these volumes, across the recipe's axis.

    Raises:
        InputError: volumes of several sequences, a spacing finer than that of the slices.
    """
    axis, array = AXES[recipe.data.slice_axis or ""], _volumes(rows, recipe, None)
    return [one for row, case in zip(array.rows, array, strict=True) for one in slice_rows(row, case, axis)]


def _slices(
    rows: Sequence[ManifestRow], recipe: Recipe, class_names: Sequence[str], progress: Callable | None
) -> LabeledSlices:
    drawn = [row for row in rows if row.source == "synthetic"]
    volumes = list({row.image_file: whole(row) for row in rows if row.source != "synthetic"}.values())
    return LabeledSlices(
        rows,
        class_names,
        volumes=_volumes(volumes, recipe, progress) if volumes else None,
        drawn=_squares(drawn, recipe, progress) if drawn else None,
        axis=AXES[recipe.data.slice_axis or ""],
        size=recipe.data.image_size,
    )


def _squares(rows: Sequence[ManifestRow], recipe: Recipe, progress: Callable | None) -> ImageArray:
    return decode(
        rows,
        image_size=recipe.data.image_size,
        fit=recipe.data.fit,
        channels=channels(recipe),
        on_bad_file=recipe.data.on_bad_file,
        folder=recipe.data.cache or None,
        progress=progress,
    )


def unusable(
    rows: Sequence[ManifestRow], recipe: Recipe, *, progress: Callable | None = None
) -> Sequence[tuple[ManifestRow, str]]:
    """The rows whose image or mask cannot be used, with the reason; the other images are in the cache afterwards."""
    if of_volumes(recipe):
        return _volumes(rows, replace(recipe, data=replace(recipe.data, on_bad_file="skip")), progress).skipped
    return unusable_images(
        rows,
        image_size=recipe.data.image_size,
        fit=recipe.data.fit,
        channels=channels(recipe),
        folder=recipe.data.cache or None,
        progress=progress,
    )


def channels(recipe: Recipe | SegmentRecipe) -> int:
    """Channels of the training pictures: 3 for photographs, 1 for slices of MRI, unless the recipe tells."""
    if recipe.data.slice_axis is not None:
        return 1  # several sequences are refused, see slice_rows
    return recipe.data.channels or source(recipe.dataset).channels


def _volumes(rows: Sequence[ManifestRow], recipe: Recipe, progress: Callable | None) -> VolumeArray:
    """Real volumes by the recipe's settings; those that a model drew are in its range and on its grid already."""
    settings = {"on_bad_file": recipe.data.on_bad_file, "folder": recipe.data.cache or None, "progress": progress}
    drawn = [row for row in rows if row.source == "synthetic"]
    real = [row for row in rows if row.source != "synthetic"]
    parts = [cache_volumes(drawn, DRAWN, **settings)] if drawn else []
    if real or not drawn:
        parts.insert(0, cache_volumes(real, volume_transform(recipe), **settings))
    return in_order_of(rows, parts)


def volume_transform(recipe: Recipe | SegmentRecipe) -> VolumeTransform:
    """How a volume comes onto its working grid."""
    settings = recipe.volume
    return VolumeTransform(
        spacing_mm=settings.spacing_mm,
        intensity=settings.intensity,
        window=settings.window_hu if settings.intensity == "window" else None,
        bias_correction=settings.bias_correction,
    )
