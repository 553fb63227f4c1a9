"""What was measured and how, in sentences with citations, and what the numbers can not show."""

from __future__ import annotations

import numpy as np

from meddiff.evaluation.masks.summary import LOW_DICE
from meddiff.evaluation.rows import distinct, numbers, rows_where, texts
from meddiff.reporting.bibliography import CitedSentence
from meddiff.reporting.segmentation_content import SegmentationReport


def sentences(report: SegmentationReport) -> list[CitedSentence]:
    """The methods paragraph: on the models as told, then on what was measured here."""
    units = distinct(report.cases, "unit")
    tolerance = ", ".join(f"{value:g}" for value in np.unique(numbers(report.cases, "tolerance")))
    found: list[CitedSentence] = [
        *report.methods,
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
            f"Brackets are {100 * report.confidence_level:g}% intervals from {report.resamples:,} bootstrap resamples "
            f"over {report.group_noun}s",
            ("rao1988",),
        ),
    ]
    if len(report.differences):
        test = "Differences are paired case by case and tested with Wilcoxon's signed-rank test over "
        found.append((f"{test}{report.group_noun}s, adjusted by Holm's method", ("wilcoxon1945", "holm1979")))
    if len(report.calibration):
        found.append((
            "Calibration errors pool all pixels of the test images in 15 bins of equal width: of the called class, and "
            "of every class's own probability", ("guo2017", "kull2019")))  # fmt: skip
    if len(report.free_response):
        found.append((
            "The free-response curve counts lesions (connected components, matched from an IoU of 0.1 on) at eleven "
            "thresholds of the probability", ("chakraborty1990",)))  # fmt: skip
    if "ged" in report.cases:
        found.append((
            "The distance to several raters is the squared generalized energy distance with one minus the IoU",
            ("kohl2018",)))  # fmt: skip
    if len(report.uncertainty):
        found.append((
            f"A case failed if its Dice, the mean over classes, was below {LOW_DICE:g}; the area under the ROC curve "
            "says how well the uncertainty of a case finds the failures, and the risk-coverage curve what remains if "
            "the most uncertain cases are handed to a person", ("geifman2017",)))  # fmt: skip
    return found


def limitations(report: SegmentationReport) -> list[str]:
    """What this evaluation can not show, from its own numbers."""
    found, noun = [], report.group_noun
    if report.phantom:
        found.append(
            "All images were drawn by code. The numbers show that the program works; they say nothing about any "
            "disease, any patient or any real data set."
        )
    if not report.reference:
        found.append("No baseline was scored: nothing here says whether a simpler model would have done as well.")
    patients = len(distinct(report.cases, "patient"))
    if patients < 100:
        found.append(f"The test cases are of {patients} {noun}s: only large differences could be seen.")
    if len(report.uncertainty):
        failures = int(numbers(report.uncertainty, "n_failed").min())
        if failures < 20:
            found.append(f"One model has only {failures} failed cases: how well they are found is known roughly.")
    if "px" in distinct(report.cases, "unit"):
        found.append("The spacing of the pixels is unknown: distances are in pixels and compare only at this size.")
    empty = rows_where(report.cases, np.isin(texts(report.cases, "empty"), ["truth", "both"]))
    if not len(empty):
        found.append("Every test image shows every class: how often the models raise a false alarm was not asked.")
    return [
        *found,
        "Intervals cover other cases from the same source, not another training of the models.",
        "One truth per case is taken as right. Experts differ; a Dice above their agreement means little.",
        "Segmentations and uncertainties are for research. They are no medical device and decide nothing.",
    ]
