"""Pictures of a study's report: random images of each class, and pairs of images with the training image nearest."""

from __future__ import annotations

import numpy as np
import pandas as pd

from meddiff.batches.images import Labeled
from meddiff.images.planes import tile
from meddiff.images.views import as_rgb
from meddiff.jobs.generate import filter as filtering
from meddiff.metrics.images.memorization import copy_threshold, nearest_image
from meddiff.recipe import Recipe
from meddiff.report import Gallery, NearestPair

SHOWN_PER_CLASS = 12
SHOWN_PAIRS = 6


def memorization(sets: dict[str, Labeled], recipe: Recipe) -> tuple[list[NearestPair], list[NearestPair], pd.DataFrame]:
    """The synthetic and the held-out real images nearest to a training image, and both sets in numbers."""
    references = filtering.compared(sets["train"])
    distance, index = {}, {}
    for name in [name for name in ("synthetic", "val") if name in sets]:
        distance[name], index[name], _ = nearest_image(filtering.compared(sets[name]), references)
    threshold = copy_threshold(distance["val"], recipe.filter.copy_quantile)
    pairs = {
        name: [
            NearestPair(
                synthetic=picture(sets[name], position),
                real=picture(sets["train"], index[name][position]),
                distance=float(distance[name][position]),
                synthetic_id=sets[name].rows[position].row_id,
                real_id=sets["train"].rows[index[name][position]].row_id,
            )
            for position in np.argsort(distance[name], kind="stable")[:SHOWN_PAIRS]
        ]
        for name in distance
    }
    copies = pd.DataFrame(
        {
            "set": title,
            "n": len(distance[name]),
            "median_distance": float(np.median(distance[name])),
            "smallest_distance": float(distance[name].min()),
            "share_below_threshold": float((distance[name] < threshold).mean()),
            "threshold": threshold,
        }
        for name, title in (("synthetic", "synthetic images kept"), ("val", "held-out real images"))
        if name in sets
    )
    return pairs.get("synthetic", []), pairs["val"], copies


def galleries(sets: dict[str, Labeled], seed: int) -> list[Gallery]:
    """Random images of each class, real (training) and synthetic (kept)."""
    generator = np.random.default_rng(seed)
    shown = []
    for label, name in enumerate(sets["train"].class_names):
        chosen = {
            kind: generator.permutation(np.flatnonzero(sets[kind].labels == label))[:SHOWN_PER_CLASS]
            for kind in ("train", "synthetic")
            if kind in sets
        }
        pictures = {kind: [picture(sets[kind], position) for position in chosen[kind]] for kind in chosen}
        shown.append(Gallery(name, real=pictures["train"], synthetic=pictures.get("synthetic", [])))
    return shown


def picture(images: Labeled, position: int) -> np.ndarray:
    """One image, or three middle planes of a volume, as the page shows it: uint8 [H, W, 3]."""
    return as_rgb(tile(images.batch([position]).image[0].numpy(), images.spacing_mm))
