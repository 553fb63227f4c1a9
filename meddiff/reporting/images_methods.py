"""What was measured of synthetic images and how, in sentences with citations, and what the figures can not show."""

from __future__ import annotations

from meddiff.reporting import words
from meddiff.reporting.images_content import ImageReport

REFERENCES = {
    "heusel2017": "Heusel M, Ramsauer H, Unterthiner T, Nessler B, Hochreiter S. GANs trained by a two time-scale "
    "update rule converge to a local Nash equilibrium. NeurIPS 2017. arXiv:1706.08500",
    "chong2020": "Chong MJ, Forsyth D. Effectively unbiased FID and Inception score and where to find them. CVPR 2020. "
    "arXiv:1911.07023",
    "binkowski2018": "Bińkowski M, Sutherland DJ, Arbel M, Gretton A. Demystifying MMD GANs. ICLR 2018. "
    "arXiv:1801.01401",
    "kynkaanniemi2019": "Kynkäänniemi T, Karras T, Laine S, Lehtinen J, Aila T. Improved precision and recall metric "
    "for assessing generative models. NeurIPS 2019. arXiv:1904.06991",
    "naeem2020": "Naeem MF, Oh SJ, Uh Y, Choi Y, Yoo J. Reliable fidelity and diversity metrics for generative models. "
    "ICML 2020. arXiv:2002.09797",
    "friedman2023": "Friedman D, Dieng AB. The Vendi score: a diversity evaluation metric for machine learning. "
    "TMLR 2023. arXiv:2210.02410",
    "wang2003": "Wang Z, Simoncelli EP, Bovik AC. Multiscale structural similarity for image quality assessment. "
    "Asilomar Conference on Signals, Systems and Computers 2003; 1398-1402",
    "durall2020": "Durall R, Keuper M, Keuper J. Watch your up-convolution: CNN based generative deep neural networks "
    "are failing to reproduce spectral distributions. CVPR 2020. arXiv:2003.01826",
    "parmar2022": "Parmar G, Zhang R, Zhu JY. On aliased resizing and surprising subtleties in GAN evaluation. "
    "CVPR 2022. arXiv:2104.11222",
    "shao1989": "Shao J, Wu CFJ. A general theory for jackknife variance estimation. Annals of Statistics 1989; "
    "17:1176-1197",
    "alaa2022": "Alaa AM, van Breugel B, Saveliev E, van der Schaar M. How faithful is your synthetic data? "
    "Sample-level metrics for evaluating and auditing generative models. ICML 2022. arXiv:2102.08921",
    "meehan2020": "Meehan C, Chaudhuri K, Dasgupta S. A non-parametric test to detect data-copying in generative "
    "models. AISTATS 2020. arXiv:2004.05675",
    "sandler2018": "Sandler M, Howard A, Zhu M, Zhmoginov A, Chen LC. MobileNetV2: inverted residuals and linear "
    "bottlenecks. CVPR 2018. arXiv:1801.04381",
    "szegedy2016": "Szegedy C, Vanhoucke V, Ioffe S, Shlens J, Wojna Z. Rethinking the Inception architecture for "
    "computer vision. CVPR 2016. arXiv:1512.00567",
    "oquab2024": "Oquab M, Darcet T, Moutakanni T, et al. DINOv2: learning robust visual features without supervision. "
    "TMLR 2024. arXiv:2304.07193",
    "stein2023": "Stein G, Cresswell JC, Hosseinzadeh R, et al. Exposing flaws of generative model evaluation metrics "
    "and their unfair treatment of diffusion models. NeurIPS 2023. arXiv:2306.04675",
    "mei2022": "Mei X, Liu Z, Robson PM, et al. RadImageNet: an open radiologic deep learning research dataset for "
    "effective transfer learning. Radiology: Artificial Intelligence 2022; 4:e210315",
}
"""What a sentence may cite."""
EXTRACTORS = {
    "mobilenet": ("a MobileNetV2 that learned on ImageNet", ("sandler2018",)),
    "inception": ("the Inception v3 of the Frechet Inception distance", ("szegedy2016", "heusel2017")),
    "dinov2": ("DINOv2", ("oquab2024", "stein2023")),
    "radimagenet": ("a ResNet50 that learned on RadImageNet", ("mei2022",)),
}
FEW = 1000
CitedSentence = tuple[str, tuple[str, ...]]


def sentences(report: ImageReport) -> list[CitedSentence]:
    """The methods paragraph."""
    row = report.quality.iloc[0]
    name, source = EXTRACTORS.get(row["extractor"], (str(row["extractor"]), ()))
    found: list[CitedSentence] = [
        (
            f"Images were brought to {row['resolution']} by {row['resolution']} pixels ({row['fit']}; "
            f"{row['resize_filter']}); features, {row['dimension']:,} per image, are those of {name} "
            f"(weights {row['weights'][:8]}), which sees them at {row['preprocessing']}",
            ("parmar2022", *source),
        ),
        (
            "The sets were compared by the Frechet distance of their features, by the kernel distance (unbiased, "
            "polynomial kernel of degree 3), and by precision, recall, density and coverage with 5 neighbors",
            ("heusel2017", "binkowski2018", "kynkaanniemi2019", "naeem2020"),
        ),
        (
            "Diversity is the Vendi score of the features (cosines about the real mean) and the multi-scale structural "
            "similarity of random pairs",
            ("friedman2023", "wang2003"),
        ),
        (
            "The spectrum distance is the root mean square difference of mean radial power spectra; the color distance "
            "the area between the distributions of values, of channels and of their differences",
            ("durall2020",),
        ),
        (
            f"Beside each figure stands what real images give against each other: the real {report.group_noun}s were "
            f"cut in halves {row['splits']} times, and {row['n_matched']} images of the second half, or as many "
            "synthetic ones, were compared with the first",
            (),
        ),
        (
            f"Brackets are {100 * report.confidence_level:g}% intervals from the spread over half-samples of "
            f"{report.group_noun}s",
            ("shao1989",),
        ),
    ]
    if len(report.copies):
        found += [
            (
                "For copies, each image was compared with every training image: pixels, averaged down to about 32 per "
                "side, under the eight symmetries of the square, and features. A copy is nearer to one of them than "
                f"all but {words.percent(report.false_positive_rate)} of the held-out real images are",
                (),
            ),
            (
                "AuthPct is the share of images farther from their nearest training image than that one is from the "
                "next; C_T says, in standard deviations, whether images lie nearer to training images than held-out "
                "real ones do (below 0: nearer)",
                ("alaa2022", "meehan2020"),
            ),
        ]
    if report.unbiased == report.unbiased:  # not NaN
        found.append(("The Frechet distance was also extrapolated to infinitely many images", ("chong2020",)))
    return found


def limitations(report: ImageReport) -> list[str]:
    """What this evaluation can not show, from its own figures."""
    row = report.quality.iloc[0]
    n, found = min(row["n_real"], row["n_synthetic"]), []
    if report.phantom:
        found.append("The images called real were drawn by code. Nothing here is about any disease or any patient.")
    if n < row["dimension"]:
        found.append(
            f"{n} images are fewer than the {row['dimension']:,} features: the Frechet distance is mostly a matter of "
            "their number. Read it beside the halves of real images, and compare it with no figure from elsewhere."
        )
    elif n < FEW:
        found.append(f"With {n} images only large differences can be seen.")
    if row["extractor"] != "inception":
        found.append(
            f"The extractor is {row['extractor']}, not Inception: its Frechet distance is no FID, and compares with no "
            "published one."
        )
    if report.group_noun == "image":
        found.append(
            "No patients were named: real images of one patient may be in both halves, which makes real images look "
            "more alike than those of different patients are. Name them with --groups or a manifest."
        )
    if not len(report.copies):
        found.append("The training images were not given: whether images were copied was not measured.")
    else:
        found.append("A synthetic image that is no near-copy is not thereby anonymous.")
    return [
        *found,
        f"Details smaller than a pixel at {row['resolution']} by {row['resolution']} were not seen.",
        "A figure inside the range of real halves is no proof of equality; the measures see what their features see, "
        "and none of them knows whether an image is medically right.",
    ]
