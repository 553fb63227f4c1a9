"""A made-up evaluation of synthetic images: drawn lesions, copies among them, a hostile name."""

from pathlib import Path

import numpy as np
from example_report import HOSTILE, lesion
from scipy.ndimage import gaussian_filter

from meddiff.evaluation.images.copies import HELD_OUT, SYNTHETIC, copies
from meddiff.evaluation.images.quality import image_quality, unbiased_frechet
from meddiff.evaluation.images.sets import ImageSet, Space
from meddiff.manifest.row import blank_row
from meddiff.reports.galleries import NearestPair
from meddiff.reports.images import headline
from meddiff.reports.results import ImageResults

FOLDER, SIDE = Path("pictures"), 32
SPACE = Space("dinov2", "ab" * 32, SIDE, "crop", "224 x 224, bicubic")


def image_set(kind: str, seeds: range, blur: float = 0.0) -> ImageSet:
    """Drawn lesions with means of blocks as features; the first of them has a hostile name."""
    pixels = gaussian_filter(np.stack([lesion(seed, SIDE) for seed in seeds]).transpose(0, 3, 1, 2), (0, 0, blur, blur))
    features = (
        pixels.reshape(len(seeds), 3, 4, SIDE // 4, 4, SIDE // 4)
        .mean((3, 5))
        .reshape(len(seeds), -1)
        .astype(np.float32)
    )
    names = [HOSTILE, *(f"{kind}-{number:03d}" for number in range(1, len(seeds)))]
    rows = tuple(blank_row(name, f"{kind}-{number}.png", FOLDER) for number, name in enumerate(names))
    return ImageSet(rows, pixels, features, tuple(f"{kind} {seed}" for seed in seeds), SPACE)


def example_image_report() -> ImageResults:
    """Blurred images, the first eight of them training images."""
    real, train = image_set("real", range(36)), image_set("train", range(100, 136))
    drawn = image_set("drawn", range(200, 222), blur=1.2)
    pixels, features = (np.concatenate([getattr(train, name)[:8], getattr(drawn, name)[8:]])
                        for name in ("pixels", "features"))  # fmt: skip
    synthetic = ImageSet(drawn.rows, pixels, features, drawn.contents, SPACE)
    quality = image_quality(real, synthetic, splits=3)
    found = copies(real, synthetic, train)
    unbiased, why = unbiased_frechet(real, synthetic)
    shown = {
        name: [NearestPair(_picture(queries, pair.query), _picture(train, pair.reference), pair.distance,
                           queries.rows[pair.query].row_id, train.rows[pair.reference].row_id)
               for pair in found.pairs[name]]
        for name, queries in ((SYNTHETIC, synthetic), (HELD_OUT, found.held_out))
    }  # fmt: skip
    return ImageResults(
        title="Synthetic images of drawn against real", headline=headline(quality, found.table, found.statistics),
        phantom=True, quality=quality, unbiased=unbiased, unbiased_note=why, copies=found.table,
        statistics=found.statistics, false_positive_rate=0.05,
        real=[_picture(real, at) for at in range(15)], synthetic=[_picture(synthetic, at) for at in range(15)],
        nearest=shown[SYNTHETIC], held_out_nearest=shown[HELD_OUT], group_noun="image",
        notes=("2 synthetic images could not be read and were left out.",),
        provenance={"options": {"real": f"/data/{HOSTILE}"}, "versions": {"meddiff": "0"}}, confidence_level=0.95,
        extractor=("DINOv2", ("oquab2024", "stein2023")),
    )  # fmt: skip


def _picture(images: ImageSet, at: int) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(images.pixels[at], 0, -1))
