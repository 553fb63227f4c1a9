"""What was done, in sentences with citations, from the recipe alone; and what it does not show.

Every sentence is chosen by a setting of the recipe, so that the paragraph can not drift from the run.
A name that stands in no table here is printed as it is, without a citation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meddiff.reporting import words
from meddiff.reporting.study import is_overall
from meddiff.reporting.tables import Records

REFERENCES = {
    "ho2020": "Ho J, Jain A, Abbeel P. Denoising diffusion probabilistic models. NeurIPS 2020. arXiv:2006.11239",
    "nichol2021": "Nichol A, Dhariwal P. Improved denoising diffusion probabilistic models. "
    "ICML 2021. arXiv:2102.09672",
    "song2021": "Song J, Meng C, Ermon S. Denoising diffusion implicit models. ICLR 2021. arXiv:2010.02502",
    "salimans2022": "Salimans T, Ho J. Progressive distillation for fast sampling of diffusion models. "
    "ICLR 2022. arXiv:2202.00512",
    "ho2022": "Ho J, Salimans T. Classifier-free diffusion guidance. 2022. arXiv:2207.12598",
    "lu2022": "Lu C, Zhou Y, Bao F, Chen J, Li C, Zhu J. DPM-Solver++: fast solver for guided sampling of diffusion "
    "probabilistic models. 2022. arXiv:2211.01095",
    "hang2023": "Hang T, Gu S, Li C, et al. Efficient diffusion training via min-SNR weighting strategy. "
    "ICCV 2023. arXiv:2303.09556",
    "cardoso2022": "Cardoso MJ, Li W, Brown R, et al. MONAI: an open-source framework for deep learning in healthcare. "
    "2022. arXiv:2211.02701",
    "pinaya2023": "Pinaya WHL, Graham MS, Kerfoot E, et al. Generative AI for medical imaging: extending the MONAI "
    "framework. 2023. arXiv:2307.15208",
    "loshchilov2019": "Loshchilov I, Hutter F. Decoupled weight decay regularization. ICLR 2019. arXiv:1711.05101",
    "he2016": "He K, Zhang X, Ren S, Sun J. Deep residual learning for image recognition. CVPR 2016. arXiv:1512.03385",
    "huang2017": "Huang G, Liu Z, van der Maaten L, Weinberger KQ. Densely connected convolutional networks. "
    "CVPR 2017. arXiv:1608.06993",
    "tan2019": "Tan M, Le QV. EfficientNet: rethinking model scaling for convolutional neural networks. "
    "ICML 2019. arXiv:1905.11946",
    "heusel2017": "Heusel M, Ramsauer H, Unterthiner T, Nessler B, Hochreiter S. GANs trained by a two time-scale "
    "update rule converge to a local Nash equilibrium. NeurIPS 2017. arXiv:1706.08500",
    "binkowski2018": "Bińkowski M, Sutherland DJ, Arbel M, Gretton A. Demystifying MMD GANs. "
    "ICLR 2018. arXiv:1801.01401",
    "efron1993": "Efron B, Tibshirani RJ. An Introduction to the Bootstrap. Chapman & Hall, 1993",
}
SCHEDULES = {"cosine": ("cosine", "nichol2021"), "linear": ("linear", "ho2020")}
PREDICTIONS = {
    "v": ("the velocity v", "salimans2022"),
    "eps": ("the noise", "ho2020"),
    "x_0": ("the clean image", "salimans2022"),
}
SAMPLERS = {
    "ddpm": ("ancestral sampling", "ho2020"),
    "ddim": ("DDIM", "song2021"),
    "dpm_solver": ("DPM-Solver++(2M)", "lu2022"),
}
CLASSIFIERS = {
    "resnet18": ("ResNet-18", "he2016"),
    "densenet121": ("DenseNet-121", "huang2017"),
    "efficientnet_b0": ("EfficientNet-B0", "tan2019"),
}
Named = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Sentence:
    """A sentence and the numbers of the references that it rests on."""

    text: str
    citations: tuple[int, ...]


def methods(recipe: dict[str, Any]) -> tuple[list[Sentence], list[str]]:
    """The methods paragraph of a nested recipe and its numbered references; both empty for an empty recipe."""
    if not recipe:
        return [], []
    return cited([*_generation(recipe), *_study(recipe)], REFERENCES)


def cited(
    sentences: Iterable[tuple[str, Sequence[str]]], references: Mapping[str, str]
) -> tuple[list[Sentence], list[str]]:
    """Sentences with the keys that they rest on -> the same with numbers, and the references in that order."""
    sentences = list(sentences)
    order = list(dict.fromkeys(key for _, keys in sentences for key in keys))
    numbered = [Sentence(text, tuple(order.index(key) + 1 for key in keys)) for text, keys in sentences]
    return numbered, [references[key] for key in order]


def _name(table: Named, key: str) -> tuple[str, list[str]]:
    """The name in words and its citation, or the bare key without one."""
    text, citation = table.get(key, (words.in_words(key), ""))
    return text, [citation] if citation else []


def _generation(recipe: dict[str, Any]) -> list[tuple[str, list[str]]]:
    data, diffusion, training = recipe["data"], recipe["diffusion"], recipe["training"]
    synthesis = recipe["synthesis"]
    schedule, schedule_source = _name(SCHEDULES, diffusion["schedule"])
    prediction, prediction_source = _name(PREDICTIONS, diffusion["prediction"])
    sampler, sampler_source = _name(SAMPLERS, synthesis["sampler"])
    gamma = diffusion["min_snr_gamma"]
    weights = f", min-SNR loss weights (gamma = {gamma:g})" if gamma is not None else ", unweighted loss"
    size = data["image_size"]
    return [
        (
            f"A class-conditional denoising diffusion model with {diffusion['timesteps']} noise levels was trained on "
            f"the training split at {size} by {size} pixels, with MONAI's diffusion U-Net",
            ["ho2020", "cardoso2022", "pinaya2023"],
        ),
        (f"The noise schedule was {schedule}", schedule_source),
        (
            f"The network predicted {prediction}{weights}",
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


def _study(recipe: dict[str, Any]) -> list[tuple[str, list[str]]]:
    checks, classifier, evaluation = recipe["filter"], recipe["classifier"], recipe["evaluation"]
    network, network_source = _name(CLASSIFIERS, classifier["network"])
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
            f"bootstrap resamples over patients (over lesions or images where the data name none) and Student's t "
            f"over the training seeds",
            ["efron1993"],
        ),
        (
            f"The Frechet and kernel distances between sets of images use the features named "
            f"“{evaluation['features']}”",
            ["heusel2017", "binkowski2018"],
        ),
    ]


def limitations(phantom: bool, scores: Records, recipe: dict[str, Any]) -> list[str]:
    """What this run can not show, from its own numbers."""
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
            found.append(f"The test split has {groups:.0f} patients: only large differences could be seen.")
        if seeds < 5:
            found.append(f"Each arm was trained {seeds:.0f} times: how much trainings differ is known roughly.")
    small = dict.fromkeys(str(row["class_name"]) for row in scores if not is_overall(row) and row["n_images"] < 30)
    if small:
        found.append(f"Fewer than 30 test images in: {', '.join(small)}. Read their sensitivities with care.")
    if recipe:
        size = recipe["data"]["image_size"]
        found.append(
            f"Images were reduced to {size} by {size} pixels; findings smaller than that grid are lost, and a result "
            f"at this size need not hold at full resolution."
        )
    return [
        *found,
        "Train and test images come from one source. Other cameras, scanners and hospitals were not tested.",
        "Distances compare only within this table: other features, another image size or another number of images "
        "give other values.",
        "Synthetic images are for research on training data. They are no evidence for a diagnosis, and passing the "
        "near-copy check is no proof of anonymity.",
    ]
