"""Methods of an evaluation of images, in sentences with citations, and what the figures cannot show."""

from __future__ import annotations

from meddiff.reports import words
from meddiff.reports.literature import CitedSentence
from meddiff.reports.results import ImageResults

SEEN = {False: "a pixel at {0} by {0}", True: "a voxel at {0} by {0} by {0}"}
FEW = 1000


def sentences(results: ImageResults) -> list[CitedSentence]:
    """List the sentences of the methods paragraph."""
    return _measures(results) + _extras(results) + (_copies(results) if len(results.copies) else [])


def _measures(results: ImageResults) -> list[CitedSentence]:
    row = results.quality.iloc[0]
    of_planes = " of the three middle planes" if row["volumes"] else ""
    what, unit = ("Volumes", "voxels") if row["volumes"] else ("Images", "pixels")
    size = " by ".join([str(row["resolution"])] * (3 if row["volumes"] else 2))
    name, source = results.extractor or (str(row["extractor"]), ())
    weights = f" (weights {row['weights'][:8]})" if row["weights"] else ""
    return [
        (
            f"{what} were brought to {size} {unit} ({row['fit']}; "
            f"{row['resize_filter']}); features, {row['dimension']:,} per image, are those of {name}{weights}, "
            f"which sees them at {row['preprocessing']}",
            ("parmar2022", *source),
        ),
        (
            "The sets were compared by the Frechet distance of their features, by the kernel distance (unbiased, "
            "polynomial kernel of degree 3), and by precision, recall, density and coverage with 5 neighbors",
            ("heusel2017", "binkowski2018", "kynkaanniemi2019", "naeem2020"),
        ),
        (
            "Diversity is the Vendi score of the features (cosines about the real mean) and the multi-scale structural "
            f"similarity of random pairs{of_planes}",
            ("friedman2023", "wang2003"),
        ),
        (
            "The spectrum distance is the root mean square difference of mean radial power spectra, fine detail the "
            f"mean difference over the upper half of the frequencies{of_planes}; the color and brightness distance is "
            "the area between the distributions of values, of channels and of their differences",
            ("durall2020",),
        ),
        (
            f"Beside each figure stands what real images give against each other: the real {results.group_noun}s were "
            f"cut in halves {row['splits']} times, and {row['n_matched']} images of the second half, or as many "
            "synthetic ones, were compared with the first",
            (),
        ),
        (
            f"Brackets are {100 * results.confidence_level:g}% intervals from the spread over half-samples of "
            f"{results.group_noun}s",
            ("shao1989",),
        ),
    ]


def _extras(results: ImageResults) -> list[CitedSentence]:
    metrics, said = set(results.quality["metric"]), []
    if "perceptual_distance" in metrics:
        said.append(("LPIPS is the mean over all pairs, with AlexNet and the weights of version 0.1", ("zhang2018",)))
    if "label_agreement" in metrics:
        said.append(
            (
                "The label agreement is the balanced accuracy, on the other set, of a ridge classifier of the features "
                "of the first real half",
                ("shmelkov2018",),
            )
        )
    if results.unbiased == results.unbiased:  # not NaN
        said.append(("The Frechet distance was also extrapolated to infinitely many images", ("chong2020",)))
    return said


def _copies(results: ImageResults) -> list[CitedSentence]:
    return [
        (
            "For copies, each image was compared with every training image: pixels, averaged down to about 32 per "
            "side, under the eight symmetries of the square, and features. A copy is nearer to one of them than "
            f"all but {words.percent(results.false_positive_rate)} of the held-out real images are",
            (),
        ),
        (
            "AuthPct is the share of images farther from their nearest training image than that one is from the "
            "next; C_T says, in standard deviations, whether images lie nearer to training images than held-out "
            "real ones do (below 0: nearer)",
            ("alaa2022", "meehan2020"),
        ),
        (
            "MiFID is the Frechet distance to the training images, divided by the mean cosine distance to the "
            "nearest of them where that is below 0.1",
            ("bai2021",),
        ),
    ]


def limitations(results: ImageResults) -> list[str]:
    """Say what this evaluation cannot show, from its own figures."""
    row = results.quality.iloc[0]
    n, limits = min(row["n_real"], row["n_synthetic"]), []
    if results.phantom:
        limits.append("The images called real were drawn by code. Nothing here is about any disease or any patient.")
    if n < row["dimension"]:
        limits.append(
            f"{n} images are fewer than the {row['dimension']:,} features: the Frechet distance is mostly a matter of "
            "their number. Read it beside the halves of real images, and compare it with no figure from elsewhere."
        )
    elif n < FEW:
        limits.append(f"With {n} images only large differences can be seen.")
    if row["extractor"] != "inception":
        limits.append(
            f"The extractor is {row['extractor']}, not Inception: its Frechet distance is no FID, and compares with no "
            "published one."
        )
    if not row["weights"]:
        limits.append(
            "The extractor has learned nothing: it sees color, texture and coarse form, not what only a trained eye "
            "would notice. Figures that papers give need their network: --features inception or dinov2, with --weights "
            "FILE where nothing can be downloaded."
        )
    if results.group_noun == "image":
        limits.append(
            "No patients were named: real images of one patient may be in both halves, which makes real images look "
            "more alike than those of different patients are. Name them with --groups or a manifest."
        )
    if not len(results.copies):
        limits.append("The training images were not given: whether images were copied was not measured.")
    else:
        limits.append("A synthetic image that is no near-copy is not thereby anonymous.")
    return [
        *limits,
        f"Details smaller than {SEEN[bool(row['volumes'])].format(row['resolution'])} were not seen.",
        f"{len(results.quality)} measures are looked at: now and then one of them lies outside by chance alone.",
        "A figure inside the range of real halves is no proof of equality; the measures see what their features see, "
        "and none of them knows whether an image is medically right.",
    ]
