"""The table of alternatives: name -> thing, its title in a methods paragraph, and what it rests on.

Adding a schedule, prediction, sampler, network or task is one file of its own and one line here; what a report says of
it is in the same line, and the BibTeX entry in literature.bib. A data set says its title and license itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from torch import nn

from meddiff.batches import turns
from meddiff.diffusion import loss, prediction, schedule
from meddiff.ensemble import fusion
from meddiff.errors import InputError
from meddiff.images.prepare import VolumeTransform
from meddiff.networks.classifier import Classifier, build_classifier
from meddiff.networks.edm2_unet import EDM2UNet
from meddiff.networks.features.dinov2 import DinoFeatures
from meddiff.networks.features.encoder3d import Encoder3D
from meddiff.networks.features.inception import InceptionFeatures
from meddiff.networks.features.medicalnet import MedicalNetFeatures
from meddiff.networks.features.network import FeatureNetwork, VolumeNetwork
from meddiff.networks.features.radimagenet import RadImageNetFeatures
from meddiff.networks.features.untrained import UntrainedVGG
from meddiff.networks.medsegdiff.v1 import MedSegDiffV1
from meddiff.networks.medsegdiff.v2 import MedSegDiffV2
from meddiff.networks.segmenter import Segmenter, build_segmenter
from meddiff.networks.twin_unet import TwinUNet
from meddiff.networks.unet import ConditionalUNet
from meddiff.samplers.ddim import ddim
from meddiff.samplers.ddpm import ddpm
from meddiff.samplers.dpm_solver import dpm_solver
from meddiff.samplers.dpm_solver_sde import dpm_solver_sde
from meddiff.samplers.euler import euler, euler_ancestral
from meddiff.samplers.euler_maruyama import euler_maruyama
from meddiff.samplers.heun import heun
from meddiff.samplers.langevin import annealed_langevin
from meddiff.samplers.ode import probability_flow
from meddiff.samplers.pndm import pndm
from meddiff.samplers.predictor_corrector import predictor_corrector
from meddiff.samplers.unipc import unipc
from meddiff.sources.brain_tumor import BRAIN_TUMOR
from meddiff.sources.brats import BRATS
from meddiff.sources.decathlon import HIPPOCAMPUS, HIPPOCAMPUS_VOLUMES
from meddiff.sources.folders.bids_folder import BIDS
from meddiff.sources.folders.dicom_folder import DICOM_FOLDER
from meddiff.sources.folders.image_folder import IMAGE_FOLDER
from meddiff.sources.folders.nifti_folder import NIFTI_FOLDER
from meddiff.sources.isic import ISIC
from meddiff.sources.lgg import LGG
from meddiff.sources.phantom import PHANTOM
from meddiff.sources.source import Source
from meddiff.tasks.generate import GenerateTask
from meddiff.tasks.label_map import LabelMap
from meddiff.tasks.pair import PairTask
from meddiff.tasks.segment import SegmentTask
from meddiff.tasks.translate import Hole, LowResolution, Sequences
from meddiff.training.loop import Augment

Thing = TypeVar("Thing", covariant=True)


@dataclass(frozen=True)
class Entry(Generic[Thing]):
    """One alternative."""

    thing: Thing
    title: str
    """As a report says it in a sentence."""
    citation: str = ""
    """Key in literature.bib; more than one are divided by commas."""

    @property
    def citations(self) -> tuple[str, ...]:
        """The keys in literature.bib."""
        return tuple(key for key in self.citation.split(",") if key)


class Table(Mapping[str, Thing]):
    """Alternatives by their names, read like a mapping name -> thing."""

    def __init__(self, entries: Mapping[str, Entry[Thing]]) -> None:
        self.entries = dict(entries)

    def __getitem__(self, name: str) -> Thing:
        """Return the thing of that name."""
        return self.entries[name].thing

    def __iter__(self) -> Iterator[str]:
        """Return the names in their order."""
        return iter(self.entries)

    def __len__(self) -> int:
        """Count the entries."""
        return len(self.entries)


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
    """Turns and mirrors each image of a batch as the generator's are: by the policy of the kind of image."""
    classical: bool = False
    """Changes each batch in the way that is best on the validation images."""


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
    "bids": BIDS,
    "phantom": PHANTOM,
}
SCHEDULES: Table[Callable[[int], schedule.NoiseSchedule]] = Table(
    {
        "linear": Entry(schedule.linear, "linear", "ho2020"),
        "scaled_linear": Entry(schedule.scaled_linear, "linear in the root of beta", "rombach2022"),
        "cosine": Entry(schedule.cosine, "cosine", "nichol2021"),
        "sigmoid": Entry(schedule.sigmoid, "a sigmoid", "jabri2023"),
        "zero_snr_linear": Entry(
            lambda T: schedule.zero_terminal_snr(schedule.linear(T)),
            "linear, shifted to pure noise at its end",
            "lin2024",
        ),
        "zero_snr_cosine": Entry(
            lambda T: schedule.zero_terminal_snr(schedule.cosine(T)),
            "cosine, shifted to pure noise at its end",
            "lin2024",
        ),
        "exponential": Entry(schedule.exponential, "exponential, variance exploding", "song2019"),
        "edm": Entry(schedule.edm, "that of EDM", "karras2022"),
        "sub_vp": Entry(schedule.sub_vp, "that of the sub-VP equation", "song2021score"),
        "rectified_flow": Entry(schedule.rectified_flow, "a rectified flow's", "liu2023"),
    }
)
PREDICTIONS: Table[prediction.Prediction] = Table(
    {
        "eps": Entry(prediction.EPS, "the noise", "ho2020"),
        "x_0": Entry(prediction.X_0, "the clean image", "salimans2022"),
        "v": Entry(prediction.V, "the velocity v", "salimans2022"),
        "score": Entry(prediction.SCORE, "the score", "song2019"),
        "velocity": Entry(prediction.VELOCITY, "the direction from image to noise", "liu2023"),
        "edm": Entry(  # the U-Net embeds its time for steps 1..T
            prediction.edm(time_scale=250.0), "the clean image, preconditioned as in EDM", "karras2022"
        ),
    }
)
CLASS_LOGITS = "class_logits"
"""The prediction that only masks can have; its form depends on their encoding."""
LOSS_WEIGHTS: Table[loss.Weight | None] = Table(
    {
        "simple": Entry(None, "with an unweighted loss"),
        "x_0": Entry(loss.x_0_error, "by the error of the clean image"),
        "eps": Entry(loss.eps_error, "by the error of the noise", "ho2020"),
        "p2": Entry(loss.p2(), "with P2 loss weights", "choi2022"),
        "edm": Entry(loss.edm_weight(), "with the loss weights of EDM", "karras2022"),
    }
)
"""How much each noise level counts in the loss, as weights of the error of the clean image."""
SAMPLERS: Table[Callable] = Table(
    {
        "ddpm": Entry(ddpm, "ancestral sampling", "ho2020"),
        "ddim": Entry(ddim, "DDIM", "song2021"),
        "euler": Entry(euler, "Euler's method", "karras2022"),
        "euler_ancestral": Entry(euler_ancestral, "Euler's method with fresh noise", "karras2022"),
        "heun": Entry(heun, "Heun's method with churn", "karras2022"),
        "pndm": Entry(pndm, "PNDM", "liu2022"),
        "dpm_solver": Entry(dpm_solver, "DPM-Solver++(2M)", "lu2022"),
        "dpm_solver_sde": Entry(dpm_solver_sde, "SDE-DPM-Solver++(2M)", "lu2022"),
        "unipc": Entry(unipc, "UniPC", "zhao2023"),
        "euler_maruyama": Entry(euler_maruyama, "Euler and Maruyama's method", "song2021score"),
        "predictor_corrector": Entry(predictor_corrector, "a predictor and corrector", "song2021score"),
        "annealed_langevin": Entry(annealed_langevin, "annealed Langevin dynamics", "song2019"),
        "probability_flow": Entry(probability_flow, "the probability-flow equation", "song2021score"),
    }
)
TASKS: Table[Callable[..., Any]] = Table(
    {
        "generate": Entry(GenerateTask, "images drawn by their class", "ho2020"),
        "pair": Entry(PairTask, "images drawn with their masks by their class", "ho2020,chen2023"),
        "segment": Entry(SegmentTask, "masks drawn by their image", "wu2022"),
        "low_resolution": Entry(LowResolution, "images drawn by their means over blocks of pixels", "saharia2022sr3"),
        "hole": Entry(Hole, "images drawn by what is around their holes", "saharia2022palette"),
        "mask": Entry(LabelMap, "images drawn by their masks", "wang2022semantic,saharia2022palette"),
        "sequences": Entry(Sequences, "sequences drawn by other sequences of the same image", "saharia2022palette"),
    }
)
"""What diffusion is used for."""
NETWORKS: Table[Callable[..., nn.Module]] = Table(
    {
        "unet": Entry(ConditionalUNet, "MONAI's diffusion U-Net", "cardoso2022,pinaya2023"),
        "edm2": Entry(EDM2UNet, "the U-Net of EDM2", "karras2024"),
    }
)
"""Denoisers of images that are told a class."""
MASK_NETWORKS: Table[Callable[..., nn.Module]] = Table(
    {
        "twin_unet": Entry(TwinUNet, "two U-Nets side by side", "ronneberger2015,wu2023"),
        "medsegdiff_v1": Entry(MedSegDiffV1, "MedSegDiff", "wu2022"),
        "medsegdiff_v2": Entry(MedSegDiffV2, "MedSegDiff-V2", "wu2023"),
        "unet": Entry(ConditionalUNet, "MONAI's diffusion U-Net", "ronneberger2015,cardoso2022"),
    }
)
"""Denoisers of masks that are told an image."""
BASELINES: Table[Callable[..., Segmenter]] = Table(
    {
        "unet": Entry(partial(build_segmenter, "unet"), "U-Net", "ronneberger2015,cardoso2022"),
        "dynunet": Entry(partial(build_segmenter, "dynunet"), "MONAI's DynUNet", "isensee2021,cardoso2022"),
        "segresnet": Entry(partial(build_segmenter, "segresnet"), "SegResNet", "myronenko2018,cardoso2022"),
    }
)
"""Deterministic networks that a diffusion model of masks is compared with."""
ENCODINGS: Table[str] = Table(
    {
        "one_hot": Entry("one_hot", "one channel per class"),
        "bits": Entry("bits", "the binary digits of the class", "chen2023"),
    }
)
"""How masks become numbers."""
FUSIONS: Table[Callable] = Table(
    {
        "mean": Entry(fusion.mean, "mean"),
        "majority": Entry(fusion.majority, "majority"),
        "staple": Entry(fusion.staple, "STAPLE", "warfield2004"),
    }
)
"""How members become one answer."""
CLASSIFIERS: Table[Callable[..., Classifier]] = Table(
    {
        "densenet121": Entry(partial(build_classifier, "densenet121"), "DenseNet-121", "huang2017"),
        "efficientnet_b0": Entry(partial(build_classifier, "efficientnet_b0"), "EfficientNet-B0", "tan2019"),
        "resnet18": Entry(partial(build_classifier, "resnet18"), "ResNet-18", "he2016"),
    }
)
"""Classifiers of the study."""
EXTRACTORS: Table[type[FeatureNetwork] | None] = Table(
    {
        "classifier": Entry(None, "a classifier of this run, trained on its real images"),
        "untrained": Entry(
            UntrainedVGG,
            "a VGG with orthogonal random weights, which has learned nothing",
            "naeem2020,simonyan2015,saxe2014",
        ),
        "inception": Entry(
            InceptionFeatures, "the Inception v3 of the Frechet Inception distance", "szegedy2016,heusel2017"
        ),
        "dinov2": Entry(DinoFeatures, "DINOv2", "oquab2024,stein2023"),
        "radimagenet": Entry(RadImageNetFeatures, "a ResNet50 that learned on RadImageNet", "mei2022"),
    }
)
"""Feature extractors, made from a weights file or from nothing; the run's own classifier is there already."""
VOLUME_EXTRACTORS: Table[Callable[[str], VolumeNetwork]] = Table(
    {
        "medicalnet": Entry(
            MedicalNetFeatures, "MedicalNet, a 3D ResNet that learned to segment CT and MRI", "chen2019"
        ),
        "encoder3d": Entry(Encoder3D, "a 3D encoder of the user's own"),
    }
)
"""Those of whole volumes; every other one sees their slices."""
DRAWN = VolumeTransform(intensity="window", window=(0.0, 65535.0))
"""How a volume that a model drew is read: as it was written."""
ARMS: Table[Arm] = Table(
    {
        "real": Entry(Arm(real=True), "Real"),
        "real_balanced": Entry(Arm(real=True, balanced=True), "Real, class-balanced"),
        "real_classical": Entry(Arm(real=True, classical=True), "Real, classical augmentation", "perez2018"),
        "real_balanced_flips": Entry(Arm(real=True, balanced=True, flips=True), "Real balanced flips"),
        "real_balanced_classical": Entry(
            Arm(real=True, balanced=True, classical=True), "Real balanced classical", "perez2018"
        ),
        "real_synthetic": Entry(Arm(real=True, synthetic=True), "Real + synthetic"),
        "real_synthetic_classical": Entry(
            Arm(real=True, synthetic=True, classical=True), "Real synthetic classical", "perez2018"
        ),
        "synthetic": Entry(Arm(synthetic=True), "Synthetic only"),
    }
)
"""Ways of training a classifier in the study; titles begin a line of a table."""
RATIO = "ratio_"
"""What the name of an arm on the curve over the ratio synthetic : real begins with."""
CLASSICAL: Table[Augment | None] = Table(
    {
        "none": Entry(None, "none"),
        "mirror": Entry(partial(turns.random_flips, axes=(1,)), "left and right exchanged"),
        "upright": Entry(
            partial(turns.classical_augmentation, strength=turns.UPRIGHT), "small turns, zooms, shifts and light"
        ),
        "square": Entry(turns.flip_rotate90, "the symmetries of the square"),
        "mild": Entry(
            partial(turns.classical_augmentation, strength=turns.MILD), "flips, turns and mild crops", "perez2018"
        ),
        "medium": Entry(
            partial(turns.classical_augmentation, strength=turns.MEDIUM),
            "flips, turns, mild crops and colors",
            "perez2018",
        ),
        "strong": Entry(
            partial(turns.classical_augmentation, strength=turns.STRONG),
            "flips, turns, crops and changed colors",
            "perez2018",
        ),
    }
)
"""What changes the images of a batch, pictures that stand upright; None where nothing does."""


def source(name: str) -> Source:
    """Return the data set of that name.

    Raises:
        InputError: an unknown name.
    """
    return pick("dataset", SOURCES, name)


def arm(name: str) -> Arm:
    """Return the arm of that name, a point of the curve over the ratio too.

    Raises:
        InputError: an unknown name.
    """
    return arm_entry(name).thing


def arm_entry(name: str) -> Entry[Arm]:
    """Return the arm of that name with its title, a point of the curve over the ratio too.

    Raises:
        InputError: an unknown name.
    """
    if name.startswith(RATIO):
        ratio = float(name.removeprefix(RATIO))
        return Entry(Arm(real=True, synthetic=True, ratio=ratio), f"Real + {ratio:g}x synthetic")
    pick("arm of classifier.arms", ARMS, name)
    return ARMS.entries[name]


def pick(kind: str, table: Mapping[str, Thing], name: str) -> Thing:
    """Return the thing of that name; InputError with the names there are, and the nearest."""
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    raise InputError(f"unknown {kind} {name!r}: use one of {', '.join(table)}{meant}")
