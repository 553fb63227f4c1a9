"""What `benchmarks/segmentation.py` trains and judges: Dice by steps, and members against several raters.

Networks are those that the recipes of the segmentation job build, trained by its trainer, on drawn images.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from meddiff.batches.batch import Batch
from meddiff.batches.order import Order
from meddiff.batches.turns import flip_rotate90
from meddiff.build.models import new_model, optimization
from meddiff.images.intensity import to_model_range
from meddiff.inference.segmenters import DiffusionSegmenter, Segmenter
from meddiff.metrics.masks.overlap import overlap
from meddiff.metrics.masks.uncertainty import generalized_energy_distance
from meddiff.metrics.resampling import bootstrap_weights, percentile_interval
from meddiff.recipe import TrainingRecipe
from meddiff.recipe.segment import (
    BaselineRecipe,
    InferenceRecipe,
    MaskNetworkRecipe,
    MaskRecipe,
    SegmentRecipe,
    StackRecipe,
)
from meddiff.seeds import child_seed
from meddiff.sources import phantom
from meddiff.sources.phantom.raters import draw_rated
from meddiff.training.fabric import build_fabric
from meddiff.training.loop import seeds_of, train
from meddiff.training.state import build_state

CLASSES = ["background", "lesion"]


@dataclass(frozen=True)
class Lesions:
    """Drawn images with one or more masks each."""

    images: np.ndarray
    """[N, 3, H, W] uint8."""
    masks: np.ndarray
    """[N, R, H, W] uint8."""

    def image(self, number: int) -> Tensor:
        """[3, H, W] in [-1, 1]."""
        return to_model_range(self.images[number])

    def batches(self, size: int, seed: int) -> Callable[[int, int], Batch]:
        """(step, micro-batch) -> images, each with the mask of a rater drawn anew."""

        order = Order(np.zeros(len(self.images)))

        def batch(step: int, micro: int) -> Batch:
            chosen = order.positions(step, batch_size=size, seed=seed)
            drawn = np.random.default_rng(child_seed(seed, "rater", step))
            raters = drawn.integers(self.masks.shape[1], size=size)
            mask = torch.from_numpy(self.masks[chosen, raters].astype(np.int64))[:, None]
            return Batch(to_model_range(self.images[chosen]), None, mask, torch.from_numpy(chosen))

        return batch


@dataclass(frozen=True)
class Fitted:
    """A trained network and what it cost."""

    segmenter: Segmenter
    cpu_s: float
    weights: int


def small_recipe(size: int, *, steps: int, channels: Sequence[int], recycle: float, scale: float) -> SegmentRecipe:
    """A TwinUNet and a U-Net small enough to be trained on a CPU in minutes."""
    return SegmentRecipe(
        data=StackRecipe(image_size=size),
        network=MaskNetworkRecipe(channels=tuple(channels), patch_size=1 if size < 64 else 2),
        mask=MaskRecipe(recycle=recycle, scale=scale),
        training=TrainingRecipe(
            steps=steps, batch_size=16, learning_rate=2e-3, warmup_steps=20, decay="cosine", ema_decay=0.99
        ),
        baseline=BaselineRecipe(channels=tuple(channels)),
        inference=InferenceRecipe(),
    )


def fit(recipe: SegmentRecipe, name: str, lesions: Lesions) -> Fitted:
    """Train the recipe's denoiser of masks, or the baseline ``name``, to the end."""
    begun = time.process_time()
    model, fabric, settings = new_model(recipe, name, 3, CLASSES), build_fabric(), recipe.training
    steps = optimization(settings)
    state = build_state(model.network, model.objective, fabric, steps, ema_decay=settings.ema_decay)
    for _ in train(
        state,
        lesions.batches(settings.batch_size, recipe.seed),
        steps,
        seeds=seeds_of(recipe.seed),
        augment=flip_rotate90,
    ):
        pass
    weights = sum(part.numel() for part in model.network.parameters())
    return Fitted(model.ready(state.ema.network, fabric), time.process_time() - begun, weights)


def phantoms(seed: int, count: int, *, size: int) -> Lesions:
    """One view each of the first ``count`` patients of the dermoscopy phantoms, with the one true mask."""
    first = {row.patient_id: row for row in reversed(phantom.rows("dermoscopy", seed=seed, count=4 * count))}
    drawn = [phantom.draw(row, size) for row in sorted(first.values(), key=lambda row: row.row_id)[:count]]
    return Lesions(channels_first([image for image, _ in drawn]), np.stack([mask for _, mask in drawn])[:, None])


def rated(seeds: Sequence[int], *, size: int, raters: int) -> Lesions:
    """Lesions with the masks of several raters."""
    drawn = [draw_rated(seed, size=size, raters=raters) for seed in seeds]
    return Lesions(channels_first([one.image for one in drawn]), np.stack([one.masks for one in drawn]))


def channels_first(images: Sequence[np.ndarray]) -> np.ndarray:
    """[H, W, 3] each -> [N, 3, H, W]."""
    return np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))


def with_steps(segmenter: Segmenter, steps: int) -> DiffusionSegmenter:
    """The same denoiser with another number of sampler steps."""
    assert isinstance(segmenter, DiffusionSegmenter)
    return replace(segmenter, sampling=replace(segmenter.sampling, steps=steps))


def dice_of_cases(segmenter: Segmenter, lesions: Lesions, *, members: int) -> np.ndarray:
    """Dice [N] of the mean of the members' probabilities."""
    found = []
    for number in range(len(lesions.images)):
        seeds = [child_seed(0, "member", number, m) for m in range(members)]
        called = segmenter.members(lesions.image(number), seeds).mean(0).argmax(0).numpy()
        found.append(overlap(lesions.masks[number, 0], called.astype(np.uint8)).dice)
    return np.array(found)


def mean_with_interval(values: np.ndarray, *, resamples: int = 5000) -> tuple[float, float, float]:
    """Mean and 95% bootstrap interval over cases, each of another patient."""
    weights = bootstrap_weights(np.zeros(len(values), dtype=int), resamples, np.random.default_rng(0))
    return float(values.mean()), *percentile_interval(values @ weights[:, 1:] / len(values), 0.95)


@dataclass(frozen=True)
class Ambiguity:
    """Of every case [N]: how far the answers are from the raters, and how different among themselves."""

    distance: np.ndarray
    """Generalized energy distance to the raters."""
    spread: np.ndarray
    """Mean 1 - IoU of the answers' pairs."""
    raters_spread: np.ndarray
    """The same of the raters' masks."""

    def correlation(self) -> float:
        """Spearman's, of both spreads over the cases."""
        return float(spearmanr(self.spread, self.raters_spread).statistic)


def ambiguity(segmenter: Segmenter, lesions: Lesions, *, members: int) -> Ambiguity:
    """Draw the members of every case, call each one's classes, and hold them against the raters' masks."""
    if isinstance(segmenter, DiffusionSegmenter):
        segmenter = replace(segmenter, estimate="last")  # plausible masks, not each path's mean
    distance, own, raters = [], [], []
    for number in range(len(lesions.images)):
        seeds = [child_seed(0, "member", number, m) for m in range(members)]
        called = segmenter.members(lesions.image(number), seeds).argmax(1).numpy().astype(np.uint8)
        distance.append(generalized_energy_distance(lesions.masks[number], called))
        own.append(disagreement(called))
        raters.append(disagreement(lesions.masks[number]))
    return Ambiguity(np.array(distance), np.array(own), np.array(raters))


def disagreement(masks: np.ndarray) -> float:
    """Mean 1 - IoU over all pairs of masks [M, *S], a mask with itself included, as in the energy distance."""
    flat = masks.reshape(len(masks), -1).astype(np.float64)
    common, area = flat @ flat.T, flat.sum(1)
    union = area[:, None] + area[None] - common
    return float(np.where(union > 0, 1 - common / np.maximum(union, 1), 0.0).mean())
