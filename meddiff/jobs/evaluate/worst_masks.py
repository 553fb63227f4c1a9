"""The worst cases of an evaluation as pictures: outlines on the image where one is given, on gray where none is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from meddiff.evaluation.masks.pairs import Matching, bare_name
from meddiff.formats import load_image
from meddiff.formats.masks import IGNORED
from meddiff.formats.open import load_volume
from meddiff.formats.pictures import is_picture
from meddiff.images.views import as_rgb
from meddiff.jobs.evaluate.beside_masks import Soft
from meddiff.reports.galleries import GalleryCase

COUNT = 6
GROUND = 70  # gray under outlines without an image
PERCENTILES = (0.5, 99.5)


def worst_cases(cases: pd.DataFrame, pairs: Matching, soft: Soft, images: Mapping[str, Path]) -> list[GalleryCase]:
    """Return the lowest Dice (mean over the classes) among the cases that have a prediction."""
    means: Any = cases.groupby("case")["dice"].mean()
    dice = means.sort_values(kind="stable")
    pictures = {bare_name(name): path for name, path in images.items()} | dict(images)
    shown = []
    for case in [name for name in dice.index if name in pairs.pairs][:COUNT]:
        first, second = pairs.pairs[str(case)]
        pair = soft.truth(first).values, soft.prediction(second).values
        truth, prediction = (np.where(mask == IGNORED, 0, mask) for mask in pair)
        image = _image(pictures.get(str(case)) or pictures.get(bare_name(str(case))), truth.shape)
        place = ""
        if truth.ndim == 3:
            axis, index = _largest_slice(truth, prediction)
            place = f", slice {index} of axis {axis}"
            truth, prediction = (np.take(mask, index, axis=axis) for mask in (truth, prediction))
            image = image if image is None else np.take(image, index, axis=axis)
        ground = np.full(truth.shape, GROUND, np.uint8) if image is None else as_rgb(image)
        caption = f"Dice {dice[case]:.3f}{place}"
        shown.append(GalleryCase(str(case), caption, ground, truth, prediction, group="Lowest Dice"))
    return shown


def _image(path: Path | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return uint8 of the mask's shape (and color), or None where there is none or it is of another grid."""
    if path is None:
        return None
    values = load_image(path) if is_picture(path) else np.squeeze(load_volume(path).array)
    if values.shape[: len(shape)] != shape or values.ndim > len(shape) + 1:
        return None
    if values.dtype == np.uint8:
        return values
    low, high = np.percentile(values[np.isfinite(values)], PERCENTILES)
    scaled = (np.nan_to_num(values.astype(np.float64)) - low) / max(float(high - low), 1e-9)
    return np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)


def _largest_slice(truth: np.ndarray, prediction: np.ndarray) -> tuple[int, int]:
    """Choose, across the axis of fewest slices, the one where truth and prediction differ most, or show most."""
    axis = int(np.argmin(truth.shape))
    others = tuple(other for other in range(3) if other != axis)
    apart = np.count_nonzero(truth != prediction, axis=others)
    whole = np.count_nonzero((truth > 0) | (prediction > 0), axis=others)
    return axis, int(np.argmax(apart if apart.any() else whole))
