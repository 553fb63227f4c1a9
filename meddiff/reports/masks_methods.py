"""Methods of a segmentation's report: what was measured and how, and what the numbers cannot show."""

from __future__ import annotations

import numpy as np

from meddiff.evaluation.masks.summary import LOW_DICE
from meddiff.evaluation.rows import distinct, numbers, rows_where, texts
from meddiff.reports.literature import CitedSentence
from meddiff.reports.results import MaskResults


def sentences(results: MaskResults) -> list[CitedSentence]:
    """List the sentences of the methods paragraph: on the models as given, then on what was measured here."""
    return [*results.methods, *_scores(results), *_further(results)]


def _scores(results: MaskResults) -> list[CitedSentence]:
    """Say how each case was scored, and how means were made."""
    units = distinct(results.cases, "unit")
    tolerance = ", ".join(f"{value:g}" for value in np.unique(numbers(results.cases, "tolerance")))
    return [
        (
            "Each case was scored by itself, class by class, with Dice and IoU, the Hausdorff distance and its 95th "
            f"percentile, the average symmetric surface distance (all in {' and '.join(units)}), and the normalized "
            f"surface distance at a tolerance of {tolerance} {units[0]}",
            ("dice1945", "huttenlocher1993", "nikolov2021", "maierhein2024"),
        ),
        ("Boundary IoU is that of rims as wide as 2% of the image's diagonal", ("cheng2021",)),
        (
            "A lesion, a connected component, counts as found if a predicted one overlaps it with an IoU of at least "
            "0.1; each is matched at most once",
            (),
        ),
        (
            "Where truth and prediction are both empty a case scores 1; where one of them is, it scores 0 and its "
            "distances are infinite, for which means take the image's diagonal. A case without prediction scores the "
            "worst of everything. No case is left out",
            ("maierhein2024",),
        ),
        (
            f"Brackets are {100 * results.confidence_level:g}% intervals from {results.resamples:,} bootstrap "
            f"resamples over {results.group_noun}s",
            ("rao1988",),
        ),
    ]


def _further(results: MaskResults) -> list[CitedSentence]:
    """Say what else was measured, where it was."""
    said: list[CitedSentence] = []
    if len(results.differences):
        test = "Differences are paired case by case and tested with Wilcoxon's signed-rank test over "
        said.append((f"{test}{results.group_noun}s, adjusted by Holm's method", ("wilcoxon1945", "holm1979")))
    if len(results.calibration):
        said.append((
            "Calibration errors pool all pixels of the test images in 15 bins of equal width: of the called class, and "
            "of every class's own probability", ("guo2017", "kull2019")))  # fmt: skip
    if len(results.free_response):
        said.append((
            "The free-response curve counts lesions (connected components, matched from an IoU of 0.1 on) at eleven "
            "thresholds of the probability", ("chakraborty1990",)))  # fmt: skip
    if "ged" in results.cases:
        said.append((
            "The distance to several raters is the squared generalized energy distance with one minus the IoU",
            ("kohl2018",)))  # fmt: skip
    if len(results.uncertainty):
        said.append((
            f"A case failed if its Dice, the mean over classes, was below {LOW_DICE:g}; the area under the ROC curve "
            "says how well the uncertainty of a case finds the failures, and the risk-coverage curve what remains if "
            "the most uncertain cases are handed to a person", ("geifman2017",)))  # fmt: skip
    return said


def limitations(results: MaskResults) -> list[str]:
    """Say what this evaluation cannot show, from its own numbers."""
    limits, noun = [], results.group_noun
    if results.phantom:
        limits.append(
            "All images were drawn by code. The numbers show that the program works; they say nothing about any "
            "disease, any patient or any real data set."
        )
    if not results.reference:
        limits.append("No baseline was scored: nothing here says whether a simpler model would have done as well.")
    patients = len(distinct(results.cases, "patient"))
    if patients < 100:
        limits.append(f"The test cases are of {patients} {noun}s: only large differences could be seen.")
    if len(results.uncertainty):
        failures = int(numbers(results.uncertainty, "n_failed").min())
        if failures < 20:
            limits.append(f"One model has only {failures} failed cases: how well they are found is known roughly.")
    if "px" in distinct(results.cases, "unit"):
        limits.append("The spacing of the pixels is unknown: distances are in pixels and compare only at this size.")
    empty = rows_where(results.cases, np.isin(texts(results.cases, "empty"), ["truth", "both"]))
    if not len(empty):
        limits.append("Every test image shows every class: how often the models raise a false alarm was not asked.")
    return [
        *limits,
        "Intervals cover other cases from the same source, not another training of the models.",
        "One truth per case is taken as right. Experts differ; a Dice above their agreement means little.",
        "Segmentations and uncertainties are for research. They are no medical device and decide nothing.",
    ]
