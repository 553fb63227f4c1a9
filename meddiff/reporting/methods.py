"""What was done, in sentences with citations, from the recipe alone; and what it does not show.

Every sentence is chosen by a setting of the recipe, so that the paragraph can not drift from the run.
A name that stands in no table here is printed as it is, without a citation.
"""

from __future__ import annotations

from typing import Any

from meddiff.reporting import words
from meddiff.reporting.bibliography import Methods, cited
from meddiff.reporting.study import is_overall
from meddiff.reporting.tables import Records

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
COMPARABLE = (
    "Distances between sets of images compare only within their table: other features, another image size or another "
    "number of images give other values."
)
Named = dict[str, tuple[str, str]]


def methods(recipe: dict[str, Any], group_noun: str = "patient") -> Methods:
    """The methods paragraph of a nested recipe and its numbered references; empty for an empty recipe.

    ``group_noun`` is what was resampled: patient, lesion, image.
    """
    return cited([*_generation(recipe), *_study(recipe, group_noun)]) if recipe else Methods()


def named(table: Named, key: str) -> tuple[str, list[str]]:
    """The name in words and its citation, or the bare key without one."""
    text, citation = table.get(key, (words.in_words(key), ""))
    return text, [citation] if citation else []


def _generation(recipe: dict[str, Any]) -> list[tuple[str, list[str]]]:
    diffusion, training, synthesis = recipe["diffusion"], recipe["training"], recipe["synthesis"]
    schedule, schedule_source = named(SCHEDULES, diffusion["schedule"])
    prediction, prediction_source = named(PREDICTIONS, diffusion["prediction"])
    sampler, sampler_source = named(SAMPLERS, synthesis["sampler"])
    gamma = diffusion["min_snr_gamma"]
    weights = f"with min-SNR loss weights (gamma = {gamma:g})" if gamma is not None else "with an unweighted loss"
    return [
        (
            f"A class-conditional denoising diffusion model with {diffusion['timesteps']} noise levels was trained on "
            f"the training split at {grid_size(recipe)}, with MONAI's diffusion U-Net",
            ["ho2020", "cardoso2022", "pinaya2023"],
        ),
        *([(preparation(recipe), [])] if recipe["dimensions"] == 3 or recipe["data"].get("slice_axis") else []),
        (f"The noise schedule was {schedule}", schedule_source),
        (
            f"The network was trained to predict {prediction}, {weights}",
            prediction_source + (["hang2023"] if gamma is not None else []),
        ),
        (
            f"It was trained with AdamW for {training['steps']:,} steps of {training['batch_size']} images, "
            f"learning rate {training['learning_rate']:g}; samples are drawn from the moving average of its weights "
            f"(decay {training['ema_decay']:g})",
            ["loshchilov2019"],
        ),
        (
            f"The label was withheld from {100 * diffusion['condition_dropout']:g}% of the training images, for "
            f"classifier-free guidance at scale {synthesis['guidance']:g}",
            ["ho2022"],
        ),
        (f"Images were drawn with {sampler} in {synthesis['steps']} steps", sampler_source),
    ]


def grid_size(recipe: dict[str, Any]) -> str:
    """``64 by 64 pixels``, or ``40 by 56 by 40 voxels``."""
    if recipe["dimensions"] == 3:
        return f"{' by '.join(map(str, recipe['volume']['patch_size']))} voxels"
    return f"{recipe['data']['image_size']} by {recipe['data']['image_size']} pixels"


def preparation(recipe: dict[str, Any]) -> str:
    """What was done to volumes, and what their classes are where no label tells."""
    settings = recipe["volume"]
    spacing = settings["spacing_mm"]
    grid = f"resampled to {' x '.join(f'{mm:g}' for mm in spacing)} mm" if spacing else "kept at their own spacing"
    scale = {"zscore": "by z-score inside the body", "percentile": "between percentiles of the body"}
    low, high = settings["window_hu"]
    coil = ", the coil's brightness removed first (N4)" if settings["bias_correction"] else ""
    classes = {"size": "; the classes are the thirds of the data set by the size of what the masks mark",
               "none": "; all are of one class"}  # fmt: skip
    axis = recipe["data"].get("slice_axis")
    classes = (f", and cut into {axis} slices" if axis else "") + classes.get(recipe["label"], "")
    return (
        f"Volumes were turned to the order right, front, head, {grid}, and their intensities scaled "
        f"{scale.get(settings['intensity'], f'from {low:g} to {high:g} HU')}{coil}{classes}"
    )


def _study(recipe: dict[str, Any], group_noun: str) -> list[tuple[str, list[str]]]:
    checks, classifier, evaluation = recipe["filter"], recipe["classifier"], recipe["evaluation"]
    network, network_source = named(CLASSIFIERS, classifier["network"])
    start = "starting from local pretrained weights" if classifier["weights"] else "trained from scratch"
    return [
        (
            f"A synthetic image joined the training set only if a classifier trained on real images alone gave its "
            f"label a probability of at least {checks['confidence']:g}, and if it was no nearer to a training image "
            f"than the {100 * checks['copy_quantile']:g}% quantile of held-out real images",
            [],
        ),
        (
            f"Each arm of the study is a {network}, {start} with {classifier['seeds']} seeds, for the same "
            f"{classifier['steps']:,} optimizer steps of {classifier['batch_size']} images",
            network_source,
        ),
        (
            f"Brackets are {100 * evaluation['confidence_level']:g}% intervals from {evaluation['resamples']:,} "
            f"bootstrap resamples over {group_noun}s and Student's t over the training seeds",
            ["efron1993"],
        ),
        (
            f"Arms are also compared by DeLong's test of AUROC and McNemar's exact test of accuracy, both by "
            f"{group_noun} and of the mean over seeds, adjusted after Holm",
            ["delong1988", "obuchowski1997", "mcnemar1947", "holm1979"],
        ),
        (
            "Thresholds for a sensitivity at a fixed specificity are chosen on the validation images; the calibration "
            "error is that of the called class",
            ["guo2017"],
        ),
        *_augmented(recipe),
        (
            f"The Frechet and kernel distances between sets of images use {_features(evaluation['features'])}",
            ["heusel2017", "binkowski2018"],
        ),
    ]


def _features(name: str) -> str:
    """The extractor in words."""
    return (
        "the features of a classifier of this run, trained on its real images"
        if name == "classifier"
        else (f"the features of the network “{name}”")
    )


def _augmented(recipe: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The classical augmentation, where an arm has one, and the ratios, where some were asked for."""
    classifier = recipe["classifier"]
    found: list[tuple[str, list[str]]] = []
    if recipe["dimensions"] == 2 and any("classical" in arm.split("_") for arm in classifier["arms"]):
        chosen = {"auto": "of the strength that is best on the validation images"}
        strength = chosen.get(classifier["classical"], f"of {classifier['classical']} strength")
        found.append((f"Classical augmentation is flips, turns, crops and changed colors, {strength}", ["perez2018"]))
    if classifier["ratios"]:
        told = words.setting(classifier["ratios"])
        found.append((f"Further arms add synthetic images in the ratios {told} to the real ones of each class", []))
    return found


def limitations(
    phantom: bool, scores: Records, recipe: dict[str, Any], *, group_noun: str = "patient", distances: bool = True
) -> list[str]:
    """What this run can not show, from its own numbers; ``distances``: whether it has any between sets of images."""
    found = []
    if phantom:
        found.append(
            "All images of this run, those called real as well, were drawn by code. The numbers show that the "
            "program works; they say nothing about any disease, any patient or any real data set."
        )
    overall = [row for row in scores if is_overall(row)]
    if overall:
        groups, seeds = min(row["n_groups"] for row in overall), min(row["n_seeds"] for row in overall)
        if groups < 100:
            found.append(
                f"The test split has {words.counted(groups, group_noun)}: only large differences could be seen."
            )
        if seeds < 5:
            found.append(
                f"Each arm was trained {words.counted(seeds, 'time')}: how much one training differs from the next is "
                "known only roughly."
            )
    small = dict.fromkeys(str(row["class_name"]) for row in scores if not is_overall(row) and row["n_images"] < 30)
    if small:
        found.append(f"Fewer than 30 test images in: {', '.join(small)}. Read their sensitivities with care.")
    if recipe:
        found.append(
            f"Images were brought to {grid_size(recipe)}; findings smaller than that grid are lost, and a result "
            f"at this size need not hold at full resolution."
        )
    return [
        *found,
        "Train and test images come from one source. Other cameras, scanners and hospitals were not tested.",
        *([COMPARABLE] if distances else []),
        "Synthetic images are for research on training data. They are no evidence for a diagnosis, and passing the "
        "near-copy check is no proof of anonymity.",
    ]
