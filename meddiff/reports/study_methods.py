"""Methods of a study: what was done, in sentences with citations, from the recipe alone; and what it does not show.

Every sentence is chosen by a setting of the recipe, so that the paragraph can not drift from the run.
The caller says how the alternatives are called and what they rest on; without that a name is printed as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meddiff.reports import words
from meddiff.reports.literature import CitedSentence, Methods, cited
from meddiff.reports.results import Named
from meddiff.reports.tabular import Records

COMPARABLE = (
    "Distances between sets of images compare only within their table: other features, another image size or another "
    "number of images give other values."
)


def methods(recipe: dict[str, Any], alternatives: Mapping[str, Named], group_noun: str = "patient") -> Methods:
    """Write the methods paragraph of a nested recipe, with its references; empty for an empty recipe.

    Args:
        recipe: as `meddiff.recipe.to_dict` gives it.
        alternatives: title and citation of the ``network``, ``schedule``, ``prediction``, ``sampler`` and
            ``classifier`` that it names.
        group_noun: what was resampled: patient, lesion, image.
    """
    if not recipe:
        return Methods()
    return cited([*generator_sentences(recipe, alternatives), *_study(recipe, alternatives, group_noun)])


def is_overall(row: Mapping[str, Any]) -> bool:
    """Tell whether a row of scores is over all classes: it names none."""
    return words.is_missing(row.get("class_name")) or row["class_name"] == ""


def _named(alternatives: Mapping[str, Named], kind: str, key: str) -> Named:
    return alternatives.get(kind, (words.in_words(key), ()))


def generator_sentences(recipe: dict[str, Any], alternatives: Mapping[str, Named]) -> list[CitedSentence]:
    """Write what was done to train the generator and to draw its images; arguments as of `methods`."""
    diffusion, training, synthesis = recipe["diffusion"], recipe["training"], recipe["synthesis"]
    schedule, schedule_source = _named(alternatives, "schedule", diffusion["schedule"])
    prediction, prediction_source = _named(alternatives, "prediction", diffusion["prediction"])
    sampler, sampler_source = _named(alternatives, "sampler", synthesis["sampler"])
    network, network_source = _named(alternatives, "network", recipe["network"]["name"])
    gamma = diffusion["min_snr_gamma"]
    weights, weight_source = f"with min-SNR loss weights (gamma = {gamma or 0:g})", ("hang2023",)
    if gamma is None:
        weights, weight_source = _named(alternatives, "loss weight", "with an unweighted loss")
    return [
        (
            f"A class-conditional denoising diffusion model with {diffusion['timesteps']} noise levels was trained on "
            f"the training split at {grid_size(recipe)}, with {network}",
            ["ho2020", *network_source],
        ),
        *([(preparation(recipe), [])] if recipe["dimensions"] == 3 or recipe["data"].get("slice_axis") else []),
        (f"The noise schedule was {schedule}", schedule_source),
        (
            f"The network was trained to predict {prediction}, {weights}",
            (*prediction_source, *weight_source),
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
        *_beyond_the_usual(recipe),
    ]


def _beyond_the_usual(recipe: dict[str, Any]) -> list[CitedSentence]:
    """Write a sentence for each setting of the generator that most runs leave alone."""
    diffusion, training, synthesis, network = (
        recipe[part] for part in ("diffusion", "training", "synthesis", "network")
    )
    low, high = synthesis["guidance_interval"]
    usual = {
        ("Noise levels were drawn mostly from the middle, log-normally", "karras2022"): (
            training["times"] != "log_normal"
        ),
        ("Noise levels were drawn in proportion to the size of their last losses", "nichol2021"): (
            training["times"] != "loss_aware"
        ),
        ("The learning rate fell with the root of the step", "karras2024"): training["decay"] != "inverse_sqrt",
        (f"Features were dropped in training with probability {network['dropout']:g}", ""): not network["dropout"],
        (f"Noise had a part common to all pixels (strength {diffusion['offset_noise']:g})", "guttenberg2023"): (
            not diffusion["offset_noise"]
        ),
        (f"Beside the class the network was given {', '.join(diffusion.get('attributes', ()))} of each image", ""): (
            not diffusion.get("attributes")
        ),
        (f"All synthetic images were drawn by {synthesis.get('tell')}", ""): not synthesis.get("tell"),
        ("Training began with the weights of another model (fine-tuning)", ""): not diffusion.get("start_from"),
        (
            f"The generator was taught by another one to draw in {synthesis['steps']} steps, guidance learned with it",
            "salimans2022",
        ): not diffusion.get("teacher"),
        ("The variance of ancestral steps was learned", "nichol2021"): not diffusion["learned_variance"],
        ("The network was shown its own last estimate", "chen2023"): not diffusion["self_condition"],
        (f"Guidance worked between {100 * low:g}% and {100 * high:g}% of the noise levels", "kynkaanniemi2024"): (
            (low, high) == (0, 1)
        ),
        (f"Guided estimates were rescaled (factor {synthesis['guidance_rescale']:g})", "lin2024"): (
            not synthesis["guidance_rescale"]
        ),
        (
            f"A classifier of noisy images guided them too (scale {synthesis['classifier_guidance']:g})",
            "dhariwal2021",
        ): (not synthesis["classifier_guidance"]),
        ("Estimates were clipped to the range of images", ""): synthesis["threshold"] != "clip",
        ("Estimates were thresholded dynamically", "saharia2022"): synthesis["threshold"] != "dynamic",
    }
    return [(text, [key] if key else []) for (text, key), is_so in usual.items() if not is_so]


def grid_size(recipe: dict[str, Any]) -> str:
    """Write ``64 by 64 pixels``, or ``40 by 56 by 40 voxels``."""
    if recipe["dimensions"] == 3:
        return f"{' by '.join(map(str, recipe['volume']['patch_size']))} voxels"
    return f"{recipe['data']['image_size']} by {recipe['data']['image_size']} pixels"


def preparation(recipe: dict[str, Any]) -> str:
    """Say what was done to volumes, and what their classes are where no label tells."""
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


def _study(recipe: dict[str, Any], alternatives: Mapping[str, Named], group_noun: str) -> list[CitedSentence]:
    checks, classifier, evaluation = recipe["filter"], recipe["classifier"], recipe["evaluation"]
    network, network_source = _named(alternatives, "classifier", classifier["network"])
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
    """Name the extractor in words."""
    return (
        "the features of a classifier of this run, trained on its real images"
        if name == "classifier"
        else (f"the features of the network “{name}”")
    )


def _augmented(recipe: dict[str, Any]) -> list[CitedSentence]:
    """Say what classical augmentation is, where an arm has one, and the ratios, where some were asked for."""
    classifier = recipe["classifier"]
    said: list[CitedSentence] = []
    if recipe["dimensions"] == 2 and any("classical" in arm.split("_") for arm in classifier["arms"]):
        chosen = {"auto": "what is best on the validation images, of several sorts and strengths"}
        strength = chosen.get(classifier["classical"], f"that named “{classifier['classical']}”")
        said.append((f"Classical augmentation is {strength}: flips, turns, crops, changed colors", ["perez2018"]))
    if classifier["ratios"]:
        ratios = words.setting(classifier["ratios"])
        said.append((f"Further arms add synthetic images in the ratios {ratios} to the real ones of each class", []))
    return said


def limitations(
    phantom: bool, scores: Records, recipe: dict[str, Any], *, group_noun: str = "patient", distances: bool = True
) -> list[str]:
    """Say what this run cannot show, from its own numbers; ``distances``: whether it has any between sets of images."""
    limits = []
    if phantom:
        limits.append(
            "All images of this run, those called real as well, were drawn by code. The numbers show that the "
            "program works; they say nothing about any disease, any patient or any real data set."
        )
    overall = [row for row in scores if is_overall(row)]
    if overall:
        groups, seeds = min(row["n_groups"] for row in overall), min(row["n_seeds"] for row in overall)
        if groups < 100:
            limits.append(
                f"The test split has {words.counted(groups, group_noun)}: only large differences could be seen."
            )
        if seeds < 5:
            limits.append(
                f"Each arm was trained {words.counted(seeds, 'time')}: how much one training differs from the next is "
                "known only roughly."
            )
    small = dict.fromkeys(str(row["class_name"]) for row in scores if not is_overall(row) and row["n_images"] < 30)
    if small:
        limits.append(f"Fewer than 30 test images in: {', '.join(small)}. Read their sensitivities with care.")
    if recipe:
        limits.append(
            f"Images were brought to {grid_size(recipe)}; findings smaller than that grid are lost, and a result "
            f"at this size need not hold at full resolution."
        )
    return [
        *limits,
        "Train and test images come from one source. Other cameras, scanners and hospitals were not tested.",
        *([COMPARABLE] if distances else []),
        "Synthetic images are for research on training data. They are no evidence for a diagnosis, and passing the "
        "near-copy check is no proof of anonymity.",
    ]
