"""What was measured and how, in sentences with citations, and what the numbers can not show."""

from __future__ import annotations

import numpy as np

from meddiff.evaluation.mask_summary import LOW_DICE
from meddiff.evaluation.rows import distinct, numbers, rows_where, texts
from meddiff.reporting.segmentation_content import CitedSentence, SegmentationReport

REFERENCES = {
    "wu2022": "Wu J, Fu R, Fang H, et al. MedSegDiff: medical image segmentation with diffusion probabilistic model. "
    "MIDL 2023. arXiv:2211.00611",
    "wu2023": "Wu J, Ji W, Fu H, et al. MedSegDiff-V2: diffusion-based medical image segmentation with transformer. "
    "AAAI 2024. arXiv:2301.11798",
    "ho2020": "Ho J, Jain A, Abbeel P. Denoising diffusion probabilistic models. NeurIPS 2020. arXiv:2006.11239",
    "song2021": "Song J, Meng C, Ermon S. Denoising diffusion implicit models. ICLR 2021. arXiv:2010.02502",
    "lu2022": "Lu C, Zhou Y, Bao F, Chen J, Li C, Zhu J. DPM-Solver++: fast solver for guided sampling of diffusion "
    "probabilistic models. 2022. arXiv:2211.01095",
    "chen2023": "Chen T, Zhang R, Hinton G. Analog bits: generating discrete data using diffusion models with "
    "self-conditioning. ICLR 2023. arXiv:2208.04202",
    "ronneberger2015": "Ronneberger O, Fischer P, Brox T. U-Net: convolutional networks for biomedical image "
    "segmentation. MICCAI 2015. arXiv:1505.04597",
    "isensee2021": "Isensee F, Jaeger PF, Kohl SAA, Petersen J, Maier-Hein KH. nnU-Net: a self-configuring method for "
    "deep learning-based biomedical image segmentation. Nature Methods 2021; 18:203-211",
    "myronenko2018": "Myronenko A. 3D MRI brain tumor segmentation using autoencoder regularization. "
    "BrainLes 2018. arXiv:1810.11654",
    "cardoso2022": "Cardoso MJ, Li W, Brown R, et al. MONAI: an open-source framework for deep learning in healthcare. "
    "2022. arXiv:2211.02701",
    "warfield2004": "Warfield SK, Zou KH, Wells WM. Simultaneous truth and performance level estimation (STAPLE). "
    "IEEE Transactions on Medical Imaging 2004; 23:903-921",
    "dice1945": "Dice LR. Measures of the amount of ecologic association between species. Ecology 1945; 26:297-302",
    "maierhein2024": "Maier-Hein L, Reinke A, Godau P, et al. Metrics reloaded: recommendations for image analysis "
    "validation. Nature Methods 2024; 21:195-212",
    "huttenlocher1993": "Huttenlocher DP, Klanderman GA, Rucklidge WJ. Comparing images using the Hausdorff distance. "
    "IEEE Transactions on Pattern Analysis and Machine Intelligence 1993; 15:850-863",
    "nikolov2021": "Nikolov S, Blackwell S, Zverovitch A, et al. Clinically applicable segmentation of head and neck "
    "anatomy for radiotherapy. Journal of Medical Internet Research 2021; 23:e26151. arXiv:1809.04430",
    "cheng2021": "Cheng B, Girshick R, Dollar P, Berg AC, Kirillov A. Boundary IoU: improving object-centric image "
    "segmentation evaluation. CVPR 2021. arXiv:2103.16562",
    "rao1988": "Rao JNK, Wu CFJ. Resampling inference with complex survey data. Journal of the American Statistical "
    "Association 1988; 83:231-241",
    "wilcoxon1945": "Wilcoxon F. Individual comparisons by ranking methods. Biometrics Bulletin 1945; 1:80-83",
    "holm1979": "Holm S. A simple sequentially rejective multiple test procedure. "
    "Scandinavian Journal of Statistics 1979; 6:65-70",
    "guo2017": "Guo C, Pleiss G, Sun Y, Weinberger KQ. On calibration of modern neural networks. "
    "ICML 2017. arXiv:1706.04599",
    "kull2019": "Kull M, Perello-Nieto M, Kängsepp M, et al. Beyond temperature scaling: obtaining well-calibrated "
    "multiclass probabilities with Dirichlet calibration. NeurIPS 2019. arXiv:1910.12656",
    "geifman2017": "Geifman Y, El-Yaniv R. Selective classification for deep neural networks. "
    "NeurIPS 2017. arXiv:1705.08500",
    "roy2019": "Roy AG, Conjeti S, Navab N, Wachinger C. Bayesian QuickNAT: model uncertainty in deep whole-brain "
    "segmentation for structure-wise quality control. NeuroImage 2019; 195:11-22. arXiv:1811.09800",
}
"""What a sentence may cite."""


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
