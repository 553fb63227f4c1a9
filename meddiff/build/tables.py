"""The only file that names alternatives: plain dicts name -> thing.

Adding a data set, schedule, prediction, sampler, network or task is one file of its own and one line here.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from meddiff.batches import turns
from meddiff.diffusion import prediction, schedule
from meddiff.errors import InputError
from meddiff.images.prepare import VolumeTransform
from meddiff.networks.features.dinov2 import DinoFeatures
from meddiff.networks.features.encoder3d import Encoder3D
from meddiff.networks.features.inception import InceptionFeatures
from meddiff.networks.features.medicalnet import MedicalNetFeatures
from meddiff.networks.features.mobilenet import MobileNetFeatures
from meddiff.networks.features.network import FeatureNetwork, VolumeNetwork
from meddiff.networks.features.radimagenet import RadImageNetFeatures
from meddiff.networks.medsegdiff.v1 import MedSegDiffV1
from meddiff.networks.medsegdiff.v2 import MedSegDiffV2
from meddiff.networks.twin_unet import TwinUNet
from meddiff.networks.unet import ConditionalUNet
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
from meddiff.sources.brain_tumor import BRAIN_TUMOR
from meddiff.sources.brats import BRATS
from meddiff.sources.decathlon import HIPPOCAMPUS, HIPPOCAMPUS_VOLUMES
from meddiff.sources.folders.dicom_folder import DICOM_FOLDER
from meddiff.sources.folders.image_folder import IMAGE_FOLDER
from meddiff.sources.folders.nifti_folder import NIFTI_FOLDER
from meddiff.sources.isic import ISIC
from meddiff.sources.lgg import LGG
from meddiff.sources.phantom import PHANTOM
from meddiff.sources.source import Source
from meddiff.tasks.generate import GenerateTask

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
CLASSICAL: dict[str, turns.Strength] = {
    "mild": turns.MILD,
    "medium": turns.MEDIUM,
    "strong": turns.STRONG,
}
"""How strong the classical augmentation of pictures may be."""


def pick(kind: str, table: Mapping[str, Thing], name: str) -> Thing:
    """The thing of that name; InputError with the names there are, and the nearest."""
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    raise InputError(f"unknown {kind} {name!r}: use one of {', '.join(table)}{meant}")
