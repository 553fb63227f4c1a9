"""What alternatives are called in a report, and what they rest on: name -> (title, key in literature.bib).

The names are those of tables.py.
"""

from __future__ import annotations

from meddiff.build.check import arm
from meddiff.build.tables import RATIO
from meddiff.recipe import Recipe

Named = tuple[str, str]
"""The title as a methods paragraph says it, and the citation."""

SCHEDULES = {
    "cosine": ("cosine", "nichol2021"),
    "linear": ("linear", "ho2020"),
    "scaled_linear": ("linear in the root of beta", "rombach2022"),
    "sigmoid": ("a sigmoid", "jabri2023"),
    "zero_snr_linear": ("linear, shifted to pure noise at its end", "lin2024"),
    "zero_snr_cosine": ("cosine, shifted to pure noise at its end", "lin2024"),
    "exponential": ("exponential, variance exploding", "song2019"),
    "edm": ("that of EDM", "karras2022"),
    "sub_vp": ("that of the sub-VP equation", "song2021score"),
    "rectified_flow": ("a rectified flow's", "liu2023"),
}
PREDICTIONS = {
    "v": ("the velocity v", "salimans2022"),
    "eps": ("the noise", "ho2020"),
    "x_0": ("the clean image", "salimans2022"),
    "score": ("the score", "song2019"),
    "velocity": ("the direction from image to noise", "liu2023"),
    "edm": ("the clean image, preconditioned as in EDM", "karras2022"),
}
SAMPLERS = {
    "ddpm": ("ancestral sampling", "ho2020"),
    "ddim": ("DDIM", "song2021"),
    "euler": ("Euler's method", "karras2022"),
    "euler_ancestral": ("Euler's method with fresh noise", "karras2022"),
    "heun": ("Heun's method with churn", "karras2022"),
    "pndm": ("PNDM", "liu2022"),
    "dpm_solver": ("DPM-Solver++(2M)", "lu2022"),
    "dpm_solver_sde": ("SDE-DPM-Solver++(2M)", "lu2022"),
    "unipc": ("UniPC", "zhao2023"),
    "euler_maruyama": ("Euler and Maruyama's method", "song2021score"),
    "predictor_corrector": ("a predictor and corrector", "song2021score"),
    "annealed_langevin": ("annealed Langevin dynamics", "song2019"),
    "probability_flow": ("the probability-flow equation", "song2021score"),
}
CLASSIFIERS = {
    "resnet18": ("ResNet-18", "he2016"),
    "densenet121": ("DenseNet-121", "huang2017"),
    "efficientnet_b0": ("EfficientNet-B0", "tan2019"),
}
EXTRACTORS = {
    "mobilenet": ("a MobileNetV2 that learned on ImageNet", ("sandler2018",)),
    "inception": ("the Inception v3 of the Frechet Inception distance", ("szegedy2016", "heusel2017")),
    "dinov2": ("DINOv2", ("oquab2024", "stein2023")),
    "radimagenet": ("a ResNet50 that learned on RadImageNet", ("mei2022",)),
    "medicalnet": ("MedicalNet, a 3D ResNet that learned to segment CT and MRI", ("chen2019",)),
    "encoder3d": ("a 3D encoder of the user's own", ()),
}
"""Extractors of features: their words, and all that they rest on."""
NETWORK_SOURCES = {
    "twin_unet": ("ronneberger2015", "wu2023"),
    "medsegdiff_v1": ("wu2022",),
    "medsegdiff_v2": ("wu2023",),
    "unet": ("ronneberger2015", "cardoso2022"),
}
MASK_SOURCES = {"one_hot": (), "bits": ("chen2023",)}
FUSION_SOURCES = {"staple": ("warfield2004",)}
BASELINE_SOURCES = {
    "unet": ("ronneberger2015", "cardoso2022"),
    "dynunet": ("isensee2021", "cardoso2022"),
    "segresnet": ("myronenko2018", "cardoso2022"),
}
ARMS = {
    "real": "Real",
    "real_balanced": "Real, class-balanced",
    "real_classical": "Real, classical augmentation",
    "real_synthetic": "Real + synthetic",
    "synthetic": "Synthetic only",
}


def arm_title(name: str) -> str:
    """Write ``real_synthetic`` as ``Real + synthetic``, ``ratio_2`` as ``Real + 2x synthetic``."""
    if name in ARMS:
        return ARMS[name]
    if name.startswith(RATIO):
        return f"Real + {arm(name).ratio:g}x synthetic"
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


def chosen(recipe: Recipe) -> dict[str, Named]:
    """Look up title and citation of what a recipe names; what has none is left out."""
    names = {
        "schedule": (SCHEDULES, recipe.diffusion.schedule),
        "prediction": (PREDICTIONS, recipe.diffusion.prediction),
        "sampler": (SAMPLERS, recipe.synthesis.sampler),
        "classifier": (CLASSIFIERS, recipe.classifier.network),
    }
    return {kind: table[name] for kind, (table, name) in names.items() if name in table}
